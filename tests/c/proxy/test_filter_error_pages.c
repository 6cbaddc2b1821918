#include "proxy/filter_error_pages.c"

#include "proxy/refusal.h"
#include "proxy/rig.h"

static struct rig r;

#define PAGES                                                                                      \
    "{\"upstream\": true, \"pages\": [{\"status\": [404, 404], \"html\": \"<p>{path}</p>\","       \
    " \"json\": \"[{status}]\"}, {\"status\": [400, 404, 503, 503], \"text\": \"gone\"}]}"

static void start(const char *options)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "error_pages";
    conf.native[0].options = options;
    PP_REQUIRE(rig_start(&r, &conf));
}

/* The origin answers <ask> with <answer>; the client hears <heard>. */
static void check(const char *ask, const char *answer, const char *heard)
{
    start(PAGES);
    int c = rig_connect(&r);
    rig_send(&r, c, ask);
    int o = rig_accept(&r, 0);
    rig_settle(&r);
    rig_send(&r, o, answer);
    rig_expect(&r, c, heard);
    rig_expect_quiet(&r, c);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(an_origins_error_gets_a_page_and_keeps_what_is_not_about_its_body)
{
    check("GET /p HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n",
          "HTTP/1.1 404 Nope\r\n" RIG_DATE "X-A: 1\r\nETag: \"e\"\r\nContent-Encoding: gzip\r\n"
          "Content-Language: de\r\nContent-Type: x/y\r\nConnection: X-H\r\nX-H: 1\r\n"
          "Content-Length: 5\r\n\r\nown b",
          "HTTP/1.1 404 Not Found\r\n" RIG_DATE "X-A: 1\r\n"
          "Vary: Accept\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 9\r\n\r\n"
          "<p>/p</p>");
}

PP_TEST_CASE(a_body_that_has_not_come_is_not_waited_for)
{
    check("GET /p HTTP/1.1\r\nHost: a\r\n\r\n",
          "HTTP/1.1 503 Nope\r\n" RIG_DATE "Content-Length: 500\r\n\r\nown",
          "HTTP/1.1 503 Service Unavailable\r\n" RIG_DATE
          "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\ngone");
}

PP_TEST_CASE(accept_chooses_the_form)
{
    static const char *const answer = "HTTP/1.1 404 N\r\n" RIG_DATE "Content-Length: 0\r\n\r\n";
    check("GET / HTTP/1.1\r\nHost: a\r\nAccept: application/*, text/html;q=0.9\r\n\r\n", answer,
          "HTTP/1.1 404 Not Found\r\n" RIG_DATE "Vary: Accept\r\n"
          "Content-Type: application/json\r\nContent-Length: 5\r\n\r\n[404]");
    check("GET / HTTP/1.1\r\nHost: a\r\nAccept: image/png\r\n\r\n", answer,
          "HTTP/1.1 404 Not Found\r\n" RIG_DATE "Vary: Accept\r\n"
          "Content-Type: text/html; charset=utf-8\r\nContent-Length: 8\r\n\r\n<p>/</p>");
}

PP_TEST_CASE(a_head_has_no_body_and_says_how_long_it_would_be)
{
    check("HEAD /p HTTP/1.1\r\nHost: a\r\n\r\n",
          "HTTP/1.1 503 Nope\r\n" RIG_DATE "Content-Length: 500\r\n\r\n",
          "HTTP/1.1 503 Service Unavailable\r\n" RIG_DATE
          "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\n");
}

PP_TEST_CASE(other_answers_pass_as_they_are)
{
    check(RIG_GET, RIG_HI, RIG_HI);
    const char *other = "HTTP/1.1 500 Nope\r\n" RIG_DATE "Content-Length: 3\r\n\r\nown";
    check(RIG_GET, other, other);
}

PP_TEST_CASE(a_call_of_grpc_is_left_alone)
{
    const char *answer = "HTTP/1.1 503 Nope\r\n" RIG_DATE "Content-Length: 3\r\n\r\nown";
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n"
          "Content-Length: 0\r\n\r\n",
          answer, answer);
}

PP_TEST_CASE(without_upstream_only_our_own_answers_get_pages)
{
    start("{\"pages\": [{\"status\": [400, 599], \"json\": \"{\\\"e\\\":\\\"{error}\\\"}\"}]}");
    const char *answer = "HTTP/1.1 503 Nope\r\n" RIG_DATE "Content-Length: 3\r\n\r\nown";
    int c = rig_connect(&r), o = -1;
    rig_send(&r, c, RIG_GET);
    o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, answer);
    rig_expect(&r, c, answer);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    rig_settle(&r);
    close(o);
    char heard[512];
    int ended;
    size_t n = rig_read(&r, c, heard, 150, &ended);
    heard[n < 511 ? n : 511] = 0;
    PP_CHECK(strstr(heard, "HTTP/1.1 502 Bad Gateway\r\n") != NULL);
    PP_CHECK(strstr(heard, "\r\n\r\n{\"e\":\"upstream_reset\"}") != NULL);
    close(c);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(a_route_that_responds_says_what_it_shall_say)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "error_pages";
    conf.native[0].options = PAGES;
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 404;
    conf.route.body = PP_SPAN("mine");
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    char heard[256];
    int ended;
    rig_settle(&r);
    size_t n = rig_read(&r, c, heard, 86, &ended);
    heard[n] = 0;
    PP_CHECK(strstr(heard, "text/html") == NULL);
    PP_CHECK(strstr(heard, "Content-Length: 4\r\n") != NULL);
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
        {"{\"pages\": [{\"status\": [404, 404]}]}", "a page without a body in \"mine\""},
        {"{\"pages\": [{\"status\": [300, 404], \"text\": \"\"}]}",
         "a status that is no error in \"mine\""},
        {"{\"pages\": [{\"status\": [404, 600], \"text\": \"\"}]}",
         "a status that is no error in \"mine\""},
        {"{\"pages\": [{\"status\": [404, \"x\"], \"text\": \"\"}]}",
         "a status that is no error in \"mine\""},
        {"{\"pages\": [{\"status\": [404, 404], \"html\": 7}]}",
         "the option html is not text: mine"},
        {"{\"pages\": {}}", "the option pages is not a list: mine"},
        {"{\"upstream\": 1}", "the option upstream is not true or false: mine"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        const char *why = refusal_of("error_pages", rows[i].options);
        bool same = strncmp(why, rows[i].why, strlen(rows[i].why)) == 0;
        pp_test_true(same && (*rows[i].why != 0 || *why == 0), rows[i].options, __FILE__, __LINE__);
        if (!same)
            printf("    %s\n", why);
    }
}

PP_TEST_MAIN()
