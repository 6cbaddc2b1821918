/* How the filter `rewrite` makes the new path: one of
 *
 *   a template      the whole path
 *   prefixes        one is taken off at the border of a segment, another is put in front; a path
 *                   that does not have the first stays as it is
 *   patterns        regular expressions over the path: the first that is found in it is replaced
 *                   by its template, the rest of the path stays
 *
 * Templates hold {variables} and, of patterns, groups by number or name. What was a path before
 * (the path, its captures, groups) goes in as it is; any other value is one piece of a segment,
 * percent- encoded. No value can make a dot segment, so none leads out of the place that the
 * template gives it (path traversal). */
#ifndef PP_PROXY_FILTER_REWRITE_PATH_H
#define PP_PROXY_FILTER_REWRITE_PATH_H

#include "proxy/filter.h"

struct pp_filter_rewrite_path;

/* From the options of the filter. PP_OK with *out, NULL when they do not concern the path;
 * PP_ENOMEM; PP_EINVAL with m->why. */
int pp_filter_rewrite_path_make(struct pp_filter_make *m, const struct pp_options *o,
                                const struct pp_filter_rewrite_path **out) PP_MUST_USE;

/* The new path of <x>, which has one and is not changed. PP_OK; PP_ENOENT: it stays as it is; or
 * what a request is refused for. */
int pp_filter_rewrite_path_render(const struct pp_filter_rewrite_path *r, struct pp_exchange *x,
                                  struct pp_span *out) PP_MUST_USE;

#endif
