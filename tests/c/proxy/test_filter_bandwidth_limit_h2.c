/* Limits of streams: of the client's, and of those to an endpoint. */
#include "proxy/filter_bandwidth_limit.c"

#include "proxy/h2_client.h"
#include "proxy/h2_origin.h"

static struct rig r;
static struct h2_client c;
static struct o2 o;
static char text[20001];

/* A grant is 1000 bytes, and takes 100 s: time passes when the test says so. */
#define GRANT_MS 100000
#define BOTH                                                                                       \
    "{\"upload\": {\"rate\": 10, \"burst\": 1000}, \"download\": {\"rate\": 10, \"burst\": 1000}}"

static void start(uint32_t body_timeout_ms)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    conf.cluster.read_timeout_ms = 1000;
    conf.listener.body_timeout_ms = body_timeout_ms;
    conf.native[0].kind = "bandwidth_limit";
    conf.native[0].options = BOTH;
    memset(text, 'x', sizeof text - 1);
    o2_n = 0;
    PP_REQUIRE(rig_start(&r, &conf) && h2_start(&c, &r, NULL));
}

/* Until neither client nor endpoint has anything to say. */
static void settle(void)
{
    for (int i = 0; i < 3; i++) {
        h2_settle(&c);
        o2_step(&o);
    }
    h2_settle(&c);
}

static void pass(uint64_t ms)
{
    settle();
    rig_sleep(&r, ms);
    settle();
}

static void done(void)
{
    h2_stop(&c);
    o2_close(&o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_stop(&r);
}

static struct peer_stream *upload(size_t n, bool end)
{
    struct peer_stream *s = h2_post(&c, NULL);
    PP_CHECK_EQ(h2_data(&c, s, pp_span(text, n), end), n);
    if (o2_n == 0)
        o2_accept(&o, &r, 0);
    settle();
    return s;
}

PP_TEST_CASE(what_a_client_sends_passes_as_fast_as_it_may)
{
    start(1000); /* the client is not blamed */
    struct peer_stream *s = upload(2500, true);
    PP_REQUIRE(o2_n == 1);
    PP_CHECK_EQ(o2_streams[0].n, 1000); /* a part of one frame */
    pass(GRANT_MS / 2);
    PP_CHECK_EQ(o2_streams[0].n, 1000);
    pass(GRANT_MS / 2 + 1);
    PP_CHECK_EQ(o2_streams[0].n, 2000);
    PP_CHECK(!o2_streams[0].end);
    pass(GRANT_MS + 1);
    PP_CHECK_EQ(o2_streams[0].n, 2500);
    PP_CHECK(o2_streams[0].end);
    o2_respond(&o2_streams[0], 200, "hi", true);
    settle();
    PP_CHECK_EQ(s->got, 2);
    done();
}

PP_TEST_CASE(frames_that_follow_each_other_are_held_back_together)
{
    start(30000);
    struct peer_stream *s = upload(600, false);
    PP_REQUIRE(o2_n == 1);
    PP_CHECK_EQ(o2_streams[0].n, 600);
    PP_CHECK_EQ(h2_data(&c, s, pp_span(text, 600), false), 600);
    PP_CHECK_EQ(h2_data(&c, s, pp_span(text, 300), true), 300);
    settle();
    PP_CHECK_EQ(o2_streams[0].n, 1000);
    pass(GRANT_MS + 1);
    PP_CHECK_EQ(o2_streams[0].n, 1500);
    PP_CHECK(o2_streams[0].end);
    done();
}

PP_TEST_CASE(what_an_endpoint_sends_passes_as_fast_as_it_may)
{
    start(30000);
    struct peer_stream *s = h2_get(&c, "/");
    o2_accept(&o, &r, 0);
    settle();
    PP_REQUIRE(o2_n == 1);
    text[2500] = '\0';
    o2_respond(&o2_streams[0], 200, text, true);
    settle();
    PP_CHECK_EQ(s->got, 1000);
    pass(GRANT_MS + 1); /* longer than an endpoint may be silent */
    PP_CHECK_EQ(s->got, 2000);
    pass(GRANT_MS + 1);
    PP_CHECK_EQ(s->got, 2500);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    done();
}

PP_TEST_CASE(who_leaves_while_held_back_leaves_nothing)
{
    start(30000);
    struct peer_stream *s = upload(20000, false), *t = upload(20000, true);
    PP_REQUIRE(o2_n == 2);
    PP_CHECK_EQ(o2_streams[1].n, 1000);
    pp_http2_codec_reset(&s->s, PP_HTTP2_CANCEL);
    settle();
    PP_CHECK(o2_streams[0].reset && !o2_streams[1].reset);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    pass(GRANT_MS + 1);
    PP_CHECK_EQ(o2_streams[1].n, 2000);
    o2_respond(&o2_streams[1], 200, "no more", true); /* before it has got everything */
    settle();
    PP_CHECK_EQ(t->got, 7);
    pass(GRANT_MS + 1);
    done();
}

PP_TEST_MAIN()
