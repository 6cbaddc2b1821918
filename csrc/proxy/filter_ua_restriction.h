/* ua_restriction: which programs may ask, by what they say of themselves in User-Agent.
 *
 * Options {allow: [regex], deny: [regex], missing: bool, status, message}. What is denied is
 * refused; where something is allowed, all else is refused; a request without the field is refused
 * unless <missing>. Several such fields are judged one by one, and the worst counts. */
#ifndef PP_PROXY_FILTER_UA_RESTRICTION_H
#define PP_PROXY_FILTER_UA_RESTRICTION_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_ua_restriction_kind;

#endif
