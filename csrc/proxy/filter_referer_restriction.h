/* referer_restriction: from which sites requests may come, by the host in Referer.
 *
 * Options {allow: [host], deny: [host], missing: bool, status, message}; hosts are exact or
 * "*.suffix". What is denied is refused; where something is allowed, all else is refused, a Referer
 * without a host included; a request without the field is refused unless <missing>. */
#ifndef PP_PROXY_FILTER_REFERER_RESTRICTION_H
#define PP_PROXY_FILTER_REFERER_RESTRICTION_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_referer_restriction_kind;

#endif
