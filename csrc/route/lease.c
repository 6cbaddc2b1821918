#include "route/lease.h"

#define COUNT_BITS 24
#define COUNT_MASK ((uint32_t)PP_LEASE_MAX)
#define TERM_BITS 32 /* of the time */

struct count {
    uint16_t term;
    uint32_t before, now;
};

/* The counters at the time <now_ns>. A clock that lies behind the word's follows it. */
static struct count read_word(uint64_t word, uint64_t now_ns)
{
    struct count c = {(uint16_t)(word >> 2 * COUNT_BITS),
                      (uint32_t)(word >> COUNT_BITS) & COUNT_MASK, (uint32_t)word & COUNT_MASK};
    uint16_t term = (uint16_t)(now_ns >> TERM_BITS);
    uint16_t ahead = (uint16_t)(term - c.term);
    if (word == 0)
        return (struct count){term, 0, 0};
    if (ahead == 0 || ahead > UINT16_MAX / 2)
        return c;
    return (struct count){term, ahead == 1 ? c.now : 0, 0};
}

/* Move what is held to this term's counter; what was dropped comes back. */
static void renew(struct count *c, struct pp_lease *held)
{
    if (held->n > 0 && held->term != c->term) {
        if ((uint16_t)(held->term + 1) == c->term)
            c->before -= PP_MIN(c->before, held->n);
        c->now = PP_MIN(c->now + held->n, COUNT_MASK);
    }
    held->term = c->term;
}

static void write_step(struct count c, struct pp_lease held, struct pp_lease_step *step)
{
    step->word = (uint64_t)c.term << 2 * COUNT_BITS | (uint64_t)c.before << COUNT_BITS | c.now;
    step->held = held;
    step->count = c.before + c.now;
}

bool pp_lease_take(uint64_t word, struct pp_lease held, uint64_t now_ns, uint32_t limit,
                   struct pp_lease_step *step)
{
    struct count c = read_word(word, now_ns);
    renew(&c, &held);
    bool granted = c.before + c.now < PP_MIN(limit, COUNT_MASK);
    if (granted) {
        c.now++;
        held.n++;
    }
    write_step(c, held, step);
    return granted;
}

void pp_lease_give_back(uint64_t word, struct pp_lease held, uint64_t now_ns,
                        struct pp_lease_step *step)
{
    struct count c = read_word(word, now_ns);
    renew(&c, &held);
    c.now -= PP_MIN(c.now, 1);
    held.n--;
    write_step(c, held, step);
}

void pp_lease_renew(uint64_t word, struct pp_lease held, uint64_t now_ns,
                    struct pp_lease_step *step)
{
    struct count c = read_word(word, now_ns);
    renew(&c, &held);
    write_step(c, held, step);
}
