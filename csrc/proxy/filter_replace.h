/* Texts and matches of expressions in bodies, replaced by other texts.
 *
 * Literal texts are replaced while the body streams: only an end that may be the beginning of the
 * text is kept back. Expressions see whole bodies, up to a limit; with one of them all rules do.
 * Rules follow each other: the later ones see what the earlier ones have made.
 *
 * What is put in is a page (proxy/filter_page.h) in a form that the body has; behind an expression,
 * \0 to \9 in it are what the groups took, and \\ is a backslash. */
#ifndef PP_PROXY_FILTER_REPLACE_H
#define PP_PROXY_FILTER_REPLACE_H

#include "proxy/filter_page.h"

/* Longest literal text, and most bytes that may be made of one piece of a body: a text that is
 * replaced by a longer one must not make gigabytes of megabytes. */
#define PP_REPLACE_FIND 255
#define PP_REPLACE_MOST ((size_t)16 << 20)

struct pp_filter_replace;       /* the rules */
struct pp_filter_replace_state; /* of one body */

/* Compile <rules>, a list of {text or regex, with}. <limit>: of whole bodies. PP_OK, PP_ENOMEM, or
 * PP_EINVAL with m->why. */
int pp_filter_replace_new(struct pp_filter_make *m, const struct pp_options *rules, size_t limit,
                          const struct pp_filter_replace **out) PP_MUST_USE;

/* Most bytes of a body; SIZE_MAX: it streams, and may have any number. */
size_t pp_filter_replace_limit(const struct pp_filter_replace *r);

/* For a body of <form> that begins. NULL: memory is out. */
struct pp_filter_replace_state *pp_filter_replace_begin(const struct pp_filter_replace *r,
                                                        struct pp_exchange *x,
                                                        enum pp_filter_page_form form);

/* What goes on in the place of <piece>: good until the next call, or the end of the exchange.
 * PP_OK, PP_ELIMIT (the body, or what is made of it, is too long), PP_ENOMEM or PP_EHTTP_ARGUMENTS.
 */
int pp_filter_replace_piece(struct pp_filter_replace_state *s, struct pp_exchange *x,
                            struct pp_span piece, bool last, struct pp_span *out) PP_MUST_USE;

#endif
