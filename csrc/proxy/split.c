#include "proxy/split.h"

#include "base/check.h"
#include "proxy/variable.h"

/* Where in [0, 2^32) the request stands. */
static uint32_t place_of(struct pp_exchange *x, const struct pp_split *split)
{
    /* Not a secret, and the same everywhere: all workers, before and after an upgrade, agree. The
     * route's name parts splits from each other, so that one client is not in every canary. */
    struct pp_hash_seed seed = {0x736c6c6974206279u, 0};
    struct pp_span key;
    if (split->by == NULL || pp_variable_get(x, split->by, &key) != PP_OK)
        return (uint32_t)(pp_rng_next(&x->core->rng) >> 32);
    seed.k1 = pp_hash(&seed, x->route->name);
    return (uint32_t)(pp_hash(&seed, key) >> 32);
}

void pp_split_choose(struct pp_exchange *x)
{
    const struct pp_split *split = x->route->split;
    uint64_t at = (uint64_t)place_of(x, split) * split->total >> 32;
    uint32_t i = 0;
    while (i + 1 < split->n && at >= split->arm[i].until)
        i++;
    x->arm = &split->arm[i];
    x->cluster = x->arm->cluster;
}
