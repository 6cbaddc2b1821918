#include "proxy/filter_concurrency_limit.c"

#include "proxy/limit_test.h"

#define r limit_rig
#define OPTIONS "\"max\": 2, \"key\": \"{header.x-key}\""
#define ASK "GET / HTTP/1.1\r\nHost: a\r\nX-Key: k\r\n\r\n"
#define GOT "GET / HTTP/1.1\r\nHost: a\r\nX-Key: k\r\n" RIG_FWD "\r\n"

static void start(const char *options)
{
    PP_REQUIRE(limit_start("concurrency_limit", options, false));
}

/* A request that is at work: *origin is where it waits for its answer. */
static int begin(int *origin)
{
    int c = rig_connect(&r);
    rig_send(&r, c, ASK);
    *origin = rig_accept(&r, 0);
    rig_expect(&r, *origin, GOT);
    return c;
}

static unsigned ask(const char *key)
{
    int c = rig_connect(&r);
    unsigned status = limit_status(limit_ask_as(c, key));
    close(c);
    rig_settle(&r);
    return status;
}

PP_TEST_CASE(no_more_than_so_many_at_once)
{
    int o[3], c[3];
    start("{" OPTIONS "}");
    c[0] = begin(&o[0]);
    c[1] = begin(&o[1]);
    PP_CHECK_EQ(ask("k"), 429);
    PP_CHECK_EQ(limit_counted(CONCURRENCY_LIMITED), 1);
    rig_send(&r, o[0], RIG_HI); /* one is answered */
    rig_expect(&r, c[0], RIG_HI);
    rig_settle(&r);
    close(o[0]);
    rig_settle(&r);
    c[2] = begin(&o[2]);
    PP_CHECK_EQ(ask("k"), 429);
    rig_reset(c[1]); /* one goes away */
    rig_settle(&r);
    close(o[1]);
    c[1] = begin(&o[1]);
    PP_CHECK_EQ(ask("k"), 429);
    for (int i = 0; i < 3; i++)
        close(c[i]);
    close(o[1]), close(o[2]);
    rig_settle(&r);
    rig_stop(&r); /* nothing is held, or memory would be */
}

PP_TEST_CASE(what_takes_long_goes_on_counting)
{
    int o[2], c[2];
    start("{" OPTIONS ", \"status\": 503, \"message\": \"busy\"}");
    c[0] = begin(&o[0]);
    c[1] = begin(&o[1]);
    for (int i = 0; i < 10; i++) {
        rig_sleep(&r, 1500);
        PP_CHECK_EQ(ask("k"), 503);
    }
    for (int i = 0; i < 2; i++)
        close(c[i]), close(o[i]);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(a_worker_that_ends_gives_all_back)
{
    int o, c;
    start("{" OPTIONS "}");
    c = begin(&o);
    rig_stop(&r);
    close(c), close(o);
}

PP_TEST_CASE(a_dry_run_only_counts)
{
    int o[3], c[3];
    start("{" OPTIONS ", \"dry_run\": true}");
    for (int i = 0; i < 3; i++)
        c[i] = begin(&o[i]);
    PP_CHECK_EQ(limit_counted(CONCURRENCY_DRY_RUN), 1);
    for (int i = 0; i < 3; i++)
        close(c[i]), close(o[i]);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(a_request_without_key_is_refused_where_that_is_wanted)
{
    start("{" OPTIONS ", \"refuse_missing\": true}");
    PP_CHECK_EQ(ask(""), 429);
    rig_stop(&r);
}

PP_TEST_CASE(options_that_make_no_sense_are_refused)
{
    PP_CHECK(*refusal_of("concurrency_limit", "{" OPTIONS "}") == 0);
    PP_CHECK(strstr(refusal_of("concurrency_limit", "{\"max\": 0, \"key\": \"x\"}"),
                    "option max") != NULL);
    PP_CHECK(strstr(refusal_of("concurrency_limit", "{\"max\": 1, \"key\": \"{x}\"}"),
                    "no variable") != NULL);
}

PP_TEST_MAIN()
