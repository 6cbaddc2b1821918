#include "base/mem.h"
#include "route/balance_rr.c"

#include "pp_test.h"

static uint32_t pick_next(struct pp_balance *b, const struct pp_balance_view *view, uint32_t n)
{
    return b->ops->pick(b, view, n, 0, NULL);
}

PP_TEST_CASE(equal_weights_take_turns)
{
    struct pp_balance_view view[3] = {{1, 0, true}, {1, 0, true}, {1, 0, true}};
    struct pp_balance *b = pp_balance_rr_ops.create(3);
    for (uint32_t i = 0; i < 30; i++)
        PP_CHECK_EQ(pick_next(b, view, 3), i % 3);
    b->ops->free(b);
}

PP_TEST_CASE(weights_are_shares_and_evenly_spread)
{
    struct pp_balance_view view[3] = {{5, 0, true}, {1, 0, true}, {1, 0, true}};
    static const uint32_t want[] = {0, 0, 1, 0, 2, 0, 0};
    struct pp_balance *b = pp_balance_rr_ops.create(3);
    for (size_t i = 0; i < 10 * PP_COUNT_OF(want); i++)
        PP_CHECK_EQ(pick_next(b, view, 3), want[i % PP_COUNT_OF(want)]);
    b->ops->free(b);
}

PP_TEST_CASE(random_weights_get_exactly_their_share)
{
    uint64_t state = 5;
    for (int round = 0; round < 50; round++) {
        struct pp_balance_view view[8];
        uint32_t sum = 0, got[8] = {0};
        for (int i = 0; i < 8; i++) {
            view[i] =
                (struct pp_balance_view){1 + (uint32_t)(pp_test_random(&state) % 20), 0, true};
            sum += view[i].weight;
        }
        struct pp_balance *b = pp_balance_rr_ops.create(8);
        for (uint32_t i = 0; i < 3 * sum; i++)
            got[pick_next(b, view, 8)]++;
        for (int i = 0; i < 8; i++)
            PP_CHECK_EQ(got[i], 3 * view[i].weight);
        b->ops->free(b);
    }
}

PP_TEST_CASE(unusable_endpoints_are_left_out_and_come_back_without_a_burst)
{
    struct pp_balance_view view[3] = {{1, 0, true}, {1, 0, false}, {1, 0, true}};
    struct pp_balance *b = pp_balance_rr_ops.create(3);
    for (int i = 0; i < 100; i++)
        PP_CHECK(pick_next(b, view, 3) != 1);
    view[1].usable = true;
    uint32_t got[3] = {0};
    for (int i = 0; i < 30; i++)
        got[pick_next(b, view, 3)]++;
    for (int i = 0; i < 3; i++)
        PP_CHECK(got[i] >= 9 && got[i] <= 11);
    b->ops->free(b);
}

PP_TEST_CASE(nothing_usable_gives_none)
{
    struct pp_balance_view view[2] = {{1, 0, false}, {1, 0, false}};
    struct pp_balance *b = pp_balance_rr_ops.create(2);
    PP_CHECK_EQ(pick_next(b, view, 2), PP_ID_NONE);
    PP_CHECK_EQ(pick_next(b, view, 0), PP_ID_NONE);
    view[1].usable = true;
    PP_CHECK_EQ(pick_next(b, view, 2), 1);
    b->ops->free(b);
    pp_balance_rr_ops.free(NULL);
}

PP_TEST_CASE(the_largest_weights_do_not_overflow)
{
    struct pp_balance_view view[2] = {{UINT32_MAX, 0, true}, {1, 0, true}};
    struct pp_balance *b = pp_balance_rr_ops.create(2);
    for (int i = 0; i < 1000; i++)
        PP_CHECK_EQ(pick_next(b, view, 2), 0);
    b->ops->free(b);
}

static bool create_once(void)
{
    struct pp_balance *b = pp_balance_rr_ops.create(4);
    if (!b)
        return false;
    b->ops->free(b);
    return true;
}

PP_TEST_CASE(creation_survives_a_failed_allocation)
{
    PP_CHECK_FAIL_EACH(create_once);
}

PP_TEST_MAIN()
