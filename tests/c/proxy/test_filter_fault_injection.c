#include "proxy/filter_fault_injection.c"

#include "proxy/native.h"

static struct rig r;

static void start(const char *options)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "fault_injection";
    conf.native[0].options = options;
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 204;
    PP_REQUIRE(rig_start(&r, &conf));
}

static int ask(void)
{
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    return c;
}

static int status_of(int c)
{
    char heard[64];
    int ended;
    heard[rig_read(&r, c, heard, 12, &ended)] = 0;
    close(c);
    rig_settle(&r);
    return native_status(heard);
}

PP_TEST_CASE(a_request_is_answered_with_the_fault)
{
    const char *heard = native_ask(
        "fault_injection", "{\"abort\": {\"status\": 418, \"message\": \"tea\"}}", "GET", "");
    PP_CHECK_EQ(native_status(heard), 418);
    PP_CHECK(strstr(heard, "\r\n\r\ntea") != NULL);
    PP_CHECK_EQ(native_status(native_ask("fault_injection", "{\"abort\": {}}", "GET", "")),
                200); /* no abort */
    PP_CHECK_EQ(
        native_status(native_ask("fault_injection", "{\"abort\": {\"percent\": 100}}", "GET", "")),
        503);
}

PP_TEST_CASE(a_request_is_held_up_and_goes_on)
{
    start("{\"delay\": {\"time_ms\": 500}}");
    int c = ask();
    rig_sleep(&r, 400);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 200);
    PP_CHECK_EQ(status_of(c), 204);
    rig_stop(&r);
}

PP_TEST_CASE(one_that_is_held_up_may_be_answered_afterwards)
{
    start("{\"delay\": {\"time_ms\": 500}, \"abort\": {\"status\": 500}}");
    int c = ask();
    rig_sleep(&r, 400);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 200);
    PP_CHECK_EQ(status_of(c), 500);
    rig_stop(&r);
}

PP_TEST_CASE(only_so_many_are_held_up_at_a_time)
{
    start("{\"delay\": {\"time_ms\": 500}, \"max_active\": 1}");
    int first = ask();
    rig_settle(&r);
    PP_CHECK_EQ(status_of(ask()), 204);
    rig_expect_quiet(&r, first);
    rig_sleep(&r, 600);
    PP_CHECK_EQ(status_of(first), 204);
    int next = ask(); /* there is room again */
    rig_expect_quiet(&r, next);
    rig_reset(next); /* and once its client has left */
    rig_settle(&r);
    int last = ask();
    rig_expect_quiet(&r, last);
    rig_sleep(&r, 600);
    PP_CHECK_EQ(status_of(last), 204);
    rig_stop(&r);
}

PP_TEST_CASE(a_worker_stops_while_a_request_is_held_up)
{
    start("{\"delay\": {\"time_ms\": 500}}");
    int c = ask();
    rig_settle(&r);
    close(c);
    rig_stop(&r);
}

PP_TEST_CASE(chance_is_a_share_of_the_requests)
{
    static const struct {
        const char *percent;
        unsigned least, most;
    } rows[] = {{"0", 0, 0}, {"100", 400, 400}, {"50.0", 120, 280}, {"0.00001", 0, 0}};
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        char options[96];
        unsigned n = 0;
        snprintf(options, sizeof options, "{\"abort\": {\"status\": 500, \"percent\": %s}}",
                 rows[i].percent);
        start(options);
        for (int k = 0; k < 400; k++)
            n += status_of(ask()) == 500;
        PP_CHECK(n >= rows[i].least && n <= rows[i].most);
        rig_stop(&r);
    }
}

PP_TEST_MAIN()
