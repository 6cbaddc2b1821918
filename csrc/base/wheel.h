/* Hierarchical timer wheel (Varghese and Lauck, SOSP 1987) over a `now` that the caller gives, in
 * milliseconds of a monotonic clock.
 *
 *   level 0: 64 slots of 1 ms   level 1: 64 of 64 ms   level 2: 64 of 4 s   level 3: of 4 min ...
 *
 * A timer lies at the level of the highest 6-bit digit in which its due time differs from now, in
 * the slot that digit names; when now reaches the start of a slot, its timers move down a level.
 *
 * Insert and cancel are O(1). Timers are meant to be lazy: the owner keeps its own deadline field,
 * lets the timer fire, and starts it again when the deadline has moved on. */
#ifndef PP_BASE_WHEEL_H
#define PP_BASE_WHEEL_H

#include "base/list.h"

struct pp_timer;
typedef void (*pp_timer_fn)(struct pp_timer *t);

struct pp_timer {
    struct pp_list link; /* in a slot, or alone */
    uint64_t due_ms;     /* valid while pending; never fires before this time */
    pp_timer_fn fn;
};

#define PP_WHEEL_BITS 6
/* 2^30 ms (12 days) ahead. A timer due later waits in the farthest slot and moves on from there. */
#define PP_WHEEL_LEVELS 5

struct pp_wheel {
    uint64_t now_ms; /* everything due before or at this has fired, but for <overdue> */
    uint64_t n;      /* pending timers */
    uint64_t occupied[PP_WHEEL_LEVELS]; /* bit i: slot i of the level is not empty */
    struct pp_list overdue;             /* started with a due time that had already passed */
    struct pp_list slot[PP_WHEEL_LEVELS][1 << PP_WHEEL_BITS];
};

/* An empty wheel whose time is <now_ms>. */
void pp_wheel_init(struct pp_wheel *w, uint64_t now_ms);

/* Prepare a timer that is in no wheel. */
void pp_timer_init(struct pp_timer *t, pp_timer_fn fn);
static inline bool pp_timer_is_pending(const struct pp_timer *t)
{
    return !pp_list_is_empty(&t->link);
}
/* Fire at <due_ms> (in the past: at the next advance). Moves <t> if it is pending. */
void pp_wheel_start(struct pp_wheel *w, struct pp_timer *t, uint64_t due_ms);
/* Make sure that <t> fires no later than <due_ms>: starts or moves it only when it must. */
static inline void pp_wheel_no_later(struct pp_wheel *w, struct pp_timer *t, uint64_t due_ms)
{
    if (!pp_timer_is_pending(t) || t->due_ms > due_ms)
        pp_wheel_start(w, t, due_ms);
}
/* Fine when not pending. */
void pp_wheel_stop(struct pp_wheel *w, struct pp_timer *t);

/* Move time to <now_ms> (never back) and fire what is due, in due order; those that were started in
 * the past come first, in the order of their starting. A timer is taken out before its fn is
 * called; fn may start, stop or free any timer, but not call this function. Returns how many fired.
 */
size_t pp_wheel_advance(struct pp_wheel *w, uint64_t now_ms);

/* Time at which pp_wheel_advance should be called next (may be earlier than the earliest due time,
 * never later), or UINT64_MAX when nothing is pending. */
uint64_t pp_wheel_next(const struct pp_wheel *w);

#endif
