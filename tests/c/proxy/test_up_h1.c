#include "proxy/up_h1.c"

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

/* The origin's <answer> to <sent> reaches the client as <back>; afterwards its connection is
 * <kept>. */
static void answered(const char *sent, const char *answer, bool closes, const char *back, bool kept)
{
    struct rig_conf conf = rig_defaults();
    char got[512];
    if (!rig_start(&r, &conf))
        return;
    int c = rig_connect(&r);
    rig_send(&r, c, sent);
    int o = rig_accept(&r, 0);
    rig_settle(&r);
    PP_CHECK(recv(o, got, sizeof got, 0) > 0);
    rig_send(&r, o, answer);
    if (closes)
        shutdown(o, SHUT_WR);
    rig_expect(&r, c, back);
    if (kept)
        rig_expect_quiet(&r, o);
    else
        rig_expect_eof(&r, o);
    rig_expect_quiet(&r, c);
    rig_simple(&r, c, kept ? o : -1); /* the client's connection is in order */
    stop_all(c, o);
}

/* The origin's <answer> to a request of <method> is no answer: the client gets a 502. */
static void refused(const char *answer, bool closes, const char *word)
{
    struct rig_conf conf = rig_defaults();
    if (!rig_start(&r, &conf))
        return;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, answer);
    if (closes)
        close(o);
    rig_expect_fault(&r, c, "502", word, false);
    if (!closes)
        rig_expect_eof(&r, o);
    stop_all(c, closes ? -1 : o);
}

#define HEAD "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n" RIG_DATE

PP_TEST_CASE(every_framing_of_an_answer_goes_through)
{
    answered(RIG_GET, RIG_HI, false, RIG_HI, true);
    answered(RIG_GET, OK "Content-Length: 0\r\n\r\n", false, OK "Content-Length: 0\r\n\r\n", true);
    answered(RIG_GET, OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false,
             OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", true);
    answered(RIG_GET, OK "Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n", false,
             OK "Transfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n", true);
}

PP_TEST_CASE(an_answer_until_close_becomes_chunked)
{
    answered(RIG_GET, OK "\r\nhi", true,
             OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false);
    answered(RIG_GET, OK "\r\n", true, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false);
    answered(RIG_GET, "HTTP/1.0 200 OK\r\n" RIG_DATE "\r\nhi", true,
             OK "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false);
}

PP_TEST_CASE(answers_without_a_body_keep_what_they_declare)
{
    answered(HEAD, OK "Content-Length: 5\r\n\r\n", false, OK "Content-Length: 5\r\n\r\n", true);
    answered(HEAD, OK "\r\n", false, OK "\r\n", true);
    answered(
        RIG_GET,
        "HTTP/1.1 304 Not Modified\r\n" RIG_DATE "Content-Length: 5\r\nETag: \"a\"\r\n\r\n", false,
        "HTTP/1.1 304 Not Modified\r\n" RIG_DATE "ETag: \"a\"\r\nContent-Length: 5\r\n\r\n", true);
    answered(RIG_GET, "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n", false,
             "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n", true);
}

PP_TEST_CASE(the_origin_decides_about_its_connection)
{
    answered(RIG_GET, OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi", false, RIG_HI, false);
    answered(RIG_GET, "HTTP/1.0 200 OK\r\n" RIG_DATE "Content-Length: 2\r\n\r\nhi", false, RIG_HI,
             false);
    answered(RIG_GET,
             "HTTP/1.0 200 OK\r\n" RIG_DATE "Connection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
             false, RIG_HI, true);
}

PP_TEST_CASE(bytes_behind_an_answer_cost_the_connection)
{
    answered(RIG_GET, RIG_HI "HTTP/1.1 200 OK\r\n", false, RIG_HI, false);
    answered(RIG_GET, OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nx", false,
             OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false);
    answered(HEAD, OK "Content-Length: 5\r\n\r\nhello", false, OK "Content-Length: 5\r\n\r\n",
             false);
}

PP_TEST_CASE(an_answer_and_a_close_at_once_are_an_answer)
{
    answered(RIG_GET, RIG_HI, true, RIG_HI, false);
}

PP_TEST_CASE(interim_answers_are_relayed_and_100_is_not)
{
    answered(RIG_GET,
             "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
             "HTTP/1.1 102 Processing\r\n\r\n" RIG_HI,
             false,
             "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" RIG_HI,
             true);
}

PP_TEST_CASE(a_1_0_client_gets_no_interim_answers)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_send(&r, o, "HTTP/1.1 103 Early Hints\r\n\r\n" RIG_HI);
    rig_expect(&r, c, OK "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    stop_all(c, o);
}

PP_TEST_CASE(many_interim_answers_do_not_fill_the_buffer)
{
    struct rig_conf conf = rig_defaults();
    static char hint[512];
    snprintf(hint, sizeof(hint), "HTTP/1.1 103 Early Hints\r\nLink: </a%0400d>\r\n\r\n", 1);
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    for (int i = 0; i < PP_EXCHANGE_INTERIM_MAX; i++) {
        rig_send(&r, o, hint);
        rig_expect(&r, c, hint);
    }
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    stop_all(c, o);
}

PP_TEST_CASE(a_flood_of_interim_answers_is_a_502)
{
    struct rig_conf conf = rig_defaults();
    static const char hint[] = "HTTP/1.1 103 Early Hints\r\n\r\n";
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    for (int i = 0; i < PP_EXCHANGE_INTERIM_MAX; i++) {
        rig_send(&r, o, hint);
        rig_expect(&r, c, hint);
    }
    rig_send(&r, o, "HTTP/1.1 100 Continue\r\n\r\n"); /* they count too */
    rig_expect_fault(&r, c, "502", "upstream_bad_response", false);
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(what_is_no_answer_is_a_502)
{
    refused("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false,
            "upstream_bad_response");
    refused("nonsense\r\n\r\n", false, "upstream_bad_response");
    refused("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n", false,
            "upstream_bad_response");
    refused("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false, "upstream_bad_response");
    refused("HTTP/1.1 200 OK\r\nA : 1\r\n\r\n", false, "upstream_bad_response");
    refused("HTTP/1.1 2", true, "upstream_reset");
    refused("", true, "upstream_reset");
}

PP_TEST_CASE(a_head_over_the_limit_is_a_502)
{
    static char big[90000];
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    size_t n = (size_t)sprintf(big, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 16; i++)
        n += (size_t)sprintf(big + n, "X-%d: %05000d\r\n", i, i);
    (void)rig_send_n(&r, o, big, n);
    rig_expect_fault(&r, c, "502", "upstream_bad_response", false);
    stop_all(c, o);
}

PP_TEST_CASE(a_large_head_goes_through)
{
    static char big[60000];
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    size_t n = (size_t)sprintf(big, "HTTP/1.1 200 OK\r\n" RIG_DATE);
    for (int i = 0; i < 10; i++)
        n += (size_t)sprintf(big + n, "X-%d: %05000d\r\n", i, i);
    n += (size_t)sprintf(big + n, "Content-Length: 2\r\n\r\nhi");
    for (size_t at = 0; at < n; at += 9000) {
        PP_CHECK(rig_send_n(&r, o, big + at, PP_MIN(9000, n - at)));
        rig_turn(&r, 0);
    }
    rig_expect(&r, c, big);
    stop_all(c, o);
}

PP_TEST_CASE(a_silent_origin_is_given_up)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.first_byte_timeout_ms = 10000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_sleep(&r, 9000);
    rig_expect_quiet(&r, c);
    rig_send(&r, o, "HTTP/1.1 2"); /* half a head does not help */
    rig_sleep(&r, 1001);
    rig_expect_fault(&r, c, "504", "first_byte_timeout", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 1);
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

/* ---- whose silence it is ---- */

static enum pp_phase wanted;

static int park_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == wanted ? PP_PARK : PP_NEXT;
}

static int park_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                     struct pp_span piece, bool last, struct pp_span *out)
{
    memcpy(f->mem, piece.p, piece.n);
    f->n = piece.n;
    return PP_PARK;
}

static struct rig_conf impatient(uint32_t phases)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = phases;
    conf.cluster.first_byte_timeout_ms = 5000;
    conf.cluster.read_timeout_ms = 5000;
    conf.cluster.idle_timeout_ms = 5000;
    return conf;
}

PP_TEST_CASE(filters_may_take_their_time_over_an_answer)
{
    static const enum pp_phase phases[] = {PP_PHASE_UPSTREAM_RESPONSE, PP_PHASE_RESPONSE};
    for (size_t i = 0; i < PP_COUNT_OF(phases); i++) {
        wanted = phases[i];
        struct rig_conf conf = impatient(1u << wanted);
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = park_there;
        int c = rig_connect(&r);
        rig_send(&r, c, RIG_GET);
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, OK "Content-Length: 4\r\n\r\nhi");
        rig_sleep(&r, 6000);
        rig_expect_quiet(&r, c);
        rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        rig_expect(&r, c, OK "Content-Length: 4\r\n\r\nhi");
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 0);
        rig_sleep(&r, 5001); /* from here on it is the origin that is awaited */
        rig_expect_reset(&r, c);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_filter_may_take_its_time_over_a_held_body)
{
    struct rig_conf conf = impatient(1u << PP_PHASE_RESPONSE_BODY);
    conf.buffer_response = 1000;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].body = park_body;
    int c = rig_connect(&r), o = -1;
    for (int at_once = 0; at_once < 2; at_once++) {
        rig_send(&r, c, RIG_GET);
        if (o < 0)
            o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, OK "Content-Length: 2\r\n\r\n");
        if (!at_once)
            rig_settle(&r);
        rig_send(&r, o, "hi");
        rig_sleep(&r, 6000);
        rig_expect_quiet(&r, c);
        rig_resume(&r, PP_PARK_RESPONSE_BODY, PP_NEXT, pp_span(r.filter[0].mem, r.filter[0].n));
        rig_expect(&r, c, RIG_HI);
    }
    stop_all(c, o);
}

PP_TEST_CASE(a_filter_may_take_its_time_with_a_pooled_connection)
{
    wanted = PP_PHASE_COUNT;
    struct rig_conf conf = impatient(1u << PP_PHASE_CONNECTED);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = park_there;
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    wanted = PP_PHASE_CONNECTED;
    rig_send(&r, c, RIG_GET);
    rig_sleep(&r, 6000);
    rig_expect_quiet(&r, c);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 0);
    stop_all(c, o);
}

PP_TEST_CASE(an_origin_that_resets_at_any_time_leaves_nothing_behind)
{
    for (int state = 0; state < 4; state++) {
        struct rig_conf conf = rig_defaults();
        char got[256];
        int end;
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r);
        if (state == 0)
            rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
        else
            rig_send(&r, c, RIG_GET);
        int o = rig_accept(&r, 0);
        rig_settle(&r);
        PP_CHECK(recv(o, got, sizeof got, 0) > 0);
        if (state == 2)
            rig_send(&r, o, "HTTP/1.1 200 OK\r\n");
        if (state == 3)
            rig_send(&r, o, OK "Content-Length: 5\r\n\r\nab");
        rig_settle(&r);
        rig_reset(o);
        if (state < 3) {
            rig_expect_fault(&r, c, "502", "upstream_reset", state == 0);
        } else {
            rig_expect(&r, c, OK "Content-Length: 5\r\n\r\nab");
            rig_read(&r, c, got, sizeof got, &end);
            PP_CHECK_EQ(end, ECONNRESET);
        }
        stop_all(c, -1);
    }
}

PP_TEST_CASE(an_origin_that_answers_and_stops_reading_is_heard)
{
    static char out[65536];
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_settle(&r);
    rig_send(&r, c, "FFFFFF\r\n");
    for (int i = 0; i < 200; i++) {
        (void)!send(c, out, sizeof out, MSG_NOSIGNAL);
        rig_turn(&r, 0);
    }
    rig_send(&r, o, "HTTP/1.1 413 Content Too Large\r\n" RIG_DATE "Content-Length: 2\r\n\r\nno");
    rig_expect(&r, c, "HTTP/1.1 413 Content Too Large\r\n" RIG_DATE "Content-Length: 2\r\n");
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    stop_all(c, o);
}

PP_TEST_MAIN()
