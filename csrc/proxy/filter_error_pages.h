/* error_pages: bodies of error answers, chosen by status and by what the client accepts.
 *
 * Options {upstream: bool, pages: [{status: [first, last, ...], html, json, text}]}: the first page
 * that has the status is taken, in the form that Accept weighs highest (on a tie html, then json,
 * then text). {name} in a text is a request variable, or one of status, reason, error and detail;
 * what comes from the request is escaped as the form wants. Braces around anything else stand as
 * they are.
 *
 * Answers of endpoints are touched with `upstream` only: they keep the fields that are not about
 * their body, which is not read any more. Calls of gRPC have words of their own. */
#ifndef PP_PROXY_FILTER_ERROR_PAGES_H
#define PP_PROXY_FILTER_ERROR_PAGES_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_error_pages_kind;

#endif
