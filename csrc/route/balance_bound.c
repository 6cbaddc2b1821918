#include "route/balance_bound.h"

void pp_balance_bound_update(struct pp_balance_bound *bound, const struct pp_balance_view *view,
                             uint32_t n)
{
    bound->weights = 0;
    for (uint32_t i = 0; i < n; i++)
        if (view[i].usable)
            bound->weights += view[i].weight;
}

bool pp_balance_bound_has_room(const struct pp_balance_bound *bound, struct pp_balance_pick *p,
                               uint32_t i)
{
    if (bound->percent == 0)
        return true;
    if (p->look)
        p->look(p, i);
    /* active + 1 <= ceil(percent / 100 * (total + 1) * weight / weights) */
    unsigned __int128 most = (unsigned __int128)bound->percent * (p->total + 1) * p->view[i].weight;
    return (unsigned __int128)p->view[i].active * 100 * bound->weights < most;
}

uint64_t pp_balance_bound_mark(const struct pp_balance_view *view, uint32_t n)
{
    uint64_t mark = n;
    for (uint32_t i = 0; i < n; i++)
        mark = pp_balance_mix(pp_balance_mix(mark ^ view[i].key) ^ view[i].weight);
    return mark;
}
