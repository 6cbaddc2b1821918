/* headers: set, add and remove fields of requests and responses, with values that may hold
 * variables.
 *
 * Options {request, response}, each {remove: [name], set: {name: text}, add: {name: text or
 * [text]}, default: {name: text}}, done in that order: `default` sets what is not there. A value
 * that renders to nothing is no field. The fields that frame messages are the proxy's own and
 * refused. */
#ifndef PP_PROXY_FILTER_HEADERS_H
#define PP_PROXY_FILTER_HEADERS_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_headers_kind;

#endif
