/* `when` of any filter: it takes part in an exchange only if a predicate holds.
 *
 * The predicate is asked when the filter is first reached in an exchange, and the answer holds for
 * all its phases, so that a filter never sees half of one (what it asks about may be changed on the
 * way). Before routing, no path has been captured. Filters without a condition know nothing of
 * this. */
#ifndef PP_PROXY_FILTER_GATE_H
#define PP_PROXY_FILTER_GATE_H

#include "proxy/condition.h"
#include "proxy/filter.h"

/* Stands in the chain in the place of <behind>. The phases of one filter share <when>. */
struct pp_filter_gate {
    const struct pp_predicate *when;
    struct pp_filter behind;
};

/* <self> is a struct pp_filter_gate. */
extern const struct pp_filter_ops pp_filter_gate_ops;

/* Once, before the framing of the body of <dir> is chosen: let the body filters stand by whose
 * condition does not hold, so that they do not cost it its length. PP_OK, or an error, for which
 * the fault is set. */
int pp_filter_gate_settle(struct pp_exchange *x, enum pp_dir dir) PP_MUST_USE;

#endif
