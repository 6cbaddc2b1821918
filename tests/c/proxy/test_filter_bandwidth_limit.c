#include "proxy/filter_bandwidth_limit.c"

#include "proxy/refusal.h"
#include "proxy/rig.h"

static struct rig r;

/* So slow that nothing more comes while a test runs: time passes when it says so. A grant is 1000
 * bytes, and takes 100 s. */
#define SLOW "{\"rate\": 10, \"burst\": 1000}"
#define GRANT_MS 100000
#define DOWNLOAD "{\"download\": " SLOW "}"
#define UPLOAD "{\"upload\": " SLOW "}"

static struct rig_conf conf_of(const char *options)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "bandwidth_limit";
    conf.native[0].options = options;
    conf.origin_rcvbuf = conf.door_rcvbuf = conf.door_sndbuf = 4096;
    return conf;
}

static void start(const char *options)
{
    struct rig_conf conf = conf_of(options);
    PP_REQUIRE(rig_start(&r, &conf));
}

static void stop(int c, int o)
{
    close(c), close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_stop(&r);
}

/* Bytes that have come and are right, from the <at>-th on. */
static size_t take_all(int fd, size_t at)
{
    static char in[1 << 16];
    size_t n = 0;
    rig_settle(&r);
    for (ssize_t k; (k = recv(fd, in, sizeof in, 0)) > 0; rig_settle(&r)) {
        for (ssize_t i = 0; i < k; i++)
            PP_CHECK_EQ(in[i], rig_byte(at + n + (size_t)i));
        n += (size_t)k;
    }
    return n;
}

static void give(int fd, size_t n)
{
    static char out[1 << 16];
    PP_REQUIRE(n <= sizeof out);
    for (size_t i = 0; i < n; i++)
        out[i] = rig_byte(i);
    PP_CHECK(rig_send_n(&r, fd, out, n));
}

/* A response of <n> bytes has begun on <c>; its origin. */
static int download(int c, int o, size_t n)
{
    char head[128];
    rig_send(&r, c, RIG_GET);
    if (o < 0)
        o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: %zu\r\n\r\n", n);
    rig_send(&r, o, head);
    rig_expect(&r, c, head); /* heads do not wait, and it keeps its length */
    return o;
}

PP_TEST_CASE(a_response_passes_as_fast_as_it_may)
{
    start(DOWNLOAD);
    int c = rig_connect(&r), o = download(c, -1, 3500);
    give(o, 3500);
    PP_CHECK_EQ(take_all(c, 0), 1000); /* the burst */
    rig_sleep(&r, GRANT_MS / 2);
    PP_CHECK_EQ(take_all(c, 1000), 0);
    rig_sleep(&r, GRANT_MS / 2 + 1);
    PP_CHECK_EQ(take_all(c, 1000), 1000);
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(c, 2000), 1000);
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(c, 3000), 500);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    /* The next one has a limit of its own. */
    (void)download(c, o, 1500);
    give(o, 1500);
    PP_CHECK_EQ(take_all(c, 0), 1000);
    stop(c, o);
}

PP_TEST_CASE(chunks_are_held_back_too)
{
    start(DOWNLOAD);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\n" RIG_DATE "Transfer-Encoding: chunked\r\n\r\n");
    rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 400; i++)
        rig_send(&r, o, "a\r\n0123456789\r\n");
    rig_send(&r, o, "0\r\n\r\n");
    static char heard[1 << 16];
    size_t bytes = 0;
    for (uint64_t grants = 1; r.w.core.n_exchange > 0 && grants < 20; grants++) {
        rig_settle(&r);
        for (ssize_t k; (k = recv(c, heard, sizeof heard, 0)) > 0; rig_settle(&r))
            for (ssize_t i = 0; i < k; i++)
                bytes += (unsigned)(heard[i] - '0') < 10u;
        PP_CHECK(bytes <= grants * 1000 + 400 * 2 /* sizes of chunks */);
        rig_sleep(&r, GRANT_MS + 1);
    }
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    stop(c, o);
}

PP_TEST_CASE(the_origin_is_not_read_meanwhile)
{
    struct rig_conf conf = conf_of(DOWNLOAD);
    conf.cluster.read_timeout_ms = 1000; /* and not blamed for it */
    PP_REQUIRE(rig_start(&r, &conf));
    static char out[1 << 16];
    int c = rig_connect(&r), o = download(c, -1, 100 << 20);
    size_t sent = 0;
    for (int i = 0; i < 100; i++) {
        ssize_t k = send(o, out, sizeof out, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        rig_turn(&r, 0);
    }
    rig_settle(&r);
    long live = pp_mem_live_for_test();
    size_t full = sent;
    for (int i = 0; i < 5; i++) {
        rig_sleep(&r, 10000);
        ssize_t k = send(o, out, sizeof out, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
    }
    PP_CHECK(full < (8 << 20)); /* what the sockets hold */
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    rig_reset(c); /* a client that leaves while its response is held back */
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    stop(rig_connect(&r), o);
}

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

PP_TEST_CASE(an_upload_passes_as_fast_as_it_may)
{
    struct rig_conf conf = conf_of(UPLOAD);
    conf.listener.body_timeout_ms = 1000; /* the client is not blamed */
    conf.listener.body_min_rate = 1000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, POST "Content-Length: 2500\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, POST RIG_FWD "Content-Length: 2500\r\n\r\n");
    give(c, 2500);
    PP_CHECK_EQ(take_all(o, 0), 1000);
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(o, 1000), 1000);
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(o, 2000), 500);
    rig_send(&r, o, RIG_HI); /* the response is not held back */
    rig_expect(&r, c, RIG_HI);
    stop(c, o);
}

PP_TEST_CASE(a_body_that_is_collected_comes_as_fast_as_it_may)
{
    struct rig_conf conf = conf_of("{\"download\": " SLOW ", \"upload\": " SLOW "}");
    conf.phases = PP_PHASE_BIT(REQUEST_BODY) | PP_PHASE_BIT(RESPONSE_BODY);
    conf.buffer_request = conf.buffer_response = 4000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, POST "Content-Length: 1500\r\n\r\n");
    give(c, 1500);
    rig_settle(&r);
    PP_CHECK(rig_try_accept(&r, 0, 20) < 0);
    rig_sleep(&r, GRANT_MS + 1);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, POST RIG_FWD "Content-Length: 1500\r\n\r\n");
    PP_CHECK_EQ(take_all(o, 0), 1500);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 1500\r\n\r\n");
    give(o, 1500);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, GRANT_MS + 1);
    rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 1500\r\n\r\n");
    PP_CHECK_EQ(take_all(c, 0), 1500);
    stop(c, o);
}

PP_TEST_CASE(those_of_one_key_share_and_take_turns)
{
    start("{\"download\": {\"rate\": 10, \"burst\": 1000}, \"key\": \"all\"}");
    int a = rig_connect(&r), b = rig_connect(&r);
    int p = download(a, -1, 1500);
    give(p, 1500);
    PP_CHECK_EQ(take_all(a, 0), 1000);
    int q = download(b, -1, 1500);
    give(q, 1500);
    PP_CHECK_EQ(take_all(b, 0), 0);
    rig_sleep(&r, GRANT_MS + 1); /* the turn of the first one, which needs half of it */
    PP_CHECK_EQ(take_all(a, 1000), 500);
    PP_CHECK_EQ(take_all(b, 0), 0);
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(b, 0), 1000);
    close(a), close(p);
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(b, 1000), 500);
    stop(b, q);
}

PP_TEST_CASE(another_request_of_the_key_brings_no_new_burst)
{
    start("{\"download\": {\"rate\": 10, \"burst\": 1000}, \"key\": \"{header.x-k}\"}");
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 2; i++) { /* without a key each has its own limit */
        o = download(c, o, 900);
        give(o, 900);
        PP_CHECK_EQ(take_all(c, 0), 900);
    }
    for (int i = 0; i < 2; i++) {
        rig_send(&r, c, "GET / HTTP/1.1\r\nHost: a\r\nX-K: k\r\n\r\n");
        rig_expect(&r, o, "GET / HTTP/1.1\r\nHost: a\r\nX-K: k\r\n" RIG_FWD "\r\n");
        rig_send(&r, o, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 900\r\n\r\n");
        rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 900\r\n\r\n");
        give(o, 900);
        PP_CHECK_EQ(take_all(c, 0), i == 0 ? 900 : 0);
    }
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(c, 0), 900);
    stop(c, o);
}

PP_TEST_CASE(keys_are_forgotten_when_their_buckets_are_full)
{
    static struct pp_core core;
    static struct bandwidth_limit limit = {.rate = {10, 0}, .burst = {10, 0}};
    struct common *c;
    pp_list_init(&limit.idle);
    core.loop.now_us = 1000000;
    PP_REQUIRE((c = acquire(&limit, &core, PP_SPAN("a"))) != NULL);
    PP_CHECK(acquire(&limit, &core, PP_SPAN("a")) == c);
    c->bucket[0].full_ns = UINT64_C(2000000000);
    release(&limit, c, &core);
    PP_CHECK_EQ(limit.n_idle, 0);
    release(&limit, c, &core);
    PP_CHECK_EQ(limit.n_idle, 1);
    PP_CHECK(acquire(&limit, &core, PP_SPAN("a")) == c);
    PP_CHECK_EQ(limit.n_idle, 0);
    release(&limit, c, &core);
    core.loop.now_us = 3000000;
    struct common *d = acquire(&limit, &core, PP_SPAN("b"));
    PP_REQUIRE(d != NULL);
    release(&limit, d, &core);
    PP_CHECK_EQ(limit.n_idle, 0);
    PP_CHECK_EQ(limit.map.n, 0);
    for (uint32_t i = 0; i <= IDLE_MAX; i++) { /* nor do ever more of them pile up */
        d = acquire(&limit, &core, pp_span((const char *)&i, sizeof i));
        PP_REQUIRE(d != NULL);
        d->bucket[0].full_ns = UINT64_MAX;
        release(&limit, d, &core);
    }
    PP_CHECK_EQ(limit.n_idle, IDLE_MAX);
    on_gone(&limit);
    PP_CHECK_EQ(limit.n_idle, 0);
}

PP_TEST_CASE(two_limits_hold_both)
{
    struct rig_conf conf = conf_of("{\"download\": {\"rate\": 10, \"burst\": 2000}}");
    conf.native[1].kind = "bandwidth_limit";
    conf.native[1].options = DOWNLOAD;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = download(c, -1, 1500);
    give(o, 1500);
    PP_CHECK_EQ(take_all(c, 0), 1000);
    rig_sleep(&r, GRANT_MS + 1);
    PP_CHECK_EQ(take_all(c, 1000), 500);
    stop(c, o);
}

PP_TEST_CASE(a_fast_limit_does_not_stop_a_long_body)
{
    start("{\"download\": {\"rate\": 1099511627776, \"burst\": 1073741824}}");
    int c = rig_connect(&r), o = download(c, -1, 4 << 20);
    rig_stream(&r, o, c, 4 << 20, false);
    stop(c, o);
}

PP_TEST_CASE(options_out_of_range_are_refused)
{
    PP_CHECK(refusal_of("bandwidth_limit", "{\"download\": {\"rate\": 0}}")[0] != 0);
    PP_CHECK(refusal_of("bandwidth_limit", "{\"upload\": {\"rate\": 1, \"burst\": 0}}")[0] != 0);
    PP_CHECK(refusal_of("bandwidth_limit", "{\"key\": \"{nope}\"}")[0] != 0);
    PP_CHECK_STR(rig_span(refusal_of("bandwidth_limit", "{\"upload\": {\"rate\": 1}}")), "");
}

PP_TEST_MAIN()
