/* response_rewrite: another status, other fields, and another body or parts of it.
 *
 * Options {status: [first, last, ...], set_status, headers (proxy/filter_edits.h), body, type,
 * replace (proxy/filter_replace.h), types: [media type or "text/" + "*"], limit}. Without `status`
 * all responses are meant. `body` is a page (proxy/filter_page.h) in the form that `type` says;
 * `replace` works on bodies of `types` that are whole and not encoded. Tunnels are left alone. */
#ifndef PP_PROXY_FILTER_RESPONSE_REWRITE_H
#define PP_PROXY_FILTER_RESPONSE_REWRITE_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_response_rewrite_kind;

#endif
