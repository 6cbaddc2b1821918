#include "proxy/up_stream.c"

#include "proxy/h2_origin.h"

#define DATE "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

static struct rig r;
static struct o2 o;

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
    if (o.codec == NULL)
        o2_accept(&o, &r, 0);
    o2_settle(&o);
    return c;
}

static void stop_all(int c)
{
    if (c >= 0)
        close(c);
    o2_close(&o);
    memset(&o, 0, sizeof o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_stop(&r);
}

static bool has_field(const struct pp_http_msg *m, const char *name, const char *value)
{
    const struct pp_http_field *f = pp_http_msg_find(m, rig_span(name));
    return f != NULL && pp_span_eq(pp_http_field_value(f), rig_span(value));
}

PP_TEST_CASE(a_request_keeps_its_meaning)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask("POST /p?q HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
                "Cookie: a=1\r\nTE: trailers\r\nContent-Length: 5\r\n\r\nhello");
    PP_REQUIRE(o2_n == 1);
    struct o2_stream *s = &o2_streams[0];
    PP_CHECK(o2_has(s, "POST", "/p?q") && s->end && !s->reset);
    PP_CHECK(pp_span_eq(s->request.authority, PP_SPAN("a")));
    PP_CHECK(pp_span_eq(s->request.scheme, PP_SPAN("http")));
    PP_CHECK(has_field(&s->request, "x-y", "z") && has_field(&s->request, "cookie", "a=1"));
    PP_CHECK(has_field(&s->request, "x-forwarded-for", "127.0.0.1"));
    PP_CHECK(has_field(&s->request, "content-length", "5") && s->request.te_trailers);
    PP_CHECK(pp_http_msg_find(&s->request, PP_SPAN("x-hop")) == NULL);
    PP_CHECK_STR(pp_span(s->body, s->n), "hello");
    stop_all(c);
}

/* The endpoint's answer to <sent> reaches the client as <back>. */
static void answered(const char *sent, unsigned status, const char *body, const char *back)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(sent);
    o2_respond(&o2_streams[0], status, body, true);
    rig_expect(&r, c, back);
    rig_expect_quiet(&r, c);
    stop_all(c);
}

PP_TEST_CASE(answers_are_framed_for_http_1)
{
    answered(RIG_GET, 200, "hi", "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\n\r\nhi");
    answered(RIG_GET, 200, NULL, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 0\r\n\r\n");
    answered(RIG_GET, 204, NULL, "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
    answered(RIG_GET, 304, NULL, "HTTP/1.1 304 Not Modified\r\n" DATE "\r\n");
    answered("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, NULL, "HTTP/1.1 200 OK\r\n" DATE "\r\n");
}

PP_TEST_CASE(pieces_of_unknown_length_and_trailers_go_on_at_once)
{
    struct rig_conf conf = h2_conf();
    struct pp_http_msg m;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(RIG_GET);
    struct o2_stream *s = &o2_streams[0];
    o2_respond(s, 200, "one", false);
    rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    o2_more(s, "two!", false);
    rig_expect(&r, c, "4\r\ntwo!\r\n");
    pp_http_msg_init(&m, &s->arena);
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("x-sum"), PP_NAME_OTHER, PP_SPAN("7")), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&s->s, &m), PP_OK);
    o2_flush(&o);
    rig_expect(&r, c, "0\r\nx-sum: 7\r\n\r\n");
    rig_send(&r, c, RIG_GET);
    o2_settle(&o);
    PP_CHECK_EQ(o2_n, 2);
    stop_all(c);
}

PP_TEST_CASE(trailers_of_a_request_arrive)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n");
    struct o2_stream *s = &o2_streams[0];
    PP_CHECK(s->end && has_field(&s->trailers, "x-sum", "6"));
    PP_CHECK_STR(pp_span(s->body, s->n), "abc");
    stop_all(c);
}

static const struct pp_http1_framing nothing = {.body = PP_HTTP_BODY_LENGTH};

PP_TEST_CASE(an_empty_answer_may_end_later_than_its_head)
{
    for (int late = 0; late < 2; late++) {
        struct rig_conf conf = h2_conf();
        struct pp_http_msg m;
        PP_REQUIRE(rig_start(&r, &conf));
        int c = ask(RIG_GET);
        struct o2_stream *s = &o2_streams[0];
        pp_http_msg_init(&m, &s->arena);
        m.status = 200;
        PP_CHECK_EQ(pp_http2_codec_send_response(&s->s, &m, &nothing, false), PP_OK);
        if (late)
            o2_settle(&o);
        o2_more(s, "", true);
        rig_settle(&r);
        char got[256];
        PP_CHECK(recv(c, got, sizeof got, 0) > 0 && strstr(got, "Content-Length: 0\r\n") != NULL);
        o2_settle(&o);
        PP_CHECK(!s->reset);
        rig_send(&r, c, RIG_GET);
        o2_settle(&o);
        PP_CHECK_EQ(o2_n, 2);
        stop_all(c);
    }
}

PP_TEST_CASE(interim_answers_are_relayed_before_the_final_one)
{
    struct rig_conf conf = h2_conf();
    struct pp_http_msg m;
    struct pp_http1_framing fr = {0};
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(RIG_GET);
    struct o2_stream *s = &o2_streams[0];
    pp_http_msg_init(&m, &s->arena);
    m.status = 103;
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("link"), PP_NAME_OTHER, PP_SPAN("</a>")), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_response(&s->s, &m, &fr, false), PP_OK);
    m.status = 100;
    PP_CHECK_EQ(pp_http2_codec_send_response(&s->s, &m, &fr, false), PP_OK);
    o2_respond(s, 200, "hi", true);
    rig_expect(&r, c,
               "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
               "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\n\r\nhi");
    stop_all(c);
}

/* The endpoint resets the stream with <code>. */
static void reset_by(uint32_t code, const char *status, const char *word)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    int other = ask(RIG_GET);
    pp_http2_codec_reset(&o2_streams[0].s, code);
    o2_flush(&o);
    rig_expect_fault(&r, c, status, word, false);
    o2_respond(&o2_streams[1], 200, "hi", true); /* the other one goes on */
    rig_expect(&r, other, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\n\r\nhi");
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    close(other);
    stop_all(c);
}

PP_TEST_CASE(a_reset_stream_is_a_502_and_the_connection_goes_on)
{
    reset_by(PP_HTTP2_INTERNAL_ERROR, "502", "upstream_reset");
    reset_by(PP_HTTP2_CANCEL, "502", "upstream_reset");
    reset_by(PP_HTTP2_HTTP_1_1_REQUIRED, "502", "http_1_1_required"); /* without TLS: no choice */
}

PP_TEST_CASE(an_answer_that_breaks_the_rules_is_a_502)
{
    struct rig_conf conf = h2_conf();
    struct pp_http_msg m;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = 5};
    size_t taken;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(RIG_GET);
    struct o2_stream *s = &o2_streams[0];
    pp_http_msg_init(&m, &s->arena);
    m.status = 200;
    PP_CHECK_EQ(pp_http2_codec_send_response(&s->s, &m, &fr, false), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, PP_SPAN("too long"), true, &taken), PP_OK);
    o2_flush(&o);
    rig_expect_fault(&r, c, "502", "upstream_bad_response", false);
    o2_settle(&o);
    PP_CHECK(!o.eof);
    stop_all(c);
}

PP_TEST_CASE(an_early_answer_ends_the_upload)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc");
    struct o2_stream *s = &o2_streams[0];
    PP_CHECK(s->head && !s->end);
    o2_respond(s, 413, "no", true);
    pp_http2_codec_reset(&s->s, PP_HTTP2_NO_ERROR);
    o2_flush(&o);
    rig_expect(&r, c, "HTTP/1.1 413 Content Too Large\r\n" DATE "Content-Length: 2\r\n\r\nno");
    o2_settle(&o);
    PP_CHECK(!o.eof);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    stop_all(c);
}

PP_TEST_CASE(a_client_that_leaves_resets_its_stream_only)
{
    struct rig_conf conf = h2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(RIG_GET), other = ask(RIG_GET);
    rig_reset(c);
    o2_settle(&o);
    PP_CHECK(o2_streams[0].reset && o2_streams[0].code == PP_HTTP2_CANCEL);
    o2_respond(&o2_streams[1], 200, "hi", true);
    rig_expect(&r, other, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\n\r\nhi");
    stop_all(other);
}

PP_TEST_CASE(silence_is_a_504_of_that_stream)
{
    struct rig_conf conf = h2_conf();
    conf.cluster.first_byte_timeout_ms = 5000;
    conf.cluster.read_timeout_ms = 7000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(RIG_GET), other = ask(RIG_GET);
    o2_respond(&o2_streams[1], 200, "one", false);
    rig_expect(&r, other,
               "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    rig_sleep(&r, 5001);
    rig_expect_fault(&r, c, "504", "first_byte_timeout", false);
    o2_settle(&o);
    PP_CHECK(o2_streams[0].reset && !o2_streams[1].reset);
    rig_sleep(&r, 2000);
    rig_expect_reset(&r, other); /* half an answer must not look whole */
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 2);
    stop_all(c);
    close(other);
}

static int park(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f, (void)x, (void)phase;
    return PP_PARK;
}

PP_TEST_CASE(filters_may_take_their_time_over_an_answer)
{
    static const enum pp_phase phases[] = {PP_PHASE_UPSTREAM_RESPONSE, PP_PHASE_RESPONSE};
    for (size_t i = 0; i < PP_COUNT_OF(phases); i++) {
        struct rig_conf conf = h2_conf();
        conf.phases = 1u << phases[i];
        conf.cluster.first_byte_timeout_ms = 5000;
        conf.cluster.read_timeout_ms = 5000;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = park;
        int c = ask(RIG_GET);
        o2_respond(&o2_streams[0], 200, "hi", false);
        rig_sleep(&r, 6000);
        rig_expect_quiet(&r, c);
        rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        rig_expect(&r, c,
                   "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 0);
        rig_sleep(&r, 5001); /* from here on it is the endpoint that is awaited */
        rig_expect_reset(&r, c);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 1);
        stop_all(c);
    }
}

PP_TEST_CASE(a_connection_that_was_silent_all_the_time_gets_no_new_requests)
{
    struct rig_conf conf = h2_conf();
    struct o2 fresh;
    conf.cluster.first_byte_timeout_ms = 5000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(RIG_GET);
    rig_sleep(&r, 5001);
    rig_expect_fault(&r, c, "504", "first_byte_timeout", false);
    rig_send(&r, c, RIG_GET);
    o2_serve(&fresh, &r, 0);
    PP_CHECK(o2_n == 2 && o2_streams[1].o == &fresh);
    o2_close(&fresh);
    stop_all(c);
}

/* A body of the endpoint, as fast as it is allowed. Returns how much was framed. */
static size_t pour(struct o2_stream *s, size_t from, size_t n)
{
    static char piece[16384];
    size_t at = from, taken = 1;
    while (at < n && taken > 0) {
        size_t k = PP_MIN(n - at, sizeof piece);
        for (size_t i = 0; i < k; i++)
            piece[i] = rig_byte(at + i);
        if (pp_http2_codec_send_data(&s->s, pp_span(piece, k), at + k == n, &taken) != PP_OK)
            break;
        at += taken;
    }
    o2_flush(s->o);
    return at;
}

PP_TEST_CASE(a_slow_client_stops_its_stream_and_no_other)
{
    enum { SIZE = 8 << 20 };
    struct rig_conf conf = h2_conf();
    struct pp_http_msg m;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = SIZE};
    static char in[65536];
    conf.door_sndbuf = 16384;
    conf.cluster.http2.window_bytes = 65536;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = ask(RIG_GET), other = ask(RIG_GET);
    struct o2_stream *s = &o2_streams[0];
    pp_http_msg_init(&m, &s->arena);
    m.status = 200;
    PP_CHECK_EQ(pp_http2_codec_send_response(&s->s, &m, &fr, false), PP_OK);
    size_t sent = 0, got = 0, head = 0;
    for (int i = 0; i < 200; i++) {
        sent = pour(s, sent, SIZE);
        pp_http2_codec_wake(o.codec);
        o2_settle(&o);
        if (i > 20 && pp_http2_codec_room(&s->s) == 0)
            break;
    }
    PP_CHECK(sent < SIZE); /* what does not fit anywhere has not left the endpoint */
    o2_respond(&o2_streams[1], 200, "hi", true);
    rig_expect(&r, other, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 2\r\n\r\nhi");
    size_t wrong = 0;
    uint64_t until = rig_real_ms() + 2 * RIG_WAIT_MS;
    while (got < SIZE && rig_real_ms() < until) {
        ssize_t k = recv(c, in, sizeof in, 0);
        ssize_t from = 0;
        if (k > 0 && head == 0) {
            char *end = memmem(in, (size_t)k, "\r\n\r\n", 4);
            PP_REQUIRE(end != NULL);
            head = (size_t)(end + 4 - in);
            from = (ssize_t)head;
        }
        for (ssize_t i = from; i < k; i++)
            wrong += in[i] != rig_byte(got++);
        rig_turn(&r, 0);
        o2_step(&o);
        pp_http2_codec_wake(o.codec);
        sent = pour(s, sent, SIZE);
    }
    PP_CHECK_EQ(got, SIZE);
    PP_CHECK_EQ(wrong, 0);
    close(other);
    stop_all(c);
}

PP_TEST_CASE(a_shut_window_stops_the_upload)
{
    enum { SIZE = 900000 };
    struct rig_conf conf = h2_conf();
    static char out[SIZE];
    char head[128];
    conf.door_rcvbuf = 16384;
    PP_REQUIRE(rig_start(&r, &conf));
    for (size_t i = 0; i < SIZE; i++)
        out[i] = rig_byte(i);
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", SIZE);
    int c = ask(head);
    struct o2_stream *s = &o2_streams[0];
    o.keeps = true;
    size_t sent = 0;
    for (int i = 0; i < 2000 && sent < SIZE; i++) {
        ssize_t k = send(c, out + sent, SIZE - sent, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        rig_turn(&r, 0);
        o2_step(&o);
    }
    o2_settle(&o);
    PP_CHECK_EQ(s->n, 65535); /* the window */
    PP_CHECK(s->s.held == 65535);
    o.keeps = false;
    pp_http2_codec_consume(&s->s, 65535);
    o2_flush(&o);
    uint64_t until = rig_real_ms() + RIG_WAIT_MS;
    while (!s->end && rig_real_ms() < until) {
        ssize_t k = sent < SIZE ? send(c, out + sent, SIZE - sent, MSG_NOSIGNAL) : 0;
        sent += k > 0 ? (size_t)k : 0;
        rig_turn(&r, 0);
        o2_step(&o);
    }
    PP_CHECK(s->end);
    PP_CHECK_EQ(s->n, SIZE);
    PP_CHECK_EQ(memcmp(s->body, out, SIZE), 0);
    o2_respond(s, 204, NULL, true);
    rig_expect(&r, c, "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
    stop_all(c);
}

static int upper(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                 struct pp_span piece, bool last, struct pp_span *out)
{
    (void)x, (void)phase, (void)last;
    for (size_t i = 0; i < piece.n; i++)
        f->mem[i] = (char)(piece.p[i] - 32);
    *out = pp_span(f->mem, piece.n);
    return PP_NEXT;
}

PP_TEST_CASE(body_filters_see_what_streams_bring)
{
    struct rig_conf conf = h2_conf();
    conf.phases = 1u << PP_PHASE_RESPONSE_BODY | 1u << PP_PHASE_REQUEST_BODY;
    for (int hold = 0; hold < 2; hold++) {
        conf.buffer_response = hold ? 1000 : 0;
        conf.buffer_request = hold ? 1000 : 0;
        o2_n = 0;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = upper;
        int c = ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        PP_CHECK_STR(pp_span(o2_streams[0].body, o2_streams[0].n), "ABC");
        o2_respond(&o2_streams[0], 200, "one", false);
        o2_more(&o2_streams[0], "two", true);
        rig_expect(&r, c,
                   hold ? "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 6\r\n\r\nONETWO"
                        : "HTTP/1.1 200 OK\r\n" DATE "Transfer-Encoding: chunked\r\n\r\n"
                          "6\r\nONETWO\r\n0\r\n\r\n");
        stop_all(c);
    }
}

PP_TEST_MAIN()
