#include "proxy/up_stream_tunnel.c"

#include "extended_client.h"
#include "proxy/h2_origin.h"

#define MANY ((size_t)1 << 20)
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ASK                                                                                        \
    "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n" KEY           \
    "Sec-WebSocket-Version: 13\r\nX-A: b\r\n\r\n"
#define SWITCHED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"                  \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"                                       \
    "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"

static struct rig r;
static struct o2 o;
static struct o2_stream *s; /* the tunnel, as the endpoint sees it */
static int c;
static char big[MANY];

static struct rig_conf tunnel_conf(void)
{
    struct rig_conf conf = ext_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    conf.cluster.retries = 0;
    for (size_t i = 0; i < MANY; i++)
        big[i] = rig_byte(i);
    o2_n = 0;
    c = -1;
    memset(&o, 0, sizeof o);
    return conf;
}

/* The endpoint takes the connection that is waiting, and says what it allows. */
static void endpoint(bool welcome, uint32_t window)
{
    struct pp_http2_limits limits = {.connect_protocol = welcome, .stream_window = window};
    o2_limits(&o, &r, rig_accept(&r, 0), &limits);
    o2_settle(&o);
}

/* A WebSocket of a client of HTTP/1. */
static bool join_with(const struct rig_conf *conf, uint32_t window)
{
    if (!rig_start(&r, conf))
        return false;
    c = rig_connect(&r);
    rig_send(&r, c, ASK);
    endpoint(true, window);
    if (o2_n != 1)
        return false;
    s = &o2_streams[0];
    o2_respond(s, 200, NULL, false);
    rig_expect(&r, c, SWITCHED);
    return true;
}

static bool join(void)
{
    struct rig_conf conf = tunnel_conf();
    return join_with(&conf, 0);
}

static void done(void)
{
    if (c >= 0)
        close(c);
    if (o.codec != NULL)
        o2_close(&o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.up_stream_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.chunk_slab.n_live, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_stop(&r);
}

static bool has_field(const char *name)
{
    return pp_http_msg_find(&s->request, rig_span(name)) != NULL;
}

PP_TEST_CASE(bytes_pass_both_ways_and_each_direction_ends_by_itself)
{
    PP_REQUIRE(join());
    PP_CHECK(o2_has(s, "CONNECT", "/chat") && !s->end);
    PP_CHECK_STR(s->request.protocol, "websocket");
    PP_CHECK(has_field("x-a") && has_field("sec-websocket-version"));
    PP_CHECK(!has_field("sec-websocket-key") && !has_field("upgrade"));
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 1);
    rig_send(&r, c, "ping");
    o2_settle(&o);
    PP_CHECK_STR(pp_span(s->body, s->n), "ping");
    o2_more(s, "pong", false);
    rig_expect(&r, c, "pong");
    rig_send(&r, c, "last");
    shutdown(c, SHUT_WR);
    o2_settle(&o);
    PP_CHECK_STR(pp_span(s->body, s->n), "pinglast");
    PP_CHECK(s->end && !s->reset);
    o2_more(s, "more", true);
    rig_expect(&r, c, "more");
    rig_expect_eof(&r, c);
    o2_settle(&o);
    PP_CHECK(!s->reset && !o.eof);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1); /* the connection goes on */
    done();
}

PP_TEST_CASE(the_end_of_the_endpoint_comes_first)
{
    PP_REQUIRE(join());
    o2_more(s, "bye", true);
    rig_expect(&r, c, "bye");
    rig_expect_eof(&r, c);
    rig_send(&r, c, "one more");
    shutdown(c, SHUT_WR);
    o2_settle(&o);
    PP_CHECK_STR(pp_span(s->body, s->n), "one more");
    PP_CHECK(s->end && !s->reset);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(an_endpoint_that_has_said_everything_may_want_no_more)
{
    PP_REQUIRE(join());
    o2_more(s, "bye", true);
    pp_http2_codec_reset(&s->s, PP_HTTP2_NO_ERROR);
    o2_flush(&o);
    rig_expect(&r, c, "bye");
    rig_expect_eof(&r, c);
    shutdown(c, SHUT_WR);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(bytes_beside_the_heads_belong_to_the_tunnel)
{
    struct rig_conf conf = tunnel_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    c = rig_connect(&r);
    rig_send(&r, c, ASK "early");
    endpoint(true, 0);
    PP_REQUIRE(o2_n == 1);
    s = &o2_streams[0];
    PP_CHECK_EQ(s->n, 0); /* not before the endpoint has agreed */
    o2_respond(s, 200, "late", false);
    rig_expect(&r, c, SWITCHED "late");
    o2_settle(&o);
    PP_CHECK_STR(pp_span(s->body, s->n), "early");
    done();
}

/* Clients of HTTP/2 are the same to an endpoint, and any 2xx agrees. */
PP_TEST_CASE(from_stream_to_stream)
{
    static struct h2_client h;
    struct rig_conf conf = tunnel_conf();
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&h, &r, NULL));
    struct peer_stream *p = ext_ask(&h, "websocket", false);
    endpoint(true, 0);
    PP_REQUIRE(o2_n == 1 && p != NULL);
    s = &o2_streams[0];
    PP_CHECK(o2_has(s, "CONNECT", "/chat") && !has_field("sec-websocket-key"));
    o2_respond(s, 204, NULL, false);
    h2_hear(&h, "1 response 200");
    h2_data(&h, p, PP_SPAN("ping"), false);
    o2_settle(&o);
    PP_CHECK_STR(pp_span(s->body, s->n), "ping");
    o2_more(s, "pong", false);
    h2_hear(&h, "1 data \"pong\"");
    pp_http2_codec_reset(&p->s, PP_HTTP2_CANCEL);
    h2_settle(&h);
    o2_settle(&o);
    PP_CHECK(s->reset && s->code == PP_HTTP2_CANCEL && !o.eof);
    h2_stop(&h);
    done();
}

PP_TEST_CASE(tunnels_and_requests_share_a_connection)
{
    PP_REQUIRE(join());
    int other = rig_connect(&r), page = rig_connect(&r);
    rig_sleep(&r, 5000); /* silence is no reason for another one */
    rig_send(&r, other, ASK);
    rig_send(&r, page, RIG_GET);
    o2_settle(&o);
    PP_CHECK_EQ(o2_n, 3);
    o2_respond(&o2_streams[2], 200, "hi", true);
    o2_respond(&o2_streams[1], 200, NULL, false);
    rig_expect(&r, other, SWITCHED);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    close(other);
    close(page);
    done();
}

PP_TEST_CASE(a_refusal_is_a_response)
{
    struct rig_conf conf = tunnel_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    c = rig_connect(&r);
    rig_send(&r, c, ASK);
    endpoint(true, 0);
    PP_REQUIRE(o2_n == 1);
    o2_respond(&o2_streams[0], 403, "no", true);
    rig_expect(&r, c,
               "HTTP/1.1 403 Forbidden\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
               "Content-Length: 2\r\n\r\nno");
    o2_settle(&o);
    PP_CHECK(o2_streams[0].reset && !o.eof);
    done();
}

/* ---- endpoints that know no extended CONNECT ---- */

PP_TEST_CASE(without_it_an_upgrade_is_an_ordinary_request)
{
    struct rig_conf conf = tunnel_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    c = rig_connect(&r);
    for (unsigned i = 0; i < 2; i++) { /* waiting for SETTINGS, and knowing them */
        rig_send(&r, c, ASK);
        if (i == 0)
            endpoint(false, 0);
        o2_settle(&o);
        PP_REQUIRE(o2_n == i + 1);
        s = &o2_streams[i];
        PP_CHECK(o2_has(s, "GET", "/chat") && s->end && s->request.protocol.n == 0);
        PP_CHECK(has_field("sec-websocket-key") && !has_field("upgrade"));
        o2_respond(s, 426, "no", true);
        rig_expect(&r, c,
                   "HTTP/1.1 426 Upgrade Required\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                   "Content-Length: 2\r\n\r\nno");
    }
    done();
}

PP_TEST_CASE(without_it_a_client_of_http_2_gets_an_error)
{
    static struct h2_client h;
    struct rig_conf conf = tunnel_conf();
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&h, &r, NULL));
    ext_ask(&h, "websocket", false);
    endpoint(false, 0);
    h2_hear(&h, "1 response 502");
    ext_ask(&h, "websocket", false);
    h2_hear(&h, "3 response 502");
    PP_CHECK_EQ(o2_n, 0);
    h2_stop(&h);
    done();
}

PP_TEST_CASE(only_a_get_for_a_plain_name_can_be_asked_for_this_way)
{
    static const char *const cases[] = {
        "POST /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Content-Length: 0\r\n\r\n",
        "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: foo/2\r\nConnection: Upgrade\r\n\r\n",
    };
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        struct rig_conf conf = tunnel_conf();
        PP_REQUIRE(rig_start(&r, &conf));
        c = rig_connect(&r);
        rig_send(&r, c, cases[i]);
        endpoint(true, 0);
        PP_REQUIRE(o2_n == 1);
        s = &o2_streams[0];
        PP_CHECK(s->end && s->request.method_id != PP_HTTP_CONNECT && !has_field("upgrade"));
        done();
    }
}

PP_TEST_CASE(settings_that_never_come_are_a_connection_that_never_came)
{
    struct rig_conf conf = tunnel_conf();
    conf.cluster.connect_timeout_ms = 1000;
    PP_REQUIRE(rig_start(&r, &conf));
    c = rig_connect(&r);
    rig_send(&r, c, ASK);
    int silent = rig_accept(&r, 0);
    rig_sleep(&r, 1100);
    rig_expect_fault(&r, c, "504", "connect_timeout", false);
    close(silent);
    done();
}

/* ---- ends that are none ---- */

PP_TEST_CASE(a_client_that_resets)
{
    PP_REQUIRE(join());
    rig_reset(c);
    c = -1;
    o2_settle(&o);
    PP_CHECK(s->reset && s->code == PP_HTTP2_CANCEL && !o.eof);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(an_endpoint_that_resets)
{
    PP_REQUIRE(join());
    o2_more(s, "before", false);
    pp_http2_codec_reset(&s->s, PP_HTTP2_INTERNAL_ERROR);
    o2_flush(&o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RESETS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    rig_expect(&r, c, "before");
    rig_expect_reset(&r, c);
    done();
}

PP_TEST_CASE(a_connection_that_breaks_ends_its_tunnels)
{
    PP_REQUIRE(join());
    rig_reset(o.fd);
    o.fd = -1;
    rig_expect_reset(&r, c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    o.eof = true;
    done();
}

PP_TEST_CASE(an_endpoint_that_goes_away_lets_them_end)
{
    PP_REQUIRE(join());
    pp_http2_codec_goaway(o.codec, false, PP_HTTP2_NO_ERROR);
    o2_flush(&o);
    rig_settle(&r);
    rig_send(&r, c, "ping");
    o2_settle(&o);
    PP_CHECK_STR(pp_span(s->body, s->n), "ping");
    shutdown(c, SHUT_WR);
    o2_more(s, "pong", true);
    rig_expect(&r, c, "pong");
    rig_expect_eof(&r, c);
    o2_settle(&o);
    PP_CHECK(o.eof); /* its last stream */
    done();
}

PP_TEST_CASE(a_silent_one_ends)
{
    struct rig_conf conf = tunnel_conf();
    conf.listener.tunnel_idle_ms = 1000;
    PP_REQUIRE(join_with(&conf, 0));
    rig_sleep(&r, 1100);
    rig_expect_eof(&r, c);
    o2_settle(&o);
    PP_CHECK(s->end);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(a_worker_that_stops_ends_them)
{
    PP_REQUIRE(join());
    pp_tunnel_cut_all(&r.w.core);
    rig_expect_reset(&r, c);
    o2_settle(&o);
    PP_CHECK(s->reset);
    done();
}

/* ---- windows ---- */

PP_TEST_CASE(the_end_waits_for_the_bytes_before_it)
{
    struct rig_conf conf = tunnel_conf();
    PP_REQUIRE(join_with(&conf, 10));
    o.keeps = true;
    o2_more(s, "bye", true);
    rig_send(&r, c, "0123456789abcdef");
    shutdown(c, SHUT_WR);
    o2_settle(&o);
    PP_CHECK_EQ(s->n, 10);
    PP_CHECK(!s->end);
    pp_http2_codec_consume(&s->s, 6); /* room for the bytes, but not a byte more */
    o2_flush(&o);
    o2_settle(&o);
    PP_CHECK_EQ(s->n, 16);
    pp_http2_codec_consume(&s->s, 10);
    o2_flush(&o);
    o2_settle(&o);
    PP_CHECK(s->end && !s->reset);
    PP_CHECK_STR(pp_span(s->body, s->n), "0123456789abcdef");
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(an_endpoint_that_takes_nothing_stops_the_client)
{
    PP_REQUIRE(join());
    o.keeps = true;
    size_t sent = 0;
    for (int idle = 0; idle < 20; idle++) {
        ssize_t k = send(c, big + sent, MANY - sent, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        o2_settle(&o);
    }
    PP_CHECK_EQ(s->n, 65535);
    PP_CHECK(r.w.core.chunk_slab.n_live <= PP_TUNNEL_HELD_IOV);
    o.keeps = false;
    pp_http2_codec_consume(&s->s, s->n);
    o2_flush(&o);
    for (int idle = 0; idle < 200 && s->n < sent; idle++)
        o2_settle(&o);
    PP_CHECK_BYTES(pp_span(s->body, s->n), big, sent);
    done();
}

/* All that the endpoint may send, which is nothing without windows; how much that is by now. */
static size_t pour(size_t sent)
{
    for (int idle = 0; idle < 5 && sent < MANY; idle++) {
        size_t taken;
        PP_CHECK_EQ(
            pp_http2_codec_send_data(&s->s, pp_span(big + sent, MANY - sent), false, &taken),
            PP_OK);
        sent += taken;
        idle = taken > 0 ? 0 : idle;
        o2_flush(&o);
        o2_settle(&o);
        pp_http2_codec_wake(o.codec);
    }
    return sent;
}

PP_TEST_CASE(a_client_that_takes_nothing_stops_the_endpoint)
{
    static char got[MANY];
    struct rig_conf conf = tunnel_conf();
    int end;
    conf.door_sndbuf = 4096;
    PP_REQUIRE(join_with(&conf, 0));
    size_t window = conf.cluster.http2.window_bytes;
    size_t sent = pour(0), n = 0;
    PP_CHECK(sent < MANY);
    PP_CHECK(r.w.core.chunk_slab.n_live <= PP_TUNNEL_HELD_IOV + window / PP_BUF_CHUNK_BYTES + 1);
    while (n < MANY) {
        size_t k = rig_read(&r, c, got + n, PP_MIN(MANY - n, (size_t)65536), &end);
        if (k == 0)
            break;
        n += k;
        sent = pour(sent);
    }
    PP_CHECK_BYTES(pp_span(got, n), big, MANY);
    done();
}

PP_TEST_MAIN()
