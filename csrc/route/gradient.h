/* How many requests an upstream takes at once before it becomes slow, learnt from how long it needs
 * for them: the gradient of Netflix' concurrency-limits (github.com/Netflix/concurrency-limits) as
 * Envoy's adaptive concurrency controller has it. Pure.
 *
 *   gradient = min_rtt * (1 + buffer) / sample_rtt    within [1/2, 2]
 *   limit    = gradient * limit + sqrt(limit)         within [least, most], once each window
 *
 * min_rtt is the time without a queue: a percentile of some requests while the limit is <least>.
 *
 *   MEASURE ──(<requests> of them have ended)──► SAMPLE
 *      ▲                                           │
 *      └──(min_rtt_ms, and a bit by chance; or PP_GRADIENT_STUCK windows at <least>)
 *
 * Nothing happens by itself: windows end with the first request that ends after them, so an
 * upstream that nobody asks keeps its limit. */
#ifndef PP_ROUTE_GRADIENT_H
#define PP_ROUTE_GRADIENT_H

#include <string.h>

#include "base/defs.h"

/* After so many windows in a row at the lower bound min_rtt is measured again: the upstream may
 * have become slower for good. */
#define PP_GRADIENT_STUCK 5
/* Times are counted in classes of at most 1/32 of their size. */
#define PP_GRADIENT_STEPS 32u
#define PP_GRADIENT_CLASSES (PP_GRADIENT_STEPS * 23)

/* All zero: there is none. */
struct pp_gradient_conf {
    uint32_t least, most;    /* bounds of the limit; least at least 1 */
    uint32_t percentile;     /* of the times in a window, 1 to 100 */
    uint32_t window_ms;      /* how often the limit is set */
    uint32_t min_rtt_ms;     /* how often min_rtt is measured */
    uint32_t requests;       /* of how many requests */
    uint32_t jitter_percent; /* of min_rtt_ms: how much later, by chance */
    uint32_t buffer_percent; /* of min_rtt: how much more is still good */
};

/* Zeroed, but for pp_gradient_start. */
struct pp_gradient {
    bool measures;       /* min_rtt */
    uint8_t stuck;       /* windows at the lower bound in a row */
    uint32_t limit;      /* now */
    uint32_t kept;       /* MEASURE: what it was before, 0: nothing */
    uint32_t n;          /* times in <count> */
    uint64_t min_rtt_us; /* 0: not known yet */
    uint64_t began_us;   /* of this measurement: earlier requests do not count */
    uint64_t window_us;  /* when this window ends */
    uint64_t measure_us; /* when min_rtt is measured next */
    uint32_t count[PP_GRADIENT_CLASSES];
};

static inline bool pp_gradient_is_on(const struct pp_gradient_conf *c)
{
    return c->most != 0;
}

/* Begin with a measurement. */
void pp_gradient_start(struct pp_gradient *g, const struct pp_gradient_conf *c, uint64_t now_us);

/* The bounds are those of <c> from now on. */
void pp_gradient_bound(struct pp_gradient *g, const struct pp_gradient_conf *c);

/* A request that was sent at <sent_us> was answered at <now_us>. <chance> is any number. True: the
 * limit has changed. */
bool pp_gradient_note(struct pp_gradient *g, const struct pp_gradient_conf *c, uint64_t sent_us,
                      uint64_t now_us, uint64_t chance);

#endif
