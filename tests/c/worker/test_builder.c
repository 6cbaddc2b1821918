#include "worker/builder.c"

#include "base/mem.h"
#include "pp_test.h"

static struct pp_builder *b;
static uint32_t id;
static unsigned released;

static void release(void *arg)
{
    released++;
}

static void says(int rc, const char *word)
{
    PP_CHECK_EQ(rc, PP_EINVAL);
    PP_CHECK(strstr(pp_builder_why(b), word) != NULL);
    pp_builder_free(b);
    b = pp_builder_new();
}

PP_TEST_CASE(mistakes_are_told_in_a_sentence)
{
    struct pp_listener_conf l = {.max_requests = 1};
    struct pp_cluster_conf c = pp_cluster_default_conf();
    long live = pp_mem_live_for_test();
    b = pp_builder_new();
    says(pp_builder_add_log(b, PP_SPAN_NONE, 1, false, PP_SPAN("{nope}"), &id), "nope");
    says(pp_builder_add_listener(b, PP_SPAN("l"), &l, PP_SPAN("a b"), PP_SPAN_NONE, &id), "a b");
    says(pp_builder_add_listener(b, PP_SPAN("l"), &l, PP_SPAN_NONE, PP_SPAN("a\nb"), &id),
         "Server");
    says(pp_builder_add_upstream(b, PP_SPAN("u"), PP_SPAN("best"), &c, &id), "best");
    PP_CHECK_EQ(pp_builder_add_listener(b, PP_SPAN("l"), &l, PP_SPAN_NONE, PP_SPAN_NONE, &id),
                PP_OK);
    says(pp_builder_add_trusted(b, id, PP_SPAN("10.0.0.1/8")), "10.0.0.1/8");
    PP_CHECK_EQ(pp_builder_add_upstream(b, PP_SPAN("u"), PP_SPAN("round_robin"), &c, &id), PP_OK);
    says(pp_builder_add_endpoint(b, id, PP_SPAN("nowhere"), PP_SPAN_NONE, 1, &id), "nowhere");
    struct pp_builder_route route = {.upstream = PP_ID_NONE, .rewrite_path = PP_SPAN("{")};
    says(pp_builder_add_route(b, &route, &id), "{");
    struct pp_respond_field field = {PP_SPAN("a b"), PP_SPAN("c")};
    route = (struct pp_builder_route){.upstream = PP_ID_NONE, .field = &field, .n_field = 1};
    says(pp_builder_add_route(b, &route, &id), "a b");
    pp_builder_free(b);
    pp_builder_free(NULL);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

static bool build(struct pp_snapshot **out)
{
    struct pp_listener_conf l = {.max_requests = 1, .access_log = PP_ID_NONE};
    struct pp_cluster_conf c = pp_cluster_default_conf();
    uint32_t f[2], u = 0, v = 0;
    struct pp_builder_route route = {
        .name = PP_SPAN("r"), .upstream = PP_ID_NONE, .filter = f, .n_filter = 2};
    b = pp_builder_new();
    if (b == NULL)
        return false;
    bool ok =
        pp_builder_add_listener(b, PP_SPAN("l"), &l, PP_SPAN("gate"), PP_SPAN("srv"), &id) ==
            PP_OK &&
        pp_builder_add_trusted(b, id, PP_SPAN("10.0.0.0/8")) == PP_OK &&
        pp_builder_add_trusted(b, id, PP_SPAN("::1")) == PP_OK &&
        pp_builder_add_trusted(b, id, PP_SPAN("unix")) == PP_OK &&
        pp_builder_add_upstream(b, PP_SPAN("u"), PP_SPAN("round_robin"), &c, &u) == PP_OK &&
        pp_builder_add_upstream(b, PP_SPAN("v"), PP_SPAN("round_robin"), &c, &v) == PP_OK &&
        pp_builder_add_endpoint(b, u, PP_SPAN("127.0.0.1:1"), PP_SPAN("one"), 2, &id) == PP_OK &&
        id == 0 &&
        pp_builder_add_endpoint(b, v, PP_SPAN("127.0.0.1:2"), PP_SPAN_NONE, 1, &id) == PP_OK &&
        id == 0 &&
        pp_builder_add_endpoint(b, u, PP_SPAN("unix:/x"), PP_SPAN_NONE, 0, &id) == PP_OK &&
        id == 1 && pp_builder_add_filter(b, PP_SPAN("f"), 5, 100, 0, &f[0]) == PP_OK &&
        pp_builder_add_filter(b, PP_SPAN("g"), 6, 200, 300, &f[1]) == PP_OK &&
        (pp_builder_set_body_first(b, f[0], 150), true) &&
        pp_builder_bind(b, f[0], PP_PHASE_LOG, "f") == PP_OK &&
        pp_builder_bind(b, f[1], PP_PHASE_LOG, "g") == PP_OK &&
        pp_builder_bind(b, f[1], PP_PHASE_EARLY_REQUEST, "e") == PP_OK &&
        pp_builder_set_early(b, f, 2) == PP_OK && pp_builder_add_route(b, &route, &id) == PP_OK;
    route.upstream = v;
    ok = ok && pp_builder_add_route(b, &route, &id) == PP_OK &&
         pp_builder_add_match(b, id, PP_SPAN("a"), PP_SPAN("/x"), 2, 0) == PP_OK;
    if (!ok) {
        pp_builder_free(b);
        return false;
    }
    return pp_builder_finish(b, release, NULL, out) == PP_OK;
}

PP_TEST_CASE(a_snapshot_holds_what_was_said)
{
    struct pp_snapshot *sn;
    PP_REQUIRE(build(&sn));
    PP_CHECK(sn->n_listener == 1 && sn->n_cluster == 2 && sn->n_route == 2 && sn->n_log == 0);
    PP_CHECK_STR(sn->listener[0]->via, "1.1 gate");
    PP_CHECK_STR(sn->listener[0]->server, "srv");
    PP_CHECK_EQ(sn->listener[0]->max_requests, 1);
    PP_CHECK(sn->listener[0]->n_trusted == 2 && sn->listener[0]->trust_unix);
    PP_CHECK_EQ(sn->cluster[0]->n, 2);
    PP_CHECK_STR(sn->cluster[0]->endpoint[0].name, "one");
    PP_CHECK_EQ(sn->cluster[0]->endpoint[0].weight, 2);
    PP_CHECK_STR(sn->cluster[0]->endpoint[1].name, "unix:/x");
    PP_CHECK_EQ(sn->cluster[0]->endpoint[1].weight, 1);
    PP_CHECK_EQ(sn->cluster[1]->n, 1);
    PP_CHECK_STR(sn->cluster[1]->endpoint[0].name, "127.0.0.1:2");
    PP_CHECK(sn->route[0]->cluster == NULL);
    PP_CHECK(sn->route[1]->cluster == sn->cluster[1]);
    const struct pp_chain *chain = &sn->route[1]->chain;
    PP_CHECK_EQ(chain->n[PP_PHASE_LOG], 2);
    PP_CHECK_STR(((const struct pp_hook *)chain->filter[PP_PHASE_LOG][1].self)->name, "g");
    PP_CHECK(chain->buffer_request == 200 && chain->buffer_response == 300);
    PP_CHECK(chain->body_first);
    PP_CHECK_EQ(sn->early.n[PP_PHASE_EARLY_REQUEST], 1);
    pp_snapshot_unref(sn);
    PP_CHECK_EQ(released, 1);
}

PP_TEST_CASE(without_a_route_there_is_no_snapshot)
{
    struct pp_snapshot *sn = NULL;
    PP_CHECK(pp_builder_finish(pp_builder_new(), release, NULL, &sn) != PP_OK);
    PP_CHECK(sn == NULL);
}

static bool scenario(void)
{
    struct pp_snapshot *sn = NULL;
    bool ok = build(&sn);
    pp_snapshot_unref(ok ? sn : NULL);
    return ok;
}

PP_TEST_CASE(memory_may_run_out)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_MAIN()
