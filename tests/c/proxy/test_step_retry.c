#include "proxy/step_retry.c"

#include "proxy/drive_test.h"

#define BUSY "HTTP/1.1 503 Busy\r\n" RIG_DATE "Content-Length: 4\r\n\r\nbusy"
#define BUSY_HEAD "HTTP/1.1 503 Busy\r\n" RIG_DATE "Content-Length: 400\r\n\r\nbusy"
#define LATER "HTTP/1.1 503 Busy\r\n" RIG_DATE "Retry-After: 2\r\nContent-Length: 0\r\n\r\n"
#define PUT "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
#define PUT_GOT "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 10\r\n\r\n"

/* As many retries as are asked for, after at most 250 ms. */
static struct rig_conf policy(const char *words)
{
    struct rig_conf conf = rig_defaults();
    struct pp_span rest = pp_span(words, strlen(words)), word;
    conf.cluster.retries = 2;
    conf.cluster.retry = (struct pp_retry_policy){
        .base_ms = 25, .most_ms = 250, .after_ms = 2000, .budget_percent = 20, .budget_least = 3};
    while (pp_span_next_item(&rest, &word))
        PP_CHECK_EQ(pp_retry_policy_add(&conf.cluster.retry, word), PP_OK);
    return conf;
}

static int again(const char *got)
{
    rig_sleep(&r, 250);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, got);
    return o;
}

static void settled(uint64_t retries, uint64_t refused)
{
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), retries);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_REFUSED), refused);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
}

/* The second attempt, at <o2>, is answered, and that is the end of it. */
static void served(int c, int o, int o2)
{
    rig_send(&r, o2, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    settled(1, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 0);
    close(o);
    stop_all(c, o2);
}

PP_TEST_CASE(an_answer_that_is_not_wanted_is_asked_for_again)
{
    struct rig_conf conf = policy("gateway_error");
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, BUSY);
    rig_settle(&r);
    rig_expect_quiet(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1); /* all of it came: the connection is good */
    int o2 = again(RIG_GOT);
    served(c, o, o2);
}

PP_TEST_CASE(an_answer_that_goes_on_is_dropped_with_its_connection)
{
    struct rig_conf conf = policy("503");
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, BUSY_HEAD);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    int o2 = again(RIG_GOT);
    served(c, o, o2);
}

PP_TEST_CASE(the_last_answer_is_the_clients)
{
    struct rig_conf conf = policy("503");
    conf.cluster.retries = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, BUSY);
    int o2 = again(RIG_GOT);
    rig_send(&r, o2, BUSY);
    rig_expect(&r, c, BUSY);
    settled(1, 0);
    close(o);
    stop_all(c, o2);
}

PP_TEST_CASE(a_reset_is_tried_again_with_the_body_that_was_sent)
{
    struct rig_conf conf = policy("reset");
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, PUT "012");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, PUT_GOT "012");
    rig_reset(o);
    rig_settle(&r);
    int o2 = again(PUT_GOT "012");
    rig_send(&r, c, "345");
    rig_expect(&r, o2, "345");
    close(o2);
    rig_settle(&r);
    int o3 = again(PUT_GOT "012345");
    rig_send(&r, c, "6789");
    rig_expect(&r, o3, "6789");
    rig_send(&r, o3, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    settled(2, 0);
    stop_all(c, o3);
}

PP_TEST_CASE(a_post_is_not_sent_twice)
{
    struct rig_conf conf = policy("reset,5xx");
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 1\r\n\r\nx");
    close(o);
    rig_expect_fault(&r, c, "502", "upstream_reset", false);
    settled(0, 0);
    stop_all(c, -1);
}

PP_TEST_CASE(too_long_a_body_is_not_kept)
{
    struct rig_conf conf = policy("5xx");
    static char body[PP_BODY_REPLAY_BYTES + 5000];
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    int o = rig_accept(&r, 0);
    char head[32];
    size_t size = sizeof body;
    int n = snprintf(head, sizeof head, "%zx\r\n", size);
    PP_CHECK(rig_send_n(&r, c, head, (size_t)n));
    memset(body, 'x', sizeof body);
    PP_CHECK(rig_send_n(&r, c, body, sizeof body));
    rig_send(&r, c, "\r\n0\r\n\r\n");
    static char got[sizeof body * 2];
    int end;
    rig_read(&r, o, got, sizeof body, &end);
    rig_settle(&r);
    rig_send(&r, o, BUSY);
    rig_expect(&r, c, BUSY);
    settled(0, 0);
    stop_all(c, o);
}

PP_TEST_CASE(an_attempt_has_a_time_of_its_own)
{
    struct rig_conf conf = policy("timeout");
    conf.cluster.retries = 1;
    conf.cluster.retry.per_try_ms = 1000;
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_sleep(&r, 999);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 2);
    rig_expect_eof(&r, o);
    int o2 = again(RIG_GOT);
    rig_sleep(&r, 1001);
    rig_expect_fault(&r, c, "504", "try_timeout", false);
    settled(1, 0);
    close(o);
    stop_all(c, o2);
}

PP_TEST_CASE(the_time_of_an_attempt_ends_with_the_head_of_the_answer)
{
    struct rig_conf conf = policy("timeout");
    conf.cluster.retry.per_try_ms = 1000;
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\n\r\n");
    rig_sleep(&r, 5000);
    rig_send(&r, o, "hi");
    rig_expect(&r, c, RIG_HI);
    settled(0, 0);
    stop_all(c, o);
}

PP_TEST_CASE(retry_after_is_obeyed_up_to_its_most)
{
    struct rig_conf conf = policy("503");
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, LATER);
    rig_sleep(&r, 1900);
    PP_CHECK(rig_try_accept(&r, 0, 20) < 0);
    rig_sleep(&r, 101);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, RIG_GOT);
    const char *later =
        "HTTP/1.1 503 Busy\r\n" RIG_DATE "Retry-After: 3\r\nContent-Length: 0\r\n\r\n";
    rig_send(&r, o2, later);
    rig_expect(&r, c, later);
    settled(1, 0);
    close(o);
    stop_all(c, o2);
}

PP_TEST_CASE(without_a_budget_nothing_is_tried_again)
{
    struct rig_conf conf = policy("503");
    conf.cluster.retry.budget_least = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int o, o2, c = get(&o), c2 = get(&o2);
    rig_send(&r, o, BUSY);
    rig_settle(&r);
    rig_send(&r, o2, BUSY);
    rig_expect(&r, c2, BUSY);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_REFUSED), 1);
    int o3 = again(RIG_GOT);
    rig_send(&r, o3, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    settled(1, 1);
    close(o);
    close(o2);
    close(c2);
    stop_all(c, o3);
}

PP_TEST_CASE(a_client_that_leaves_during_the_pause_ends_it)
{
    struct rig_conf conf = policy("503");
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, LATER);
    rig_settle(&r);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 0);
    rig_sleep(&r, 3000);
    PP_CHECK(rig_try_accept(&r, 0, 20) < 0);
    stop_all(-1, o);
}

PP_TEST_CASE(a_pause_never_outlasts_the_total_timeout)
{
    struct rig_conf conf = policy("503");
    conf.cluster.total_timeout_ms = 1500;
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, LATER);
    rig_expect(&r, c, LATER);
    settled(0, 0);
    stop_all(c, o);
}

PP_TEST_CASE(another_endpoint_is_asked_first)
{
    struct rig_conf conf = policy("503");
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, BUSY);
    rig_settle(&r);
    rig_sleep(&r, 250);
    int o2 = rig_accept(&r, 1);
    rig_expect(&r, o2, RIG_GOT);
    served(c, o, o2);
}

PP_TEST_CASE(a_stop_during_the_pause_leaves_nothing_behind)
{
    struct rig_conf conf = policy("503");
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, BUSY);
    rig_settle(&r);
    rig_stop(&r);
    close(c);
    close(o);
}

PP_TEST_CASE(without_memory_for_the_pause_the_answer_goes_on)
{
    struct rig_conf conf = policy("503");
    PP_REQUIRE(rig_start(&r, &conf));
    for (long n = 0; n < 12; n++) {
        int o, c = get(&o);
        rig_send(&r, o, BUSY);
        pp_mem_fail_after_for_test(n);
        rig_settle(&r);
        pp_mem_fail_after_for_test(-1);
        close(o);
        rig_reset(c);
        rig_settle(&r);
        rig_sleep(&r, 300);
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 0);
    }
    stop_all(-1, -1);
}

PP_TEST_MAIN()
