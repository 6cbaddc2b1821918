/* Predicates (route/predicate.h) asked about an exchange: by the router, and by whoever does
 * something on a condition. */
#ifndef PP_PROXY_CONDITION_H
#define PP_PROXY_CONDITION_H

#include "proxy/exchange.h"

/* Where predicates about <x> take their values from; good as long as <x>. */
void pp_condition_input(struct pp_exchange *x, struct pp_predicate_input *in);

/* Does <p> hold for <x>? NULL holds. PP_OK and *holds; or an error, for which pp_condition_fault
 * has the answer. */
int pp_condition_holds(struct pp_exchange *x, const struct pp_predicate *p, bool *holds)
    PP_MUST_USE;

/* The fault that an error of a predicate is: PP_ENOMEM; PP_EIO, a callable raised; else a request
 * to refuse. */
struct pp_fault pp_condition_fault(int rc);

#endif
