/* Smooth weighted round robin: at each pick every usable endpoint earns its weight, the richest is
 * chosen and pays what all earned together. Weights 5, 1, 1 give a a b a c a a, not a a a a a b c.
 */
#include "base/mem.h"
#include "route/balance.h"

struct balance_rr {
    struct pp_balance base;
    uint32_t n;
    int64_t credit[];
};

static struct pp_balance *create(uint32_t n)
{
    struct balance_rr *rr = pp_mem_zalloc(sizeof(*rr) + n * sizeof(rr->credit[0]));
    if (!rr)
        return NULL;
    rr->base.ops = &pp_balance_rr_ops;
    rr->n = n;
    return &rr->base;
}

static void release(struct pp_balance *b)
{
    pp_mem_free(b);
}

static uint32_t pick(struct pp_balance *b, const struct pp_balance_view *view, uint32_t n,
                     uint64_t hash, struct pp_rng *rng)
{
    struct balance_rr *rr = (struct balance_rr *)b;
    uint32_t best = PP_ID_NONE;
    int64_t earned = 0;
    n = PP_MIN(n, rr->n);
    for (uint32_t i = 0; i < n; i++) {
        /* An endpoint that is down keeps its credit: it neither saves up nor loses its place. */
        if (!view[i].usable)
            continue;
        rr->credit[i] += view[i].weight;
        earned += view[i].weight;
        if (best == PP_ID_NONE || rr->credit[i] > rr->credit[best])
            best = i;
    }
    if (best != PP_ID_NONE)
        rr->credit[best] -= earned;
    return best;
}

const struct pp_balance_ops pp_balance_rr_ops = {"round_robin", create, release, pick};
