/* Texts with {names}: redirect locations, path and host rewrites. Compiled once, rendered into an
 * exchange's arena.
 *
 * Names: scheme, host, path, query (the request as routed; {query} comes with its '?' when there is
 * one), and the captures of the route's pattern. "{{" and "}}" are literal braces. */
#ifndef PP_PROXY_TEMPLATE_H
#define PP_PROXY_TEMPLATE_H

#include "base/arena.h"
#include "base/err.h"

struct pp_template;

/* Value of the name <name>, asked for up to twice. PP_OK; PP_ENOENT: there is none (renders as
 * nothing); PP_ENOMEM. */
typedef int (*pp_template_lookup_fn)(void *arg, struct pp_span name, struct pp_span *value);

/* Compile <text> into <arena>, which must outlive the template. PP_OK, PP_ENOMEM or PP_EINVAL
 * (unbalanced braces, empty name). */
int pp_template_new(struct pp_arena *arena, struct pp_span text, const struct pp_template **out)
    PP_MUST_USE;

/* Render with <lookup>(arg, ...) into <arena>. Sizes are summed first. PP_OK or PP_ENOMEM. */
int pp_template_render(const struct pp_template *t, struct pp_arena *arena,
                       pp_template_lookup_fn lookup, void *arg, struct pp_span *out) PP_MUST_USE;

/* Take the next part off the front of *rest: literal text (an escaped brace as one of its own), or
 * a name. PP_OK, PP_EEND when nothing is left, or PP_EINVAL as above. For other texts of this
 * form. */
int pp_template_next(struct pp_span *rest, struct pp_span *text, bool *is_name) PP_MUST_USE;

#endif
