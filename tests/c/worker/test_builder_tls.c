// libs: nghttp2 ssl crypto
#include "worker/builder_tls.c"

#include <unistd.h>

#include "base/mem.h"
#include "io/tls_test.h"
#include "pp_test.h"
#include "worker/worker.h"

static struct pp_tls_lib *lib;
static struct pp_tls_conf *tls;
static struct pp_tls_client *client;

static void release(void *arg)
{
}

static struct pp_tls_conf *make(void)
{
    struct pp_tls_conf_params params = {.scope = PP_SPAN("web")};
    struct pp_tls_why why;
    struct pp_tls_conf *conf = NULL;
    return pp_tls_conf_new(lib, &params, &why, &conf) == PP_OK ? conf : NULL;
}

static bool build(struct pp_snapshot **out)
{
    struct pp_listener_conf l = {.access_log = PP_ID_NONE};
    struct pp_cluster_conf c = pp_cluster_default_conf();
    struct pp_builder_route fallback = {
        .name = PP_SPAN("-"), .upstream = PP_ID_NONE, .access_log = PP_ID_NONE};
    uint32_t listener, upstream, id;
    struct pp_builder *b = pp_builder_new();
    if (b == NULL)
        return false;
    bool ok =
        pp_builder_add_listener(b, PP_SPAN("web"), &l, PP_SPAN_NONE, PP_SPAN_NONE, &listener) ==
            PP_OK &&
        pp_builder_set_tls(b, listener, tls) == PP_OK &&
        pp_builder_add_listener(b, PP_SPAN("plain"), &l, PP_SPAN_NONE, PP_SPAN_NONE, &listener) ==
            PP_OK &&
        pp_builder_add_upstream(b, PP_SPAN("u"), PP_SPAN("round_robin"), &c, &upstream) == PP_OK &&
        pp_builder_set_upstream_tls(b, upstream, client) == PP_OK &&
        pp_builder_add_endpoint(b, upstream, PP_SPAN("[::1%2]:80"), PP_SPAN_NONE, 1, &id) ==
            PP_OK &&
        pp_builder_add_endpoint(b, upstream, PP_SPAN("127.0.0.1:80"), PP_SPAN_NONE, 1, &id) ==
            PP_OK &&
        pp_builder_set_host(b, upstream, PP_SPAN("app.example")) == PP_OK &&
        pp_builder_add_route(b, &fallback, &id) == PP_OK;
    if (ok)
        return pp_builder_finish(b, release, NULL, out) == PP_OK;
    pp_builder_free(b);
    return false;
}

static void prepare(void)
{
    struct pp_tls_client_params params = {.verify = false};
    struct pp_tls_why why;
    lib = test_tls_lib();
    tls = make();
    PP_CHECK(tls != NULL);
    PP_CHECK_EQ(pp_tls_client_new(lib, &params, &why, &client), PP_OK);
}

static void finish(void)
{
    pp_tls_conf_unref(tls);
    pp_tls_client_unref(client);
    pp_tls_lib_free(lib);
}

PP_TEST_CASE(what_was_set_is_there_and_is_given_back)
{
    struct pp_snapshot *sn = NULL;
    prepare();
    PP_REQUIRE(build(&sn));
    PP_CHECK(sn->listener[0]->tls == tls);
    PP_CHECK(sn->listener[1]->tls == NULL);
    PP_CHECK(sn->cluster[0]->conf.tls == client);
    PP_CHECK_STR(sn->cluster[0]->endpoint[0].host, "::1");
    PP_CHECK_STR(sn->cluster[0]->endpoint[1].host, "app.example");
    pp_snapshot_unref(sn);
    finish();
}

PP_TEST_CASE(certificates_are_replaced_in_the_installed_snapshot)
{
    struct pp_snapshot *sn = NULL;
    struct pp_worker w;
    prepare();
    PP_REQUIRE(build(&sn));
    struct pp_tls_conf *fresh = make();
    PP_CHECK_EQ(pp_worker_init(&w, NULL, 0, 0, 1), PP_OK);
    PP_CHECK_EQ(pp_worker_replace_tls(&w, PP_SPAN("web"), fresh), PP_ENOENT); /* none installed */
    PP_CHECK_EQ(pp_worker_install(&w, sn), PP_OK);
    PP_CHECK_EQ(pp_worker_replace_tls(&w, PP_SPAN("web"), fresh), PP_OK);
    PP_CHECK(sn->listener[0]->tls == fresh);
    PP_CHECK_EQ(pp_worker_replace_tls(&w, PP_SPAN("plain"), fresh), PP_ENOENT);
    PP_CHECK_EQ(pp_worker_replace_tls(&w, PP_SPAN("nope"), fresh), PP_ENOENT);
    /* A connection that began in the clear elsewhere goes on so. */
    int fds[2];
    PP_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    struct pp_moved m = {.fd = fds[0], .listener = PP_SPAN("web")};
    PP_CHECK_EQ(pp_worker_take(&w, &m), PP_OK);
    PP_CHECK_EQ(w.core.n_down, 1);
    PP_CHECK(write(fds[1], "GET / HTTP/1.1\r\nHo", 18) == 18);
    pp_loop_run_ready(&w.core.loop);
    PP_CHECK_EQ(w.core.n_down, 1);
    pp_worker_close_connections(&w);
    close(fds[1]);
    pp_snapshot_unref(sn);
    pp_worker_fini(&w);
    pp_tls_conf_unref(fresh);
    finish();
}

static bool build_and_drop(void)
{
    struct pp_snapshot *sn = NULL;
    bool ok = build(&sn);
    pp_snapshot_unref(sn);
    return ok;
}

PP_TEST_CASE(every_allocation_may_fail)
{
    prepare();
    PP_CHECK_FAIL_EACH(build_and_drop);
    finish();
}

PP_TEST_MAIN()
