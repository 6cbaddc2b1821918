/* ip_restriction: which client addresses may ask.
 *
 * Options {allow: [range], deny: [range], status, message}. What is denied is refused; where
 * something is allowed, all else is refused. A range is CIDR text, or "unix" for unix sockets. */
#ifndef PP_PROXY_FILTER_IP_RESTRICTION_H
#define PP_PROXY_FILTER_IP_RESTRICTION_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_ip_restriction_kind;

#endif
