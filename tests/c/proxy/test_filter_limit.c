#include "proxy/filter_limit.c"

#include "proxy/limit_test.h"

PP_TEST_CASE(limits_of_different_filters_places_and_names_are_apart)
{
    uint64_t a = pp_filter_limit_space("rate_limit", PP_SPAN("all 1"), PP_SPAN("x"));
    PP_CHECK(a != pp_filter_limit_space("concurrency_limit", PP_SPAN("all 1"), PP_SPAN("x")));
    PP_CHECK(a != pp_filter_limit_space("rate_limit", PP_SPAN("all 2"), PP_SPAN("x")));
    PP_CHECK(a != pp_filter_limit_space("rate_limit", PP_SPAN("all 1"), PP_SPAN("y")));
    PP_CHECK(a != pp_filter_limit_space("rate_limit", PP_SPAN("all 1x"), PP_SPAN_NONE));
    PP_CHECK_EQ(a, pp_filter_limit_space("rate_limit", PP_SPAN("all 1"), PP_SPAN("x")));
}

PP_TEST_CASE(seconds_are_rounded_up)
{
    PP_CHECK_EQ(pp_filter_limit_seconds(0), 0);
    PP_CHECK_EQ(pp_filter_limit_seconds(1), 1);
    PP_CHECK_EQ(pp_filter_limit_seconds(1000000000), 1);
    PP_CHECK_EQ(pp_filter_limit_seconds(1000000001), 2);
}

PP_TEST_CASE(what_others_count_is_counted_for_the_route)
{
    PP_CHECK(limit_start("rate_limit",
                         "{\"limits\": [{\"count\": 9, \"period_ns\": 1000000000, \"burst\": 9, "
                         "\"key\": \"all\"}]}",
                         true));
    struct pp_core *core = &limit_rig.w.core;
    struct pp_exchange x = {.core = core, .route = core->snapshot->route[1]};
    pp_filter_limit_count(&x, PP_FILTER_LIMIT_REFUSED, 0);
    pp_filter_limit_count(&x, PP_FILTER_LIMIT_DRY_RUN, 0);
    pp_filter_limit_count(&x, PP_FILTER_LIMIT_DELAYED, 0);
    pp_filter_limit_count(&x, PP_FILTER_LIMIT_ANSWERED, 5);
    pp_filter_limit_count(&x, PP_FILTER_LIMIT_UNANSWERED, 7);
    pp_filter_limit_count(&x, PP_FILTER_LIMIT_UNANSWERED, 0);
    PP_CHECK_EQ(limit_counted(RATE_LIMITED), 1);
    PP_CHECK_EQ(limit_counted(RATE_DRY_RUN), 1);
    PP_CHECK_EQ(limit_counted(RATE_DELAYED), 1);
    PP_CHECK_EQ(limit_counted(REDIS_ASKED), 1);
    PP_CHECK_EQ(limit_counted(REDIS_FAILED), 2);
    PP_CHECK_EQ(limit_counted(REDIS_US), 12);
    rig_stop(&limit_rig);
}

PP_TEST_MAIN()
