/* Other protocols on an HTTP/1 connection (RFC 9110 section 7.8): which of those that a client asks
 * for are offered to the endpoint, and whether the endpoint's 101 takes one of them.
 *
 * A route names the protocols that it allows; `h2c` is never among them, because both connections
 * speak the HTTP of their own. Nothing is offered for a request with content: what follows its head
 * would be content to one reader and the new protocol to another (request smuggling). What is not
 * offered is not forwarded, and the request is an ordinary one. */
#ifndef PP_PROXY_UPGRADE_H
#define PP_PROXY_UPGRADE_H

#include "proxy/exchange.h"

/* Settle x->offer, and x->wants_tunnel when it is not empty; the request's Upgrade field becomes
 * the offer. Once per exchange, when its route is known. PP_OK or PP_ENOMEM. */
int pp_upgrade_offer(struct pp_exchange *x) PP_MUST_USE;

/* Is the 101 in x->response an answer to the offer? It switches to protocols that were offered, and
 * announces no content, which nobody could tell from the first bytes of the tunnel. */
bool pp_upgrade_is_answered(const struct pp_exchange *x);

#endif
