/* Answers of our own: what `respond` and `redirect` routes, filters and faults send. */
#ifndef PP_PROXY_REPLY_H
#define PP_PROXY_REPLY_H

#include "proxy/exchange.h"

/* Fill x->response for x->fault: a short JSON body {"status", "error", "detail"}, and what its
 * status wants (Allow for 405). <allowed> is the router's answer. PP_OK or PP_ENOMEM. */
int pp_reply_fault(struct pp_exchange *x, pp_router_methods allowed) PP_MUST_USE;

/* Fill x->response as the route says (respond or redirect). PP_OK or PP_ENOMEM. */
int pp_reply_route(struct pp_exchange *x) PP_MUST_USE;

/* Collect and flush x->response with x->reply_body on the client side. PP_OK or the side's error.
 */
int pp_reply_send(struct pp_exchange *x) PP_MUST_USE;

#endif
