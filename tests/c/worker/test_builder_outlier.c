#include "worker/builder_outlier.c"

#include "pp_test.h"

PP_TEST_CASE(an_upstream_gets_what_it_is_told_and_the_others_nothing)
{
    struct pp_builder *b = pp_builder_new();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_outlier_conf outlier = {.interval_ms = 1, .base_ms = 2, .max_percent = 3};
    uint32_t first, second;
    PP_REQUIRE(b != NULL);
    PP_CHECK_EQ(pp_builder_add_upstream(b, PP_SPAN("a"), PP_SPAN("round_robin"), &conf, &first),
                PP_OK);
    PP_CHECK_EQ(pp_builder_add_upstream(b, PP_SPAN("b"), PP_SPAN("round_robin"), &conf, &second),
                PP_OK);
    pp_builder_set_outlier(b, second, &outlier);
    PP_CHECK_EQ(pp_builder_upstream(b, first)->outlier.interval_ms, 0);
    PP_CHECK_EQ(pp_builder_upstream(b, second)->outlier.interval_ms, 1);
    PP_CHECK_EQ(pp_builder_upstream(b, second)->outlier.max_percent, 3);
    pp_builder_free(b);
}

PP_TEST_MAIN()
