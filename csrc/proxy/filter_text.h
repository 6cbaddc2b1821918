/* Texts with {variables} in the options of native filters: "for {client.address}". Compiled once;
 * the variables are those of base/variable.h, and "{{" and "}}" are literal braces. */
#ifndef PP_PROXY_FILTER_TEXT_H
#define PP_PROXY_FILTER_TEXT_H

#include "proxy/filter.h"

/* Most parts (literal runs and variables) of one text. */
#define PP_FILTER_TEXT_PARTS 32

struct pp_filter_text;

/* Compile <text>, which lives as long as m->arena. PP_OK, PP_ENOMEM, or PP_EINVAL with m->why. */
int pp_filter_text_new(struct pp_filter_make *m, struct pp_span text,
                       const struct pp_filter_text **out) PP_MUST_USE;

/* Has it no variable? Then it always renders the same, from the snapshot's memory. */
bool pp_filter_text_is_constant(const struct pp_filter_text *t);

/* The text for <x>; what is absent is nothing. The bytes are as lasting as the exchange. PP_OK, or
 * what a request is refused for (pp_filter_failed). */
int pp_filter_text_render(const struct pp_filter_text *t, struct pp_exchange *x,
                          struct pp_span *out) PP_MUST_USE;

/* The same for a field's value: trimmed, and empty when it holds what no field may hold. */
int pp_filter_text_value(const struct pp_filter_text *t, struct pp_exchange *x, struct pp_span *out)
    PP_MUST_USE;

#endif
