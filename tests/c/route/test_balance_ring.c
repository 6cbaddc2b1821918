#include "route/balance_ring.c"

#include "balance_rig_hash.h"

PP_TEST_CASE(it_keeps_to_what_may_be_chosen)
{
    rig_common(&pp_balance_ring_ops);
}

/* 256 points: one standard deviation is 6.25 %. */
PP_TEST_CASE(equal_endpoints_have_nearly_equal_shares)
{
    check_spread(&pp_balance_ring_ops, 3, 0.15);
    check_spread(&pp_balance_ring_ops, 10, 0.2);
    check_spread(&pp_balance_ring_ops, 50, 0.3);
}

PP_TEST_CASE(shares_follow_the_weights)
{
    check_weights(&pp_balance_ring_ops, 0.2);
}

PP_TEST_CASE(an_endpoint_that_is_not_usable_moves_its_own_keys_alone)
{
    check_unusable(&pp_balance_ring_ops);
}

/* Karger et al. 1997: exactly those of the endpoint that goes. */
PP_TEST_CASE(an_endpoint_that_is_removed_moves_its_own_keys_alone)
{
    PP_CHECK_EQ(moved_by_removal(&pp_balance_ring_ops, 3), 0);
    PP_CHECK_EQ(moved_by_removal(&pp_balance_ring_ops, 10), 0);
    PP_CHECK_EQ(moved_by_removal(&pp_balance_ring_ops, 100), 0);
}

PP_TEST_CASE(a_bound_holds)
{
    check_bound(&pp_balance_ring_ops);
}

PP_TEST_CASE(points_are_in_order)
{
    rig_begin(&r, &pp_balance_ring_ops, NULL, 100);
    rig_update(&r);
    const struct balance_ring *ring = (const struct balance_ring *)r.b;
    PP_CHECK_EQ(ring->n_point, 100 * PP_BALANCE_POINTS);
    for (uint32_t i = 1; i < ring->n_point; i++)
        PP_CHECK(ring->point[i - 1] <= ring->point[i]);
    rig_end(&r);
}

PP_TEST_CASE(a_ring_has_the_points_that_were_asked_for_within_its_bounds)
{
    struct pp_balance_conf conf = {.points = 1};
    rig_begin(&r, &pp_balance_ring_ops, &conf, 4);
    r.view[2].weight = 1000;
    rig_update(&r);
    PP_CHECK_EQ(((struct balance_ring *)r.b)->n_point, 6);
    rig_end(&r);
    conf.points = UINT32_MAX;
    rig_begin(&r, &pp_balance_ring_ops, &conf, 2);
    PP_CHECK_EQ(((struct balance_ring *)r.b)->cap, PP_BALANCE_POINTS_MAX + 2);
    rig_end(&r);
}

PP_TEST_CASE(the_last_points_go_on_at_the_first)
{
    rig_begin(&r, &pp_balance_ring_ops, NULL, 3);
    rig_update(&r);
    const struct balance_ring *ring = (const struct balance_ring *)r.b;
    PP_CHECK_EQ(rig_pick(&r, UINT64_MAX, 0), ring->point[0] & INDEX_MASK);
    PP_CHECK_EQ(rig_pick(&r, 0, 0), ring->point[0] & INDEX_MASK);
    PP_CHECK_EQ(rig_pick(&r, ring->point[5], 0), ring->point[5] & INDEX_MASK);
    rig_end(&r);
}

RIG_CREATE_FAILS(pp_balance_ring_ops)

PP_TEST_MAIN()
