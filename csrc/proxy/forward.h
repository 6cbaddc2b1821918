/* From the request that came to the request that goes on: target, Host and the forwarding fields
 * (RFC 9110 sections 7.6.3 and 7.2; X-Forwarded-* as de-facto standard). Once per exchange, before
 * the first attempt, so that filters of the upstream_request phase see what the endpoint will get.
 */
#ifndef PP_PROXY_FORWARD_H
#define PP_PROXY_FORWARD_H

#include "proxy/exchange.h"

/* Settle x->target and x->up_host (rewrites applied) and set Via and X-Forwarded-For, -Proto,
 * -Host. From an untrusted client address the latter are replaced, from a trusted one
 * X-Forwarded-For is appended to and the others are kept. PP_OK or PP_ENOMEM. */
int pp_forward_request(struct pp_exchange *x) PP_MUST_USE;

/* Drop the hop-by-hop rest and set Server where the listener wants it. PP_OK or PP_ENOMEM. */
int pp_forward_response(struct pp_exchange *x) PP_MUST_USE;

/* Fill x->response with the redirect of the route. PP_OK or PP_ENOMEM. */
int pp_forward_redirect(struct pp_exchange *x) PP_MUST_USE;

/* Is the client one whose X-Forwarded-* fields are believed? */
bool pp_forward_is_trusted(const struct pp_exchange *x);

#endif
