#include "proxy/step_shed.c"

#include "proxy/h2_client.h"

#include "proxy/drive_test.h"

/* As if it had been measured. */
static void press(enum pp_pressure_level level)
{
    r.w.core.overload.level = (uint8_t)level;
}

PP_TEST_CASE(requests_are_refused_before_any_filter_of_theirs)
{
    PP_REQUIRE(start(BIT(EARLY_REQUEST) | BIT(REQUEST)));
    press(PP_PRESSURE_SHED);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect_fault(&r, c, "503", "overload", false);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_EARLY_REQUEST], 0);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST], 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REQUESTS_SHED), 1);
    press(PP_PRESSURE_STOP_KEEP_ALIVE);
    int o = rig_simple(&r, c, -1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REQUESTS_SHED), 1);
    stop_all(c, o);
}

PP_TEST_CASE(the_answer_says_when_to_come_again)
{
    PP_REQUIRE(start(0));
    press(PP_PRESSURE_SHED);
    static char got[4096];
    size_t n = 0;
    int c = rig_connect(&r), end;
    rig_send(&r, c, RIG_GET);
    while (n < sizeof got - 1 && strstr(got, "\r\n\r\n") == NULL &&
           rig_read(&r, c, got + n, 1, &end) == 1)
        got[++n] = '\0';
    PP_CHECK(strstr(got, "\r\nRetry-After: 1\r\n") != NULL);
    PP_CHECK(strstr(got, "\r\nX-Pyproxy-Overloaded: overload\r\n") != NULL);
    stop_all(c, -1);
}

/* The body has not come, and need not. */
PP_TEST_CASE(no_body_is_waited_for)
{
    PP_REQUIRE(start(0));
    press(PP_PRESSURE_SHED);
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    rig_expect_fault(&r, c, "503", "overload", true);
    stop_all(c, -1);
}

static void start_exempt(uint32_t phases)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = phases;
    conf.overload.exempts = true;
    PP_CHECK(rig_start(&r, &conf));
    press(PP_PRESSURE_SHED);
}

PP_TEST_CASE(exempt_routes_are_served)
{
    start_exempt(BIT(EARLY_REQUEST));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_send(&r, c, "GET /x/../%7e HTTP/1.1\r\nHost: A:80\r\n\r\n"); /* routed as ever */
    rig_expect(&r, o,
               "GET /~ HTTP/1.1\r\nHost: A:80\r\nX-Forwarded-For: 127.0.0.1\r\n"
               "X-Forwarded-Proto: http\r\nX-Forwarded-Host: A:80\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_EARLY_REQUEST], 2);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REQUESTS_SHED), 0);
    stop_all(c, o);
}

PP_TEST_CASE(what_no_exempt_route_takes_is_refused)
{
    start_exempt(0);
    int c = rig_connect(&r);
    rig_send(&r, c, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"); /* no route has it */
    rig_expect_fault(&r, c, "503", "overload", false);
    rig_send(&r, c, "GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n"); /* malformed, and not worth a look */
    rig_expect_fault(&r, c, "503", "overload", false);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REQUESTS_SHED), 2);
    stop_all(c, -1);
}

static struct h2_client h2;

PP_TEST_CASE(streams_are_refused_one_by_one)
{
    PP_REQUIRE(start(0));
    PP_REQUIRE(h2_start(&h2, &r, NULL));
    press(PP_PRESSURE_SHED);
    h2_get(&h2, "/");
    h2_hear(&h2, "1 response 503");
    press(PP_PRESSURE_NONE);
    h2_get(&h2, "/");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, H2_GOT);
    rig_send(&r, o, RIG_HI);
    h2_hear(&h2, "3 data \"hi\" end\n");
    h2_stop(&h2);
    stop_all(-1, o);
}

PP_TEST_MAIN()
