/* Pages with {variables} whose values are escaped as the form of the page wants: what a request
 * holds must never become markup (cross-site scripting).
 *
 * Other braces are literal, since scripts, styles and JSON are full of them. */
#ifndef PP_PROXY_FILTER_PAGE_H
#define PP_PROXY_FILTER_PAGE_H

#include "proxy/filter.h"

enum pp_filter_page_form {
    PP_PAGE_HTML = 0,
    PP_PAGE_JSON = 1,
    PP_PAGE_TEXT = 2,
    PP_PAGE_FORMS = 3
};

struct pp_filter_page;

/* "text/html; charset=utf-8" and so on. Static storage. */
struct pp_span pp_filter_page_type(enum pp_filter_page_form form);
/* The same without parameters. */
struct pp_span pp_filter_page_media(enum pp_filter_page_form form);

/* Compile <text>, which lives as long as m->arena. PP_OK or PP_ENOMEM. */
int pp_filter_page_new(struct pp_filter_make *m, enum pp_filter_page_form form, struct pp_span text,
                       const struct pp_filter_page **out) PP_MUST_USE;

/* The page for <x>, whose response has its status already. The bytes are as lasting as the
 * exchange. PP_OK, or what a request is refused for (pp_filter_failed). */
int pp_filter_page_render(const struct pp_filter_page *page, struct pp_exchange *x,
                          struct pp_span *out) PP_MUST_USE;

#endif
