#include "proxy/filter_body_limit.c"

#include "proxy/native.h"

static struct rig r;

static void start(const char *options, uint64_t max_body)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "body_limit";
    conf.native[0].options = options;
    conf.route.max_body = max_body;
    PP_REQUIRE(rig_start(&r, &conf));
}

static int status_of(const char *ask)
{
    char heard[64];
    int ended, c = rig_connect(&r);
    rig_send(&r, c, ask);
    heard[rig_read(&r, c, heard, 12, &ended)] = 0;
    close(c);
    rig_settle(&r);
    return native_status(heard);
}

/* The origin gets all of it, and answers. */
static void passes(const char *ask, const char *body)
{
    char got[512];
    int ended, c = rig_connect(&r);
    rig_send(&r, c, ask);
    int o = rig_accept(&r, 0);
    size_t n = 0;
    do {
        size_t more = rig_read(&r, o, got + n, 1, &ended);
        n += more;
        if (more == 0)
            break;
        got[n] = 0;
    } while (strstr(got, body) == NULL && n < sizeof got - 1);
    PP_CHECK(strstr(got, body) != NULL);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    close(c);
    close(o);
    rig_settle(&r);
}

PP_TEST_CASE(a_body_over_the_limit_is_refused_however_it_comes)
{
    start("{\"max_bytes\": 4}", UINT64_MAX);
    PP_CHECK_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), 413);
    PP_CHECK_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\nabcde\r\n0\r\n\r\n"),
                413);
    PP_CHECK_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
                413);
    rig_stop(&r);
}

PP_TEST_CASE(a_body_as_long_as_the_limit_passes_however_it_comes)
{
    start("{\"max_bytes\": 4}", UINT64_MAX);
    passes("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", "\r\n\r\nabcd");
    passes("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
           "4\r\nabcd\r\n0\r\n\r\n");
    rig_stop(&r);
}

PP_TEST_CASE(the_routes_own_limit_stays)
{
    start("{\"max_bytes\": 100}", 4);
    PP_CHECK_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"), 413);
    PP_CHECK_EQ(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                          "5\r\nabcde\r\n0\r\n\r\n"),
                413);
    rig_stop(&r);
}

PP_TEST_CASE(the_limit_is_a_number_of_bytes)
{
    PP_CHECK_EQ(strlen(refusal_of("body_limit", "{\"max_bytes\": 0}")), 0);
    pp_test_bytes(rig_span(refusal_of("body_limit", "{\"max_bytes\": -1}")),
                  PP_SPAN("the option max_bytes is not a number within its bounds: mine"), "bounds",
                  __FILE__, __LINE__);
}

PP_TEST_MAIN()
