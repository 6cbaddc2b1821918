/* A circuit breaker (Nygard, "Release It!", 2007) as a machine over outcomes and the time. Pure.
 *
 *   CLOSED ──(failures in a row, or a share of them in a window)──► OPEN ──(open_ms)──► HALF_OPEN
 *      ▲                                                             ▲                     │
 *      └───────────────(as many successes as probes)─────────────────┼─────────────────────┤
 *                                                                    └─────(a failure)─────┘
 *
 * OPEN lets nobody through. HALF_OPEN lets <probes> through, and as many again after each further
 * open_ms: a probe that never ends holds nothing up, and nobody has to be told of it.
 *
 * The window is cut into PP_BREAKER_SLICES that are forgotten one by one. */
#ifndef PP_ROUTE_BREAKER_H
#define PP_ROUTE_BREAKER_H

#include "base/defs.h"

#define PP_BREAKER_SLICES 10

enum pp_breaker_state { PP_BREAKER_CLOSED = 0, PP_BREAKER_OPEN = 1, PP_BREAKER_HALF_OPEN = 2 };

/* Why it has opened. Stands in shared memory: never renumbered. */
enum pp_breaker_why {
    PP_BREAKER_IN_A_ROW = 1,
    PP_BREAKER_SHARE = 2,
    PP_BREAKER_PROBE = 3 /* one that was let through has failed */
};

/* All zero: there is no breaker. */
struct pp_breaker_conf {
    uint32_t in_a_row;  /* failures that open it; 0: they do not */
    uint32_t percent;   /* of the outcomes in the window; 0: the window does not */
    uint32_t least;     /* outcomes that there must be in the window for that */
    uint32_t window_ms; /* at least PP_BREAKER_SLICES */
    uint32_t open_ms;   /* how long it stays open */
    uint32_t probes;    /* at least 1 */
};

/* Zeroed: closed. */
struct pp_breaker {
    uint8_t state;      /* enum pp_breaker_state */
    uint8_t why;        /* enum pp_breaker_why, unless it is closed */
    uint32_t in_a_row;  /* failures since the last success */
    uint32_t let, good; /* HALF_OPEN: let through and succeeded */
    uint64_t until_ms;  /* OPEN: when it becomes HALF_OPEN; HALF_OPEN: when more are let through */
    uint64_t slice;     /* number of the newest slice */
    struct pp_breaker_slice {
        uint32_t all, bad;
    } slices[PP_BREAKER_SLICES];
};

static inline bool pp_breaker_is_on(const struct pp_breaker_conf *c)
{
    return (c->in_a_row | c->percent) != 0;
}

/* May one more go through at <now_ms>? */
bool pp_breaker_admit(struct pp_breaker *b, const struct pp_breaker_conf *c, uint64_t now_ms);

/* One has ended, well or not. True: the breaker has opened. */
bool pp_breaker_note(struct pp_breaker *b, const struct pp_breaker_conf *c, uint64_t now_ms,
                     bool failed);

#endif
