#include "proxy/filter_rewrite.c"

#include "proxy/native.h"

static struct rig r;

/* What the endpoint is sent of <ask> through a rewrite of <options>: its request line and Host. */
static void check(const char *options, const char *ask, const char *line)
{
    struct rig_conf conf = rig_defaults();
    char got[512], want[512];
    int ended;
    conf.native[0].kind = "rewrite";
    conf.native[0].options = options;
    conf.any_path = strstr(ask, " * ") != NULL;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, ask);
    int o = rig_accept(&r, 0);
    size_t n = strlen(line);
    got[rig_read(&r, o, got, n, &ended)] = 0;
    snprintf(want, sizeof want, "%s", line);
    PP_CHECK(strcmp(got, want) == 0);
    if (strcmp(got, want) != 0)
        printf("%s\n  got %s\n  want %s\n", options, got, want);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

static int status(const char *options, const char *ask)
{
    struct rig_conf conf = rig_defaults();
    char heard[512];
    int ended;
    conf.native[0].kind = "rewrite";
    conf.native[0].options = options;
    if (!rig_start(&r, &conf))
        return 0;
    int c = rig_connect(&r);
    rig_send(&r, c, ask);
    heard[rig_read(&r, c, heard, 60, &ended)] = 0;
    close(c);
    rig_settle(&r);
    rig_stop(&r);
    return native_status(heard);
}

#define ASK(target) "GET " target " HTTP/1.1\r\nHost: a\r\nX-V: a/b ?\r\nX-D: ..\r\n\r\n"
#define SENT(target) "GET " target " HTTP/1.1\r\nHost: a\r\n"

PP_TEST_CASE(the_path_is_made_from_a_template)
{
    check("{\"path\": \"/new{path}/x\"}", ASK("/a/b?q=1"), SENT("/new/a/b/x?q=1"));
    check("{\"path\": \"/{method}/{query.q}\"}", ASK("/a?q=b%20c&q=d"),
          SENT("/GET/b%20c?q=b%20c&q=d"));
    check("{\"path\": \"/{header.x-none}\"}", ASK("/a"), SENT("/"));
}

PP_TEST_CASE(prefixes_are_taken_off_and_put_in_front)
{
    const char *strip = "{\"strip_prefix\": \"/api\"}", *add = "{\"add_prefix\": \"/v2\"}";
    const char *both = "{\"strip_prefix\": \"/api\", \"add_prefix\": \"/v2\"}";
    check(strip, ASK("/api/x?q"), SENT("/x?q"));
    check(strip, ASK("/api"), SENT("/"));
    check(strip, ASK("/apis/x"), SENT("/apis/x"));
    check(strip, ASK("/x/api/"), SENT("/x/api/"));
    check(add, ASK("/x"), SENT("/v2/x"));
    check(add, ASK("/"), SENT("/v2"));
    check(both, ASK("/api/x"), SENT("/v2/x"));
    check(both, ASK("/api/"), SENT("/v2/"));
    check(both, ASK("/other"), SENT("/other"));
}

PP_TEST_CASE(patterns_replace_what_they_find)
{
    const char *options =
        "{\"patterns\": [{\"match\": \"^/u/([0-9]+)/(?P<rest>.*)$\", \"to\": \"/p/{rest}/{1}\"},"
        " {\"match\": \"old(x)?\", \"to\": \"new{1}{0}\"}]}";
    check(options, ASK("/u/7/a/b?q=/u/8/"), SENT("/p/a/b/7?q=/u/8/"));
    check(options, ASK("/a/old/old"), SENT("/a/newold/old"));
    check(options, ASK("/a/%6fldx/"), SENT("/a/newxoldx/"));
    check(options, ASK("/a"), SENT("/a"));
    check("{\"patterns\": [{\"match\": \"\", \"to\": \"/x\"}]}", ASK("/a"), SENT("/x/a"));
}

PP_TEST_CASE(no_value_leads_out_of_its_place)
{
    PP_CHECK_EQ(status("{\"path\": \"/in/{header.x-v}/x\"}", ASK("/")), 400); /* an encoded slash */
    PP_CHECK_EQ(status("{\"path\": \"/in/{header.x-d}\"}", ASK("/")), 400);
    PP_CHECK_EQ(status("{\"path\": \"/in/{header.x-d}/x\"}", ASK("/")), 400);
    PP_CHECK_EQ(status("{\"patterns\": [{\"match\": \"x\", \"to\": \".\"}]}", ASK("/.x")), 400);
    check("{\"path\": \"/in/a{header.x-d}\"}", ASK("/"), SENT("/in/a.."));
    PP_CHECK_EQ(status("{\"patterns\": [{\"match\": \"^/\", \"to\": \"\"}]}", ASK("/a")), 400);
}

PP_TEST_CASE(arguments_are_removed_set_and_added)
{
    const char *options =
        "{\"query\": {\"remove\": [\"debug\", \"a b\"], \"set\": {\"v\": \"{header.x-v}\","
        " \"none\": \"{header.x-none}\"}, \"add\": {\"t\": [\"1\", \"2\"], \"k&\": \"=\"}}}";
    check(options, ASK("/p?x=%2f&debug&v=1&&y&d%65bug=2&v=&t=0&a+b=1&none=1"),
          SENT("/p?x=%2f&y&t=0&v=a%2Fb%20%3F&t=1&t=2&k%26=%3D"));
    check(options, ASK("/p"), SENT("/p?v=a%2Fb%20%3F&t=1&t=2&k%26=%3D"));
    check("{\"query\": {\"remove\": [\"q\"]}}", ASK("/p?q=1"), SENT("/p"));
    check("{\"query\": {\"remove\": [\"q\"]}}", ASK("/p?%zz=1&q"), SENT("/p?%zz=1"));
}

PP_TEST_CASE(later_readers_see_the_new_query)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "headers"; /* splits the arguments of the old one */
    conf.native[0].options = "{\"request\": {\"set\": {\"x-old\": \"{query.q}\"}}}";
    conf.native[1].kind = "rewrite";
    conf.native[1].options = "{\"query\": {\"set\": {\"q\": \"2\"}}, \"path\": \"/{query.q}\"}";
    conf.native[2].kind = "headers";
    conf.native[2].options = "{\"request\": {\"set\": {\"x-new\": \"{query.q}\"}}}";
    conf.route.rewrite_path = PP_SPAN("/out{path}");
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "GET /p?q=1 HTTP/1.1\r\nHost: a\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o,
               "GET /out/1?q=2 HTTP/1.1\r\nHost: a\r\nx-old: 1\r\nx-new: 2\r\n" RIG_FWD "\r\n");
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(the_routes_location_holds_the_new_query)
{
    struct rig_conf conf = rig_defaults();
    char heard[512];
    int ended;
    conf.native[0].kind = "rewrite";
    conf.native[0].options = "{\"query\": {\"set\": {\"q\": \"2\"}}}";
    conf.route.action = PP_ROUTE_ACTION_REDIRECT;
    conf.route.status = 302;
    conf.route.location = PP_SPAN("https://b{path}{query}");
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < 2; i++) {
        int c = rig_connect(&r);
        rig_send(&r, c,
                 i == 0 ? "GET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                        : "GET http://a?x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        heard[rig_read(&r, c, heard, sizeof heard - 1, &ended)] = 0;
        PP_CHECK(strstr(heard, i == 0 ? "Location: https://b/p?q=2\r\n"
                                      : "Location: https://b/?x&q=2\r\n") != NULL);
        close(c);
        rig_settle(&r);
    }
    rig_stop(&r);
}

PP_TEST_CASE(host_and_method_are_what_the_endpoint_is_told)
{
    check("{\"host\": \"{header.x-none}b:81\", \"method\": \"POST\"}", ASK("/"),
          "POST / HTTP/1.1\r\nHost: b:81\r\n");
    check("{\"host\": \"{header.x-none}\"}", ASK("/"), SENT("/"));
    PP_CHECK_EQ(status("{\"host\": \"{header.x-v}\"}", ASK("/")), 400);
}

PP_TEST_CASE(a_method_whose_answer_is_framed_alone_stays)
{
    check("{\"method\": \"GET\"}", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
          "HEAD / HTTP/1.1\r\nHost: a\r\n");
    check("{\"method\": \"GET\", \"path\": \"/x\", \"query\": {\"set\": {\"a\": \"1\"}}}",
          "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n");
}

PP_TEST_CASE(options_that_make_no_sense_are_refused)
{
    static const struct {
        const char *options, *why;
    } rows[] = {
        {"{}", ""},
        {"{\"method\": \"HEAD\"}", "not a method to change to: \"HEAD\""},
        {"{\"method\": \"a b\"}", "not a method to change to: \"a b\""},
        {"{\"host\": \"{nope}\"}", "there is no variable \"nope\""},
        {"{\"path\": \"/{1}\"}", "there is no variable \"1\""},
        {"{\"host\": 7}", "the option host is not text: mine"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        pp_test_bytes(rig_span(refusal_of("rewrite", rows[i].options)), rig_span(rows[i].why),
                      rows[i].options, __FILE__, __LINE__);
}

PP_TEST_MAIN()
