#include "proxy/filter_mirror.c"

#include "proxy/refusal.h"
#include "proxy/rig.h"

static struct rig r;

/* Origin 0 answers clients, origin 1 is the mirror. */
static struct rig_conf conf_of(const char *options)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 2;
    conf.apart = true;
    conf.native[0].kind = "mirror";
    conf.native[0].options = options;
    return conf;
}

static void start(const char *options)
{
    struct rig_conf conf = conf_of(options);
    PP_REQUIRE(rig_start(&r, &conf));
}

static void stop(int c, int o, int m)
{
    close(c), close(o);
    if (m >= 0)
        close(m);
    rig_settle(&r);
    rig_stop(&r);
}

static uint64_t counted_(uint32_t word)
{
    return r.w.core.metrics.words[r.w.core.metrics.fallback[PP_METRIC_ROUTE] + word];
}
#define counted(word) counted_(PP_METRIC_WORD(ROUTE, MIRROR_##word))

/* The origin and its answer, while the mirror does what it likes. */
static int serve(int c, const char *sent, const char *got)
{
    rig_send(&r, c, sent);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, got);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    return o;
}

#define POST "POST /p?q HTTP/1.1\r\nHost: a\r\n"
#define APART "{\"upstream\": \"apart\"}"

PP_TEST_CASE(a_copy_goes_out_and_its_answer_is_thrown_away)
{
    start(APART);
    int c = rig_connect(&r);
    int o = serve(c, RIG_GET, RIG_GOT);
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, RIG_GOT);
    rig_send(&r, m,
             "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 No\r\nTransfer-Encoding: "
             "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    rig_expect_quiet(&r, c);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    /* Both connections are used again. */
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_expect(&r, m, RIG_GOT);
    rig_send(&r, m, RIG_HI); /* sooner than the origin */
    rig_expect_quiet(&r, c);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    PP_CHECK_EQ(counted(SENT), 2);
    PP_CHECK_EQ(counted(FAILED), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_2XX), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_5XX), 0);
    stop(c, o, m);
}

PP_TEST_CASE(a_body_is_copied_as_it_passes)
{
    start(APART);
    int c = rig_connect(&r);
    rig_send(&r, c, POST "Content-Length: 6\r\n\r\nabc");
    int o = rig_accept(&r, 0);
    /* Its framing is the client's: looking on changes nothing. */
    rig_expect(&r, o, POST RIG_FWD "Content-Length: 6\r\n\r\nabc");
    PP_CHECK(rig_try_accept(&r, 1, 20) < 0);
    rig_send(&r, c, "def");
    rig_expect(&r, o, "def");
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, POST RIG_FWD "Content-Length: 6\r\n\r\nabcdef");
    rig_send(&r, m, RIG_HI);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_settle(&r);
    /* One of unknown length has one in the copy; trailers are left out. */
    rig_send(&r, c, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n");
    rig_expect(&r, o,
               POST RIG_FWD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n");
    rig_expect(&r, m, POST RIG_FWD "Content-Length: 3\r\n\r\nabc");
    rig_send(&r, m, RIG_HI);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_settle(&r);
    /* An empty one. */
    rig_send(&r, c, POST "Content-Length: 0\r\n\r\n");
    rig_expect(&r, o, POST RIG_FWD "Content-Length: 0\r\n\r\n");
    rig_expect(&r, m, POST RIG_FWD "Content-Length: 0\r\n\r\n");
    PP_CHECK_EQ(counted(SENT), 3);
    stop(c, o, m);
}

PP_TEST_CASE(a_collected_body_is_copied_too)
{
    struct rig_conf conf = conf_of(APART);
    conf.phases = PP_PHASE_BIT(REQUEST_BODY);
    conf.buffer_request = 100;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    int o =
        serve(c, POST "Content-Length: 3\r\n\r\nabc", POST RIG_FWD "Content-Length: 3\r\n\r\nabc");
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, POST RIG_FWD "Content-Length: 3\r\n\r\nabc");
    rig_send(&r, m, RIG_HI);
    rig_settle(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, m, RIG_GOT);
    rig_settle(&r);
    PP_CHECK_EQ(counted(SENT), 2);
    stop(c, o, m);
}

PP_TEST_CASE(bodies_over_the_limit_have_no_copy)
{
    start("{\"upstream\": \"apart\", \"max_body\": 4}");
    int c = rig_connect(&r);
    int o = serve(c, POST "Content-Length: 5\r\n\r\nabcde",
                  POST RIG_FWD "Content-Length: 5\r\n\r\nabcde");
    PP_CHECK_EQ(counted(TOO_LARGE), 1);
    rig_send(&r, c, POST "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n");
    rig_expect(&r, o, POST RIG_FWD "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n");
    rig_send(&r, c, "1\r\ne\r\n0\r\n\r\n");
    rig_expect(&r, o, "1\r\ne\r\n0\r\n\r\n");
    PP_CHECK_EQ(counted(TOO_LARGE), 2);
    PP_CHECK_EQ(counted(SENT), 0);
    PP_CHECK(rig_try_accept(&r, 1, 20) < 0);
    stop(c, o, -1);
}

PP_TEST_CASE(a_body_that_does_not_come_whole_has_no_copy)
{
    start(APART);
    int c = rig_connect(&r);
    rig_send(&r, c, POST "Content-Length: 6\r\n\r\nabc");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, POST RIG_FWD "Content-Length: 6\r\n\r\nabc");
    PP_CHECK_EQ(r.w.core.n_exchange, 2);
    rig_reset(c);
    rig_expect_eof(&r, o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(counted(INCOMPLETE), 1);
    PP_CHECK_EQ(counted(SENT), 0);
    stop(rig_connect(&r), o, -1);
}

PP_TEST_CASE(the_copy_outlives_its_client)
{
    start(APART);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0), m = rig_accept(&r, 1);
    rig_expect(&r, m, RIG_GOT);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    rig_send(&r, m, RIG_HI);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(counted(SENT), 1);
    PP_CHECK_EQ(counted(FAILED), 0);
    stop(rig_connect(&r), o, m);
}

PP_TEST_CASE(too_many_at_a_time_have_no_copy)
{
    start("{\"upstream\": \"apart\", \"max_concurrent\": 1}");
    int c = rig_connect(&r);
    int o = serve(c, RIG_GET, RIG_GOT);
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, RIG_GOT);
    rig_simple(&r, c, o);
    PP_CHECK_EQ(counted(BUSY), 1);
    rig_expect_quiet(&r, m);
    rig_send(&r, m, RIG_HI);
    rig_settle(&r);
    rig_simple(&r, c, o); /* there is room again */
    rig_expect(&r, m, RIG_GOT);
    PP_CHECK_EQ(counted(SENT), 2);
    stop(c, o, m);
}

PP_TEST_CASE(a_mirror_that_is_silent_is_left)
{
    start("{\"upstream\": \"apart\", \"timeout_ms\": 500}");
    int c = rig_connect(&r);
    int o = serve(c, RIG_GET, RIG_GOT);
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, RIG_GOT);
    rig_send(&r, m, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    rig_sleep(&r, 400);
    PP_CHECK_EQ(counted(FAILED), 0);
    rig_sleep(&r, 200);
    PP_CHECK_EQ(counted(FAILED), 1);
    rig_expect_eof(&r, m);
    rig_simple(&r, c, o);
    rig_sleep(&r, 600); /* nor does one that never takes the connection up hold anything */
    PP_CHECK_EQ(counted(FAILED), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_2XX), 2);
    stop(c, o, m);
}

PP_TEST_CASE(a_mirror_that_is_gone_is_nobodys_trouble)
{
    start(APART);
    close(r.origin[1]);
    r.origin[1] = -1;
    int c = rig_connect(&r);
    int o = serve(c, RIG_GET, RIG_GOT);
    rig_settle(&r);
    PP_CHECK_EQ(counted(SENT), 1);
    PP_CHECK_EQ(counted(FAILED), 1);
    rig_expect_quiet(&r, c);
    stop(c, o, -1);
}

PP_TEST_CASE(a_mirror_that_talks_nonsense_is_nobodys_trouble)
{
    start(APART);
    int c = rig_connect(&r);
    int o = serve(c, RIG_GET, RIG_GOT);
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, RIG_GOT);
    rig_send(&r, m, "nonsense\r\n\r\n");
    rig_settle(&r);
    PP_CHECK_EQ(counted(FAILED), 1);
    rig_expect_quiet(&r, c);
    stop(c, o, m);
}

PP_TEST_CASE(a_copy_goes_although_the_origin_is_gone)
{
    start(APART);
    close(r.origin[0]);
    r.origin[0] = -1;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, RIG_GOT);
    rig_expect_fault(&r, c, "502", "connect_refused", false);
    PP_CHECK_EQ(counted(SENT), 1);
    stop(c, m, -1);
}

PP_TEST_CASE(the_copy_has_fields_and_a_host_of_its_own)
{
    start("{\"upstream\": \"apart\", \"host_suffix\": \"-shadow\", \"headers\":"
          " {\"set\": {\"x-mirrored\": \"{method} {path}\"}, \"remove\": [\"cookie\"]}}");
    int c = rig_connect(&r);
    rig_send(&r, c, "GET /a/../b HTTP/1.1\r\nHost: A:80\r\nCookie: a=b\r\n\r\n");
    int o = rig_accept(&r, 0), m = rig_accept(&r, 1);
    rig_expect(&r, o,
               "GET /b HTTP/1.1\r\nHost: A:80\r\nCookie: a=b\r\n"
               "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
               "X-Forwarded-Host: A:80\r\n\r\n");
    rig_expect(&r, m,
               "GET /b HTTP/1.1\r\nHost: A-shadow:80\r\n"
               "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
               "X-Forwarded-Host: A:80\r\nx-mirrored: GET /b\r\n\r\n");
    stop(c, o, m);
}

PP_TEST_CASE(only_some_are_copied)
{
    start("{\"upstream\": \"apart\", \"percent\": 0}");
    int c = rig_connect(&r);
    int o =
        serve(c, POST "Content-Length: 3\r\n\r\nabc", POST RIG_FWD "Content-Length: 3\r\n\r\nabc");
    PP_CHECK(rig_try_accept(&r, 1, 20) < 0);
    stop(c, o, -1);
    start("{\"upstream\": \"apart\", \"percent\": 50}");
    c = rig_connect(&r);
    o = -1;
    for (int i = 0; i < 100; i++)
        o = rig_simple(&r, c, o);
    rig_settle(&r);
    PP_CHECK(counted(SENT) > 20 && counted(SENT) < 80);
    stop(c, o, -1);
}

PP_TEST_CASE(tunnels_have_no_copy)
{
    struct rig_conf conf = conf_of(APART);
    conf.route.upgrade = PP_SPAN("websocket");
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c,
             "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    int o = rig_accept(&r, 0);
    PP_CHECK(rig_try_accept(&r, 1, 20) < 0);
    PP_CHECK_EQ(counted(SENT), 0);
    stop(c, o, -1);
}

PP_TEST_CASE(a_copy_survives_a_new_configuration)
{
    start(APART);
    int c = rig_connect(&r);
    int o = serve(c, RIG_GET, RIG_GOT);
    rig_send(&r, c, POST "Content-Length: 4\r\n\r\nab");
    int m = rig_accept(&r, 1);
    rig_settle(&r);
    for (int i = 0; i < 2; i++) {
        struct pp_snapshot *sn = rig_snapshot(&r);
        PP_REQUIRE(sn != NULL);
        PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
        pp_snapshot_unref(sn);
    }
    rig_expect(&r, m, RIG_GOT);
    rig_send(&r, m, RIG_HI);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 2); /* the request, and the copy that waits for its body */
    rig_send(&r, c, "cd");
    rig_settle(&r);
    PP_CHECK_EQ(counted(SENT), 2);
    close(c), close(o), close(m);
    rig_sleep(&r, 11000);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_stop(&r);
}

PP_TEST_CASE(a_worker_that_stops_ends_the_copies)
{
    start(APART);
    int c = rig_connect(&r), d = rig_connect(&r);
    int o = serve(c, RIG_GET, RIG_GOT);
    int m = rig_accept(&r, 1);
    rig_expect(&r, m, RIG_GOT);
    rig_send(&r, d, POST "Content-Length: 4\r\n\r\nab"); /* not even begun */
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 3);
    pp_worker_close_connections(&r.w);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(counted(FAILED), 1);
    PP_CHECK_EQ(counted(INCOMPLETE), 1);
    close(d);
    stop(c, o, m);
    start(APART);
    c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    o = rig_accept(&r, 0);
    m = rig_accept(&r, 1);
    rig_settle(&r);
    rig_stop(&r); /* with all of it at work */
    close(c), close(o), close(m);
}

PP_TEST_CASE(an_upstream_that_is_not_there_is_refused)
{
    const char *options = "{\"upstream\": \"nowhere\"}";
    PP_CHECK(strstr(refusal_of("mirror", options), "nowhere") != NULL);
}
PP_TEST_MAIN()
