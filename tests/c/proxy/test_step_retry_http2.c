/* Retries by policy where the endpoint speaks HTTP/2. */
#include "proxy/step_retry.c"

#include "proxy/h2_origin.h"

static struct rig r;
static struct o2 o;

static bool start(const char *word)
{
    struct rig_conf conf = o2_conf();
    conf.cluster.retry = (struct pp_retry_policy){
        .base_ms = 25, .most_ms = 250, .budget_percent = 20, .budget_least = 3};
    PP_CHECK_EQ(pp_retry_policy_add(&conf.cluster.retry, pp_span(word, strlen(word))), PP_OK);
    return rig_start(&r, &conf);
}

static int ask(const char *text)
{
    int c = rig_connect(&r);
    rig_send(&r, c, text);
    o2_serve(&o, &r, 0);
    return c;
}

static void pass(void)
{
    o2_flush(&o);
    o2_settle(&o);
    rig_sleep(&r, 250);
    o2_settle(&o);
}

static void stop_all(int c)
{
    close(c);
    o2_close(&o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 0);
    rig_stop(&r);
}

PP_TEST_CASE(a_stream_that_is_reset_is_tried_again_with_its_body)
{
    PP_REQUIRE(start("reset"));
    int c = ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    pp_http2_codec_reset(&o2_streams[0].s, PP_HTTP2_INTERNAL_ERROR);
    pass();
    PP_REQUIRE(o2_n == 2);
    PP_CHECK_STR(pp_span(o2_streams[1].body, o2_streams[1].n), "abc");
    o2_respond(&o2_streams[1], 200, "hi", true);
    rig_expect(&r, c, O2_HI);
    stop_all(c);
}

PP_TEST_CASE(an_answer_that_is_not_wanted_leaves_the_connection_as_it_is)
{
    for (int whole = 0; whole < 2; whole++) {
        PP_REQUIRE(start("503"));
        int c = ask(RIG_GET);
        o2_respond(&o2_streams[0], 503, "no", whole != 0);
        pass();
        PP_REQUIRE(o2_n == 2);
        PP_CHECK(o2_streams[1].o == &o);
        PP_CHECK_EQ(o2_streams[0].reset, whole == 0);
        o2_respond(&o2_streams[1], 200, "hi", true);
        rig_expect(&r, c, O2_HI);
        stop_all(c);
    }
}

PP_TEST_MAIN()
