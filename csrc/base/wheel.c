#include "base/wheel.h"

#define SLOTS (1u << PP_WHEEL_BITS)
#define TOP (PP_WHEEL_LEVELS - 1)
#define TOP_SHIFT (TOP * PP_WHEEL_BITS)

PP_STATIC_ASSERT(SLOTS == 64, "one bit of `occupied` for each slot");

void pp_wheel_init(struct pp_wheel *w, uint64_t now_ms)
{
    w->now_ms = now_ms;
    w->n = 0;
    pp_list_init(&w->overdue);
    for (unsigned level = 0; level < PP_WHEEL_LEVELS; level++) {
        w->occupied[level] = 0;
        for (unsigned i = 0; i < SLOTS; i++)
            pp_list_init(&w->slot[level][i]);
    }
}

void pp_timer_init(struct pp_timer *t, pp_timer_fn fn)
{
    pp_list_init(&t->link);
    t->due_ms = 0;
    t->fn = fn;
}

/* Put <t>, due at or after now, into its slot.
 *
 * Below the top level a timer shares all higher digits with now, so its own digit is the greater
 * one and slots need not wrap: the lowest occupied bit of the lowest occupied level comes next.
 * Only the top level is a ring; its farthest slot also holds what is due after the ring's end. */
static void place(struct pp_wheel *w, struct pp_timer *t)
{
    uint64_t differ = t->due_ms ^ w->now_ms;
    unsigned level, i;

    if (differ >> TOP_SHIFT) {
        uint64_t ahead = (t->due_ms >> TOP_SHIFT) - (w->now_ms >> TOP_SHIFT);
        level = TOP;
        i = (unsigned)((w->now_ms >> TOP_SHIFT) + PP_MIN(ahead, (uint64_t)SLOTS - 1)) & (SLOTS - 1);
    } else {
        level = (63u - (unsigned)__builtin_clzll(differ | 1)) / PP_WHEEL_BITS;
        i = (unsigned)(t->due_ms >> level * PP_WHEEL_BITS) & (SLOTS - 1);
    }
    w->occupied[level] |= 1ull << i;
    pp_list_attach_back(&w->slot[level][i], &t->link);
}

/* Detach <t>; when it was the last of a slot, clear the slot's bit. A ring with a single member
 * after the removal is a bare list head, which is how the slot is recognised without being stored.
 */
static void unplace(struct pp_wheel *w, struct pp_timer *t)
{
    struct pp_list *head = t->link.next;

    pp_list_detach(&t->link);
    if (!pp_list_is_empty(head))
        return;
    size_t at = (size_t)((uintptr_t)head - (uintptr_t)&w->slot[0][0]);
    if (at < sizeof(w->slot)) { /* else: the head of the overdue list */
        size_t i = at / sizeof(struct pp_list);
        w->occupied[i / SLOTS] &= ~(1ull << i % SLOTS);
    }
}

void pp_wheel_start(struct pp_wheel *w, struct pp_timer *t, uint64_t due_ms)
{
    if (pp_timer_is_pending(t))
        unplace(w, t);
    else
        w->n++;
    t->due_ms = due_ms;
    if (PP_LIKELY(due_ms > w->now_ms))
        place(w, t);
    else
        pp_list_attach_back(&w->overdue, &t->link);
}

void pp_wheel_stop(struct pp_wheel *w, struct pp_timer *t)
{
    if (!pp_timer_is_pending(t))
        return;
    unplace(w, t);
    w->n--;
}

struct next_slot {
    unsigned level, i;
    uint64_t start; /* time at which the slot begins */
};

/* The slot to look at next; false when all are empty. */
static bool find_next(const struct pp_wheel *w, struct next_slot *out)
{
    for (unsigned l = 0; l < PP_WHEEL_LEVELS; l++) {
        uint64_t bits = w->occupied[l];
        if (!bits)
            continue;
        unsigned shift = l * PP_WHEEL_BITS;
        uint64_t at = w->now_ms >> shift;
        unsigned digit = (unsigned)at & (SLOTS - 1);
        /* The distance on the ring; below the top level the bits lie right of <digit> anyway. */
        uint64_t turned = bits >> digit | (digit ? bits << (SLOTS - digit) : 0);
        unsigned ahead = (unsigned)__builtin_ctzll(turned);
        out->level = l;
        out->i = (digit + ahead) & (SLOTS - 1);
        out->start = (at + ahead) << shift;
        return true;
    }
    return false;
}

static void fire(struct pp_wheel *w, struct pp_timer *t)
{
    unplace(w, t);
    w->n--;
    t->fn(t);
}

/* Fire the members of <from> as it stands now: what a fn starts in the past waits for the next
 * call. */
static size_t fire_overdue(struct pp_wheel *w)
{
    struct pp_list batch;
    size_t fired = 0;

    if (PP_LIKELY(pp_list_is_empty(&w->overdue)))
        return 0;
    pp_list_attach(&w->overdue, &batch);
    pp_list_detach(&w->overdue);
    while (!pp_list_is_empty(&batch)) {
        fire(w, PP_CONTAINER_OF(batch.next, struct pp_timer, link));
        fired++;
    }
    return fired;
}

size_t pp_wheel_advance(struct pp_wheel *w, uint64_t now_ms)
{
    size_t fired = fire_overdue(w);
    struct next_slot next;

    while (find_next(w, &next) && next.start <= now_ms) {
        struct pp_list *slot = &w->slot[next.level][next.i];
        w->now_ms = next.start;
        while (!pp_list_is_empty(slot)) {
            struct pp_timer *t = PP_CONTAINER_OF(slot->next, struct pp_timer, link);
            if (next.level == 0) {
                fire(w, t);
                fired++;
            } else {
                unplace(w, t);
                place(w, t);
            }
        }
    }
    w->now_ms = PP_MAX(w->now_ms, now_ms);
    return fired;
}

uint64_t pp_wheel_next(const struct pp_wheel *w)
{
    struct next_slot next;

    if (!pp_list_is_empty(&w->overdue))
        return w->now_ms;
    return find_next(w, &next) ? next.start : UINT64_MAX;
}
