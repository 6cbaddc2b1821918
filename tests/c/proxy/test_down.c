#include "proxy/down.c"

#include "proxy/rig.h"

static struct rig r;

static void stop_all(int c, int o)
{
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    rig_stop(&r);
}

PP_TEST_CASE(an_idle_connection_is_closed_in_time)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.idle_timeout_ms = 10000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_sleep(&r, 9000);
    rig_simple(&r, c, o);
    rig_sleep(&r, 9000);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 1001);
    rig_expect_eof(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 0);
    stop_all(c, o);
}

PP_TEST_CASE(a_connection_that_never_says_anything_is_closed_in_time)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.header_timeout_ms = 10000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    rig_sleep(&r, 10001);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    stop_all(c, -1);
}

PP_TEST_CASE(a_slow_head_is_a_408)
{
    for (int second = 0; second < 2; second++) {
        struct rig_conf conf = rig_defaults();
        conf.listener.header_timeout_ms = 10000;
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = second ? rig_simple(&r, c, -1) : -1;
        rig_send(&r, c, "GET / HT");
        rig_sleep(&r, 5000);
        rig_send(&r, c, "TP/1.1\r\nX: ");
        rig_sleep(&r, 4000);
        rig_expect_quiet(&r, c);
        rig_sleep(&r, 1001); /* dripping bytes do not help */
        rig_expect_fault(&r, c, "408", "header_timeout", true);
        PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 1);
        rig_expect_eof(&r, c);
        stop_all(c, o);
    }
}

static int start_upload(struct rig_conf *conf, int *c)
{
    if (!rig_start(&r, conf))
        return -1;
    *c = rig_connect(&r);
    rig_send(&r, *c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nab");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 1000000\r\n\r\nab");
    return o;
}

PP_TEST_CASE(a_body_that_stops_is_a_408)
{
    struct rig_conf conf = rig_defaults();
    int c;
    conf.listener.body_timeout_ms = 10000;
    conf.cluster.first_byte_timeout_ms = 1000; /* does not run before the body is whole */
    int o = start_upload(&conf, &c);
    PP_REQUIRE(o >= 0);
    for (int i = 0; i < 3; i++) {
        rig_sleep(&r, 9000);
        rig_send(&r, c, "x");
        rig_expect(&r, o, "x");
    }
    rig_sleep(&r, 9000);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 10001); /* looked at every ten seconds */
    rig_expect_fault(&r, c, "408", "body_timeout", true);
    rig_expect_eof(&r, o);
    rig_expect_eof(&r, c);
    stop_all(c, o);
}

PP_TEST_CASE(a_body_slower_than_the_minimum_is_a_408)
{
    struct rig_conf conf = rig_defaults();
    int c;
    conf.listener.body_min_rate = 10;
    int o = start_upload(&conf, &c);
    PP_REQUIRE(o >= 0);
    for (int i = 0; i < 6; i++) { /* 20 a second */
        rig_send(&r, c, "01234567890123456789012345678901234567890123456789");
        rig_sleep(&r, 2500);
    }
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    for (int i = 0; i < 20 && r.w.core.n_exchange == 1; i++) { /* one every two seconds */
        rig_send(&r, c, "0");
        rig_sleep(&r, 2000);
    }
    rig_expect_fault(&r, c, "408", "body_timeout", true);
    stop_all(c, o);
}

PP_TEST_CASE(a_slow_origin_is_not_held_against_the_client)
{
    struct rig_conf conf = rig_defaults();
    int c;
    conf.listener.body_timeout_ms = 10000;
    conf.listener.body_min_rate = 1000;
    conf.cluster.send_timeout_ms = 1000000;
    conf.origin_rcvbuf = 4096;
    int o = start_upload(&conf, &c);
    PP_REQUIRE(o >= 0);
    static char out[65536];
    for (int quiet = 0; quiet < 50;) {
        ssize_t k = send(c, out, sizeof out, MSG_NOSIGNAL);
        quiet = k > 0 ? 0 : quiet + 1;
        rig_turn(&r, 1);
        if (k > 0 && RIG_COUNT(&r, LISTENER, BYTES_IN) > 900000)
            break;
    }
    if (r.w.core.n_exchange == 1 &&
        RIG_COUNT(&r, LISTENER, BYTES_IN) < 900000) { /* the origin's buffer was the limit */
        rig_sleep(&r, 30000);
        PP_CHECK_EQ(r.w.core.n_exchange, 1);
    }
    stop_all(c, o);
}

PP_TEST_CASE(a_connection_over_the_limit_waits_in_the_queue)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.max_connections = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int a = rig_connect(&r), b = rig_connect(&r), c = rig_connect(&r);
    int o = rig_simple(&r, a, -1);
    rig_simple(&r, b, o);
    rig_send(&r, c, RIG_GET);
    rig_expect_quiet(&r, c);
    PP_CHECK_EQ(r.w.core.n_down, 2);
    close(a);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    close(b);
    stop_all(c, o);
}

PP_TEST_CASE(draining_closes_idle_connections_and_lets_the_others_end)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int idle = rig_connect(&r), busy = rig_connect(&r), late = rig_connect(&r),
        fresh = rig_connect(&r);
    int o = rig_simple(&r, idle, -1);
    rig_simple(&r, late, o);
    rig_send(&r, busy, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    PP_CHECK(send(late, RIG_GET, strlen(RIG_GET), 0) > 0); /* on the wire as the drain begins */
    pp_worker_drain(&r.w, 0);
    rig_expect_eof(&r, idle);
    rig_expect_eof(&r, fresh);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, busy,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    rig_expect_eof(&r, busy);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, RIG_GOT);
    rig_send(&r, o2, RIG_HI);
    rig_expect(&r, late,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    rig_expect_eof(&r, late);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    close(o2);
    close(idle);
    close(busy);
    close(fresh);
    stop_all(late, o);
}

PP_TEST_CASE(a_client_that_still_sends_gets_to_see_its_answer)
{
    static char out[65536];
    struct rig_conf conf = rig_defaults();
    conf.route.max_body = 10;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    for (int i = 0; i < 4; i++)
        PP_CHECK(rig_send_n(&r, c, out, sizeof out));
    rig_expect_fault(&r, c, "413", "body_too_large", true);
    rig_expect_eof(&r, c);
    PP_CHECK_EQ(r.w.core.n_down, 1); /* lingers */
    PP_CHECK(rig_send_n(&r, c, out, 1000));
    rig_sleep(&r, LINGER_MS + 1);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    stop_all(c, -1);
}

PP_TEST_CASE(lingering_ends_with_the_client_and_at_its_limit)
{
    static char out[65536];
    for (int flood = 0; flood < 2; flood++) {
        struct rig_conf conf = rig_defaults();
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r);
        rig_send(&r, c, "nonsense\r\n");
        rig_expect_fault(&r, c, "400", "bad_target", true);
        PP_CHECK_EQ(r.w.core.n_down, 1);
        for (int i = 0; i < 100 && flood && r.w.core.n_down > 0; i++)
            (void)rig_send_n(&r, c, out, sizeof out);
        if (!flood)
            shutdown(c, SHUT_WR);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_down, 0);
        stop_all(c, -1);
    }
}

PP_TEST_CASE(a_last_answer_that_the_client_does_not_take_is_given_up)
{
    static char body[2000000];
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.route.body = pp_span(body, sizeof body);
    conf.listener.send_timeout_ms = 10000;
    conf.door_sndbuf = 16384;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_dial(&r, 4096, 0);
    rig_send(&r, c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_sleep(&r, 5000);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    char got[300000];
    int end;
    PP_CHECK_EQ(rig_read(&r, c, got, sizeof got, &end), sizeof got);
    rig_sleep(&r, 6000); /* progress counts */
    PP_CHECK_EQ(r.w.core.n_down, 1);
    rig_sleep(&r, 10001);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 1);
    stop_all(c, -1);
}

PP_TEST_MAIN()
