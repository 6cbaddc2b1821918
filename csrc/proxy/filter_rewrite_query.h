/* How the filter `rewrite` edits the query: arguments are removed, set (in the place of all of that
 * name) and added, in that order; a value that renders to nothing is no argument. Names are
 * compared decoded; what is not edited goes on byte by byte as it came, in its order, and what is
 * new follows, percent-encoded. A query that comes to nothing is none. */
#ifndef PP_PROXY_FILTER_REWRITE_QUERY_H
#define PP_PROXY_FILTER_REWRITE_QUERY_H

#include "proxy/filter.h"

/* Most edits of one filter. */
#define PP_FILTER_REWRITE_EDITS 64

struct pp_filter_rewrite_query;

/* From the option `query`. PP_OK with *out, NULL when there are no edits; PP_ENOMEM; PP_EINVAL with
 * m->why. */
int pp_filter_rewrite_query_make(struct pp_filter_make *m, const struct pp_options *o,
                                 const struct pp_filter_rewrite_query **out) PP_MUST_USE;

/* The new query of <x>, which is not changed; out->p is NULL when there is none any more. PP_OK, or
 * what a request is refused for. */
int pp_filter_rewrite_query_render(const struct pp_filter_rewrite_query *r, struct pp_exchange *x,
                                   struct pp_span *out) PP_MUST_USE;

#endif
