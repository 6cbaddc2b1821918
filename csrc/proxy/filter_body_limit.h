/* The filter `body_limit`: requests with a longer body than `max` bytes are answered with 413. One
 * that tells its length is refused before anything of it is read, any other as soon as so much has
 * come. The body is counted where it is decoded (struct pp_exchange, body_limit), so it streams and
 * is spliced as it would without the filter. */
#ifndef PP_PROXY_FILTER_BODY_LIMIT_H
#define PP_PROXY_FILTER_BODY_LIMIT_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_body_limit_kind;

#endif
