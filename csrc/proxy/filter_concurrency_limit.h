/* The filter `concurrency_limit`: so many requests at once for each key, over all workers. A
 * request counts from its request phase until its exchange is over, whatever ends it. */
#ifndef PP_PROXY_FILTER_CONCURRENCY_LIMIT_H
#define PP_PROXY_FILTER_CONCURRENCY_LIMIT_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_concurrency_limit_kind;

#endif
