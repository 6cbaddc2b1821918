#include "proxy/down_h1.c"

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

/* <sent> by the client becomes <got> at the origin, and its answer <answer> becomes <back>;
 * <closes>: the connection ends after it. */
static void one(const char *sent, const char *got, const char *answer, const char *back,
                bool closes)
{
    struct rig_conf conf = rig_defaults();
    if (!rig_start(&r, &conf))
        return;
    int c = rig_connect(&r);
    rig_send(&r, c, sent);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, got);
    rig_expect_quiet(&r, o);
    rig_send(&r, o, answer);
    rig_expect(&r, c, back);
    if (closes)
        rig_expect_eof(&r, c);
    else
        rig_expect_quiet(&r, c);
    stop_all(c, o);
}

PP_TEST_CASE(a_get_goes_through)
{
    one(RIG_GET, RIG_GOT, RIG_HI, RIG_HI, false);
}

PP_TEST_CASE(connection_close_is_honoured)
{
    one("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", RIG_GOT, RIG_HI,
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi", true);
}

PP_TEST_CASE(http_1_0_is_spoken_to_1_0_clients)
{
    one("GET / HTTP/1.0\r\nHost: a\r\n\r\n", RIG_GOT, RIG_HI,
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi", true);
    one("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", RIG_GOT, RIG_HI,
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
        false);
    one("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", RIG_GOT,
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Connection: close\r\n\r\nhi", true);
}

PP_TEST_CASE(a_1_0_request_without_host_has_an_empty_one)
{
    one("GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n",
        RIG_HI, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi",
        true);
}

PP_TEST_CASE(hop_by_hop_fields_stay_on_their_hop)
{
    one("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: "
        "1\r\nTE: trailers\r\n"
        "Upgrade: h2c\r\nProxy-Authorization: x\r\nX-End: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-End: 2\r\n" RIG_FWD
        "TE: trailers\r\nConnection: TE\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" RIG_DATE
        "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n"
        "X-End: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\n" RIG_DATE "X-End: 2\r\nContent-Length: 2\r\n\r\nhi", false);
}

PP_TEST_CASE(an_absolute_form_target_becomes_origin_form)
{
    one("GET http://a/x?y=1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x?y=1 HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n", RIG_HI, RIG_HI, false);
    one("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n",
        RIG_HI, RIG_HI, false);
    one("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /?q HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n", RIG_HI, RIG_HI, false);
}

PP_TEST_CASE(a_path_is_sent_on_in_normal_form)
{
    one("GET /a/./b/../%7ec?q=%7e HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/~c?q=%7e HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n", RIG_HI, RIG_HI, false);
}

PP_TEST_CASE(bodies_of_both_framings_go_through)
{
    one("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 5\r\n\r\nhello", RIG_HI, RIG_HI,
        false);
    one("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 0\r\n\r\n", RIG_HI, RIG_HI,
        false);
    one("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
        "5;e=1\r\nhello\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
        RIG_HI, RIG_HI, false);
    one("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        RIG_HI, RIG_HI, false);
}

/* ---- expect ---- */

PP_TEST_CASE(a_client_that_waits_for_100_gets_it)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 2\r\n\r\n");
    rig_expect(&r, c, "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(&r, c, "ab");
    rig_expect(&r, o, "ab");
    rig_send(&r, o, "HTTP/1.1 100 Continue\r\n\r\n" RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_send(&r, c,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab");
    rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 2\r\n\r\nab");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI); /* it did not wait, so there was nothing to allow */
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: tea\r\n\r\n");
    rig_expect_fault(&r, c, "417", "bad_expect", true);
    stop_all(c, o);
}

PP_TEST_CASE(a_refused_request_gets_no_100)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_NONE;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    rig_expect_fault(&r, c, "503", "no_endpoint", true);
    rig_expect_eof(&r, c);
    stop_all(c, -1);
}

PP_TEST_CASE(a_held_body_is_asked_for_with_100)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_REQUEST_BODY;
    conf.buffer_request = 100;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    rig_expect(&r, c, "HTTP/1.1 100 Continue\r\n\r\n");
    rig_send(&r, c, "ab");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 2\r\n\r\nab");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    stop_all(c, o);
}

/* ---- keep-alive and pipelining ---- */

PP_TEST_CASE(a_body_is_found_by_looking_although_no_event_told_of_it)
{
    struct rig_conf conf = rig_defaults();
    char got[8];
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 2\r\n\r\n");
    rig_settle(&r);
    struct pp_exchange *x = PP_CONTAINER_OF(r.w.core.downs.next, struct pp_down, link)->x;
    PP_CHECK(!x->ops[PP_SIDE_DOWN]->is_readable(x));
    PP_CHECK_EQ(send(c, "ab", 2, 0), 2);
    x->ops[PP_SIDE_DOWN]->pump(x); /* goes by what is known */
    PP_CHECK_EQ(recv(o, got, sizeof got, 0), -1);
    x->ops[PP_SIDE_DOWN]->probe(x);
    PP_CHECK_EQ(recv(o, got, sizeof got, 0), 2);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    stop_all(c, o);
}

PP_TEST_CASE(many_requests_follow_each_other_on_one_connection)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 100; i++)
        o = rig_simple(&r, c, o);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, REUSES), 99);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_2XX), 100);
    stop_all(c, o);
}

PP_TEST_CASE(an_idle_connection_owns_no_buffer)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_settle(&r);
    struct pp_down *d = PP_CONTAINER_OF(r.w.core.downs.next, struct pp_down, link);
    PP_CHECK(d->h.mem == NULL && d->x == NULL && d->state == PP_DOWN_IDLE);
    PP_CHECK_EQ(r.w.core.input_slab.n_live + r.w.core.head_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.exchange_slab.n_live, 0);
    stop_all(c, o);
}

PP_TEST_CASE(pipelined_requests_are_answered_in_order)
{
    struct rig_conf conf = rig_defaults();
    char text[256];
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c,
             "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: "
             "2\r\n\r\nab"
             "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: "
             "a\r\n\r\n");
    int o = rig_accept(&r, 0);
    for (int i = 1; i <= 3; i++) {
        snprintf(text, sizeof text, "%s /%d HTTP/1.1\r\nHost: a\r\n" RIG_FWD "%s",
                 i == 2 ? "POST" : "GET", i, i == 2 ? "Content-Length: 2\r\n\r\nab" : "\r\n");
        rig_expect(&r, o, text);
        rig_expect_quiet(&r, o);
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 1\r\n%s\r\n%d",
                 i == 3 ? "Connection: close\r\n" : "", i);
        rig_send(&r, o, text);
        rig_expect(&r, c, text);
    }
    rig_expect_eof(&r, c);
    stop_all(c, o);
}

PP_TEST_CASE(thousands_of_pipelined_requests_are_all_answered_and_others_get_their_turn)
{
    enum { N = 3000 };
    static char text[N * sizeof(RIG_GET)];
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.route.body = PP_SPAN("#");
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), other = rig_connect(&r), end;
    size_t n = 0, answers = 0;
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, RIG_GET);
    ssize_t k = send(c, text, n, MSG_NOSIGNAL);
    PP_REQUIRE(k > 0);
    rig_send(&r, other, RIG_GET);
    for (int i = 0; i < 6; i++)
        rig_turn(&r, 0);
    char got[4096];
    PP_CHECK(recv(other, got, sizeof got, 0) > 0); /* long before the crowd of <c> is served */
    PP_CHECK(RIG_COUNT(&r, ROUTE, STATUS_2XX) < N / 2);
    PP_CHECK(rig_send_n(&r, c, text + k, n - (size_t)k));
    while (answers < N) {
        if (rig_read(&r, c, got, 1, &end) != 1)
            break;
        answers += got[0] == '#';
    }
    PP_CHECK_EQ(answers, N);
    close(other);
    stop_all(c, -1);
}

PP_TEST_CASE(a_pipelining_client_that_does_not_read_is_not_served_further)
{
    enum { N = 4000 };
    static char text[N * sizeof(RIG_GET)], body[4096];
    struct rig_conf conf = rig_defaults();
    size_t n = 0;
    memset(body, 'x', sizeof body);
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.route.body = pp_span(body, sizeof body);
    conf.door_sndbuf = 16384;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_dial(&r, 4096, 0);
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, RIG_GET);
    ssize_t k = send(c, text, n, MSG_NOSIGNAL);
    PP_CHECK(k > 0);
    rig_settle(&r);
    PP_CHECK(RIG_COUNT(&r, ROUTE, STATUS_2XX) < 200);
    struct pp_down *d = PP_CONTAINER_OF(r.w.core.downs.next, struct pp_down, link);
    PP_CHECK(d->h.out.n < 3 * sizeof body);
    rig_sleep(&r, conf.listener.send_timeout_ms + 1);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    stop_all(c, -1);
}

/* ---- refusals ---- */

static void refused(const char *sent, const char *status, const char *word)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.limits.head_bytes = 1000;
    conf.listener.limits.line_bytes = 500;
    conf.listener.limits.target_bytes = 100;
    conf.listener.limits.fields = 5;
    if (!rig_start(&r, &conf))
        return;
    int c = rig_connect(&r);
    rig_send(&r, c, sent);
    rig_expect_fault(&r, c, status, word, true);
    rig_expect_eof(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BAD_REQUESTS), 1);
    stop_all(c, -1);
}

static int park(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return PP_PARK;
}

PP_TEST_CASE(a_late_head_is_refused_once_however_long_the_answer_takes)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_PROXY_ERROR;
    conf.listener.header_timeout_ms = 100;
    if (!rig_start(&r, &conf))
        return;
    r.filter[0].run = park;
    int c = rig_connect(&r);
    rig_send(&r, c, "GET / HTTP/1.1\r\nHost:");
    rig_sleep(&r, 101);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_PROXY_ERROR], 1);
    rig_send(&r, c, " a\r\n\r\n"); /* nobody reads it any more */
    rig_sleep(&r, 101);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_PROXY_ERROR], 1);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    rig_expect_fault(&r, c, "408", "header_timeout", true);
    rig_expect_eof(&r, c);
    stop_all(c, -1);
}

PP_TEST_CASE(malformed_heads_are_refused)
{
    char text[2000];
    refused("GET / HTTP/1.1\n", "400", "bare_lf");
    refused("GET / HTTP/1.1\r\n\r\n", "400", "host_missing");
    refused("GET / HTTP/2.0\r\n", "505", "bad_version");
    refused("G(T / HTTP/1.1\r\n", "400", "bad_method");
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400", "content_length_and_transfer_encoding");
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "501",
            "bad_transfer_encoding");
    refused("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\n\r\n", "431",
            "too_many_fields");
    snprintf(text, sizeof text, "GET /%0200d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    refused(text, "414", "target_too_long");
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nA: %0600d\r\n\r\n", 0);
    refused(text, "431", "line_too_long");
    snprintf(text, sizeof text,
             "GET / HTTP/1.1\r\nHost: a\r\nA: %0400d\r\nB: %0400d\r\nC: %0400d\r\n\r\n", 0, 0, 0);
    refused(text, "431", "head_too_large");
}

PP_TEST_CASE(a_head_larger_than_one_buffer_goes_through)
{
    static char big[40000], want[41000];
    struct rig_conf conf = rig_defaults();
    conf.listener.limits.head_bytes = 40000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    size_t n = (size_t)sprintf(big, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 12; i++)
        n += (size_t)sprintf(big + n, "X-%d: %03000d\r\n", i, i);
    snprintf(want, sizeof want, "%s" RIG_FWD "\r\n", big);
    sprintf(big + n, "\r\n");
    for (size_t at = 0; at < strlen(big); at += 7000) {
        PP_CHECK(rig_send_n(&r, c, big + at, PP_MIN(7000, strlen(big) - at)));
        rig_settle(&r);
    }
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, want);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    stop_all(c, o);
}

PP_TEST_CASE(a_head_over_a_large_limit_is_refused)
{
    static char big[70000];
    struct rig_conf conf = rig_defaults();
    conf.listener.limits.head_bytes = 40000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    size_t n = (size_t)sprintf(big, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 20; i++)
        n += (size_t)sprintf(big + n, "X-%d: %03000d\r\n", i, i);
    PP_CHECK(rig_send_n(&r, c, big, n));
    rig_expect_fault(&r, c, "431", "head_too_large", true);
    rig_expect_eof(&r, c);
    stop_all(c, -1);
}

/* ---- ends ---- */

PP_TEST_CASE(a_client_that_leaves_at_any_time_leaves_nothing_behind)
{
    for (int state = 0; state < 6; state++) {
        for (int reset = 0; reset < 2; reset++) {
            struct rig_conf conf = rig_defaults();
            PP_REQUIRE(rig_start(&r, &conf));
            int c = rig_connect(&r), o = -1;
            if (state == 1)
                rig_send(&r, c, "GET / HT");
            if (state == 2)
                rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
            if (state >= 3)
                rig_send(&r, c, RIG_GET);
            if (state >= 2)
                o = rig_accept(&r, 0);
            if (state == 4)
                rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
            if (state == 5)
                rig_send(&r, o, RIG_HI);
            rig_settle(&r);
            if (reset)
                rig_reset(c);
            else
                close(c);
            rig_settle(&r);
            PP_CHECK_EQ(r.w.core.n_exchange, 0);
            PP_CHECK_EQ(r.w.core.n_down, 0);
            stop_all(-1, o);
        }
    }
}

PP_TEST_CASE(requests_before_the_end_of_a_half_closed_connection_are_served)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), end;
    rig_send(&r, c, RIG_GET RIG_GET);
    shutdown(c, SHUT_WR);
    char got[1000];
    size_t n = rig_read(&r, c, got, sizeof got, &end);
    PP_CHECK_EQ(end, 0);
    PP_CHECK_EQ(n, 2 * strlen("HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 0\r\n\r\n"));
    stop_all(c, -1);
}

/* POST with a body of <n> bytes, which the origin begins to read after the client has ended its
 * side, <ms> behind the body; chunked when <n> is odd. The origin's connection. */
static int post_and_end(int c, size_t n, uint64_t ms)
{
    static char body[500001], got[sizeof body + 100];
    char head[100];
    int end;
    bool chunked = n % 2 == 1;
    const char *framing = chunked ? "Transfer-Encoding: chunked" : "Content-Length";
    size_t k =
        chunked
            ? (size_t)sprintf(head, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n%zx\r\n", framing, n)
            : (size_t)sprintf(head, "POST / HTTP/1.1\r\nHost: a\r\n%s: %zu\r\n\r\n", framing, n);
    memset(body, 'b', n);
    PP_CHECK(rig_send_n(&r, c, head, k));
    PP_CHECK(rig_send_n(&r, c, body, n));
    if (chunked)
        rig_send(&r, c, "\r\n0\r\n\r\n");
    rig_sleep(&r, ms);
    shutdown(c, SHUT_WR);
    rig_settle(&r);
    int o = rig_accept(&r, 0);
    size_t want = n;
    while (o >= 0 && want > 0 && (k = rig_read(&r, o, got, 1, &end)) == 1)
        want -= got[0] == 'b';
    PP_CHECK_EQ(want, 0);
    return o;
}

PP_TEST_CASE(a_client_that_ends_its_side_behind_a_body_is_answered)
{
    static const size_t size[] = {2, 3, 60000, 60001, 500000, 500001};
    static char answer[600000], got[sizeof answer];
    size_t k =
        (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 500000\r\n\r\n");
    int end;
    memset(answer + k, 'a', 500000);
    for (unsigned i = 0; i < PP_COUNT_OF(size); i++) {
        struct rig_conf conf = rig_defaults();
        conf.door_sndbuf = 16384; /* the answer waits for the client more than once */
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = post_and_end(c, size[i], 0);
        rig_sleep(&r, 5000);
        PP_CHECK(rig_send_n(&r, o, answer, k + 500000));
        PP_CHECK_EQ(rig_read(&r, c, got, k + 500000, &end), k + 500000);
        PP_CHECK(memcmp(got, answer, k + 500000) == 0);
        rig_expect_eof(&r, c);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_client_that_ends_its_side_long_after_its_body_has_left)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = post_and_end(c, 10, PP_DOWN_HALF_CLOSE_MS + 1);
    rig_expect_eof(&r, c);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    stop_all(c, o);
}

PP_TEST_CASE(a_client_that_ended_its_side_behind_a_body_may_still_leave)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = post_and_end(c, 10, 0);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    stop_all(-1, o);
}

PP_TEST_CASE(the_last_request_of_a_connection_says_so)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.max_requests = 3;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_simple(&r, c, o);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    rig_expect_eof(&r, c);
    stop_all(c, o);
}

PP_TEST_CASE(an_old_connection_ends_after_its_exchange)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.max_age_ms = 10000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_sleep(&r, 10000);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    rig_expect_eof(&r, c);
    stop_all(c, o);
}

PP_TEST_MAIN()
