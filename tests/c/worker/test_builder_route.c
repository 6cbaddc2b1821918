#include "worker/builder_route.c"

#include "base/mem.h"
#include "route/predicate_program.h"

static void release(void *arg)
{
}

static struct pp_builder *begin(uint32_t upstream[2], uint32_t *route)
{
    struct pp_cluster_conf c = pp_cluster_default_conf();
    struct pp_builder_route conf = {.name = PP_SPAN("r"), .upstream = PP_ID_NONE};
    struct pp_builder *b = pp_builder_new();
    if (b == NULL)
        return NULL;
    int rc = pp_builder_add_upstream(b, PP_SPAN("u"), PP_SPAN("round_robin"), &c, &upstream[0]);
    if (rc == PP_OK)
        rc = pp_builder_add_upstream(b, PP_SPAN("v"), PP_SPAN("round_robin"), &c, &upstream[1]);
    if (rc == PP_OK)
        rc = pp_builder_add_route(b, &conf, route);
    if (rc == PP_OK)
        return b;
    pp_builder_free(b);
    return NULL;
}

static bool build(struct pp_snapshot **out)
{
    struct program p = {.n = 0};
    const struct pp_predicate *guard;
    uint32_t upstream[2], route;
    struct pp_builder *b = begin(upstream, &route);
    if (b == NULL)
        return false;
    put_test(&p, '~', "header.x", "^a");
    bool ok = pp_builder_compile_predicate(b, pp_span(p.bytes, p.n), NULL, 0, &guard) == PP_OK &&
              pp_builder_add_match(b, route, PP_SPAN(""), PP_SPAN("/a"), PP_ROUTER_ANY_METHOD, 0) ==
                  PP_OK;
    if (ok)
        pp_builder_set_predicate(b, guard);
    ok = ok && pp_builder_add_arm(b, route, PP_SPAN("r/u"), upstream[0], 9) == PP_OK &&
         pp_builder_add_arm(b, route, PP_SPAN("r/v"), upstream[1], 1) == PP_OK &&
         pp_builder_set_split_key(b, route, PP_SPAN("cookie.sid")) == PP_OK;
    if (!ok) {
        pp_builder_free(b);
        return false;
    }
    return pp_builder_finish(b, release, NULL, out) == PP_OK;
}

PP_TEST_CASE(arms_lead_to_the_clusters)
{
    long live = pp_mem_live_for_test();
    struct pp_snapshot *sn;
    PP_REQUIRE(build(&sn));
    const struct pp_split *split = sn->route[0]->split;
    PP_REQUIRE(split != NULL && split->n == 2);
    PP_CHECK(split->arm[0].cluster == sn->cluster[0] && split->arm[1].cluster == sn->cluster[1]);
    PP_CHECK_STR(split->arm[1].upstream, "v");
    PP_CHECK_STR(split->arm[1].name, "r/v");
    PP_CHECK(split->arm[0].until == 9 && split->arm[1].until == 10 && split->total == 10);
    PP_CHECK_STR(split->by->name, "sid");
    PP_CHECK_EQ(split->arm[1].record, 0);
    pp_snapshot_unref(sn);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(mistakes_are_told)
{
    struct program p = {.n = 0};
    const struct pp_predicate *guard;
    uint32_t upstream[2], route;
    struct pp_builder *b = begin(upstream, &route);
    PP_REQUIRE(b != NULL);
    put_test(&p, '=', "hots", "x");
    PP_CHECK_EQ(pp_builder_compile_predicate(b, pp_span(p.bytes, p.n), NULL, 0, &guard), PP_EINVAL);
    PP_CHECK(strstr(pp_builder_why(b), "hots") != NULL);
    PP_CHECK_EQ(pp_builder_set_split_key(b, route, PP_SPAN("sid")), PP_EINVAL);
    PP_CHECK(strstr(pp_builder_why(b), "sid") != NULL);
    PP_CHECK_EQ(pp_builder_add_arm(b, route, PP_SPAN("a"), 0, UINT32_MAX), PP_OK);
    PP_CHECK_EQ(pp_builder_add_arm(b, route, PP_SPAN("b"), 0, 1), PP_ELIMIT);
    pp_builder_free(b);
}

static bool build_with_little_memory(void)
{
    struct pp_snapshot *sn;
    bool ok = build(&sn);
    if (ok)
        pp_snapshot_unref(sn);
    return ok;
}

PP_TEST_CASE(memory_may_be_out_at_any_point)
{
    PP_CHECK_FAIL_EACH(build_with_little_memory);
}

PP_TEST_MAIN()
