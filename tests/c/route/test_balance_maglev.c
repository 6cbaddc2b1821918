#include "route/balance_maglev.c"

#include "balance_rig_hash.h"

PP_TEST_CASE(it_keeps_to_what_may_be_chosen)
{
    rig_common(&pp_balance_maglev_ops);
}

/* The paper, section 5.3: slots differ by one at most. Keys are drawn, hence a little more. */
PP_TEST_CASE(slots_are_even)
{
    uint32_t got[1000] = {0};
    rig_begin(&r, &pp_balance_maglev_ops, NULL, 1000);
    rig_update(&r);
    for (uint32_t k = 0; k < SLOTS; k++)
        got[((struct balance_maglev *)r.b)->slot[k]]++;
    for (uint32_t i = 0; i < 1000; i++)
        PP_CHECK(got[i] == SLOTS / 1000 || got[i] == SLOTS / 1000 + 1);
    rig_end(&r);
    check_spread(&pp_balance_maglev_ops, 10, 0.1);
}

PP_TEST_CASE(shares_follow_the_weights)
{
    check_weights(&pp_balance_maglev_ops, 0.06);
}

PP_TEST_CASE(an_endpoint_that_is_not_usable_moves_its_own_keys_alone)
{
    check_unusable(&pp_balance_maglev_ops);
}

/* Not quite minimal, which is the price of even shares: the paper's figure 12 has about 2 % with
 * tables of 65537. */
PP_TEST_CASE(an_endpoint_that_is_removed_moves_few_other_keys)
{
    PP_CHECK(moved_by_removal(&pp_balance_maglev_ops, 3) <= 20);
    PP_CHECK(moved_by_removal(&pp_balance_maglev_ops, 10) <= 20);
    PP_CHECK(moved_by_removal(&pp_balance_maglev_ops, 100) <= 20);
}

PP_TEST_CASE(a_bound_holds)
{
    check_bound(&pp_balance_maglev_ops);
}

PP_TEST_CASE(a_change_of_weights_makes_a_new_table_and_nothing_else_does)
{
    rig_begin(&r, &pp_balance_maglev_ops, NULL, 4);
    rig_update(&r);
    struct balance_maglev *m = (struct balance_maglev *)r.b;
    uint64_t mark = m->mark;
    r.view[1].usable = false;
    r.view[2].active = 5;
    rig_update(&r);
    PP_CHECK_EQ(m->mark, mark);
    r.view[1].weight = 2;
    rig_update(&r);
    PP_CHECK(m->mark != mark);
    rig_end(&r);
}

RIG_CREATE_FAILS(pp_balance_maglev_ops)

PP_TEST_MAIN()
