#include "io/chan.h"

static unsigned writes;
#define pp_chan_writev(ch, iov, n, sent) (writes++, pp_chan_writev((ch), (iov), (n), (sent)))
#include "proxy/down_h2.c"
#undef pp_chan_writev

#include "h2_client.h"

static struct rig r;
static struct h2_client c;

static bool begin(const struct rig_conf *conf)
{
    return rig_start(&r, conf) && h2_start(&c, &r, NULL);
}

/* The same, and a first request has got as far as the origin, at *o. */
static bool begin_asked(const struct rig_conf *conf, int *o)
{
    if (!begin(conf))
        return false;
    h2_get(&c, "/");
    *o = rig_accept(&r, 0);
    return true;
}

static void finish(void)
{
    h2_stop(&c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    rig_stop(&r);
}

static void finish_with(int o1, int o2)
{
    finish();
    close(o1);
    close(o2);
}

static void answer(int o)
{
    rig_expect(&r, o, H2_GOT);
    rig_send(&r, o, RIG_HI);
}

/* ---- beginning ---- */

PP_TEST_CASE(a_preface_may_come_in_pieces_of_any_size)
{
    static const size_t steps[] = {0, 1, 5, 23, 24, 25};
    for (size_t i = 0; i < PP_COUNT_OF(steps); i++) {
        struct rig_conf conf = rig_defaults();
        PP_REQUIRE(begin(&conf));
        c.step = steps[i];
        h2_get(&c, "/");
        int o = rig_accept(&r, 0);
        answer(o);
        h2_hear(&c, "1 data \"hi\" end\n");
        PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, HTTP2_CONNECTIONS), 1);
        PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, HTTP2_STREAMS), 1);
        finish();
        close(o);
    }
}

PP_TEST_CASE(what_only_begins_like_a_preface_is_http_1)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int fd = rig_connect(&r);
    rig_send(&r, fd, "PRI");
    rig_settle(&r);
    rig_send(&r, fd, "NT / HTTP/1.1\r\nHost: a\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "PRINT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, fd, RIG_HI);
    close(fd);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(a_preface_that_does_not_end_is_closed_after_the_header_timeout)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int fd = rig_connect(&r);
    rig_send(&r, fd, "PRI * HTTP/2.0\r\n\r\nSM");
    rig_sleep(&r, conf.listener.header_timeout_ms);
    rig_expect_eof(&r, fd);
    close(fd);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(a_listener_may_speak_http_1_only)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.no_http2 = true;
    PP_REQUIRE(rig_start(&r, &conf));
    int fd = rig_connect(&r);
    rig_send(&r, fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    rig_expect_fault(&r, fd, "505 ", "bad_version", true);
    close(fd);
    rig_settle(&r);
    rig_stop(&r);
}

/* ---- many at once ---- */

PP_TEST_CASE(many_requests_run_at_once_and_are_answered_in_any_order)
{
    enum { N = 64 };
    struct rig_conf conf = rig_defaults();
    int o[N];
    PP_REQUIRE(begin(&conf));
    for (int i = 0; i < N; i++)
        h2_get(&c, "/");
    for (int i = 0; i < N; i++)
        o[i] = rig_accept(&r, 0);
    PP_CHECK_EQ(r.w.core.n_exchange, N);
    for (int i = N - 1; i >= 0; i--)
        rig_expect(&r, o[i], H2_GOT);
    for (int i = N - 1; i >= 0; i--)
        rig_send_n(&r, o[i], RIG_HI, strlen(RIG_HI));
    h2_settle(&c);
    for (int i = 0; i < N; i++) {
        PP_CHECK_EQ(c.p.streams[i].got, 2);
        PP_CHECK(c.p.streams[i].s.received_end);
        close(o[i]);
    }
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    finish();
}

PP_TEST_CASE(answers_of_one_turn_leave_in_one_call)
{
    enum { N = 32 };
    struct rig_conf conf = rig_defaults();
    int o[N];
    PP_REQUIRE(begin(&conf));
    for (int i = 0; i < N; i++)
        h2_get(&c, "/");
    for (int i = 0; i < N; i++)
        o[i] = rig_accept(&r, 0);
    rig_settle(&r);
    for (int i = 0; i < N; i++) /* not rig_send, which turns */
        PP_CHECK_EQ(send(o[i], RIG_HI, strlen(RIG_HI), MSG_NOSIGNAL), strlen(RIG_HI));
    writes = 0;
    while (r.w.core.n_exchange > 0)
        rig_turn(&r, 1);
    PP_CHECK(writes <= 2);
    h2_settle(&c);
    for (int i = 0; i < N; i++) {
        PP_CHECK_EQ(c.p.streams[i].got, 2);
        close(o[i]);
    }
    finish();
}

PP_TEST_CASE(a_client_that_resets_a_stream_aborts_that_exchange_only)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(begin(&conf));
    struct peer_stream *one = h2_get(&c, "/");
    int o1 = rig_accept(&r, 0);
    h2_get(&c, "/");
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o1, H2_GOT);
    pp_http2_codec_reset(&one->s, PP_HTTP2_CANCEL);
    h2_settle(&c);
    rig_expect_eof(&r, o1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, HTTP2_RESETS_IN), 1);
    answer(o2);
    h2_hear(&c, "3 data \"hi\" end\n");
    finish_with(o1, o2);
}

PP_TEST_CASE(a_client_that_closes_ends_all_of_its_exchanges)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(begin(&conf));
    h2_get(&c, "/");
    h2_get(&c, "/");
    int o1 = rig_accept(&r, 0), o2 = rig_accept(&r, 0);
    h2_stop(&c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    rig_stop(&r);
    close(o1);
    close(o2);
}

/* ---- ends ---- */

PP_TEST_CASE(a_worker_that_drains_says_so_twice_and_loses_no_request)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(begin(&conf));
    h2_get(&c, "/");
    int o1 = rig_accept(&r, 0);
    rig_expect(&r, o1, H2_GOT);
    pp_move_drain(&r.w.core, 0);
    rig_turn(&r, 0);
    h2_get(&c, "/"); /* sent before the client has heard of it */
    int o2 = rig_accept(&r, 0);
    h2_hear(&c, "goaway 0 last 2147483647\n");
    h2_hear(&c, "goaway 0 last 3\n");
    answer(o2);
    h2_hear(&c, "3 data \"hi\" end\n");
    rig_send(&r, o1, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n");
    h2_expect_end(&c);
    finish_with(o1, o2);
}

PP_TEST_CASE(the_second_step_comes_without_an_answer_too)
{
    struct rig_conf conf = rig_defaults();
    int o;
    PP_REQUIRE(begin_asked(&conf, &o));
    answer(o);
    h2_hear(&c, "1 data \"hi\" end\n");
    c.deaf = true;
    pp_move_drain(&r.w.core, 0);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    rig_sleep(&r, PP_DOWN_H2_NOTICE_MS);
    c.deaf = false;
    h2_expect_end(&c);
    finish();
    close(o);
}

PP_TEST_CASE(a_connection_without_streams_ends_after_the_idle_timeout)
{
    struct rig_conf conf = rig_defaults();
    int o;
    PP_REQUIRE(begin_asked(&conf, &o));
    rig_sleep(&r, 2 * conf.listener.idle_timeout_ms / 3); /* of the exchange, which is not idle */
    answer(o);
    h2_hear(&c, "1 data \"hi\" end\n");
    rig_sleep(&r, conf.listener.idle_timeout_ms - 1000);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    rig_sleep(&r, 1000);
    h2_hear(&c, "goaway 0 last 1\n");
    h2_expect_end(&c);
    finish();
    close(o);
}

PP_TEST_CASE(the_last_request_of_a_connection_is_answered)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.max_requests = 2;
    PP_REQUIRE(begin(&conf));
    h2_get(&c, "/");
    int o1 = rig_accept(&r, 0);
    h2_get(&c, "/");
    int o2 = rig_accept(&r, 0);
    h2_hear(&c, "goaway 0 last 3\n");
    answer(o1);
    answer(o2);
    h2_expect_end(&c);
    PP_CHECK_EQ(c.p.streams[0].got, 2);
    PP_CHECK_EQ(c.p.streams[1].got, 2);
    finish_with(o1, o2);
}

PP_TEST_CASE(a_head_that_does_not_end_is_late)
{
    /* HEADERS without END_HEADERS: 0x82 is ":method: GET" */
    static const char part[] = "\0\0\1\1\0\0\0\0\1\x82";
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(begin(&conf));
    h2_settle(&c);
    PP_CHECK(rig_send_n(&r, c.fd, part, sizeof part - 1));
    rig_sleep(&r, conf.listener.header_timeout_ms - 1000);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    rig_sleep(&r, 2000);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    h2_expect_end(&c);
    finish();
}

static int park(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return PP_PARK;
}

/* The log filter of a request that came too late is at work when the rest of it comes. */
static void late_rest(const char *rest, size_t n)
{
    static const char begins[] = "\0\0\x03\x01\x01\0\0\0\x01\x82\x86\x84"; /* GET http / */
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_LOG;
    conf.listener.http2.head_bytes = 100;
    PP_REQUIRE(begin(&conf));
    r.filter[0].run = park;
    h2_settle(&c);
    PP_CHECK(rig_send_n(&r, c.fd, begins, sizeof begins - 1));
    rig_sleep(&r, conf.listener.header_timeout_ms);
    PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
    PP_CHECK(rig_send_n(&r, c.fd, rest, n));
    rig_settle(&r);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 1);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(rig_try_accept(&r, 0, 50), -1);
    finish();
}

PP_TEST_CASE(a_head_that_ends_too_late_begins_nothing)
{
    static const char whole[] = "\0\0\x08\x09\x04\0\0\0\x01\x41\x06"
                                "a.test";
    static const char large[] = "\0\0\x2b\x09\x04\0\0\0\x01\x41\x06"
                                "a.test"
                                "\0\x03"
                                "x-y"
                                "\x1d"
                                "01234567890123456789012345678";
    PP_CHECK_EQ(sizeof large - 1, 9 + 0x2b);
    late_rest(whole, sizeof whole - 1);
    late_rest(large, sizeof large - 1);
}

PP_TEST_CASE(a_closed_connection_plans_nothing)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(begin(&conf));
    h2_settle(&c);
    struct pp_down *d = PP_CONTAINER_OF(r.w.core.downs.next, struct pp_down, link);
    pp_down_close(d, false);
    pp_down_h2_plan(d);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    finish();
}

PP_TEST_CASE(a_mistake_of_the_client_ends_its_connection_with_its_exchanges)
{
    static const char data_on_0[] = "\0\0\1\0\0\0\0\0\0x";
    struct rig_conf conf = rig_defaults();
    int o;
    PP_REQUIRE(begin_asked(&conf, &o));
    rig_expect(&r, o, H2_GOT);
    PP_CHECK(rig_send_n(&r, c.fd, data_on_0, sizeof data_on_0 - 1));
    h2_hear(&c, "goaway 1 last");
    h2_expect_end(&c);
    rig_expect_eof(&r, o);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, HTTP2_ERRORS), 1);
    finish();
    close(o);
}

PP_TEST_CASE(a_flood_is_counted_by_its_name)
{
    static const char ping[] = "\0\0\10\6\0\0\0\0\0pingping";
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(begin(&conf));
    h2_settle(&c);
    for (int i = 0; i < 2000; i++)
        (void)!send(c.fd, ping, sizeof ping - 1, MSG_NOSIGNAL);
    h2_hear(&c, "goaway 11 last");
    h2_expect_end(&c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, HTTP2_FLOOD_PING), 1);
    finish();
}

PP_TEST_CASE(a_client_that_takes_nothing_is_cut_off)
{
    static char many[1 << 20];
    struct rig_conf conf = rig_defaults();
    static const struct pp_http2_limits wide = {.stream_window = 1 << 24,
                                                .connection_window = 1 << 24};
    conf.door_sndbuf = 4096;
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&c, &r, &wide));
    h2_settle(&c);
    h2_get(&c, "/");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, H2_GOT);
    c.deaf = true;
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        (void)!send(o, many, sizeof many, MSG_NOSIGNAL);
        rig_turn(&r, 0);
    }
    rig_settle(&r);
    PP_CHECK(r.w.core.chunk_slab.n_live * (uint32_t)PP_BUF_CHUNK_BYTES < 400000);
    rig_sleep(&r, conf.listener.send_timeout_ms);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    finish();
    close(o);
}

PP_TEST_CASE(a_worker_that_stops_cuts_all_off)
{
    struct rig_conf conf = rig_defaults();
    int o;
    PP_REQUIRE(begin_asked(&conf, &o));
    pp_down_cut_all(&r.w.core);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    finish();
    close(o);
}

PP_TEST_MAIN()
