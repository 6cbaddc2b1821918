/* Idle connections of an endpoint, last used first: the one that is warm is used again, the others
 * age out. */
#ifndef PP_PROXY_POOL_H
#define PP_PROXY_POOL_H

#include "proxy/cluster.h"

/* The pool's part of a connection; embedded in struct pp_up. */
struct pp_pooled {
    struct pp_list link; /* in endpoint->idle, or alone */
    uint64_t born_ms;
    uint32_t uses;
};

/* A connection that was made at <now_ms> and is in no pool. */
void pp_pool_init(struct pp_pooled *p, uint64_t now_ms);
/* The connection to use next, taken out; NULL: none idle. */
struct pp_pooled *pp_pool_acquire(struct pp_endpoint *ep);
/* Put a connection in, unless it is too old or used up or the pool is full: then false, and the
 * caller closes it. */
bool pp_pool_release(struct pp_endpoint *ep, struct pp_pooled *p, uint64_t now_ms);
/* <n> connections of <ep> more (or fewer) are idle: for those that wait elsewhere than in the pool.
 */
void pp_pool_count_idle(struct pp_endpoint *ep, int n);
/* Take an idle connection out, because it died or expired. */
void pp_pool_detach(struct pp_endpoint *ep, struct pp_pooled *p);

#endif
