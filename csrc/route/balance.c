#include "route/balance.h"

#include <string.h>

const struct pp_balance_ops *pp_balance_find(const char *name)
{
    static const struct pp_balance_ops *const all[] = {
        &pp_balance_rr_ops,   &pp_balance_least_ops,  &pp_balance_random_ops,
        &pp_balance_ring_ops, &pp_balance_maglev_ops, &pp_balance_ewma_ops,
    };
    for (size_t i = 0; i < PP_COUNT_OF(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
