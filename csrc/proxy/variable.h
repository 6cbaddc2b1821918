/* The values of request variables (base/variable.h lists them): the one place that predicates of
 * routes, templates and keys of filters and of balancing take them from. */
#ifndef PP_PROXY_VARIABLE_H
#define PP_PROXY_VARIABLE_H

#include "base/variable.h"
#include "proxy/exchange.h"

/* Read a name as pp_variable_parse does, and settle what makes reading its value quick. Spans of
 * *out point into <text>: keep that as long as the variable. PP_OK or PP_EINVAL. */
int pp_variable_compile(struct pp_span text, struct pp_variable *out) PP_MUST_USE;

/* The value of <v> for <x>: borrowed from the exchange, good until what it is of is changed. Before
 * the request is routed there is no path but the client's, and no route. PP_OK; PP_ENOENT: it has
 * none (an empty value is one); PP_ENOMEM; PP_EHTTP_ARGUMENTS: more query arguments or cookies than
 * are looked at, a request to refuse. */
int pp_variable_get(struct pp_exchange *x, const struct pp_variable *v, struct pp_span *out)
    PP_MUST_USE;

#endif
