#include "proxy/down_h2_stream.c"

#include "h2_client.h"

#define MANY ((size_t)8 << 20)

/* Counts the calls in which chunks leave. */
static unsigned sends;
ssize_t send(int fd, const void *p, size_t n, int flags)
{
    sends += n > 4 && memcmp(p, "3\r\na", 4) == 0;
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

static struct rig r;
static struct h2_client c;
static char big[MANY];

static bool start(const struct rig_conf *conf, const struct pp_http2_limits *limits)
{
    for (size_t i = 0; i < MANY; i++)
        big[i] = rig_byte(i);
    return rig_start(&r, conf) && h2_start(&c, &r, limits);
}

static void done(int o)
{
    h2_stop(&c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    rig_stop(&r);
}

static int asked(const char *path)
{
    h2_get(&c, path);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, H2_GOT);
    return o;
}

/* ---- responses ---- */

PP_TEST_CASE(heads_that_nothing_follows_end_their_streams)
{
    static const struct {
        const char *method, *answer, *heard;
    } cases[] = {
        {"HEAD", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\n",
         "response 200 body=none end\n  date: x\n  content-length: 5 (hop)\n"},
        {"GET", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n",
         "response 204 body=none end\n  date: x\n"},
        {"GET", "HTTP/1.1 304 Not Modified\r\nDate: x\r\nContent-Length: 7\r\n\r\n",
         "response 304 body=none end\n"},
        {"GET", "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n",
         "response 200 body=length 0 end\n"},
    };
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    int o = -1;
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        int rc, end;
        char got[512];
        PP_CHECK(peer_request(&c.p, cases[i].method, "/", NULL, true, &rc) != NULL);
        h2_step(&c);
        if (o < 0)
            o = rig_accept(&r, 0);
        size_t n = strlen(H2_GOT) - 3 + strlen(cases[i].method);
        PP_CHECK_EQ(rig_read(&r, o, got, n, &end), n);
        rig_send(&r, o, cases[i].answer);
        h2_hear(&c, cases[i].heard);
        PP_CHECK(c.p.streams[i].s.received_end);
    }
    done(o);
}

PP_TEST_CASE(interim_responses_and_trailers_are_passed_on)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    int o = asked("/");
    rig_send(&r, o, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    h2_hear(&c, "1 response 103 body=none\n  link: </a>\n");
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    h2_hear(&c, "1 response 200 body=chunked\n  date: x\n1 data \"hi\"\n");
    rig_send(&r, o, "0\r\nX-Sum: 7\r\n\r\n");
    h2_hear(&c, "1 trailers\n  x-sum: 7\n");
    PP_CHECK(c.p.streams[0].s.received_end);
    done(o);
}

PP_TEST_CASE(interim_responses_do_not_pile_up)
{
    static char hint[20000];
    struct rig_conf conf = rig_defaults();
    conf.door_sndbuf = 4096;
    PP_REQUIRE(start(&conf, NULL));
    int o = asked("/");
    h2_settle(&c);
    c.deaf = c.p.quiet = true;
    snprintf(hint, sizeof hint, "HTTP/1.1 103 Early Hints\r\nLink: <%018000d>\r\n\r\n", 1);
    for (int i = 0; i < PP_EXCHANGE_INTERIM_MAX; i++) {
        rig_send(&r, o, hint);
        rig_turn(&r, 0);
    }
    rig_settle(&r);
    PP_CHECK(r.w.core.chunk_slab.n_live <= 8);
    rig_send(&r, o, RIG_HI);
    c.deaf = false;
    for (uint64_t until = rig_real_ms() + RIG_WAIT_MS; rig_real_ms() < until;) {
        h2_step(&c);
        if (c.p.streams[0].s.received_end)
            break;
    }
    PP_CHECK_EQ(c.p.streams[0].got, 2); /* and the answer comes all the same */
    PP_CHECK(c.p.streams[0].s.received_end);
    done(o);
}

/* The client opens no window: little of the response is read, and none of it is lost. */
PP_TEST_CASE(a_long_response_waits_for_the_windows)
{
    static const struct pp_http2_limits narrow = {.stream_window = 20000};
    struct rig_conf conf = rig_defaults();
    char head[64];
    PP_REQUIRE(start(&conf, &narrow));
    c.p.keeps = true;
    int o = asked("/");
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", MANY);
    rig_send(&r, o, head);
    size_t sent = 0;
    for (int idle = 0; idle < 20; idle++) {
        ssize_t k = send(o, big + sent, MANY - sent, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        h2_settle(&c);
    }
    struct peer_stream *s = &c.p.streams[0];
    PP_CHECK_EQ(s->got, 20000);
    PP_CHECK(r.w.core.chunk_slab.n_live <= 4);
    s->keeps = false;
    pp_http2_codec_consume(&s->s, s->got);
    while (sent < MANY) {
        ssize_t k = send(o, big + sent, MANY - sent, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        h2_step(&c);
    }
    h2_settle(&c);
    PP_CHECK_EQ(s->got, MANY);
    PP_CHECK(s->s.received_end);
    done(o);
}

PP_TEST_CASE(the_end_of_a_response_needs_no_window)
{
    static const struct pp_http2_limits narrow = {.stream_window = 10};
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, &narrow));
    c.p.keeps = true;
    int o = asked("/");
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n");
    h2_hear(&c, "1 data \"0123456789\"\n");
    rig_send(&r, o, "0\r\n\r\n");
    h2_hear(&c, "1 data \"\" end\n");
    h2_settle(&c);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    done(o);
}

PP_TEST_CASE(trailers_wait_behind_data_that_waits)
{
    static const struct pp_http2_limits narrow = {.stream_window = 10};
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, &narrow));
    c.p.keeps = true;
    int o = asked("/");
    rig_send(&r, o,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             "14\r\n01234567890123456789\r\n0\r\nX-Sum: 7\r\n\r\n");
    h2_hear(&c, "1 data \"0123456789\"\n");
    PP_CHECK_EQ(r.w.core.n_exchange, 0); /* it is over; its tail is not */
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 1);
    pp_http2_codec_consume(&c.p.streams[0].s, 10);
    h2_hear(&c, "1 data \"0123456789\"\n1 trailers\n  x-sum: 7\n");
    done(o);
}

PP_TEST_CASE(a_window_that_stays_shut_is_too_late_after_the_send_timeout)
{
    static const struct pp_http2_limits narrow = {.stream_window = 10};
    for (int whole = 0; whole < 2; whole++) {
        struct rig_conf conf = rig_defaults();
        PP_REQUIRE(start(&conf, &narrow));
        c.p.keeps = true;
        int o = asked("/");
        rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n012345678901234");
        if (whole)
            rig_send(&r, o, "56789");
        h2_hear(&c, "1 data \"0123456789\"\n");
        rig_sleep(&r, conf.listener.send_timeout_ms);
        h2_hear(&c, "1 reset 8 by peer\n");
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 1);
        done(o);
    }
}

PP_TEST_CASE(an_endpoint_that_breaks_off_resets_the_stream)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    int o = asked("/");
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf");
    h2_hear(&c, "1 data \"half\"\n");
    close(o);
    h2_hear(&c, "1 reset 2 by peer\n");
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, HTTP2_RESETS_OUT), 1);
    h2_get(&c, "/");
    o = rig_accept(&r, 0);
    rig_expect(&r, o, H2_GOT);
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "3 data \"hi\" end\n");
    done(o);
}

PP_TEST_CASE(an_answer_of_our_own_is_one_of_the_stream)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    int o = asked("/");
    close(o);
    h2_hear(&c, "1 response 502 body=length");
    done(-1);
}

/* A tunnel needs the connection for itself: a stream is never one. */
PP_TEST_CASE(connect_is_refused_and_its_data_dropped)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = peer_take(&c.p);
    struct pp_http1_framing fr = {0};
    peer_fill(s, &s->m, NULL);
    s->m.method = PP_SPAN("CONNECT");
    s->m.method_id = PP_HTTP_CONNECT;
    PP_CHECK_EQ(pp_http2_codec_send_request(c.p.h, &s->s, &s->m, PP_SPAN_NONE, PP_SPAN("a.test:1"),
                                            PP_SPAN_NONE, &fr, false),
                PP_OK);
    h2_data(&c, s, PP_SPAN("GET / HTTP/1.1\r\n\r\n"), false);
    h2_hear(&c, "1 response 501 ");
    h2_settle(&c);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(rig_try_accept(&r, 0, 50), -1);
    done(-1);
}

PP_TEST_CASE(a_head_over_the_limits_is_answered)
{
    static char value[1 << 17];
    memset(value, 'v', sizeof value - 1);
    memcpy(value, "x-big: ", 7);
    const char *fields[] = {value, NULL};
    struct rig_conf conf = rig_defaults();
    conf.listener.http2.head_bytes = 4096;
    value[8000] = '\0';
    PP_REQUIRE(start(&conf, NULL));
    h2_post(&c, fields);
    h2_hear(&c, "1 response 431 ");
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BAD_REQUESTS), 1);
    done(-1);
}

/* ---- requests ---- */

static const char posted[] =
    "POST / HTTP/1.1\r\nHost: a.test\r\n" H2_FWD "Transfer-Encoding: chunked\r\n\r\n";

PP_TEST_CASE(a_request_body_is_passed_on_with_its_trailers)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    PP_CHECK_EQ(h2_data(&c, s, PP_SPAN("hello"), false), 5);
    rig_expect(&r, o, "5\r\nhello\r\n");
    struct pp_http_msg m;
    const char *fields[] = {"X-Sum: 7", NULL};
    peer_fill(s, &m, fields);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&s->s, &m), PP_OK);
    h2_step(&c);
    rig_expect(&r, o, "0\r\nx-sum: 7\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n");
    done(o);
}

/* Read <n> body bytes, chunked, and check them. */
static void read_big(int fd, size_t n)
{
    char line[16], in[4096];
    size_t got = 0, wrong = 0;
    int end;
    while (got < n) {
        size_t k = 0;
        while (k < sizeof line - 1 && rig_read(&r, fd, line + k, 1, &end) == 1 && line[k++] != '\n')
            h2_step(&c);
        line[k] = '\0';
        size_t want = strtoul(line, NULL, 16);
        if (want == 0)
            break;
        while (want > 0) {
            h2_step(&c);
            size_t part = rig_read(&r, fd, in, PP_MIN(want, sizeof in), &end);
            for (size_t i = 0; i < part; i++)
                wrong += in[i] != big[got + i];
            got += part;
            want -= part;
            if (part == 0)
                break;
        }
        rig_expect(&r, fd, "\r\n");
    }
    PP_CHECK_EQ(got, n);
    PP_CHECK_EQ(wrong, 0);
}

PP_TEST_CASE(a_client_sends_no_more_than_the_endpoint_takes)
{
    struct rig_conf conf = rig_defaults();
    conf.origin_rcvbuf = 4096;
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    size_t n = 0, taken = 1;
    for (int idle = 0; idle<20; idle = taken> 0 ? 0 : idle + 1) {
        PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, pp_span(big + n, MANY - n), false, &taken),
                    PP_OK);
        n += taken;
        h2_step(&c);
    }
    PP_CHECK(n < MANY);
    /* What waits here: a window, and what was read of it for the endpoint. */
    PP_CHECK(r.w.core.chunk_slab.n_live <= 12);
    uint64_t before = n;
    read_big(o, n);
    PP_CHECK_EQ(h2_data(&c, s, pp_span(big + n, 1000), true), 1000);
    h2_settle(&c);
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n");
    PP_CHECK(before > 0);
    done(o);
}

PP_TEST_CASE(frames_that_come_together_go_on_together)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s[2];
    int o[2];
    size_t taken;
    for (int i = 0; i < 2; i++) {
        s[i] = h2_post(&c, NULL);
        o[i] = rig_accept(&r, 0);
        rig_expect(&r, o[i], posted);
    }
    for (int i = 0; i < 8; i++)
        PP_CHECK_EQ(pp_http2_codec_send_data(&s[i / 4]->s, PP_SPAN("abc"), i == 7, &taken), PP_OK);
    unsigned before = sends;
    h2_step(&c);
    PP_CHECK_EQ(sends - before, 2);
    rig_expect(&r, o[0], "3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n");
    rig_expect(&r, o[1], "3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n");
    /* A reset behind them: what came before it is not lost. */
    PP_CHECK_EQ(pp_http2_codec_send_data(&s[0]->s, PP_SPAN("x"), false, &taken), PP_OK);
    pp_http2_codec_reset(&s[0]->s, PP_HTTP2_CANCEL);
    h2_step(&c);
    rig_expect(&r, o[0], "1\r\nx\r\n");
    rig_expect_eof(&r, o[0]);
    close(o[0]);
    done(o[1]);
}

PP_TEST_CASE(a_body_that_is_announced_has_its_length)
{
    const char *fields[] = {"content-length: 5", NULL};
    struct rig_conf conf = rig_defaults();
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = 5};
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = peer_take(&c.p);
    peer_fill(s, &s->m, fields);
    s->m.method = PP_SPAN("PUT");
    s->m.method_id = PP_HTTP_PUT;
    PP_CHECK_EQ(pp_http2_codec_send_request(c.p.h, &s->s, &s->m, PP_SPAN("http"), PP_SPAN("a.test"),
                                            PP_SPAN("/"), &fr, false),
                PP_OK);
    h2_data(&c, s, PP_SPAN("hello"), true);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "PUT / HTTP/1.1\r\nHost: a.test\r\n" H2_FWD "Content-Length: 5\r\n\r\nhello");
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n");
    done(o);
}

PP_TEST_CASE(leave_to_send_is_given_when_somebody_reads)
{
    const char *fields[] = {"expect: 100-continue", NULL};
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = peer_take(&c.p);
    struct pp_http1_framing fr = {0};
    peer_fill(s, &s->m, fields);
    s->m.method = PP_SPAN("POST");
    s->m.method_id = PP_HTTP_POST;
    PP_CHECK_EQ(pp_http2_codec_send_request(c.p.h, &s->s, &s->m, PP_SPAN("http"), PP_SPAN("a.test"),
                                            PP_SPAN("/"), &fr, false),
                PP_OK);
    h2_step(&c);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    h2_settle(&c);
    PP_CHECK(s->s.id == 1);
    h2_data(&c, s, PP_SPAN("x"), true);
    rig_expect(&r, o, "1\r\nx\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n");
    done(o);
}

PP_TEST_CASE(an_answer_before_the_end_of_the_body_stops_the_client)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n1 reset 0 by peer\n");
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    done(o);
}

/* The exchange is over, and its memory may be another's, while its client is in the middle of the
 * trailers of its request. */
PP_TEST_CASE(trailers_may_end_after_their_exchange)
{
    static const char begin[] = "\0\0\x09\x01\x01\0\0\0\x01\0\x05x-sum\x01"
                                "7",
                      more[] = "\0\0\x0b\x09\x04\0\0\0\x01\0\x05x-end\x03yes";
    static const struct pp_http2_limits narrow = {.stream_window = 1};
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, &narrow));
    c.p.keeps = true;
    h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    h2_settle(&c); /* it says nothing more by itself */
    PP_CHECK(rig_send_n(&r, c.fd, begin, sizeof(begin) - 1));
    h2_settle(&c);
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"h\"\n");
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK(rig_send_n(&r, c.fd, more, sizeof(more) - 1));
    h2_settle(&c);
    PP_CHECK_EQ(c.ended, -1);
    pp_http2_codec_consume(&c.p.streams[0].s, 1);
    h2_hear(&c, "1 data \"i\" end\n");
    done(o);
}

PP_TEST_CASE(a_body_over_the_limit_is_refused)
{
    struct rig_conf conf = rig_defaults();
    conf.route.max_body = 4;
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    h2_data(&c, s, PP_SPAN("hello"), false);
    h2_hear(&c, "1 response 413 ");
    h2_settle(&c);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    done(o);
}

PP_TEST_CASE(a_body_that_does_not_come_is_late)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    rig_sleep(&r, conf.listener.body_timeout_ms - 1000);
    h2_data(&c, s, PP_SPAN("x"), false);
    rig_expect(&r, o, "1\r\nx\r\n");
    rig_sleep(&r, conf.listener.body_timeout_ms - 1000);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    rig_sleep(&r, conf.listener.body_timeout_ms);
    h2_hear(&c, "1 response 408 ");
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 1);
    done(o);
}

PP_TEST_CASE(a_reset_with_a_body_under_way_frees_what_waits)
{
    struct rig_conf conf = rig_defaults();
    conf.origin_rcvbuf = 4096;
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    for (size_t taken = 1, n = 0; taken > 0; n += taken) {
        PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, pp_span(big + n, 65536), false, &taken), PP_OK);
        h2_settle(&c);
    }
    pp_http2_codec_reset(&s->s, PP_HTTP2_CANCEL);
    h2_settle(&c);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    done(o);
}

/* ---- filters ---- */

static int park(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return PP_PARK;
}

PP_TEST_CASE(a_body_waits_for_an_async_filter)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_REQUEST;
    PP_REQUIRE(start(&conf, NULL));
    r.filter[0].run = park;
    struct peer_stream *s = h2_post(&c, NULL);
    h2_data(&c, s, PP_SPAN("hello"), true);
    h2_settle(&c);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    rig_expect(&r, o, "5\r\nhello\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n");
    done(o);
}

PP_TEST_CASE(a_reset_while_a_filter_is_at_work_ends_the_exchange)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_REQUEST;
    PP_REQUIRE(start(&conf, NULL));
    r.filter[0].run = park;
    struct peer_stream *s = h2_get(&c, "/");
    h2_settle(&c);
    pp_http2_codec_reset(&s->s, PP_HTTP2_CANCEL);
    h2_settle(&c);
    PP_CHECK_EQ(r.cancelled, 1);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    done(-1);
}

PP_TEST_CASE(held_bodies_go_on_with_their_length)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_REQUEST_BODY | 1u << PP_PHASE_RESPONSE_BODY;
    conf.buffer_request = conf.buffer_response = 1000;
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    h2_data(&c, s, PP_SPAN("hel"), false);
    h2_settle(&c);
    h2_data(&c, s, PP_SPAN("lo"), true);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o,
               "POST / HTTP/1.1\r\nHost: a.test\r\n" H2_FWD "Content-Length: 5\r\n\r\nhello");
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 data \"hi\" end\n");
    done(o);
}

/* A filter of the whole response body, and of <phases>. */
static struct rig_conf holding(uint32_t phases)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_RESPONSE_BODY | phases;
    conf.buffer_response = 1000;
    return conf;
}

#define HELD                                                                                       \
    "HTTP/1.1 200 OK\r\nDate: x\r\nTransfer-Encoding: chunked\r\n\r\n"                             \
    "2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n"

/* An HTTP/2 response may have both, its length and trailers. */
PP_TEST_CASE(held_bodies_keep_their_trailers)
{
    struct rig_conf conf = holding(0);
    PP_REQUIRE(start(&conf, NULL));
    int o = asked("/");
    rig_send(&r, o, HELD);
    h2_hear(&c, "1 data \"hi\"\n1 trailers\n  x-sum: 7\n");
    PP_CHECK(c.p.streams[0].s.received_end);
    done(o);
}

static int park_trailers(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == PP_PHASE_RESPONSE_TRAILERS ? PP_PARK : PP_NEXT;
}

static int refuse_trailers(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
    return PP_REPLY;
}

static int reply_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                      struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
    return PP_REPLY;
}

PP_TEST_CASE(an_answer_of_our_own_has_not_the_trailers_of_another)
{
    struct rig_conf conf = holding(0);
    PP_REQUIRE(start(&conf, NULL));
    r.filter[0].body = reply_body;
    int o = asked("/");
    rig_send(&r, o, HELD);
    h2_hear(&c, "1 data \"no\" end\n");
    done(o);
}

PP_TEST_CASE(trailers_of_held_bodies_wait_for_an_async_filter)
{
    struct rig_conf conf = holding(1u << PP_PHASE_RESPONSE_TRAILERS);
    PP_REQUIRE(start(&conf, NULL));
    r.filter[0].run = park_trailers;
    int o = asked("/");
    rig_send(&r, o, HELD);
    h2_hear(&c, "1 data \"hi\"\n");
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    h2_hear(&c, "1 trailers\n  x-sum: 7\n");
    h2_settle(&c);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    done(o);
}

PP_TEST_CASE(a_filter_may_refuse_the_trailers_of_a_held_body)
{
    struct rig_conf conf = holding(1u << PP_PHASE_RESPONSE_TRAILERS);
    PP_REQUIRE(start(&conf, NULL));
    r.filter[0].run = refuse_trailers;
    int o = asked("/");
    rig_send(&r, o, HELD);
    h2_hear(&c, "1 reset 8 by peer\n");
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ABORTED), 0); /* the client is not to blame */
    done(o);
}

PP_TEST_CASE(filters_see_the_pieces_of_a_body)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_REQUEST_BODY | 1u << PP_PHASE_RESPONSE_BODY;
    PP_REQUIRE(start(&conf, NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, posted);
    h2_data(&c, s, PP_SPAN("hello"), true);
    rig_expect(&r, o, "5\r\nhello\r\n0\r\n\r\n");
    PP_CHECK(r.filter[0].runs[PP_PHASE_REQUEST_BODY] >= 1);
    rig_send(&r, o, RIG_HI);
    h2_hear(&c, "1 response 200 body=chunked\n");
    h2_settle(&c);
    PP_CHECK_EQ(s->got, 2);
    PP_CHECK(s->s.received_end);
    done(o);
}

PP_TEST_MAIN()
