/* An exchange that no client has asked for: a copy of a request goes to an upstream as any other
 * does (balancing, pools, TLS, HTTP/2, deadlines), and the answer is read and thrown away.
 *
 *   pp_shadow_new -> pp_shadow_start -> ended()
 *                 \-> pp_shadow_drop
 *
 * Its memory is its own, and it keeps the snapshot of the exchange that it was copied from: so it
 * outlives that one, and a new configuration. Where a client would be stands a side that takes
 * everything and keeps nothing. It is no request of the route: neither counted as one, nor logged.
 * A worker that stops ends it. */
#ifndef PP_PROXY_SHADOW_H
#define PP_PROXY_SHADOW_H

#include "proxy/exchange.h"

/* How it goes on, and what is told of its end: x->fault says why it failed, if it did. Called once,
 * by a turn of the loop or by pp_shadow_close_all. */
struct pp_shadow_plan {
    uint64_t timeout_ms; /* > 0: for all of it */
    void (*ended)(void *arg, const struct pp_exchange *x);
    void *arg;
};

/* A copy of the request of <of>, as it goes on to an endpoint, for <cluster> of its snapshot;
 * without the body. Before it is started, fields and x->up_host may be changed. PP_OK, or
 * PP_ENOMEM. */
int pp_shadow_new(struct pp_exchange *of, struct pp_cluster *cluster, struct pp_exchange **out)
    PP_MUST_USE;
/* Let it begin, in this turn or the next one, with the <n> bytes at <body> (of the heap, its own
 * from now on; NULL for none). */
void pp_shadow_start(struct pp_exchange *x, const struct pp_shadow_plan *plan, char *body,
                     uint32_t n);
/* Give up one that was not started. */
void pp_shadow_drop(struct pp_exchange *x);

/* End all that were started. */
void pp_shadow_close_all(struct pp_core *core);

#endif
