#include "route/balance_random.c"

#include "balance_rig.h"

static struct rig r;

PP_TEST_CASE(it_keeps_to_what_may_be_chosen)
{
    rig_common(&pp_balance_random_ops);
}

PP_TEST_CASE(shares_are_those_of_the_weights)
{
    static const uint32_t weights[] = {1, 2, 3, 10};
    uint32_t got[4] = {0};
    rig_begin(&r, &pp_balance_random_ops, NULL, 4);
    for (int i = 0; i < 4; i++)
        r.view[i].weight = weights[i];
    rig_update(&r);
    for (int k = 0; k < 100000; k++)
        got[rig_pick(&r, 0, 0)]++;
    for (int i = 0; i < 4; i++)
        rig_check_share(got[i], weights[i] / 16.0, 100000, 5);
    rig_end(&r);
}

RIG_CREATE_FAILS(pp_balance_random_ops)

PP_TEST_MAIN()
