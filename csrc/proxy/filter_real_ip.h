/* real_ip: who the client is behind proxies that are trusted, from the field in which they say it.
 *
 * Options {trusted: [range], header, recursive: bool}. The addresses of the field are read from its
 * end, for each proxy appends whom it was asked by: the last one is the client, or with <recursive>
 * the last one that is not trusted itself. What stands before an address that is not trusted may be
 * invented, and is never looked at; neither is anything before what is no address. Nothing is taken
 * from a connection that does not come from a trusted address.
 *
 * x->client becomes that address (rules, balancing and logs see it), and x->nearest stays the
 * connection's, which is what X-Forwarded-For goes on with. */
#ifndef PP_PROXY_FILTER_REAL_IP_H
#define PP_PROXY_FILTER_REAL_IP_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_real_ip_kind;

#endif
