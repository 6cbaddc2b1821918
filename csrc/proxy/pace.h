/* How fast bodies are read: limits in bytes per second that a filter sets on the body of one
 * direction, each with a bucket of its own or one that exchanges share.
 *
 *   source --[ no more than is granted ]--> decoder -> filters -> sink
 *
 * What is held back was not read: the source is, by its socket or the windows of its stream, and
 * nothing piles up here. Grants are reserved one after the other, so that those who share a bucket
 * take turns; for the next one the source waits on a timer, and is then asked to pump (event
 * drained). Meanwhile neither side owes the other anything.
 *
 * A bucket is a virtual clock (GCRA): bytes that were granted up to any time are at most the burst
 * and the rate for the time since the bucket was full. */
#ifndef PP_PROXY_PACE_H
#define PP_PROXY_PACE_H

#include "proxy/exchange.h"

/* Bounds of what is limited. */
#define PP_PACE_RATE_MAX ((uint64_t)1 << 40)
#define PP_PACE_BURST_MAX ((uint64_t)1 << 30)

struct pp_pace_bucket {
    uint64_t rate;     /* bytes per second */
    uint64_t burst_ns; /* what may be taken at once, as time */
    uint64_t full_ns;  /* when it is full again; in the past: it is */
    uint64_t grant_ns; /* of one grant */
    uint32_t grant;    /* bytes of one grant */
};

/* One limit on one body. */
struct pp_pace {
    struct pp_pace *next; /* of the same body */
    struct pp_pace_bucket *bucket;
    struct pp_exchange *x;
    struct pp_timer timer; /* pending: the grant that was reserved comes then */
    uint32_t left;         /* of the last grant */
    uint8_t dir;           /* enum pp_dir */
};

/* A full bucket. <rate> and <burst> are from 1 to their bounds. */
void pp_pace_bucket_init(struct pp_pace_bucket *b, uint64_t rate, uint64_t burst);

/* From now on the body of <dir> is subject to <b>, too. All are the caller's, and outlive the body;
 * pp_pace_end before that. */
void pp_pace_begin(struct pp_pace *p, struct pp_exchange *x, enum pp_dir dir,
                   struct pp_pace_bucket *b);
/* The exchange is over: what was granted and not used goes back. */
void pp_pace_end(struct pp_pace *p);

/* The two below for a body with x->flow[dir].pace != NULL. */

/* Bytes that may be read now. 0: none, and the source will be asked to pump. */
size_t pp_pace_wait(struct pp_exchange *x, enum pp_dir dir);
/* <n> bytes were read: no more than that. */
void pp_pace_took(struct pp_exchange *x, enum pp_dir dir, size_t n);

/* Most bytes of the body of <dir> that a source with frames of its own may push now. */
static inline size_t pp_pace_room(struct pp_exchange *x, enum pp_dir dir)
{
    return x->flow[dir].pace == NULL ? SIZE_MAX : pp_pace_wait(x, dir);
}

/* Does the source wait for a limit? */
static inline bool pp_pace_holds(const struct pp_exchange *x, enum pp_dir dir)
{
    for (const struct pp_pace *p = x->flow[dir].pace; p != NULL; p = p->next) {
        if (pp_timer_is_pending(&p->timer))
            return true;
    }
    return false;
}

#endif
