/* Choosing an endpoint: a policy sees a row of endpoints and gives an index. Pure: all live numbers
 * come in the view. */
#ifndef PP_ROUTE_BALANCE_H
#define PP_ROUTE_BALANCE_H

#include "base/err.h"
#include "base/ids.h"
#include "base/rng.h"

/* What a policy may know of one endpoint. */
struct pp_balance_view {
    uint32_t weight; /* >= 1 */
    uint32_t active; /* exchanges in progress */
    bool usable;     /* up, not draining, and not already tried by this exchange */
};

struct pp_balance_ops;

struct pp_balance {
    const struct pp_balance_ops *ops;
};

/* One policy. <n> endpoints are fixed at creation. */
struct pp_balance_ops {
    const char *name; /* the word of the configuration file */
    /* NULL when memory is out. */
    struct pp_balance *(*create)(uint32_t n);
    /* NULL is fine. */
    void (*free)(struct pp_balance *b);
    /* Index of a usable endpoint of <view>, or PP_ID_NONE when none is. <n> as at creation. <hash>
     * is the exchange's key for hashing policies, <rng> for those that draw lots. */
    uint32_t (*pick)(struct pp_balance *b, const struct pp_balance_view *view, uint32_t n,
                     uint64_t hash, struct pp_rng *rng);
};

/* Smooth weighted round robin: as many picks as the weights add up to give every endpoint its
 * weight's share, evenly spread. */
extern const struct pp_balance_ops pp_balance_rr_ops;

/* The policy called <name>, or NULL. */
const struct pp_balance_ops *pp_balance_find(const char *name);

#endif
