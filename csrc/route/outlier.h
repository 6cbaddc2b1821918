/* Which endpoint answers so badly that it is left alone for a while, as arithmetic over words and
 * the time: what has to be remembered is two 64-bit words of an endpoint, which whoever keeps them
 * replaces as a whole. 0 is the word of an endpoint of which nothing is known. Pure.
 *
 *   streak    { failures of a gateway in a row (32 bits), failures of any kind in a row (32) }
 *   ejection  { until (44 bits, ms), reason (4), how many in a row (16) }
 *
 * An ejection lasts as long as the base time, times how many there were in a row, up to a maximum.
 * That number falls by one for each interval that the endpoint stays in use afterwards.
 *
 *   in use ──too many in a row, or a success rate far below the others'──► ejected
 *      ▲                                                                      │
 *      └───────────────────────────────── until ──────────────────────────────┘ */
#ifndef PP_ROUTE_OUTLIER_H
#define PP_ROUTE_OUTLIER_H

#include "base/defs.h"

/* Why. Stands in the ejection's word: never renumbered. */
enum pp_outlier_reason {
    PP_OUTLIER_NONE = 0,
    PP_OUTLIER_5XX = 1,          /* failures of any kind in a row */
    PP_OUTLIER_GATEWAY = 2,      /* failures of a gateway in a row */
    PP_OUTLIER_SUCCESS_RATE = 3, /* fewer successes than the others have */
    PP_OUTLIER_REASON_COUNT
};

/* How an exchange went. */
enum pp_outlier_result {
    PP_OUTLIER_OK,     /* any status below 500 */
    PP_OUTLIER_ERROR,  /* 5xx but those of gateways */
    PP_OUTLIER_FAILURE /* no answer, or 502, 503, 504: what a gateway says when there is none */
};

struct pp_outlier_conf {
    uint64_t interval_ms;         /* of looks at success rates; 0: nothing of all this is done */
    uint64_t base_ms, max_ms;     /* how long an ejection lasts */
    uint32_t consecutive_5xx;     /* results in a row that are no OK; 0: not looked at */
    uint32_t consecutive_gateway; /* failures in a row; 0: not looked at */
    uint32_t min_hosts;           /* endpoints with volume for a comparison; 0: none is made */
    uint32_t min_volume;          /* results of an endpoint in an interval that say something */
    uint32_t stdev_factor;        /* thousandths of the standard deviation below the mean */
    uint32_t max_percent;         /* of endpoints that may be ejected at once, but always one */
};

/* The streak after one more result. */
uint64_t pp_outlier_streak(uint64_t streak, enum pp_outlier_result result);
/* What a streak calls for; PP_OUTLIER_NONE: nothing. */
enum pp_outlier_reason pp_outlier_judge(const struct pp_outlier_conf *c, uint64_t streak);

/* How many of <n> endpoints may be ejected at once. An only one never is: it would not help. */
uint32_t pp_outlier_cap(const struct pp_outlier_conf *c, uint32_t n);

/* The ejection that begins now, after the last one, which is over. */
uint64_t pp_outlier_eject(const struct pp_outlier_conf *c, uint64_t ejection, uint64_t now_ms,
                          enum pp_outlier_reason why);
static inline uint64_t pp_outlier_until(uint64_t ejection)
{
    return ejection >> 20;
}
static inline bool pp_outlier_is_ejected(uint64_t ejection, uint64_t now_ms)
{
    return pp_outlier_until(ejection) > now_ms;
}

/* Results of one endpoint in an interval. */
struct pp_outlier_sample {
    uint64_t ok, all;
};
/* Parts of a million. */
#define PP_OUTLIER_WHOLE 1000000
/* Whether there is enough to compare; then *least is the success rate below which one is an
 * outlier: the mean of those with volume, less conf.stdev_factor times their standard deviation. */
bool pp_outlier_compare(const struct pp_outlier_conf *c, const struct pp_outlier_sample *sample,
                        uint32_t n, uint32_t *least);
/* Has it volume, and a success rate below <least>? */
bool pp_outlier_is_below(const struct pp_outlier_conf *c, const struct pp_outlier_sample *s,
                         uint32_t least);

#endif
