/* Drawing an endpoint by its weight in one step (alias method: Walker 1977; built as Vose 1991),
 * for the policies that draw lots. Part of the policy that uses it. */
#ifndef PP_ROUTE_BALANCE_DRAW_H
#define PP_ROUTE_BALANCE_DRAW_H

#include "route/balance.h"

struct pp_balance_draw {
    uint32_t n; /* usable endpoints */
    bool equal; /* of one weight: no second look is needed */
    /* <n> of each: */
    uint64_t *share;  /* scratch of update */
    uint32_t *index;  /* the endpoint */
    uint32_t *chance; /* that a column means it, of 2^32 */
    uint32_t *other;  /* column that is meant otherwise */
};

/* Memory for <n> endpoints. */
#define PP_BALANCE_DRAW_BYTES(n) ((size_t)(n) * (sizeof(uint64_t) + 3 * sizeof(uint32_t)))
/* Prepare <d> over <mem>, aligned to 8, of PP_BALANCE_DRAW_BYTES(n) bytes: nothing can be drawn. */
void pp_balance_draw_init(struct pp_balance_draw *d, void *mem, uint32_t n);
/* Draw from the usable ones of the <n> rows of <view> from now on. */
void pp_balance_draw_update(struct pp_balance_draw *d, const struct pp_balance_view *view,
                            uint32_t n);
/* One that may be chosen, or PP_ID_NONE. */
uint32_t pp_balance_draw_one(const struct pp_balance_draw *d, const struct pp_balance_pick *p);
/* Another one than <first>, or PP_ID_NONE. */
uint32_t pp_balance_draw_other(const struct pp_balance_draw *d, const struct pp_balance_pick *p,
                               uint32_t first);

#endif
