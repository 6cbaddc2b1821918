#include "proxy/down_h2_tunnel.c"

#include "extended_client.h"

#define MANY ((size_t)4 << 20)

static struct rig r;
static struct h2_client c;
static struct peer_stream *s;
static int o;
static char big[MANY];

/* A WebSocket between <s> and <o>. */
static bool join_with(const struct rig_conf *conf, const struct pp_http2_limits *limits)
{
    for (size_t i = 0; i < MANY; i++)
        big[i] = rig_byte(i);
    if (!rig_start(&r, conf) || !h2_start(&c, &r, limits))
        return false;
    s = ext_ask(&c, "websocket", false);
    o = rig_accept(&r, 0);
    ext_switch(&r, o, "");
    h2_hear(&c, "1 response 200");
    return s != NULL && o >= 0 && !s->s.received_end;
}

static bool join(void)
{
    struct rig_conf conf = ext_defaults();
    return join_with(&conf, NULL);
}

static void done(void)
{
    h2_stop(&c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.chunk_slab.n_live, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    PP_CHECK(r.w.doors == NULL || r.w.doors->n_open == 0);
    rig_stop(&r);
}

static void say(const char *text, bool end)
{
    PP_CHECK_EQ(h2_data(&c, s, rig_span(text), end), strlen(text));
}

PP_TEST_CASE(bytes_pass_both_ways_and_each_direction_ends_by_itself)
{
    PP_REQUIRE(join());
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 1); /* the stream is no connection */
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_2XX), 1);
    PP_CHECK_EQ(r.w.core.chunk_slab.n_live, 0);
    h2_settle(&c);
    uint64_t in = RIG_COUNT(&r, LISTENER, BYTES_IN);
    say("ping", false);
    rig_expect(&r, o, "ping");
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_IN), in + 9 + 4); /* once */
    rig_send(&r, o, "pong");
    h2_hear(&c, "1 data \"pong\"\n");
    say("last", true);
    rig_expect(&r, o, "last");
    rig_expect_eof(&r, o);
    rig_send(&r, o, "more");
    h2_hear(&c, "1 data \"more\"\n");
    shutdown(o, SHUT_WR);
    h2_hear(&c, "end");
    h2_settle(&c);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    done();
}

PP_TEST_CASE(the_end_of_the_endpoint_comes_first)
{
    PP_REQUIRE(join());
    rig_send(&r, o, "bye");
    shutdown(o, SHUT_WR);
    h2_hear(&c, "end");
    say("one more", true);
    rig_expect(&r, o, "one more");
    rig_expect_eof(&r, o);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(bytes_beside_the_heads_belong_to_the_tunnel)
{
    struct rig_conf conf = ext_defaults();
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&c, &r, NULL));
    s = ext_ask(&c, "websocket", false);
    say("early", true);
    o = rig_accept(&r, 0);
    ext_switch(&r, o, "late");
    h2_hear(&c, "1 data \"late\"");
    rig_expect(&r, o, "early");
    rig_expect_eof(&r, o);
    done();
}

PP_TEST_CASE(a_client_that_resets)
{
    PP_REQUIRE(join());
    pp_http2_codec_reset(&s->s, PP_HTTP2_CANCEL);
    h2_settle(&c);
    rig_expect_reset(&r, o);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    done();
}

PP_TEST_CASE(an_endpoint_that_resets)
{
    PP_REQUIRE(join());
    rig_reset(o);
    o = -1;
    h2_hear(&c, "1 reset 8");
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(a_connection_that_breaks_ends_its_tunnels)
{
    PP_REQUIRE(join());
    rig_reset(c.fd);
    c.fd = -1;
    rig_expect_reset(&r, o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    done();
}

PP_TEST_CASE(a_connection_whose_client_breaks_the_protocol_ends_its_tunnels)
{
    PP_REQUIRE(join());
    PP_CHECK(rig_send_n(&r, c.fd, "\0\0\1\0\0\0\0\0\0x", 10)); /* DATA of no stream */
    rig_expect_reset(&r, o);
    done();
}

PP_TEST_CASE(a_silent_one_ends)
{
    struct rig_conf conf = ext_defaults();
    conf.listener.tunnel_idle_ms = 1000;
    PP_REQUIRE(join_with(&conf, NULL));
    rig_sleep(&r, 1100);
    h2_hear(&c, "end");
    rig_expect_eof(&r, o);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    done();
}

PP_TEST_CASE(a_worker_that_stops_ends_them)
{
    PP_REQUIRE(join());
    pp_tunnel_cut_all(&r.w.core);
    rig_settle(&r);
    h2_hear(&c, "1 reset 8");
    rig_expect_reset(&r, o);
    done();
}

/* ---- plain CONNECT ---- */

static struct peer_stream *connect_to(const char *const *fields)
{
    struct pp_http1_framing fr = {0};
    struct peer_stream *t = peer_take(&c.p);
    peer_fill(t, &t->m, fields);
    t->m.method = PP_SPAN("CONNECT");
    t->m.method_id = PP_HTTP_CONNECT;
    if (fields != NULL) {
        fr.body = PP_HTTP_BODY_LENGTH;
        fr.content_length = 5;
    }
    PP_CHECK_EQ(pp_http2_codec_send_request(c.p.h, &t->s, &t->m, PP_SPAN_NONE, PP_SPAN("db.test:1"),
                                            PP_SPAN_NONE, &fr, false),
                PP_OK);
    h2_step(&c);
    return t;
}

static struct rig_conf connect_conf(void)
{
    struct rig_conf conf = ext_defaults();
    conf.any_path = true;
    conf.methods = (pp_router_methods)1 << PP_HTTP_CONNECT;
    return conf;
}

PP_TEST_CASE(connect_on_a_stream_is_a_tunnel_to_its_route)
{
    struct rig_conf conf = connect_conf();
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&c, &r, NULL));
    s = connect_to(NULL);
    say("early", false);
    o = rig_accept(&r, 0);
    h2_hear(&c, "1 response 200");
    rig_expect(&r, o, "early");
    rig_send(&r, o, "mysql speaks first");
    h2_hear(&c, "1 data \"mysql speaks first\"\n");
    say("bye", true);
    rig_expect(&r, o, "bye");
    rig_expect_eof(&r, o);
    close(o);
    o = -1;
    h2_hear(&c, "end");
    h2_get(&c, "/"); /* the connection goes on */
    h2_hear(&c, "3 response 405");
    done();
}

PP_TEST_CASE(connect_with_content_is_malformed)
{
    static const char *const fields[] = {"x-a: b", NULL};
    struct rig_conf conf = connect_conf();
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&c, &r, NULL));
    connect_to(fields);
    h2_hear(&c, "1 response 400");
    PP_CHECK_EQ(rig_try_accept(&r, 0, 20), -1);
    o = -1;
    done();
}

PP_TEST_CASE(connect_to_endpoints_that_speak_only_http_2_is_501)
{
    struct rig_conf conf = connect_conf();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&c, &r, NULL));
    connect_to(NULL);
    h2_hear(&c, "1 response 501");
    PP_CHECK_EQ(rig_try_accept(&r, 0, 20), -1);
    o = -1;
    done();
}

/* ---- the end of a worker ---- */

/* As requests and tunnels of HTTP/1 have. */
PP_TEST_CASE(when_the_time_for_requests_is_up_tunnels_go_on_and_keep_their_connection)
{
    PP_REQUIRE(join());
    h2_get(&c, "/");
    int request = rig_accept(&r, 0);
    pp_down_cut_all(&r.w.core);
    h2_hear(&c, "3 reset 8");
    rig_expect_eof(&r, request);
    say("ping", false);
    rig_expect(&r, o, "ping");
    rig_send(&r, o, "pong");
    h2_hear(&c, "1 data \"pong\"");
    pp_down_cut_all(&r.w.core);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    PP_CHECK(!pp_http2_codec_can_open(c.p.h)); /* nothing new begins */
    rig_send(&r, o, "last");
    shutdown(o, SHUT_WR);
    say("words", true);
    h2_hear(&c, "1 data \"last\"\n1 data \"\" end");
    rig_expect(&r, o, "words");
    rig_expect_eof(&r, o);
    h2_expect_end(&c);
    done();
}

/* Neither side's silence makes memory grow. */
PP_TEST_CASE(a_slow_side_slows_the_other_down)
{
    static const struct pp_http2_limits narrow = {.stream_window = 20000};
    static char got[MANY];
    struct rig_conf conf = ext_defaults();
    int end;
    PP_REQUIRE(join_with(&conf, &narrow));
    s->keeps = true;
    size_t sent = 0, up = 0, down = 0;
    for (int idle = 0; idle < 20; idle++) {
        ssize_t k = send(o, big + sent, MANY - sent, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        h2_settle(&c);
    }
    PP_CHECK_EQ(s->got, 20000);
    PP_CHECK(r.w.core.chunk_slab.n_live <= PP_TUNNEL_HELD_IOV);
    s->keeps = false;
    pp_http2_codec_consume(&s->s, s->got);
    while (sent < MANY) {
        ssize_t k = send(o, big + sent, MANY - sent, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        h2_step(&c);
    }
    h2_settle(&c);
    PP_CHECK_EQ(s->got, MANY);
    up = h2_data(&c, s, pp_span(big, MANY), false); /* as far as it goes: nobody reads */
    PP_CHECK(r.w.core.chunk_slab.n_live <= PP_TUNNEL_HELD_IOV + 8);
    while (down < up) {
        size_t k = rig_read(&r, o, got + down, PP_MIN(up - down, (size_t)65536), &end);
        if (k == 0)
            break;
        down += k;
    }
    PP_CHECK_BYTES(pp_span(got, down), big, up);
    done();
}

PP_TEST_MAIN()
