#include "proxy/up_h2.c"

#include "proxy/h2_origin.h"

static struct rig r;
static struct o2 o[4];

static void stop_all(unsigned n_origins, const int *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(c[i]);
    for (unsigned i = 0; i < n_origins; i++)
        o2_close(&o[i]);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_stop(&r);
}

static void connect_all(int *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        c[i] = rig_connect(&r);
        rig_send(&r, c[i], RIG_GET);
    }
}

PP_TEST_CASE(exchanges_share_the_connection_that_is_being_made)
{
    struct rig_conf conf = o2_conf();
    int c[5];
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 5);
    o2_serve(&o[0], &r, 0);
    PP_CHECK_EQ(o2_n, 5);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 5);
    for (unsigned i = 0; i < 5; i++) {
        PP_CHECK(o2_has(&o2_streams[i], "GET", "/") && o2_streams[i].end);
        o2_respond(&o2_streams[i], 200, "hi", true);
    }
    for (unsigned i = 0; i < 5; i++)
        rig_expect(&r, c[i], O2_HI);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    uint64_t reuses = RIG_COUNT(&r, UPSTREAM, REUSES);
    rig_send(&r, c[0], RIG_GET);
    o2_settle(&o[0]);
    PP_CHECK_EQ(o2_n, 6);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, REUSES), reuses + 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    o2_respond(&o2_streams[5], 204, NULL, true);
    rig_expect(&r, c[0], O2_NO_CONTENT);
    stop_all(1, c, 5);
}

PP_TEST_CASE(a_full_connection_gets_a_second_one)
{
    for (int by_peer = 0; by_peer < 2; by_peer++) {
        struct rig_conf conf = o2_conf();
        struct pp_http2_limits limits = {.max_streams = by_peer ? 2 : 100};
        int c[5];
        conf.cluster.http2.max_streams = by_peer ? 100 : 2;
        PP_REQUIRE(rig_start(&r, &conf));
        connect_all(c, 1); /* its SETTINGS are known by the second request */
        o2_limits(&o[0], &r, rig_accept(&r, 0), &limits);
        o2_settle(&o[0]);
        connect_all(c + 1, 4);
        o2_limits(&o[1], &r, rig_accept(&r, 0), &limits);
        if (by_peer) { /* the new connection was believed to have room for all */
            o2_settle(&o[1]);
            o2_settle(&o[0]);
        }
        o2_limits(&o[2], &r, rig_accept(&r, 0), &limits);
        for (unsigned i = 0; i < 3; i++)
            o2_settle(&o[i]);
        PP_CHECK_EQ(o2_n, 5);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 3);
        for (unsigned i = 0; i < 5; i++)
            o2_respond(&o2_streams[i], 200, "hi", true);
        for (unsigned i = 0; i < 5; i++)
            rig_expect(&r, c[i], O2_HI);
        stop_all(3, c, 5);
    }
}

PP_TEST_CASE(a_refused_connect_fails_every_exchange_that_waits)
{
    struct rig_conf conf = o2_conf();
    int c[3];
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    connect_all(c, 3);
    for (unsigned i = 0; i < 3; i++)
        rig_expect_fault(&r, c[i], "502", "connect_refused", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    stop_all(0, c, 3);
}

PP_TEST_CASE(clients_that_leave_while_it_connects_leave_nothing_behind)
{
    struct rig_conf conf = o2_conf();
    int fill[RIG_CLOG], c[2];
    PP_REQUIRE(rig_start(&r, &conf));
    rig_clog(&r, fill);
    connect_all(c, 2);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
    rig_reset(c[0]);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
    rig_reset(c[1]);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    rig_unclog(fill);
    stop_all(0, c, 0);
}

PP_TEST_CASE(a_connect_that_hangs_is_a_504_for_all)
{
    struct rig_conf conf = o2_conf();
    int fill[RIG_CLOG], c[2];
    conf.cluster.connect_timeout_ms = 3000;
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    rig_clog(&r, fill);
    connect_all(c, 2);
    rig_sleep(&r, 3001);
    for (int i = 0; i < 2; i++)
        rig_expect_fault(&r, c[i], "504", "connect_timeout", false);
    rig_unclog(fill);
    stop_all(0, c, 2);
}

PP_TEST_CASE(idle_connections_age_out_with_a_goaway)
{
    struct rig_conf conf = o2_conf();
    int c[1];
    conf.cluster.idle_timeout_ms = 10000;
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 1);
    o2_serve(&o[0], &r, 0);
    o2_respond(&o2_streams[0], 204, NULL, true);
    o2_settle(&o[0]);
    rig_sleep(&r, 9000);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    rig_sleep(&r, 1001);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    o2_step(&o[0]);
    PP_CHECK(o[0].eof);
    PP_CHECK_EQ(o[0].goaway, 1 + PP_HTTP2_NO_ERROR);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 0);
    stop_all(1, c, 1);
}

PP_TEST_CASE(used_up_and_old_connections_end_with_their_last_stream)
{
    for (int age = 0; age < 2; age++) {
        struct rig_conf conf = o2_conf();
        int c[3];
        conf.cluster.max_requests = age ? 0 : 2;
        conf.cluster.max_age_ms = age ? 10000 : 0;
        PP_REQUIRE(rig_start(&r, &conf));
        connect_all(c, 2);
        o2_serve(&o[0], &r, 0);
        if (age)
            rig_sleep(&r, 10001);
        connect_all(c + 2, 1);
        o2_serve(&o[1], &r, 0);
        PP_CHECK(o2_streams[2].o == &o[1]);
        o2_respond(&o2_streams[0], 204, NULL, true);
        o2_settle(&o[0]);
        PP_CHECK(!o[0].eof);
        o2_respond(&o2_streams[1], 204, NULL, true);
        o2_settle(&o[0]);
        PP_CHECK(o[0].eof && o[0].goaway != 0);
        stop_all(2, c, 3);
    }
}

PP_TEST_CASE(goaway_lets_running_streams_end_and_sends_new_ones_elsewhere)
{
    struct rig_conf conf = o2_conf();
    int c[2];
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 1);
    o2_serve(&o[0], &r, 0);
    pp_http2_codec_goaway(o[0].codec, false, PP_HTTP2_NO_ERROR);
    o2_settle(&o[0]);
    connect_all(c + 1, 1);
    o2_serve(&o[1], &r, 0);
    PP_CHECK(o2_n == 2 && o2_streams[1].o == &o[1]);
    o2_respond(&o2_streams[0], 204, NULL, true);
    rig_expect(&r, c[0], O2_NO_CONTENT);
    o2_settle(&o[0]);
    PP_CHECK(o[0].eof);
    stop_all(2, c, 2);
}

PP_TEST_CASE(requests_above_a_goaway_are_sent_again_whatever_their_method)
{
    struct rig_conf conf = o2_conf();
    int c[2];
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 1);
    o2_serve(&o[0], &r, 0);
    pp_http2_codec_goaway(o[0].codec, false, PP_HTTP2_NO_ERROR); /* crosses the next request */
    o2_flush(&o[0]);
    c[1] = rig_connect(&r);
    rig_send(&r, c[1], "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    o2_serve(&o[1], &r, 0);
    PP_CHECK(o2_n == 2 && o2_has(&o2_streams[1], "POST", "/x") && o2_streams[1].o == &o[1]);
    stop_all(2, c, 2);
}

PP_TEST_CASE(refused_requests_are_sent_again_a_few_times)
{
    struct rig_conf conf = o2_conf();
    int c[2];
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    c[0] = rig_connect(&r);
    rig_send(&r, c[0], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    o2_accept(&o[0], &r, 0);
    o[0].refuses = true;
    for (int i = 0; i < 8; i++)
        o2_settle(&o[0]);
    rig_expect_fault(&r, c[0], "503", "upstream_refused", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, REFUSED), 5);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), PP_RETRY_REPLAYS);
    o[0].refuses = false;
    rig_send(&r, c[0], RIG_GET);
    o2_settle(&o[0]);
    PP_CHECK_EQ(o2_n, 1);
    stop_all(1, c, 1);
}

PP_TEST_CASE(a_connection_that_breaks_fails_its_streams_and_nothing_else)
{
    struct rig_conf conf = o2_conf();
    int c[3];
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 3);
    o2_serve(&o[0], &r, 0);
    o2_respond(&o2_streams[0], 200, "hi", false);
    rig_expect(&r, c[0],
               "HTTP/1.1 200 OK\r\n" O2_DATE "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    rig_reset(o[0].fd);
    o[0].fd = -1;
    rig_expect_reset(&r, c[0]); /* half an answer must not look whole */
    for (int i = 1; i < 3; i++)
        rig_expect_fault(&r, c[i], "502", "upstream_reset", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    rig_send(&r, c[1], RIG_GET);
    o2_serve(&o[1], &r, 0);
    PP_CHECK_EQ(o2_n, 4);
    stop_all(2, c, 3);
}

PP_TEST_CASE(reused_connections_that_die_in_silence_are_tried_again)
{
    struct rig_conf conf = o2_conf();
    int c[2];
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 1);
    o2_serve(&o[0], &r, 0);
    o2_respond(&o2_streams[0], 204, NULL, true);
    o2_settle(&o[0]);
    connect_all(c + 1, 1);
    rig_settle(&r);
    rig_reset(o[0].fd);
    o[0].fd = -1;
    o2_serve(&o[1], &r, 0);
    PP_CHECK(o2_n == 2 && o2_streams[1].o == &o[1]);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), 1);
    stop_all(2, c, 2);
}

PP_TEST_CASE(an_endpoint_that_speaks_something_else_is_a_502)
{
    struct rig_conf conf = o2_conf();
    int c[2];
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 2);
    int fd = rig_accept(&r, 0);
    rig_send(&r, fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    for (int i = 0; i < 2; i++)
        rig_expect_fault(&r, c[i], "502", "upstream_bad_response", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    close(fd);
    stop_all(0, c, 2);
}

PP_TEST_CASE(an_endpoint_that_reads_nothing_is_given_up)
{
    struct rig_conf conf = o2_conf();
    static char body[65536];
    int c[1];
    conf.origin_rcvbuf = 4096;
    conf.cluster.send_timeout_ms = 5000;
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    c[0] = rig_connect(&r);
    rig_send(&r, c[0], "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    o2_serve(&o[0], &r, 0); /* its window is open; from now on it reads nothing */
    for (int i = 0; i < 200; i++) {
        (void)!send(c[0], body, sizeof body, MSG_NOSIGNAL);
        rig_turn(&r, 0);
    }
    rig_sleep(&r, 5001);
    rig_expect_fault(&r, c[0], "504", "upstream_send_timeout", true);
    stop_all(1, c, 1);
}

PP_TEST_CASE(idle_connections_are_closed_when_their_cluster_is_forgotten)
{
    struct rig_conf conf = o2_conf();
    int c[2];
    conf.cluster.http2.max_streams = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    connect_all(c, 2);
    o2_accept(&o[0], &r, 0);
    o2_accept(&o[1], &r, 0);
    o2_settle(&o[0]);
    o2_settle(&o[1]);
    PP_REQUIRE(o2_n == 2);
    o2_respond(&o2_streams[0], 204, NULL, true);
    struct o2 *idle = o2_streams[0].o, *busy = o2_streams[1].o;
    o2_settle(idle);
    r.conf.cluster.limits.fields++; /* else they would be carried over */
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL && pp_worker_install(&r.w, sn) == PP_OK);
    pp_snapshot_unref(sn);
    o2_settle(idle);
    o2_settle(busy);
    PP_CHECK(idle->eof && !busy->eof);
    o2_respond(&o2_streams[1], 204, NULL, true);
    o2_settle(busy);
    PP_CHECK(busy->eof);
    stop_all(2, c, 2);
}

/* Memory runs out at the <n>-th allocation of the proxy, while the request goes out or (<late>)
 * while the answer comes back: whatever fails, the next request is served. True when the first one
 * was, too. */
static bool without_memory(long n, bool late)
{
    struct rig_conf conf = o2_conf();
    static char got[4096];
    conf.cluster.retries = 0;
    if (!rig_start(&r, &conf))
        return true;
    int c = rig_connect(&r);
    rig_settle(&r);
    if (!late)
        pp_mem_fail_after_for_test(n);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    rig_settle(&r);
    pp_mem_fail_after_for_test(-1);
    int fd = rig_try_accept(&r, 0, 50);
    unsigned n_origins = fd >= 0;
    if (fd >= 0) {
        struct pp_http2_limits limits = {0};
        o2_limits(&o[0], &r, fd, &limits);
        o2_settle(&o[0]);
    }
    if (o2_n == 1) {
        if (late)
            pp_mem_fail_after_for_test(-1);
        o2_respond(&o2_streams[0], 200, "hello", false);
        o2_more(&o2_streams[0], "you", true);
        if (late)
            pp_mem_fail_after_for_test(n);
        rig_settle(&r);
        pp_mem_fail_after_for_test(-1);
    }
    rig_settle(&r);
    ssize_t k = recv(c, got, sizeof got - 1, 0);
    got[PP_MAX(k, 0)] = '\0';
    bool fine = strncmp(got, "HTTP/1.1 200 OK", 15) == 0 && strstr(got, "you") != NULL;
    unsigned before = o2_n;
    int again = rig_connect(&r);
    rig_send(&r, again, RIG_GET);
    rig_settle(&r);
    fd = rig_try_accept(&r, 0, 20);
    struct o2 *at = &o[0];
    if (fd >= 0) {
        struct pp_http2_limits limits = {0};
        at = &o[n_origins++];
        o2_limits(at, &r, fd, &limits);
    }
    o2_settle(at);
    PP_CHECK_EQ(o2_n, before + 1);
    close(c);
    stop_all(n_origins, &again, 1);
    return fine;
}

PP_TEST_CASE(memory_that_runs_out_costs_a_connection_and_no_more)
{
    for (int late = 0; late < 2; late++) {
        bool fine = false;
        for (long n = 0; n < 200 && !fine; n++)
            fine = without_memory(n, late);
        PP_CHECK(fine);
    }
}

PP_TEST_MAIN()
