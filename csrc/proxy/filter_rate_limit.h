/* The filter `rate_limit`: so many requests in some time for each key, over all workers.
 *
 *   request   every limit takes one from its key's budget (route/budget.h) in the shared table; the
 *             first that has none left answers, and what the others gave is given back. What is to
 *             come later (a queue) is parked until then.
 *   response  RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10) */
#ifndef PP_PROXY_FILTER_RATE_LIMIT_H
#define PP_PROXY_FILTER_RATE_LIMIT_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_rate_limit_kind;

#endif
