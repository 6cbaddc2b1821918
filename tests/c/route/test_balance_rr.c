#include "route/balance_rr.c"

#include "balance_rig.h"

static struct rig r;

PP_TEST_CASE(it_keeps_to_what_may_be_chosen)
{
    rig_common(&pp_balance_rr_ops);
}

PP_TEST_CASE(equal_weights_take_turns)
{
    rig_begin(&r, &pp_balance_rr_ops, NULL, 3);
    rig_update(&r);
    for (uint32_t i = 0; i < 30; i++)
        PP_CHECK_EQ(rig_pick(&r, 0, 0), i % 3);
    rig_end(&r);
}

PP_TEST_CASE(weights_are_shares_and_evenly_spread)
{
    static const uint32_t want[] = {0, 0, 1, 0, 2, 0, 0};
    rig_begin(&r, &pp_balance_rr_ops, NULL, 3);
    r.view[0].weight = 5;
    rig_update(&r);
    for (size_t i = 0; i < 10 * PP_COUNT_OF(want); i++)
        PP_CHECK_EQ(rig_pick(&r, 0, 0), want[i % PP_COUNT_OF(want)]);
    rig_end(&r);
}

/* The rule of nginx, word by word. */
static uint32_t plain(int64_t *credit, const struct pp_balance_view *view, uint32_t n)
{
    uint32_t best = PP_ID_NONE;
    int64_t earned = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!view[i].usable)
            continue;
        credit[i] += view[i].weight;
        earned += view[i].weight;
        if (best == PP_ID_NONE || credit[i] > credit[best])
            best = i;
    }
    credit[best] -= earned;
    return best;
}

PP_TEST_CASE(the_order_is_that_of_the_plain_rule)
{
    uint64_t state = 3;
    for (int round = 0; round < 200; round++) {
        int64_t credit[24] = {0};
        rig_begin(&r, &pp_balance_rr_ops, NULL, 1 + (uint32_t)(pp_test_random(&state) % 24));
        uint32_t most = 1 + (uint32_t)(pp_test_random(&state) % 6);
        for (uint32_t i = 0; i < r.n; i++) {
            r.view[i].weight = 1 + (uint32_t)(pp_test_random(&state) % most);
            r.view[i].usable = i == 0 || pp_test_random(&state) % 8 != 0;
        }
        rig_update(&r);
        for (uint32_t k = 0; k < 300; k++)
            PP_CHECK_EQ(rig_pick(&r, 0, 0), plain(credit, r.view, r.n));
        rig_end(&r);
    }
}

PP_TEST_CASE(random_weights_get_exactly_their_share)
{
    uint64_t state = 5;
    for (int round = 0; round < 50; round++) {
        uint32_t sum = 0, got[8] = {0};
        rig_begin(&r, &pp_balance_rr_ops, NULL, 8);
        for (int i = 0; i < 8; i++)
            sum += r.view[i].weight = 1 + (uint32_t)(pp_test_random(&state) % 20);
        rig_update(&r);
        for (uint32_t i = 0; i < 3 * sum; i++)
            got[rig_pick(&r, 0, 0)]++;
        for (int i = 0; i < 8; i++)
            PP_CHECK_EQ(got[i], 3 * r.view[i].weight);
        rig_end(&r);
    }
}

PP_TEST_CASE(unusable_endpoints_are_left_out_and_come_back_without_a_burst)
{
    rig_begin(&r, &pp_balance_rr_ops, NULL, 3);
    r.view[1].usable = false;
    rig_update(&r);
    for (int i = 0; i < 100; i++)
        PP_CHECK(rig_pick(&r, 0, 0) != 1);
    r.view[1].usable = true;
    rig_update(&r);
    uint32_t got[3] = {0};
    for (int i = 0; i < 30; i++)
        got[rig_pick(&r, 0, 0)]++;
    for (int i = 0; i < 3; i++)
        PP_CHECK(got[i] >= 9 && got[i] <= 11);
    rig_end(&r);
}

PP_TEST_CASE(an_update_that_changes_nothing_changes_no_turn)
{
    rig_begin(&r, &pp_balance_rr_ops, NULL, 7);
    rig_update(&r);
    for (uint32_t k = 0; k < 70; k++) {
        PP_CHECK_EQ(rig_pick(&r, 0, 0), k % 7);
        rig_update(&r);
    }
    rig_end(&r);
}

PP_TEST_CASE(weights_that_change_while_picks_go_on_give_the_new_shares)
{
    uint64_t state = 9;
    rig_begin(&r, &pp_balance_rr_ops, NULL, 6);
    for (int round = 0; round < 100; round++) {
        uint32_t sum = 0, got[6] = {0};
        for (int i = 0; i < 6; i++)
            sum += r.view[i].weight = 1 + (uint32_t)(pp_test_random(&state) % 9);
        rig_update(&r);
        for (uint32_t i = 0; i < 20 * sum; i++)
            got[rig_pick(&r, 0, 0)]++;
        for (int i = 0; i < 6; i++) { /* a few are owed from the weights before */
            int64_t off = (int64_t)got[i] - 20 * (int64_t)r.view[i].weight;
            PP_CHECK(off >= -12 && off <= 12);
        }
    }
    rig_end(&r);
}

PP_TEST_CASE(retries_leave_out_what_was_tried_and_shares_stay)
{
    uint32_t got[4] = {0};
    rig_begin(&r, &pp_balance_rr_ops, NULL, 4);
    rig_update(&r);
    for (int k = 0; k < 4000; k++) {
        uint32_t first = rig_pick(&r, 0, 0);
        uint32_t second = rig_pick(&r, 0, UINT64_C(1) << first);
        PP_CHECK(second != first);
        got[first]++;
        got[second]++;
    }
    for (int i = 0; i < 4; i++)
        PP_CHECK(got[i] > 1900 && got[i] < 2100);
    rig_end(&r);
}

/* Who stands in for another keeps its own turn: else the dead one would come first each time. */
PP_TEST_CASE(a_dead_endpoint_is_met_no_more_often_than_its_turn_comes)
{
    for (uint32_t n = 2; n <= 5; n++) {
        uint32_t met = 0, got[5] = {0};
        rig_begin(&r, &pp_balance_rr_ops, NULL, n);
        rig_update(&r);
        for (uint32_t k = 0; k < 600 * n; k++) {
            uint32_t i = rig_pick(&r, 0, 0);
            met += i == 0;
            got[i == 0 ? rig_pick(&r, 0, 1) : i]++;
        }
        PP_CHECK(met >= 595 && met <= 605);
        for (uint32_t i = 1; i < n; i++)
            PP_CHECK(got[i] * (n - 1) >= 595 * n && got[i] * (n - 1) <= 605 * n);
        rig_end(&r);
    }
}

RIG_CREATE_FAILS(pp_balance_rr_ops)

PP_TEST_MAIN()
