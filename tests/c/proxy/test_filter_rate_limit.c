#include "proxy/filter_rate_limit.c"

#include "proxy/limit_test.h"

#define r limit_rig
/* Four requests in 40 s, so many of them at once, by header. */
#define OF_FOUR(burst) "\"count\": 4, \"period_ns\": 40000000000, \"burst\": " #burst
#define LIMIT OF_FOUR(2) ", \"key\": \"{header.x-key}\""

static void start(const char *options)
{
    PP_REQUIRE(limit_start("rate_limit", options, true));
}

static void stop(int c)
{
    close(c);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(what_comes_too_often_is_refused)
{
    start("{\"limits\": [{" LIMIT "}]}");
    int c = rig_connect(&r);
    const char *a = limit_ask_as(c, "k");
    PP_CHECK_EQ(limit_status(a), 200);
    PP_CHECK(strstr(a, "RateLimit-Policy: \"rate_limit\";q=4;w=40\r\n") != NULL);
    PP_CHECK(strstr(a, "RateLimit: \"rate_limit\";r=1;t=10\r\n") != NULL);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "k")), 200);
    a = limit_ask_as(c, "k");
    PP_CHECK_EQ(limit_status(a), 429);
    PP_CHECK(strstr(a, "\r\nRetry-After: 10\r\n") != NULL);
    PP_CHECK(strstr(a, "RateLimit: \"rate_limit\";r=0;t=20\r\n") != NULL);
    PP_CHECK(strstr(a, "\r\nContent-Type: text/plain\r\n") != NULL);
    PP_CHECK(strstr(a, "\r\n\r\ntoo many requests") != NULL);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "other")), 200);
    rig_sleep(&r, 10000);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "k")), 200);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "k")), 429);
    PP_CHECK_EQ(limit_counted(RATE_LIMITED), 2);
    stop(c);
}

PP_TEST_CASE(the_answer_is_as_the_options_say)
{
    start("{\"limits\": [{\"count\": 1, \"period_ns\": 40000000000, \"key\": \"all\","
          " \"algorithm\": \"fixed_window\"}], \"status\": 503, \"message\": \"{}\","
          " \"content_type\": \"application/json\", \"headers\": false}");
    int c = rig_connect(&r);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "")), 200);
    const char *a = limit_ask_as(c, "");
    PP_CHECK_EQ(limit_status(a), 503);
    PP_CHECK(strstr(a, "\r\nContent-Type: application/json\r\n") != NULL);
    PP_CHECK(strstr(a, "\r\n\r\n{}") != NULL);
    PP_CHECK(strstr(a, "RateLimit") == NULL);
    PP_CHECK(strstr(a, "\r\nRetry-After: ") != NULL);
    stop(c);
}

PP_TEST_CASE(a_request_takes_from_all_limits_or_from_none)
{
    start("{\"limits\": [{" LIMIT ", \"name\": \"a\"}, {\"count\": 1, \"period_ns\": 1000000000,"
          " \"burst\": 1, \"key\": \"all\"}]}");
    int c = rig_connect(&r);
    const char *a = limit_ask_as(c, "k");
    PP_CHECK(strstr(a, "RateLimit-Policy: \"a\";q=4;w=40, \"rate_limit-2\";q=1;w=1\r\n") != NULL);
    PP_CHECK(strstr(a, "RateLimit: \"a\";r=1;t=10, \"rate_limit-2\";r=0;t=1\r\n") != NULL);
    for (int i = 0; i < 5; i++) /* the second limit refuses: the first gets its own back */
        PP_CHECK_EQ(limit_status(limit_ask_as(c, "k")), 429);
    rig_sleep(&r, 1000);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "k")), 200);
    rig_sleep(&r, 1000);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "k")), 429);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "l")), 200);
    stop(c);
}

PP_TEST_CASE(a_request_without_key_passes_or_not)
{
    start("{\"limits\": [{" LIMIT "}]}");
    int c = rig_connect(&r);
    for (int i = 0; i < 5; i++) {
        const char *a = limit_ask_as(c, "");
        PP_CHECK_EQ(limit_status(a), 200);
        PP_CHECK(strstr(a, "RateLimit") == NULL);
    }
    stop(c);
    start("{\"limits\": [{" LIMIT "}], \"refuse_missing\": true}");
    c = rig_connect(&r);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "k")), 200);
    PP_CHECK_EQ(limit_status(limit_ask_as(c, "")), 429);
    stop(c);
}

PP_TEST_CASE(a_dry_run_only_counts)
{
    start("{\"limits\": [{" LIMIT "}], \"dry_run\": true}");
    int c = rig_connect(&r);
    for (int i = 0; i < 5; i++) {
        const char *a = limit_ask_as(c, "k");
        PP_CHECK_EQ(limit_status(a), 200);
        PP_CHECK(strstr(a, "RateLimit") == NULL);
    }
    PP_CHECK_EQ(limit_counted(RATE_DRY_RUN), 3);
    PP_CHECK_EQ(limit_counted(RATE_LIMITED), 0);
    stop(c);
}

PP_TEST_CASE(what_cannot_be_counted_passes_or_not)
{
    static struct pp_core core;
    static struct pp_exchange x;
    struct pp_route route = {.record = 0};
    struct rate_limit of = {.common = {.dry_run = true}};
    PP_CHECK_EQ(pp_metrics_init(&core.metrics, NULL, 0, 0), PP_OK);
    x.core = &core;
    x.route = &route;
    const uint64_t *failures = &core.metrics.words[PP_METRIC_WORD(ROUTE, LIMIT_FAILURES)];
    const uint64_t *refused = &core.metrics.words[PP_METRIC_WORD(ROUTE, RATE_DRY_RUN)];
    PP_CHECK_EQ(on_error(&of, &x, PP_ENOMEM), PP_NEXT);
    PP_CHECK_EQ(*failures, 1);
    PP_CHECK_EQ(*refused, 0);
    of.common.refuse_on_error = true;
    PP_CHECK_EQ(on_error(&of, &x, PP_EAGAIN), PP_NEXT); /* but for the dry run */
    PP_CHECK_EQ(*failures, 2);
    PP_CHECK_EQ(*refused, 1);
    /* The request itself is wrong: an argument flood, say. */
    PP_CHECK_EQ(on_error(&of, &x, PP_EHTTP_TARGET), PP_REPLY);
    PP_CHECK_EQ(x.fault.code, PP_FAULT_BAD_REQUEST);
    PP_CHECK_EQ(*failures, 2);
    pp_metrics_fini(&core.metrics);
}

#define QUEUE "{\"limits\": [{" OF_FOUR(1) ", \"queue\": 2, \"key\": \"all\"}]}"

PP_TEST_CASE(what_is_in_excess_waits_for_its_turn)
{
    start(QUEUE);
    int a = rig_connect(&r), b = rig_connect(&r), c = rig_connect(&r), d = rig_connect(&r);
    PP_CHECK_EQ(limit_status(limit_ask_as(a, "")), 200);
    rig_send(&r, b, RIG_GET);
    rig_settle(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect_quiet(&r, b);
    rig_expect_quiet(&r, c);
    PP_CHECK_EQ(limit_status(limit_ask_as(d, "")), 429);
    rig_sleep(&r, 9000);
    rig_expect_quiet(&r, b);
    rig_sleep(&r, 1001);
    PP_CHECK_EQ(limit_status(limit_hear(b)), 200);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 10001);
    PP_CHECK_EQ(limit_status(limit_hear(c)), 200);
    PP_CHECK_EQ(limit_counted(RATE_DELAYED), 2);
    close(a), close(b), close(c);
    stop(d);
}

PP_TEST_CASE(who_waits_may_go_away)
{
    start(QUEUE);
    int a = rig_connect(&r), b = rig_connect(&r), c = rig_connect(&r);
    PP_CHECK_EQ(limit_status(limit_ask_as(a, "")), 200);
    rig_send(&r, b, RIG_GET);
    rig_send(&r, c, RIG_GET);
    rig_settle(&r);
    rig_reset(b);
    rig_settle(&r);
    rig_sleep(&r, 30000);
    PP_CHECK_EQ(limit_status(limit_hear(c)), 200);
    rig_send(&r, c, RIG_GET);
    rig_send(&r, a, RIG_GET); /* one of them is still parked when the worker ends */
    rig_settle(&r);
    close(a), close(c);
    rig_stop(&r);
}

PP_TEST_CASE(options_that_make_no_sense_are_refused)
{
    static const struct {
        const char *options, *why;
    } rows[] = {
        {"{\"limits\": [{" LIMIT "}]}", ""},
        {"{}", "no limits, or too many: \"mine\""},
        {"{\"limits\": [{\"key\": \"x\", \"count\": 1, \"period_ns\": 5, \"burst\": 1}]}",
         "a rate, burst or queue out of range: \"\"mine\"\""},
        {"{\"limits\": [{" LIMIT ", \"algorithm\": \"none\"}]}",
         "the option algorithm is not one of its words: mine"},
        {"{\"limits\": [{" OF_FOUR(2) ", \"key\": \"{nope}\"}]}", "there is no variable \"nope\""},
        {"{\"limits\": [{" LIMIT "}], \"status\": 700}", "the option status is not"},
        {"{\"limits\": [{" LIMIT "}], \"message\": 7}", "the option message is not text: mine"},
        {"{\"limits\": {}}", "the option limits is not a list: mine"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        const char *why = refusal_of("rate_limit", rows[i].options);
        bool ok = rows[i].why[0] == 0 ? why[0] == 0 : strstr(why, rows[i].why) != NULL;
        pp_test_true(ok, rows[i].options, __FILE__, __LINE__);
        if (!ok)
            printf("    %s\n", why);
    }
}

PP_TEST_MAIN()
