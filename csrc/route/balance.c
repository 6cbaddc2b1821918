#include "route/balance.h"

#include <string.h>

const struct pp_balance_ops *pp_balance_find(const char *name)
{
    static const struct pp_balance_ops *const all[] = {&pp_balance_rr_ops};
    for (size_t i = 0; i < PP_COUNT_OF(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
