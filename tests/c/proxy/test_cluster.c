#include "proxy/cluster.c"

#include "proxy/rig.h"

static struct pp_core core;
static uint64_t words[256];
static const uint64_t told;

static void begin(void)
{
    memset(&core, 0, sizeof core);
    pp_rng_init(&core.rng, 1);
    pp_map_init(&core.addresses, core.seed);
    core.metrics.words = words;
    core.metrics.told = &told;
}

static void end(long live)
{
    pp_cluster_forget_addresses(&core);
    pp_map_fini(&core.addresses);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(endpoints_take_turns_and_tried_ones_are_left_out)
{
    long live = pp_mem_live_for_test();
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = pp_cluster_new(PP_SPAN("c"), &conf, &pp_balance_rr_ops, 3);
    PP_REQUIRE(cl != NULL);
    for (uint32_t i = 0; i < 3; i++)
        PP_CHECK_EQ(pp_cluster_set_endpoint(cl, i, PP_SPAN("127.0.0.1:1"), PP_SPAN_NONE, 0), PP_OK);
    pp_cluster_attach(cl, &core);
    PP_CHECK_STR(cl->endpoint[0].name, "127.0.0.1:1");
    PP_CHECK_EQ(cl->endpoint[0].weight, 1);
    unsigned seen[3] = {0};
    for (int i = 0; i < 30; i++)
        seen[pp_cluster_pick(cl, 0, 0)->index]++;
    PP_CHECK(seen[0] == 10 && seen[1] == 10 && seen[2] == 10);
    for (int i = 0; i < 6; i++)
        PP_CHECK_EQ(pp_cluster_pick(cl, 5, 0)->index, 1);
    PP_CHECK(pp_cluster_pick(cl, 7, 0) != NULL); /* all tried: all again */
    pp_cluster_unref(cl);
    end(live);
}

PP_TEST_CASE(an_endpoint_in_use_is_active_and_keeps_its_cluster)
{
    long live = pp_mem_live_for_test();
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = pp_cluster_new(PP_SPAN("c"), &conf, &pp_balance_rr_ops, 2);
    PP_REQUIRE(cl != NULL);
    for (uint32_t i = 0; i < 2; i++)
        PP_CHECK_EQ(pp_cluster_set_endpoint(cl, i, PP_SPAN("127.0.0.1:1"), PP_SPAN_NONE, 1), PP_OK);
    pp_cluster_attach(cl, &core);
    struct pp_endpoint *at = NULL;
    pp_cluster_use(&at, &cl->endpoint[0]);
    PP_CHECK(at == &cl->endpoint[0]);
    PP_CHECK_EQ(at->active, 1);
    PP_CHECK_EQ(cl->refs, 2);
    pp_cluster_unref(cl); /* nobody else has it any more */
    pp_cluster_use(&at, at);
    PP_CHECK_EQ(at->active, 1);
    PP_CHECK_EQ(cl->refs, 1);
    pp_cluster_use(&at, &cl->endpoint[1]);
    PP_CHECK_EQ(cl->endpoint[0].active, 0);
    PP_CHECK_EQ(cl->endpoint[1].active, 1);
    pp_cluster_unuse(at);
    PP_CHECK_EQ(at->active, 0);
    PP_CHECK_EQ(cl->refs, 1);
    at->active = 1; /* as before, to be let go altogether */
    pp_cluster_use(&at, NULL);
    PP_CHECK(at == NULL);
    pp_cluster_unuse(at);
    end(live);
}

PP_TEST_CASE(a_bad_address_is_refused)
{
    long live = pp_mem_live_for_test();
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = pp_cluster_new(PP_SPAN("c"), &conf, &pp_balance_rr_ops, 1);
    PP_CHECK_EQ(pp_cluster_set_endpoint(cl, 0, PP_SPAN("nowhere"), PP_SPAN_NONE, 1), PP_EINVAL);
    pp_cluster_unref(cl);
    end(live);
}

PP_TEST_CASE(addresses_that_filters_name_are_kept_and_make_room)
{
    long live = pp_mem_live_for_test();
    char text[32];
    int rc;
    begin();
    struct pp_cluster *first = pp_cluster_of_address(&core, PP_SPAN("127.0.0.1:1"), NULL, &rc);
    PP_REQUIRE(first != NULL);
    PP_CHECK(pp_cluster_of_address(&core, PP_SPAN("127.0.0.1:1"), NULL, &rc) == first);
    PP_CHECK(pp_cluster_of_address(&core, PP_SPAN("nowhere"), NULL, &rc) == NULL);
    PP_CHECK_EQ(rc, PP_EINVAL);
    first->endpoint[0].active = 1;
    for (int i = 2; i < 3000; i++) {
        snprintf(text, sizeof text, "127.0.0.1:%d", i);
        PP_CHECK(pp_cluster_of_address(&core, rig_span(text), NULL, &rc) != NULL);
    }
    PP_CHECK_EQ(core.addresses.n, PP_CLUSTER_ADDRESSES);
    PP_CHECK(pp_cluster_of_address(&core, PP_SPAN("127.0.0.1:1"), NULL, &rc) ==
             first); /* busy ones stay */
    uint32_t pos = 0;
    struct pp_span key;
    void *value;
    while (pp_map_next(&core.addresses, &pos, &key, &value))
        ((struct pp_cluster *)value)->endpoint[0].active = 1;
    PP_CHECK(pp_cluster_of_address(&core, PP_SPAN("127.0.0.1:9999"), NULL, &rc) == NULL);
    PP_CHECK_EQ(rc, PP_ELIMIT);
    end(live);
}

static bool scenario(void)
{
    int rc;
    begin();
    bool ok = pp_cluster_of_address(&core, PP_SPAN("127.0.0.1:1"), NULL, &rc) != NULL;
    PP_CHECK(ok || rc == PP_ENOMEM);
    pp_cluster_forget_addresses(&core);
    pp_map_fini(&core.addresses);
    return ok;
}

PP_TEST_CASE(memory_may_run_out)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_MAIN()
