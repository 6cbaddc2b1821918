#include "worker/builder_retry.c"

#include "base/mem.h"
#include "pp_test.h"

static void release(void *arg)
{
}

static char why[PP_BUILDER_WHY];

/* An upstream with the first policy, and a route with the second. */
static int build(const struct pp_builder_retry *one, const struct pp_builder_retry *two,
                 struct pp_snapshot **out)
{
    struct pp_cluster_conf c = pp_cluster_default_conf();
    struct pp_builder_route route = {
        .name = PP_SPAN("-"), .upstream = PP_ID_NONE, .access_log = PP_ID_NONE};
    uint32_t up, id;
    struct pp_builder *b = pp_builder_new();
    if (b == NULL)
        return PP_ENOMEM;
    int rc = pp_builder_add_upstream(b, PP_SPAN("u"), PP_SPAN("random"), &c, &up);
    if (rc == PP_OK)
        rc = pp_builder_set_retry(b, up, one);
    if (rc == PP_OK)
        pp_builder_set_breaker(b, up, &(struct pp_breaker_conf){.in_a_row = 4});
    if (rc == PP_OK)
        pp_builder_set_adaptive(b, up, &(struct pp_gradient_conf){.least = 2, .most = 5});
    if (rc == PP_OK)
        rc = pp_builder_add_endpoint(b, up, PP_SPAN("127.0.0.1:1"), PP_SPAN_NONE, 1, &id);
    if (rc == PP_OK)
        rc = pp_builder_add_route(b, &route, &id);
    if (rc == PP_OK)
        rc = pp_builder_set_route_retry(b, id, two);
    if (rc == PP_OK)
        return pp_builder_finish(b, release, NULL, out);
    snprintf(why, sizeof(why), "%s", pp_builder_why(b));
    pp_builder_free(b);
    return rc;
}

static const struct pp_builder_retry first = {.policy = {.base_ms = 7, .non_idempotent = true},
                                              .conditions = {"reset,503", 9}},
                                     second = {.conditions = {"timeout", 7}},
                                     bad = {.conditions = {"reset, sometimes", 16}};

PP_TEST_CASE(upstreams_and_routes_have_a_policy_each)
{
    struct pp_snapshot *sn = NULL;
    PP_REQUIRE(build(&first, &second, &sn) == PP_OK);
    const struct pp_retry_policy *p = &sn->cluster[0]->conf.retry;
    PP_CHECK_EQ(p->on, PP_RETRY_ON_RESET | PP_RETRY_ON_STATUS);
    PP_CHECK(pp_retry_policy_has_status(p, 503));
    PP_CHECK(p->non_idempotent && p->base_ms == 7);
    PP_CHECK_EQ(sn->cluster[0]->conf.breaker.in_a_row, 4);
    PP_CHECK_EQ(sn->cluster[0]->conf.adaptive.most, 5);
    PP_CHECK(sn->cluster[0]->conf.admission.at_runtime);
    PP_CHECK_EQ(sn->route[0]->retry->on, PP_RETRY_ON_TIMEOUT);
    pp_snapshot_unref(sn);
}

PP_TEST_CASE(what_is_no_condition_is_refused)
{
    struct pp_snapshot *sn = NULL;
    PP_CHECK_EQ(build(&bad, &second, &sn), PP_EINVAL);
    PP_CHECK(strstr(why, "no such condition") != NULL && strstr(why, "sometimes") != NULL);
    PP_CHECK_EQ(build(&first, &bad, &sn), PP_EINVAL);
}

PP_TEST_CASE(without_memory_nothing_is_left_behind)
{
    struct pp_snapshot *sn = NULL;
    long live = pp_mem_live_for_test();
    int rc = PP_ENOMEM;
    for (long n = 0; rc != PP_OK && n < 1000; n++) {
        pp_mem_fail_after_for_test(n);
        rc = build(&first, &second, &sn);
        pp_mem_fail_after_for_test(-1);
        PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
        PP_CHECK(rc == PP_OK || pp_mem_live_for_test() == live);
    }
    PP_CHECK_EQ(rc, PP_OK);
    pp_snapshot_unref(sn);
}

PP_TEST_MAIN()
