/* Answers of our own: what `respond` and `redirect` routes, filters and faults send. */
#ifndef PP_PROXY_REPLY_H
#define PP_PROXY_REPLY_H

#include "proxy/exchange.h"

/* Fill x->response for x->fault: a short JSON body {"status", "error", "detail"}, and what its
 * status wants (Allow for 405). <allowed> is the router's answer. PP_OK or PP_ENOMEM. */
int pp_reply_fault(struct pp_exchange *x, pp_router_methods allowed) PP_MUST_USE;

/* Fill x->response as the route says (respond or redirect). PP_OK or PP_ENOMEM. */
int pp_reply_route(struct pp_exchange *x) PP_MUST_USE;

/* Make x->response an answer with <status> and, as its body, the <n> bytes of the file <fd> from
 * <at> on, which are read while they are sent (proxy/up_file.h). For HEAD they are only announced.
 * Fields can be added afterwards. Takes <fd>, whatever happens. For filters, which then answer
 * PP_REPLY with x->replied, up to the response phase. PP_OK or PP_ENOMEM. */
int pp_reply_file(struct pp_exchange *x, unsigned status, int fd, uint64_t at, uint64_t n)
    PP_MUST_USE;

/* Collect and flush x->response with x->reply_body on the client side. PP_OK or the side's error.
 */
int pp_reply_send(struct pp_exchange *x) PP_MUST_USE;

#endif
