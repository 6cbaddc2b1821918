/* Extended CONNECT (RFC 8441): a stream of HTTP/2 that wants to become another protocol, WebSocket
 * above all. For everybody here it is the request that asks for the same over HTTP/1:
 *
 *   :method CONNECT, :protocol websocket  ->  GET, Upgrade: websocket, a fresh Sec-WebSocket-Key
 *   :status 200                           <-  101, and a Sec-WebSocket-Accept that fits
 *
 * so that routes, filters and log lines need no words of their own for it. What differs is how it
 * is refused: a client takes every 2xx for its protocol, so what would be an ordinary request
 * without the upgrade is refused instead, and so is an endpoint's 2xx. */
#ifndef PP_PROXY_EXTENDED_H
#define PP_PROXY_EXTENDED_H

#include "proxy/exchange.h"

/* Make the extended CONNECT in x->request, whose :protocol is set, a GET that asks for an upgrade.
 * PP_OK or PP_ENOMEM. */
int pp_extended_begin(struct pp_exchange *x) PP_MUST_USE;

/* May the endpoint's answer, which has taken the upgrade if it is a 101, be passed on? Takes
 * what is HTTP/1's own out of it. */
bool pp_extended_is_answered(struct pp_exchange *x);

/* ---- to endpoints of HTTP/2 ---- */

/* Can what x->offer asks for be asked for with an extended CONNECT? */
bool pp_extended_can_ask(const struct pp_exchange *x);
/* The endpoint does not take extended CONNECT, or can_ask says no. PP_OK: the request goes on
 * as an ordinary one, as any request with an Upgrade may. PP_EHTTP_SWITCH: its client wants the
 * tunnel or nothing. */
int pp_extended_decline(struct pp_exchange *x) PP_MUST_USE;
/* Make *m, in x->arena, the extended CONNECT for x->offer; x->request stays as it is, for other
 * endpoints. PP_OK or PP_ENOMEM. */
int pp_extended_ask(struct pp_exchange *x, struct pp_http_msg *m) PP_MUST_USE;
/* The endpoint has taken it: its 2xx in x->response becomes the 101 that answers the request. PP_OK
 * or PP_ENOMEM. */
int pp_extended_accept(struct pp_exchange *x) PP_MUST_USE;

#endif
