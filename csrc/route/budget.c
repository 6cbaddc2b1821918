#include "route/budget.h"

#define SECOND ((uint64_t)1000000000)
#define COUNT_BITS 28
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)

static bool in_range(const struct pp_budget *b)
{
    return b->kind <= PP_BUDGET_FIXED && b->count > 0 && b->count <= PP_BUDGET_COUNT_MAX &&
           b->period_ns >= SECOND / 1000 && b->period_ns <= PP_BUDGET_PERIOD_MAX &&
           b->count <= b->period_ns / 100;
}

int pp_budget_init(struct pp_budget *b)
{
    if (!in_range(b))
        return PP_EINVAL;
    b->interval_ns = (b->period_ns + b->count - 1) / b->count; /* rather a little less */
    b->shift = 0;
    while (b->period_ns >> b->shift >> (64 - COUNT_BITS) != 0)
        b->shift++;
    b->burst_ns = b->queue_ns = 0;
    if (b->kind != PP_BUDGET_BUCKET)
        return b->queue > 0 ? PP_EINVAL : PP_OK;
    uint64_t most = PP_BUDGET_PERIOD_MAX / b->interval_ns;
    if (b->burst == 0 || b->burst > most || b->queue > most)
        return PP_EINVAL;
    b->burst_ns = b->burst * b->interval_ns;
    b->queue_ns = b->queue * b->interval_ns;
    return PP_OK;
}

static void take_bucket(const struct pp_budget *b, uint64_t word, uint64_t now,
                        struct pp_budget_answer *a)
{
    uint64_t full = PP_MAX(word, now), room = b->burst_ns + b->queue_ns;
    uint64_t debt = full - now + b->interval_ns; /* with this one */
    a->granted = debt <= room;
    if (!a->granted) {
        a->wait_ns = debt - room;
        a->left = 0;
        a->reset_ns = full - now;
        return;
    }
    a->word = a->expires_ns = now + debt;
    a->wait_ns = debt > b->burst_ns ? debt - b->burst_ns : 0;
    a->left = (room - debt) / b->interval_ns;
    a->reset_ns = debt;
}

static inline uint64_t pack(uint64_t piece, uint64_t previous, uint64_t current)
{
    return piece << 2 * COUNT_BITS | previous << COUNT_BITS | current;
}

/* The counters of <word> at the piece of time <*piece>, which becomes the word's own when that is
 * ahead by one: others read the clock a little later. */
static void turn(uint64_t word, uint64_t *piece, uint64_t *previous, uint64_t *current)
{
    uint8_t ahead = (uint8_t)(*piece - (word >> 2 * COUNT_BITS));
    *previous = *current = 0;
    if (word == 0)
        return;
    if (ahead == UINT8_MAX)
        ++*piece;
    if (ahead == 0 || ahead == UINT8_MAX) {
        *previous = word >> COUNT_BITS & COUNT_MASK;
        *current = word & COUNT_MASK;
    } else if (ahead == 1) {
        *previous = word & COUNT_MASK;
    }
}

/* What still counts of <previous>, when <rest> of this piece is left: rounded up, so that there are
 * never more than the limit. */
static uint64_t share(const struct pp_budget *b, uint64_t previous, uint64_t rest)
{
    uint64_t unit = (uint64_t)1 << b->shift, whole = b->period_ns >> b->shift;
    uint64_t part = PP_MIN((rest + unit - 1) >> b->shift, whole);
    return (previous * part + whole - 1) / whole;
}

/* How long until <previous> has lost so much weight that there is room for one beside <current>. */
static uint64_t until_lighter(const struct pp_budget *b, uint64_t previous, uint64_t current,
                              uint64_t rest)
{
    uint64_t may = (b->count - 1 - current) * (b->period_ns / previous);
    may -= PP_MIN(may, (may >> 30) + ((uint64_t)2 << b->shift)); /* what share rounds */
    return rest > may ? rest - may : 1;
}

static uint64_t until_room(const struct pp_budget *b, uint64_t previous, uint64_t current,
                           uint64_t rest)
{
    if (b->kind == PP_BUDGET_FIXED)
        return rest;
    if (current < b->count)
        return until_lighter(b, previous, current, rest);
    /* Not in this piece; in the next one, <current> is the previous. */
    return rest + until_lighter(b, current, 0, b->period_ns);
}

static void take_window(const struct pp_budget *b, uint64_t word, uint64_t now,
                        struct pp_budget_answer *a)
{
    uint64_t piece = now / b->period_ns, mine = piece, previous, current;
    turn(word, &piece, &previous, &current);
    if (b->kind == PP_BUDGET_FIXED)
        previous = 0;
    uint64_t rest = piece == mine ? b->period_ns - now % b->period_ns : b->period_ns;
    uint64_t used = share(b, previous, rest) + current;
    a->granted = used < b->count;
    a->reset_ns = rest;
    if (!a->granted) {
        a->left = 0;
        a->wait_ns = until_room(b, previous, current, rest);
        return;
    }
    a->word = pack(piece & UINT8_MAX, previous, current + 1);
    a->expires_ns = (piece + 2) * b->period_ns;
    a->wait_ns = 0;
    a->left = b->count - used - 1;
}

void pp_budget_take(const struct pp_budget *b, uint64_t word, uint64_t now_ns,
                    struct pp_budget_answer *a)
{
    if (b->kind == PP_BUDGET_BUCKET)
        take_bucket(b, word, now_ns, a);
    else
        take_window(b, word, now_ns, a);
}

uint64_t pp_budget_give_back(const struct pp_budget *b, uint64_t word, uint64_t taken_ns)
{
    if (word == 0)
        return 0;
    if (b->kind == PP_BUDGET_BUCKET)
        return word > b->interval_ns ? word - b->interval_ns : 0;
    uint64_t piece = word >> 2 * COUNT_BITS, previous = word >> COUNT_BITS & COUNT_MASK;
    uint64_t current = word & COUNT_MASK;
    uint8_t ago = (uint8_t)(piece - taken_ns / b->period_ns);
    if ((ago == 0 || ago == UINT8_MAX) && current > 0)
        current--;
    else if (ago == 1 && previous > 0)
        previous--;
    return pack(piece, previous, current);
}
