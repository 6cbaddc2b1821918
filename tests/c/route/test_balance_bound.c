#include "route/balance_bound.c"

#include "pp_test.h"

PP_TEST_CASE(room_is_the_share_times_the_factor_rounded_up)
{
    struct pp_balance_view view[3] = {{.weight = 2, .usable = true},
                                      {.weight = 1, .usable = true},
                                      {.weight = 9, .usable = false}};
    struct pp_balance_bound bound = {.percent = 150};
    struct pp_balance_pick p = {.view = view, .total = 3};
    pp_balance_bound_update(&bound, view, 3);
    PP_CHECK_EQ(bound.weights, 3);
    /* 1.5 * 4 * 2/3 = 4 and 1.5 * 4 * 1/3 = 2 */
    view[0].active = 3;
    PP_CHECK(pp_balance_bound_has_room(&bound, &p, 0));
    view[0].active = 4;
    PP_CHECK(!pp_balance_bound_has_room(&bound, &p, 0));
    view[1].active = 1;
    PP_CHECK(pp_balance_bound_has_room(&bound, &p, 1));
    view[1].active = 2;
    PP_CHECK(!pp_balance_bound_has_room(&bound, &p, 1));
    bound.percent = 0;
    PP_CHECK(pp_balance_bound_has_room(&bound, &p, 1));
}

PP_TEST_CASE(the_largest_numbers_do_not_overflow)
{
    struct pp_balance_view view[1] = {{.weight = UINT32_MAX, .usable = true, .active = UINT32_MAX}};
    struct pp_balance_bound bound = {.percent = UINT32_MAX};
    struct pp_balance_pick p = {.view = view, .total = UINT64_MAX - 1};
    pp_balance_bound_update(&bound, view, 1);
    PP_CHECK(pp_balance_bound_has_room(&bound, &p, 0));
}

PP_TEST_CASE(a_mark_tells_keys_weights_and_their_order_apart)
{
    struct pp_balance_view view[2] = {{.key = 1, .weight = 1}, {.key = 2, .weight = 1}};
    uint64_t mark = pp_balance_bound_mark(view, 2);
    view[0].usable = true;
    view[0].active = 3;
    PP_CHECK_EQ(pp_balance_bound_mark(view, 2), mark);
    PP_CHECK(pp_balance_bound_mark(view, 1) != mark);
    view[0].weight = 2;
    PP_CHECK(pp_balance_bound_mark(view, 2) != mark);
    view[0] = (struct pp_balance_view){.key = 2, .weight = 1};
    view[1] = (struct pp_balance_view){.key = 1, .weight = 1};
    PP_CHECK(pp_balance_bound_mark(view, 2) != mark);
}

PP_TEST_MAIN()
