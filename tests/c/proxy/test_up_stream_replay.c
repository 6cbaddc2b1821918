/* Requests with a body that their endpoint has not looked at. */
#include "proxy/up_stream.c"

#include "proxy/h2_origin.h"

static struct rig r;
static struct o2 o, other;

#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static struct rig_conf h2_conf(void)
{
    struct rig_conf conf = o2_conf();
    conf.cluster.retries = 0;
    return conf;
}

/* A client's request and the stream it has become. */
static int ask(const char *text)
{
    int c = rig_connect(&r);
    rig_send(&r, c, text);
    o2_serve(&o, &r, 0);
    return c;
}

static void refuse(struct o2_stream *s)
{
    pp_http2_codec_reset(&s->s, PP_HTTP2_REFUSED_STREAM);
    o2_flush(&o);
    o2_settle(&o);
}

static void stop_all(int c)
{
    close(c);
    o2_close(&o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_stop(&r);
}

PP_TEST_CASE(a_body_on_its_way_goes_on_where_it_was)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n012");
    for (unsigned i = 0; i < 2; i++) {
        PP_CHECK_STR(pp_span(o2_streams[i].body, o2_streams[i].n), "012");
        refuse(&o2_streams[i]);
    }
    rig_send(&r, c, "345");
    o2_settle(&o);
    refuse(&o2_streams[2]);
    rig_send(&r, c, "6789");
    o2_settle(&o);
    PP_REQUIRE(o2_n == 4);
    struct o2_stream *s = &o2_streams[3];
    PP_CHECK_STR(pp_span(s->body, s->n), "0123456789");
    PP_CHECK(s->end && o2_has(s, "POST", "/"));
    o2_respond(s, 200, "hi", true);
    rig_expect(&r, c, O2_HI);
    stop_all(c);
}

PP_TEST_CASE(a_whole_body_is_sent_again_with_its_trailers)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(CHUNKED "3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Sum: 7\r\n\r\n");
    PP_CHECK(o2_streams[0].end);
    refuse(&o2_streams[0]);
    PP_REQUIRE(o2_n == 2);
    struct o2_stream *s = &o2_streams[1];
    PP_CHECK_STR(pp_span(s->body, s->n), "abcdef");
    PP_CHECK(s->end && pp_http_msg_find(&s->trailers, PP_SPAN("x-sum")) != NULL);
    o2_respond(s, 200, "hi", true);
    rig_expect(&r, c, O2_HI);
    stop_all(c);
}

PP_TEST_CASE(a_body_that_crosses_a_goaway_is_sent_on_another_connection)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int first = ask(RIG_GET);
    pp_http2_codec_goaway(o.codec, false, PP_HTTP2_NO_ERROR);
    o2_flush(&o);
    int c = rig_connect(&r);
    rig_send(&r, c, CHUNKED "3\r\nabc\r\n");
    o2_serve(&other, &r, 0);
    rig_send(&r, c, "3\r\ndef\r\n0\r\n\r\n");
    o2_settle(&other);
    PP_REQUIRE(o2_n == 2 && o2_streams[1].o == &other);
    PP_CHECK_STR(pp_span(o2_streams[1].body, o2_streams[1].n), "abcdef");
    PP_CHECK(o2_streams[1].end);
    close(first);
    o2_close(&other);
    stop_all(c);
}

/* <n> bytes are sent; whether they are sent again. */
static void long_body(size_t n, bool again)
{
    static char body[PP_BODY_REPLAY_BYTES + 1];
    struct rig_conf conf = h2_conf();
    char head[100];
    for (size_t i = 0; i < n; i++)
        body[i] = rig_byte(i);
    PP_REQUIRE(rig_start(&r, &conf));
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", n);
    int c = ask(head);
    for (size_t at = 0; at < n; at += PP_MIN(10000, n - at)) {
        PP_CHECK(rig_send_n(&r, c, body + at, PP_MIN(10000, n - at)));
        o2_settle(&o);
    }
    PP_CHECK_EQ(o2_streams[0].n, n);
    refuse(&o2_streams[0]);
    if (again) {
        o2_settle(&o);
        PP_REQUIRE(o2_n == 2);
        PP_CHECK_BYTES(pp_span(o2_streams[1].body, o2_streams[1].n), body, n);
        PP_CHECK(o2_streams[1].end);
    } else {
        rig_expect_fault(&r, c, "503", "upstream_refused", false);
        PP_CHECK_EQ(o2_n, 1);
    }
    stop_all(c);
}

PP_TEST_CASE(no_more_is_kept_than_the_limit)
{
    long_body(PP_BODY_REPLAY_BYTES, true);
    long_body(PP_BODY_REPLAY_BYTES + 1, false);
}

PP_TEST_CASE(nothing_is_kept_once_the_endpoint_has_answered)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(CHUNKED "3\r\nabc\r\n");
    struct pp_exchange *x = NULL;
    struct pp_up_h2 *h2 = PP_CONTAINER_OF(
        r.w.core.snapshot->route[1]->cluster->endpoint[0].multi.next, struct pp_up_h2, link);
    x = PP_CONTAINER_OF(h2->streams.next, struct pp_up_stream, link)->x;
    PP_CHECK_EQ(x->flow[PP_DIR_REQUEST].held_n, 3);
    o2_respond(&o2_streams[0], 200, "hi", false);
    rig_settle(&r);
    PP_CHECK(x->flow[PP_DIR_REQUEST].held == NULL);
    rig_send(&r, c, "3\r\ndef\r\n");
    o2_settle(&o);
    PP_CHECK(x->flow[PP_DIR_REQUEST].held == NULL);
    PP_CHECK_STR(pp_span(o2_streams[0].body, o2_streams[0].n), "abcdef");
    stop_all(c);
}

static int upper_or_park(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                         struct pp_span piece, bool last, struct pp_span *out)
{
    (void)x, (void)phase, (void)last;
    for (size_t i = 0; i < piece.n; i++)
        f->mem[i] = (char)(piece.p[i] & ~32);
    *out = pp_span(f->mem, piece.n);
    return piece.n > 0 && piece.p[0] == '!' ? PP_PARK : PP_NEXT;
}

PP_TEST_CASE(filters_see_a_body_once)
{
    for (int parks = 0; parks < 2; parks++) {
        struct rig_conf conf = h2_conf();
        conf.phases = 1u << PP_PHASE_REQUEST_BODY;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = upper_or_park;
        int c = ask(CHUNKED "3\r\nabc\r\n");
        if (parks) {
            rig_send(&r, c, "3\r\n!!!\r\n");
            rig_settle(&r);
        }
        refuse(&o2_streams[0]);
        if (parks) { /* what it had in hand is lost */
            rig_expect_fault(&r, c, "503", "upstream_refused", true);
            PP_CHECK_EQ(r.cancelled, 1);
        } else {
            PP_REQUIRE(o2_n == 2);
            rig_send(&r, c, "3\r\ndef\r\n0\r\n\r\n");
            o2_settle(&o);
            PP_CHECK_STR(pp_span(o2_streams[1].body, o2_streams[1].n), "ABCDEF");
            PP_CHECK(o2_streams[1].end);
        }
        stop_all(c);
    }
}

PP_TEST_MAIN()
