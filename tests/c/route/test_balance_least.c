#include "route/balance_least.c"

#include "balance_rig.h"

static struct rig r;

PP_TEST_CASE(it_keeps_to_what_may_be_chosen)
{
    rig_common(&pp_balance_least_ops);
}

PP_TEST_CASE(idle_endpoints_get_the_shares_of_their_weights)
{
    static const uint32_t weights[] = {1, 1, 8};
    uint32_t got[3] = {0};
    rig_begin(&r, &pp_balance_least_ops, NULL, 3);
    for (int i = 0; i < 3; i++)
        r.view[i].weight = weights[i];
    rig_update(&r);
    for (int k = 0; k < 100000; k++)
        got[rig_pick(&r, 0, 0)]++;
    for (int i = 0; i < 3; i++)
        rig_check_share(got[i], weights[i] / 10.0, 100000, 5);
    rig_end(&r);
}

PP_TEST_CASE(of_two_the_less_loaded_is_taken)
{
    rig_begin(&r, &pp_balance_least_ops, NULL, 2);
    r.view[0].active = 3;
    r.view[1].active = 2;
    rig_update(&r);
    for (int k = 0; k < 50; k++)
        PP_CHECK_EQ(rig_pick(&r, 0, 0), 1);
    r.view[0].weight = 2; /* 4/2 is less than 3/1 */
    rig_update(&r);
    for (int k = 0; k < 50; k++)
        PP_CHECK_EQ(rig_pick(&r, 0, 0), 0);
    rig_end(&r);
}

/* n requests that stay, on n endpoints. One choice fills the fullest to about ln n / ln ln n (6 or
 * 7 here), two to ln ln n / ln 2 + O(1): 4 for n = 1000 (Azar et al. 1999, Mitzenmacher 2001). */
PP_TEST_CASE(two_choices_keep_the_fullest_endpoint_near_the_mean)
{
    rig_begin(&r, &pp_balance_least_ops, NULL, 1000);
    rig_update(&r);
    for (int k = 0; k < 1000; k++)
        r.view[rig_pick(&r, 0, 0)].active++;
    uint32_t fullest = 0;
    for (uint32_t i = 0; i < r.n; i++)
        fullest = PP_MAX(fullest, r.view[i].active);
    PP_CHECK(fullest <= 4);
    /* Heavily loaded the gap does not grow (Berenbrink et al. 2000). */
    for (int k = 0; k < 99000; k++)
        r.view[rig_pick(&r, 0, 0)].active++;
    for (uint32_t i = 0; i < r.n; i++)
        PP_CHECK(r.view[i].active >= 90 && r.view[i].active <= 104);
    rig_end(&r);
}

PP_TEST_CASE(load_follows_the_weights)
{
    rig_begin(&r, &pp_balance_least_ops, NULL, 4);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 4; i++)
        sum += r.view[i].weight = i + 1;
    rig_update(&r);
    for (int k = 0; k < 10000; k++)
        r.view[rig_pick(&r, 0, 0)].active++;
    for (uint32_t i = 0; i < 4; i++) {
        int64_t off = (int64_t)r.view[i].active - 10000 * (int64_t)r.view[i].weight / sum;
        PP_CHECK(off >= -40 && off <= 40);
    }
    rig_end(&r);
}

static uint32_t looked[8];

static void look(struct pp_balance_pick *p, uint32_t i)
{
    (void)p;
    looked[i]++;
}

PP_TEST_CASE(only_the_two_that_were_drawn_are_looked_at)
{
    rig_begin(&r, &pp_balance_least_ops, NULL, 8);
    rig_update(&r);
    struct pp_balance_pick p = {.view = r.view, .rng = &r.rng, .look = look};
    (void)r.b->ops->pick(r.b, &p);
    uint32_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += looked[i];
    PP_CHECK_EQ(sum, 2);
    rig_end(&r);
}

RIG_CREATE_FAILS(pp_balance_least_ops)

PP_TEST_MAIN()
