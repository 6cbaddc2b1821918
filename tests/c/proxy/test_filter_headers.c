#include "proxy/filter_headers.c"

#include "proxy/refusal.h"
#include "proxy/rig.h"

static struct rig r;

/* What the origin gets of <ask>, and the client of <answer>, with these options. */
static void check(const char *options, const char *ask, const char *got, const char *answer,
                  const char *heard)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "headers";
    conf.native[0].options = options;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, ask);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, got);
    rig_send(&r, o, answer);
    rig_expect(&r, c, heard);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(fields_are_removed_set_added_and_filled_in)
{
    check("{\"request\": {\"remove\": [\"x-a\", \"User-Agent\"],"
          " \"set\": {\"x-b\": \"{method}{path}\", \"host\": \"other\"},"
          " \"add\": {\"x-c\": [\"1\", \"2\"]}, \"default\": {\"x-d\": \"d\", \"x-e\": \"e\"}},"
          " \"response\": {\"remove\": [\"server\"], \"set\": {\"x-r\": \"{header.x-d}\"},"
          " \"default\": {\"x-s\": \"{host}\"}}}",
          "GET /p HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nUser-Agent: u\r\nX-B: old\r\nX-B: older\r\n"
          "X-C: 0\r\nX-D: mine\r\n\r\n",
          "GET /p HTTP/1.1\r\nHost: other\r\nX-B: GET/p\r\nX-C: 0\r\nX-D: mine\r\nx-c: 1\r\n"
          "x-c: 2\r\nx-e: e\r\n" RIG_FWD "\r\n",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "Server: s\r\nX-R: o\r\nContent-Length: 0\r\n\r\n",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "X-R: mine\r\nx-s: a\r\nContent-Length: 0\r\n\r\n");
}

PP_TEST_CASE(a_value_that_comes_out_empty_is_no_field)
{
    check("{\"request\": {\"set\": {\"x-b\": \"{header.x-none}\", \"host\": \"{header.x-none}\"},"
          " \"add\": {\"x-c\": \"{header.x-none}\"}, \"default\": {\"x-d\": \"\"}}}",
          "GET / HTTP/1.1\r\nHost: a\r\nX-B: old\r\n\r\n", RIG_GOT, RIG_HI, RIG_HI);
}

PP_TEST_CASE(answers_of_the_proxys_own_get_fields_too)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "headers";
    conf.native[0].options = "{\"response\": {\"set\": {\"x-r\": \"1\"}}}";
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 204;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    char heard[512];
    int ended;
    rig_settle(&r);
    size_t n = rig_read(&r, c, heard, 60, &ended);
    heard[n] = 0;
    PP_CHECK(strstr(heard, "\r\nx-r: 1\r\n") != NULL);
    close(c);
    rig_settle(&r);
    rig_stop(&r);
}

/* ---- what cannot be made ---- */

PP_TEST_CASE(options_that_make_no_sense_are_refused)
{
    static const struct {
        const char *options, *why;
    } rows[] = {
        {"{}", ""},
        {"{\"request\": {\"set\": {\"Content-Length\": \"1\"}}}",
         "the proxy's own header cannot be changed: \"Content-Length\""},
        {"{\"response\": {\"remove\": [\"connection\"]}}",
         "the proxy's own header cannot be changed: \"connection\""},
        {"{\"request\": {\"add\": {\"host\": \"b\"}}}", "a header that can only be set: \"host\""},
        {"{\"request\": {\"set\": {\"a b\": \"1\"}}}", "not the name of a header: \"a b\""},
        {"{\"request\": {\"set\": {\"x\": \"{nope}\"}}}", "there is no variable \"nope\""},
        {"{\"request\": {\"set\": {\"x\": 7}}}", "the option headers is not text: mine"},
        {"{\"request\": {\"set\": [\"x\"]}}", "the option set is not a mapping: mine"},
        {"{\"request\": {\"remove\": \"x\"}}", "the option remove is not a list: mine"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        pp_test_bytes(rig_span(refusal_of("headers", rows[i].options)), rig_span(rows[i].why),
                      rows[i].options, __FILE__, __LINE__);
    PP_CHECK(strstr(refusal_of("headers", "{\"request\": {\"set\": {\"x\": \"a\nb\"}}}"),
                    "a header cannot hold this value") != NULL);
}

PP_TEST_MAIN()
