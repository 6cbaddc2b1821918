// links: base/arena.c base/buf.c base/check.c base/err.c base/hash.c base/map.c base/mem.c
// links: base/metric.c base/num.c base/rng.c base/slab.c base/span.c base/statseg.c base/wheel.c
// links: io/chan_tcp.c io/fd.c io/listener.c io/loop.c io/sink.c io/sock.c io/splice.c
// links: proxy/accesslog.c proxy/body.c proxy/cluster.c proxy/core.c proxy/down.c proxy/down_h1.c
// links: proxy/drive.c proxy/exchange.c proxy/fault.c proxy/forward.c proxy/h1.c proxy/hook.c
// links: proxy/metrics.c proxy/phase.c proxy/pool.c proxy/reply.c proxy/retry.c proxy/snapshot.c
// links: proxy/template.c proxy/up.c proxy/up_h1.c route/balance.c route/balance_rr.c route/cidr.c
// links: route/pattern.c route/radix.c route/router.c route/router_draft.c route/router_explain.c
// links: wire/http1_body.c wire/http1_emit.c wire/http1_head.c wire/http1_line.c wire/http_msg.c
// links: wire/http_rules.c wire/http_tok.c wire/uri.c worker/builder.c
// links: route/radix_build.c
#include "worker/worker.c"

#include "proxy/rig.h"

static struct rig r;

static int lowest_free(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

PP_TEST_CASE(a_worker_may_end_at_once_and_twice)
{
    static struct pp_worker w;
    int before = lowest_free();
    PP_CHECK_EQ(pp_worker_init(&w, NULL, 0, 0, 1), PP_OK);
    PP_CHECK(pp_worker_fd(&w) >= 0);
    PP_CHECK_EQ(pp_worker_run_ready(&w), 0);
    pp_worker_stop_listening(&w);
    pp_worker_drain(&w);
    pp_worker_flush_logs(&w);
    PP_CHECK_EQ(pp_worker_reopen_logs(&w), PP_OK);
    pp_worker_fini(&w);
    pp_worker_fini(&w);
    PP_CHECK_EQ(lowest_free(), before);
}

PP_TEST_CASE(an_end_aborts_everything)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int idle = rig_connect(&r), head = rig_connect(&r), busy = rig_connect(&r);
    int o = rig_simple(&r, idle, -1);
    rig_send(&r, head, "GET ");
    rig_send(&r, busy, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    rig_settle(&r);
    rig_stop(&r);
    close(idle);
    close(head);
    close(busy);
    close(o);
}

PP_TEST_CASE(a_listener_that_is_not_configured_is_refused)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    PP_CHECK_EQ(pp_worker_listen(&r.w, r.door, PP_SPAN("other")), PP_ENOENT);
    PP_CHECK_EQ(pp_worker_listen(&r.w, -1, PP_SPAN("door")), PP_EIO);
    struct pp_builder *b = pp_builder_new();
    struct pp_snapshot *sn;
    struct pp_builder_route fallback = {.upstream = PP_ID_NONE};
    uint32_t id;
    PP_CHECK_EQ(pp_builder_add_route(b, &fallback, &id), PP_OK);
    PP_CHECK_EQ(pp_builder_finish(b, rig_release, NULL, &sn), PP_OK);
    PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_ENOENT); /* its door would have no configuration */
    pp_snapshot_unref(sn);
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(exchanges_end_with_the_snapshot_they_began_with)
{
    struct rig_conf conf = rig_defaults();
    int fd[2];
    char got[256];
    PP_CHECK(pipe(fd) == 0);
    conf.log = "old {route}";
    conf.log_fd = fd[1];
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), idle = rig_connect(&r), o = rig_simple(&r, idle, -1);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    int before = lowest_free();
    long live = 0;
    for (int i = 0; i < 3; i++) {
        r.conf.log = "new {route}";
        r.conf.route.name = PP_SPAN("renamed");
        struct pp_snapshot *sn = rig_snapshot(&r);
        PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
        PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK); /* once more is fine */
        pp_snapshot_unref(sn);
        PP_CHECK(i == 0 ||
                 pp_mem_live_for_test() == live); /* the one before is gone, with its log */
        live = pp_mem_live_for_test();
    }
    PP_CHECK(lowest_free() <= before + 1);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_settle(&r);
    ssize_t n = read(fd[0], got, sizeof got); /* closing the old log wrote it out */
    PP_CHECK(n == 18 && memcmp(got, "old main\nold main\n", 18) == 0);
    rig_expect_quiet(&r,
                     o); /* it may be pooled for a cluster that nobody uses any more, or closed */
    rig_send(&r, c, RIG_GET);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, RIG_GOT);
    rig_send(&r, o2, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    pp_worker_flush_logs(&r.w);
    n = read(fd[0], got, sizeof got);
    PP_CHECK(n == 12 && memcmp(got, "new renamed\n", 12) == 0);
    close(c);
    close(idle);
    close(o);
    close(o2);
    rig_settle(&r);
    rig_stop(&r);
    close(fd[0]);
    close(fd[1]);
}

PP_TEST_CASE(nothing_in_the_accept_queue_is_lost_when_listening_stops)
{
    enum { N = 50 };
    struct rig_conf conf = rig_defaults();
    int c[N];
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < N; i++) {
        c[i] = rig_connect(&r);
        (void)!send(c[i], RIG_GET, strlen(RIG_GET), MSG_NOSIGNAL);
    }
    pp_worker_stop_listening(&r.w);
    PP_CHECK_EQ(r.w.core.n_down, N);
    pp_worker_drain(&r.w);
    for (int i = 0; i < N; i++) {
        rig_expect(&r, c[i], "HTTP/1.1 200 OK\r\n");
        close(c[i]);
    }
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    rig_stop(&r);
}

PP_TEST_CASE(a_log_that_cannot_be_opened_changes_nothing)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    struct pp_snapshot *before = r.w.core.snapshot;
    r.conf.log = "{route}";
    r.conf.log_fd = -1;
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_CHECK(pp_worker_install(&r.w, sn) != PP_OK);
    pp_snapshot_unref(sn);
    PP_CHECK(r.w.core.snapshot == before);
    rig_stop(&r);
}

PP_TEST_CASE(filters_that_fail_are_counted)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    pp_worker_count_filter(&r.w, false);
    pp_worker_count_filter(&r.w, true);
    pp_worker_count_filter(&r.w, true);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, FILTER_ERRORS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, FILTER_TIMEOUTS), 2);
    rig_stop(&r);
}

PP_TEST_MAIN()
