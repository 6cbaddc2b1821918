/* How much of something is used up, as arithmetic over one 64-bit word and the time: many requests
 * in some time, or many at once. Pure: whoever keeps the word (base/shtable.h) replaces it as a
 * whole, so that two who take at the same moment cannot both have the last piece. 0 is the word of
 * somebody of whom nothing is known: all is left.
 *
 * Times are nanoseconds of one clock, above 0. A caller whose time lies a little behind that of the
 * last one is dealt with as if it had come then.
 *
 *   BUCKET   the generic cell rate algorithm (ITU-T I.371), a token bucket in one number: the word
 *            is the time at which the bucket will be full again. A request moves it by
 *            period / count; what lies more than <burst> of them ahead is refused, or, up to
 *            <queue> more, told to wait until it would have come evenly. No moment of <t>
 *            has more than burst + t * rate behind it.
 *   SLIDING  two counters, of the current and the previous piece of time of one period each; the
 *            previous one counts for the part of it that a window ending now still covers
 *            { number of the piece (8 bits), previous (28), current (28) }. Refused requests count
 *            for nothing. Right when the previous period's requests came evenly.
 *   FIXED    the same without the previous counter: up to twice as many in a period across a
 *            border, the price of a limit that begins anew with each period. */
#ifndef PP_ROUTE_BUDGET_H
#define PP_ROUTE_BUDGET_H

#include "base/err.h"

enum pp_budget_kind { PP_BUDGET_BUCKET = 0, PP_BUDGET_SLIDING = 1, PP_BUDGET_FIXED = 2 };

#define PP_BUDGET_PERIOD_MAX ((uint64_t)31 * 86400 * 1000000000) /* ns */
#define PP_BUDGET_COUNT_MAX (((uint64_t)1 << 28) - 1)

struct pp_budget {
    uint8_t kind;       /* enum pp_budget_kind */
    uint64_t count;     /* requests a period */
    uint64_t period_ns; /* at least 1 ms */
    uint64_t burst;     /* BUCKET: most at once, at least 1 */
    uint64_t queue;     /* BUCKET: so many more wait */
    /* derived by init */
    uint64_t interval_ns, burst_ns, queue_ns;
    uint8_t shift; /* of times, so that their product with a count fits */
};

/* Fill the derived members. PP_OK, or PP_EINVAL: a count or period out of its range, more than one
 * request in 100 ns, or a burst or queue that would last longer than PP_BUDGET_PERIOD_MAX. */
int pp_budget_init(struct pp_budget *b) PP_MUST_USE;

/* What taking one means. */
struct pp_budget_answer {
    bool granted;
    uint64_t word;       /* granted: what the word becomes */
    uint64_t expires_ns; /* and when it will mean no more than 0 */
    uint64_t wait_ns;    /* granted: wait that long; else: it makes no sense to ask before */
    uint64_t left;       /* requests that would be granted now, after this one */
    uint64_t reset_ns;   /* until all is left again */
};
void pp_budget_take(const struct pp_budget *b, uint64_t word, uint64_t now_ns,
                    struct pp_budget_answer *a);
/* The word when one that was granted at <taken_ns> is given back. */
uint64_t pp_budget_give_back(const struct pp_budget *b, uint64_t word, uint64_t taken_ns);

#endif
