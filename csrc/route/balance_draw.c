#include "route/balance_draw.h"

/* Draws that may meet what cannot be chosen, before all are looked at in turn. */
#define DRAWS 8

void pp_balance_draw_init(struct pp_balance_draw *d, void *mem, uint32_t n)
{
    d->n = 0;
    d->equal = true;
    d->share = mem;
    d->index = (uint32_t *)(d->share + n);
    d->chance = d->index + n;
    d->other = d->chance + n;
}

/* Each column is as wide as the mean weight. Who weighs less leaves the rest of its column to one
 * who weighs more, who then has that much less to place: every column has two names at most. */
static void fill(struct pp_balance_draw *d, uint64_t sum)
{
    /* Two stacks in one row: those below the mean from the left, the others from the right. Both
     * are the memory of <other>, whose entries are written when their column leaves a stack. */
    uint32_t *stack = d->other, low = 0, high = d->n;
    for (uint32_t i = 0; i < d->n; i++)
        if (d->share[i] < sum)
            stack[low++] = i;
        else
            stack[--high] = i;
    while (low > 0 && high < d->n) {
        uint32_t small = stack[--low], large = stack[high];
        double chance = (double)d->share[small] / (double)sum * 4294967296.0;
        d->chance[small] = (uint32_t)PP_MIN(chance, 4294967295.0);
        d->share[large] -= sum - d->share[small];
        d->share[small] = large; /* the alias; moved when no stack is needed any more */
        if (d->share[large] < sum) {
            high++;
            stack[low++] = large;
        }
    }
    /* Whoever is left fills its column: by rounding alone it may look otherwise. */
    while (low > 0) {
        uint32_t i = stack[--low];
        d->chance[i] = UINT32_MAX;
        d->share[i] = i;
    }
    while (high < d->n) {
        uint32_t i = stack[high++];
        d->chance[i] = UINT32_MAX;
        d->share[i] = i;
    }
    for (uint32_t i = 0; i < d->n; i++)
        d->other[i] = (uint32_t)d->share[i];
}

void pp_balance_draw_update(struct pp_balance_draw *d, const struct pp_balance_view *view,
                            uint32_t n)
{
    uint64_t sum = 0;
    d->n = 0;
    d->equal = true;
    for (uint32_t i = 0; i < n; i++) {
        if (!view[i].usable)
            continue;
        d->equal = d->equal && (d->n == 0 || view[i].weight == view[d->index[0]].weight);
        d->index[d->n++] = i;
        sum += view[i].weight;
    }
    if (d->equal)
        return;
    for (uint32_t k = 0; k < d->n; k++)
        d->share[k] = (uint64_t)view[d->index[k]].weight * d->n;
    fill(d, sum);
}

static uint32_t draw(const struct pp_balance_draw *d, struct pp_rng *rng)
{
    uint32_t column = pp_rng_below(rng, d->n);
    if (!d->equal && (uint32_t)(pp_rng_next(rng) >> 32) >= d->chance[column])
        column = d->other[column];
    return d->index[column];
}

/* One that may be chosen and is not <but>, from a random place on. */
static uint32_t scan(const struct pp_balance_draw *d, const struct pp_balance_pick *p, uint32_t but)
{
    uint32_t start = pp_rng_below(p->rng, d->n);
    for (uint32_t k = 0; k < d->n; k++) {
        uint32_t i = d->index[(start + k) % d->n];
        if (i != but && pp_balance_may(p, i))
            return i;
    }
    return PP_ID_NONE;
}

uint32_t pp_balance_draw_one(const struct pp_balance_draw *d, const struct pp_balance_pick *p)
{
    return pp_balance_draw_other(d, p, PP_ID_NONE);
}

uint32_t pp_balance_draw_other(const struct pp_balance_draw *d, const struct pp_balance_pick *p,
                               uint32_t first)
{
    if (d->n == 0 || (d->n == 1 && d->index[0] == first))
        return PP_ID_NONE;
    for (int k = 0; k < DRAWS; k++) {
        uint32_t i = draw(d, p->rng);
        if (i != first && pp_balance_may(p, i))
            return i;
    }
    return scan(d, p, first);
}
