/* Which endpoint a client belongs to: by a hash of something in its request, or by a cookie that
 * names the endpoint.
 *
 * The cookie's value is the endpoint's key, a hash of its address, in 16 hexadecimal digits: it
 * means the same in every worker, after a restart and on every machine of the same configuration,
 * and tells nothing. Who sends one that belongs to nobody is treated as if it had sent none.
 *
 *   request with a cookie ──► its endpoint, if that is usable or drains
 *   other requests ─────────► chosen as ever; the answer sets the cookie */
#ifndef PP_PROXY_AFFINITY_H
#define PP_PROXY_AFFINITY_H

#include "proxy/cluster.h"
#include "proxy/exchange.h"

/* The endpoint of x->cluster for <x>: pp_cluster_pick with what the request says. NULL: none. */
struct pp_endpoint *pp_affinity_pick(struct pp_exchange *x);
/* Set the cookie in the response of x->endpoint, if there is to be one and the client did not send
 * it. Once for each response. PP_OK or PP_ENOMEM. */
int pp_affinity_answer(struct pp_exchange *x) PP_MUST_USE;

/* Hash of a client of <cl> of which nothing but its address is known (tunnels, datagrams). */
uint64_t pp_affinity_client(const struct pp_cluster *cl, const struct pp_sock_addr *client);

#endif
