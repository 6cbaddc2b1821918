/* Bounded load, for the policies that hash: nobody gets more than its fair share times a factor.
 * Part of the policy that uses it. */
#ifndef PP_ROUTE_BALANCE_BOUND_H
#define PP_ROUTE_BALANCE_BOUND_H

#include "route/balance.h"

struct pp_balance_bound {
    uint32_t percent; /* 0: no bound */
    uint64_t weights; /* of all that is usable, together */
};

/* What is usable, or a weight, has changed in the <n> rows of <view>. */
void pp_balance_bound_update(struct pp_balance_bound *bound, const struct pp_balance_view *view,
                             uint32_t n);
/* Has <i> room for one more? At least one endpoint always has, if the numbers are those of one
 * moment; callers keep the first one that may be chosen for the case that none has. */
bool pp_balance_bound_has_room(const struct pp_balance_bound *bound, struct pp_balance_pick *p,
                               uint32_t i);
/* A number for the keys and weights of these rows: as long as it is the same, so are they. */
uint64_t pp_balance_bound_mark(const struct pp_balance_view *view, uint32_t n);

#endif
