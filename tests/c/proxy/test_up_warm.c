// libs: ssl crypto
#include "proxy/up_warm.c"

#include "io/tls_test.h"
#include "proxy/h2_origin.h"
#include "proxy/rig.h"

static struct rig r;

static struct rig_conf warm(uint32_t n)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.warm = n;
    return conf;
}

/* As often as connections are opened. */
static void pass(unsigned times)
{
    while (times-- > 0)
        rig_sleep(&r, PP_UP_WARM_EVERY_MS);
}

/* One time, and the next one is the test's too. */
static void tick(void)
{
    struct pp_core *core = &r.w.core;
    pp_loop_enter(&core->loop);
    on_timer(&core->warming.timer);
    pp_loop_stop(&core->loop, &core->warming.timer);
    pp_loop_leave(&core->loop);
    rig_settle(&r);
}

static void reload(void)
{
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL);
    PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
    pp_snapshot_unref(sn);
}

/* Close what waits at origin <i>: how many connections there were. */
static unsigned take_all(unsigned i)
{
    unsigned n = 0;
    int fd;
    while ((fd = rig_try_accept(&r, i, 0)) >= 0) {
        close(fd);
        n++;
    }
    return n;
}

static void stop(void)
{
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(nothing_is_opened_where_it_is_not_wanted)
{
    struct rig_conf conf = warm(0);
    PP_REQUIRE(rig_start(&r, &conf));
    pass(10);
    PP_CHECK(!pp_timer_is_pending(&r.w.core.warming.timer));
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 0);
    PP_CHECK_EQ(take_all(0), 0);
    stop();
}

PP_TEST_CASE(connections_are_opened_one_after_the_other_and_used)
{
    int o[3];
    struct rig_conf conf = warm(3);
    PP_REQUIRE(rig_start(&r, &conf));
    pp_loop_stop(&r.w.core.loop, &r.w.core.warming.timer);
    for (unsigned i = 0; i < 3; i++) {
        tick();
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), i + 1);
        o[i] = rig_accept(&r, 0);
    }
    tick();
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 3);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 3);
    int c = rig_connect(&r);
    rig_simple(&r, c, o[2]);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, REUSES), 1);
    rig_sleep(&r, conf.cluster.idle_timeout_ms + 1); /* and nobody opens them again */
    tick();
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 3);
    for (unsigned i = 0; i < 3; i++)
        close(o[i]);
    close(c);
    stop();
}

PP_TEST_CASE(of_many_endpoints_no_more_have_their_turn_than_may)
{
    struct rig_conf conf = warm(2);
    conf.origins = RIG_ORIGINS;
    PP_REQUIRE(rig_start(&r, &conf));
    pp_loop_stop(&r.w.core.loop, &r.w.core.warming.timer);
    tick();
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), RIG_ORIGINS);
    uint32_t left = 1;
    open_some(r.w.core.snapshot->cluster[0], &left);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), RIG_ORIGINS + 1);
    r.w.core.warming.n += PP_UP_WARM_CONNECTING; /* too many hang */
    tick();
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), RIG_ORIGINS + 1);
    r.w.core.warming.n -= PP_UP_WARM_CONNECTING;
    tick();
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 2 * RIG_ORIGINS);
    stop();
}

PP_TEST_CASE(after_a_reload_only_new_endpoints_get_any)
{
    struct rig_conf conf = warm(2);
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    pass(4);
    reload();
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 4);
    r.conf.origins = 1;
    reload();
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 2);
    r.conf.origins = 2;
    reload();
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 6);
    PP_CHECK_EQ(take_all(0), 2);
    PP_CHECK_EQ(take_all(1), 4);
    stop();
}

PP_TEST_CASE(so_does_an_endpoint_that_is_in_use_again)
{
    struct rig_conf conf = warm(2);
    PP_REQUIRE(rig_start(&r, &conf));
    struct pp_endpoint *ep = &r.w.core.snapshot->cluster[0]->endpoint[0];
    pp_cluster_mark(ep, PP_CLUSTER_UNHEALTHY, true);
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 0);
    pp_cluster_tell(ep, PP_CLUSTER_DOWN, true); /* by all workers: seen at the next look */
    pp_cluster_mark(ep, PP_CLUSTER_UNHEALTHY, false);
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 0);
    pp_cluster_tell(ep, PP_CLUSTER_DOWN, false);
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 2);
    pp_cluster_mark(ep, PP_CLUSTER_EJECTED, true);
    pass(1);
    pp_cluster_mark(ep, PP_CLUSTER_EJECTED, false); /* it has not lost them */
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 2);
    PP_CHECK_EQ(take_all(0), 2);
    rig_settle(&r);
    pp_cluster_mark(ep, PP_CLUSTER_EJECTED, true);
    pp_cluster_mark(ep, PP_CLUSTER_EJECTED, false);
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 4);
    stop();
}

PP_TEST_CASE(what_fails_is_counted_and_not_tried_for_ever)
{
    struct rig_conf conf = warm(3);
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    pass(10);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES), 3);
    PP_CHECK_EQ(r.w.core.warming.n, 0);
    stop();
}

PP_TEST_CASE(over_http2_one_connection_is_enough)
{
    static struct o2 o;
    const char *answer = "HTTP/1.1 204 No Content\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    struct rig_conf conf = warm(5);
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    o2_n = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    rig_settle(&r);
    o2_accept(&o, &r, 0);
    o2_settle(&o);
    pass(10);
    o2_settle(&o);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    o2_settle(&o);
    PP_CHECK_EQ(o2_n, 1);
    o2_respond(&o2_streams[0], 204, NULL, true);
    rig_expect(&r, c, answer);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, REUSES), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    close(c);
    o2_close(&o);
    stop();
}

/* An origin that says nothing: the handshake hangs. <multi>: its connections might be of HTTP/2. */
static void hang(bool multi, bool until_late)
{
    struct pp_tls_lib *lib = test_tls_lib();
    struct pp_tls_client *client;
    struct pp_tls_why why;
    struct pp_tls_client_params params = {.verify = false, .alpn = PP_SPAN("\x02h2")};
    PP_CHECK_EQ(pp_tls_client_new(lib, &params, &why, &client), PP_OK);
    struct rig_conf conf = warm(2);
    conf.cluster.tls = client;
    conf.cluster.http2.protocol = multi ? PP_CLUSTER_AUTO : PP_CLUSTER_H1;
    PP_REQUIRE(rig_start(&r, &conf));
    pass(4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), multi ? 1 : 2);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    PP_CHECK_EQ(r.w.core.warming.n, multi ? 0 : 2);
    for (int i = 0; i < 3 && until_late; i++)
        rig_sleep(&r, conf.cluster.connect_timeout_ms + 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES), until_late ? 2 : 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), until_late ? 0 : multi ? 1 : 2);
    stop();
    pp_tls_client_unref(client);
    pp_tls_lib_free(lib);
}

PP_TEST_CASE(handshakes_that_hang_end_in_time_and_with_the_worker)
{
    for (int i = 0; i < 4; i++)
        hang((i & 1) != 0, (i & 2) != 0);
}

PP_TEST_MAIN()
