/* cors: which sites' pages may read answers (the CORS protocol of the Fetch standard, section 3.2).
 *
 * Options {origins: [origin or "*"], origin_patterns: [regex], methods: [token], headers: [token or
 * "*"], expose: [token], credentials: bool, max_age_ms}. A preflight is answered here: 204 with
 * what is allowed, or 403. In other answers the fields are the proxy's: what an endpoint said of
 * them is replaced. "Vary: Origin" is said wherever the answer depends on the origin, also to those
 * who sent none: a cache would give the wrong one away otherwise.
 *
 * A wildcard together with credentials is refused: every site could act as any user (the cure is a
 * list, or a pattern that ends in "$"). */
#ifndef PP_PROXY_FILTER_CORS_H
#define PP_PROXY_FILTER_CORS_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_cors_kind;

#endif
