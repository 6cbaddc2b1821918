/* The filter `rewrite`: another path, query, host or method for the endpoint.
 *
 * Options {path, strip_prefix, add_prefix, patterns: [{match, to}], host, method,
 * query: {remove: [name], set: {name: text}, add: {name: text or [text]}}}.
 *
 *   path    proxy/filter_rewrite_path.h
 *   query   proxy/filter_rewrite_query.h
 *   host    what the endpoint is told; a text with {variables}
 *   method  not of HEAD, whose answer has no body, nor of requests for another protocol
 *
 * Requests without a path of their own (CONNECT, "OPTIONS *") are left alone. Every text is
 * rendered from the request as it came to this filter, before any of it is changed. What comes out
 * as no path, host or query is a request that is refused (400), never one that is mended. */
#ifndef PP_PROXY_FILTER_REWRITE_H
#define PP_PROXY_FILTER_REWRITE_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_rewrite_kind;

#endif
