#include "proxy/filter_limit.c"

#include "pp_test.h"

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

PP_TEST_MAIN()
