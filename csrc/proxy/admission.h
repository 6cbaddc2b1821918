/* Admission to an upstream: so many requests at once, and a queue for the rest.
 *
 * An exchange is admitted before its endpoint is chosen (PP_EXCHANGE_PEER) and holds a place until
 * that attempt has ended. Without a place it waits in PP_EXCHANGE_QUEUE, parked:
 *
 *    PEER ──(place)──► CONNECT ... ──► the attempt ends: the place goes to the first that waits
 *      │                 ▲
 *      └──(no place)──► QUEUE ──(queue_ms)──► 503 queue_timeout
 *      └──(nor here)──► 503 upstream_overflow
 *
 * ENDPOINTS may have limits of their own. One that is full is not chosen; when all are, the
 * exchange goes back to the front of the queue. So it does when a connection is wanted beyond the
 * limit on those, which is this worker's: who has a connection cannot be made to give it to another
 * process.
 *
 * ORDER  First come, first served in each worker: who comes waits behind those who wait, but for a
 * retry, which is older than they and goes to the front.
 *
 * WORKERS  Places and waiting exchanges are counted over all workers, in gauges of the counter
 * segment (pp_metrics_claim): never more than the limit, and what a killed worker held comes back
 * when its column is cleared. A worker that waits looks every few milliseconds whether others have
 * left it a place. One that holds more than its share while others wait leaves its places to them,
 * and only looks as they do; so nobody starves.
 *
 * LIFE  The struct goes on when a new configuration takes the place of the old one: those that wait
 * keep their places in the queue, and what is in progress counts. It is shared by the clusters of
 * the same upstream and by the exchanges that wait or hold a place. */
#ifndef PP_PROXY_ADMISSION_H
#define PP_PROXY_ADMISSION_H

#include "proxy/exchange.h"

/* 0 everywhere: there are no limits. */
struct pp_admission_conf {
    uint32_t requests;    /* in progress, over all workers; 0: no limit */
    uint32_t pending;     /* waiting, over all workers; 0: nobody waits */
    uint32_t queue_ms;    /* how long one waits at most */
    uint32_t connections; /* open at once, those of this worker; 0: no limit */
    uint32_t retries;     /* in progress, over all workers; 0: no limit (proxy/retry.h) */
    bool endpoints;       /* some endpoint has a limit of its own */
    bool at_runtime;      /* pp_admission_set_limit will be called, whatever the others are */
};

static inline bool pp_admission_is_on(const struct pp_admission_conf *c)
{
    return (c->requests | c->connections) != 0 || c->endpoints || c->at_runtime;
}

struct pp_admission {
    struct pp_core *core;
    struct pp_admission_conf conf;
    uint32_t limit;  /* of this worker, set at run time; 0: none */
    uint32_t held;   /* places of this worker */
    uint32_t queued; /* exchanges of this worker that wait */
    uint32_t refs;
    uint32_t record;        /* counters of the upstream */
    bool common;            /* nobody else counts there: limits are those of all workers */
    struct pp_list waiting; /* of struct pp_admitted, the first one first */
    struct pp_timer timer;  /* to look whether the first one may go on */
};

/* What an exchange has at the upstream that it goes to; in its arena. */
struct pp_admitted {
    struct pp_exchange *x;
    struct pp_admission *from; /* where it waits or holds a place, a reference; NULL: it does not */
    struct pp_list link;       /* while it waits */
    struct pp_task task;
    struct pp_timer timer; /* while it waits: for how long */
    bool holds;
    struct pp_endpoint *there; /* where it has a place as well; NULL: nowhere */
    uint64_t due_ms;           /* how long this attempt may wait; 0: it has not begun to */
    uint64_t since_us;         /* when it began to wait; 0: it does not */
    uint64_t queued_us;        /* how long it has waited, all attempts together */
};

struct pp_cluster;
struct pp_endpoint;

/* With one reference, or NULL when memory is out. */
struct pp_admission *pp_admission_new(const struct pp_admission_conf *conf);
/* The last one frees it. NULL is fine. */
void pp_admission_unref(struct pp_admission *a);
/* <cl> has got its counters (pp_cluster_attach), and takes the place of <old> (NULL: of none). */
void pp_admission_attach(struct pp_cluster *cl, const struct pp_cluster *old);

/* At most <n> requests of this worker are in progress at <cl> at once from now on, besides what
 * conf.requests says; 0: no such limit. Those that are too many end as they would; those that
 * wait go on at the end of the turn when there is room. <cl> has an admission (conf.at_runtime). */
void pp_admission_set_limit(struct pp_cluster *cl, uint32_t n);
/* Requests in progress of this worker, and those that wait. */
uint32_t pp_admission_held(const struct pp_cluster *cl);
uint32_t pp_admission_queued(const struct pp_cluster *cl);

/* An attempt of <x> at x->cluster, which has an admission, is to begin. PP_OK: it holds a place.
 * PP_EAGAIN: it waits in PP_EXCHANGE_QUEUE; its step is run when it holds one. PP_ELIMIT: too many
 * wait. PP_ENOMEM. */
int pp_admission_enter(struct pp_exchange *x) PP_MUST_USE;

/* <x>, which has an endpoint of x->cluster, was admitted in another process and goes on here: it
 * holds a place, whatever the limit. PP_OK or PP_ENOMEM. */
int pp_admission_hold(struct pp_exchange *x) PP_MUST_USE;

/* <x>, which holds a place, gets the endpoint of x->cluster that pp_affinity_pick chooses among
 * those that have room, and a place there if that has a limit of its own. NULL: there is none;
 * see pp_admission_again. */
struct pp_endpoint *pp_admission_pick(struct pp_exchange *x);
/* Are there endpoints that could be used if they had room? */
bool pp_admission_is_full(const struct pp_cluster *cl);
/* <x> holds a place, but there is no endpoint or no connection for it: back to the front of the
 * queue, in the time that it had. PP_EAGAIN or PP_ELIMIT, as pp_admission_enter. */
int pp_admission_again(struct pp_exchange *x) PP_MUST_USE;

/* The attempt has ended, if <x> had begun one: its place is free. */
void pp_admission_leave(struct pp_exchange *x);
static inline void pp_admission_release(struct pp_exchange *x)
{
    if (PP_UNLIKELY(x->admitted != NULL))
        pp_admission_leave(x);
}

/* How long <x> has waited, for the log; false: it never came to a limit. */
bool pp_admission_waited(const struct pp_exchange *x, uint64_t *us);

#endif
