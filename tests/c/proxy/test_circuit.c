#include "proxy/circuit.c"

#include "proxy/drive_test.h"

#define BAD "HTTP/1.1 500 No\r\n" RIG_DATE "Content-Length: 0\r\n\r\n"

static struct rig_conf conf_of(uint32_t in_a_row)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.retries = 0;
    conf.cluster.breaker = (struct pp_breaker_conf){
        .in_a_row = in_a_row, .window_ms = 10000, .open_ms = 5000, .probes = 1};
    return conf;
}

PP_TEST_CASE(errors_open_it_and_a_probe_closes_it)
{
    struct rig_conf conf = conf_of(2);
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 2; i++) {
        rig_send(&r, c, RIG_GET);
        if (o < 0)
            o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, BAD);
        rig_expect(&r, c, BAD);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, BREAKER_OPEN), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, BREAKER_OPENS), 1);
    int c2 = rig_connect(&r);
    rig_send(&r, c2, RIG_GET);
    rig_expect_fault(&r, c2, "503", "breaker_open", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, BREAKER_REFUSED), 1);
    rig_expect_quiet(&r, o);
    rig_sleep(&r, 5000);
    o = rig_simple(&r, c, o);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, BREAKER_OPEN), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, BREAKER_HALF_OPEN), 0);
    o = rig_simple(&r, c2, o);
    close(c2);
    stop_all(c, o);
}

PP_TEST_CASE(a_refusal_says_when_to_come_again)
{
    struct rig_conf conf = conf_of(1);
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    close(o);
    rig_expect_fault(&r, c, "502", "upstream_reset", false);
    rig_sleep(&r, 1500);
    static char got[4096];
    size_t n = 0;
    int end;
    rig_send(&r, c, RIG_GET);
    while (n < sizeof got - 1 && strstr(got, "\r\n\r\n") == NULL &&
           rig_read(&r, c, got + n, 1, &end) == 1)
        got[++n] = '\0';
    PP_CHECK(strstr(got, "\r\nRetry-After: 4\r\n") != NULL);
    PP_CHECK(strstr(got, "\r\nX-Pyproxy-Overloaded: breaker_open\r\n") != NULL);
    stop_all(c, -1);
}

PP_TEST_CASE(a_probe_that_fails_opens_it_again)
{
    struct rig_conf conf = conf_of(1);
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 1; i <= 2; i++) {
        int o, c = get(&o);
        close(o);
        rig_expect_fault(&r, c, "502", "upstream_reset", false);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, BREAKER_OPENS), (uint64_t)i);
        close(c);
        rig_sleep(&r, 5000);
    }
    stop_all(-1, -1);
}

PP_TEST_CASE(what_the_client_does_opens_nothing)
{
    struct rig_conf conf = conf_of(1);
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, BREAKER_OPENS), 0);
    stop_all(-1, o);
}

PP_TEST_MAIN()
