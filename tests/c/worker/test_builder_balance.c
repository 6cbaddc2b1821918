#include "worker/builder_balance.c"

#include "base/mem.h"
#include "pp_test.h"

static void release(void *arg)
{
}

/* PP_OK with a snapshot, or what pp_builder_set_balance said, and its sentence. */
static char why[PP_BUILDER_WHY];

static int build(const struct pp_builder_balance *balance, struct pp_snapshot **out)
{
    struct pp_cluster_conf c = pp_cluster_default_conf();
    struct pp_builder_route fallback = {
        .name = PP_SPAN("-"), .upstream = PP_ID_NONE, .access_log = PP_ID_NONE};
    uint32_t up, id;
    struct pp_builder *b = pp_builder_new();
    if (b == NULL)
        return PP_ENOMEM;
    int rc = pp_builder_add_upstream(b, PP_SPAN("u"), PP_SPAN("ring_hash"), &c, &up);
    if (rc == PP_OK)
        rc = pp_builder_set_balance(b, up, balance);
    if (rc == PP_OK)
        rc = pp_builder_add_endpoint(b, up, PP_SPAN("127.0.0.1:1"), PP_SPAN_NONE, 1, &id);
    if (rc == PP_OK) {
        pp_builder_set_role(b, up, 2, true);
        rc = pp_builder_add_endpoint(b, up, PP_SPAN("127.0.0.1:2"), PP_SPAN_NONE, 1, &id);
    }
    if (rc == PP_OK)
        rc = pp_builder_add_route(b, &fallback, &id);
    if (rc == PP_OK)
        return pp_builder_finish(b, release, NULL, out);
    snprintf(why, sizeof(why), "%s", pp_builder_why(b));
    pp_builder_free(b);
    return rc;
}

static struct pp_builder_balance all(void)
{
    return (struct pp_builder_balance){
        .policy = {.points = 7, .bound_percent = 125},
        .key = PP_SPAN("header.x-user"),
        .sticky = PP_SPAN("srv"),
        .attributes = PP_SPAN("; Path=/"),
        .panic_percent = 30,
        .slow_start_ms = 1000,
        .ramp = {100, 200},
    };
}

PP_TEST_CASE(what_is_said_stands_in_the_cluster)
{
    struct pp_snapshot *sn = NULL;
    struct pp_builder_balance balance = all();
    PP_REQUIRE(build(&balance, &sn) == PP_OK);
    const struct pp_cluster *cl = sn->cluster[0];
    const struct pp_cluster_balance *b = &cl->conf.balance;
    PP_CHECK(b->policy.points == 7 && b->policy.bound_percent == 125);
    PP_CHECK(b->panic_percent == 30 && b->slow_start_ms == 1000);
    PP_CHECK(b->ramp[0] == 100 && b->ramp[1] == 200 && b->ramp[2] == 0);
    PP_CHECK_EQ(b->key.kind, PP_VARIABLE_HEADER);
    PP_CHECK_STR(b->key.name, "x-user");
    PP_CHECK(b->key.name.p != balance.key.p + 7); /* a copy */
    PP_CHECK_EQ(b->sticky.kind, PP_VARIABLE_COOKIE);
    PP_CHECK_STR(b->sticky.name, "srv");
    PP_CHECK_STR(b->attributes, "; Path=/");
    PP_CHECK(cl->endpoint[0].tier == 2 && cl->endpoint[0].out_conf == PP_CLUSTER_DRAIN);
    PP_CHECK(cl->endpoint[1].tier == 0 && cl->endpoint[1].out_conf == 0);
    pp_snapshot_unref(sn);
}

PP_TEST_CASE(what_is_not_said_is_as_ever)
{
    struct pp_snapshot *sn = NULL;
    PP_REQUIRE(build(&(struct pp_builder_balance){.panic_percent = 50}, &sn) == PP_OK);
    const struct pp_cluster_balance *b = &sn->cluster[0]->conf.balance;
    PP_CHECK_EQ(b->key.kind, PP_VARIABLE_CLIENT_ADDRESS);
    PP_CHECK_EQ(b->sticky.name.n, 0);
    pp_snapshot_unref(sn);
}

PP_TEST_CASE(a_key_that_is_no_variable_is_refused)
{
    struct pp_snapshot *sn = NULL;
    struct pp_builder_balance balance = all();
    balance.key = PP_SPAN("colour");
    PP_CHECK_EQ(build(&balance, &sn), PP_EINVAL);
    PP_CHECK(strcmp(why, "no such request variable: colour") == 0);
}

static bool scenario(void)
{
    struct pp_snapshot *sn = NULL;
    struct pp_builder_balance balance = all();
    int rc = build(&balance, &sn);
    PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
    if (rc == PP_OK)
        pp_snapshot_unref(sn);
    return rc == PP_OK;
}

PP_TEST_CASE(memory_may_run_out)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_MAIN()
