/* `when` of any filter: it takes part in an exchange only if a predicate holds.
 *
 * The predicate is asked when the filter is first reached in an exchange, and the answer holds for
 * all its phases, so that a filter never sees half of one (what it asks about may be changed on the
 * way). Before routing, no path has been captured. Where it does not hold, a filter of bodies that
 * also has the phase before them leaves these alone. Filters without a condition know nothing of
 * this. */
#ifndef PP_PROXY_FILTER_GATE_H
#define PP_PROXY_FILTER_GATE_H

#include "proxy/condition.h"
#include "proxy/filter.h"

/* Stands in the chain in the place of <behind>. The phases of one filter share <when>. */
struct pp_filter_gate {
    const struct pp_predicate *when;
    struct pp_filter behind;
    uint32_t phases; /* bit per phase that it is bound to */
};

/* <self> is a struct pp_filter_gate. */
extern const struct pp_filter_ops pp_filter_gate_ops;

#endif
