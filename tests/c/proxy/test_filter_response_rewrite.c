#include "proxy/filter_response_rewrite.c"

#include "proxy/refusal.h"
#include "proxy/rig.h"

static struct rig r;

/* The origin answers <ask> with <answer>, in two pieces when <second> is one; the client hears
 * <heard>. */
static void check(const char *options, const char *ask, const char *answer, const char *second,
                  const char *heard)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "response_rewrite";
    conf.native[0].options = options;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, ask);
    int o = rig_accept(&r, 0);
    rig_settle(&r);
    rig_send(&r, o, answer);
    rig_settle(&r);
    rig_send(&r, o, second);
    rig_expect(&r, c, heard);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

#define TYPED                                                                                      \
    "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: \"e\"\r\nContent-Type: text/plain\r\n"                   \
    "Content-Length: 7\r\n\r\nhe llo"
#define RULE "\"types\": [\"text/*\"], \"replace\": [{\"text\": \"llo\", \"with\": \"{host}\"}]"

PP_TEST_CASE(parts_of_bodies_are_replaced_over_pieces)
{
    check("{" RULE "}", RIG_GET, TYPED, "!",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: W/\"e\"\r\nContent-Type: text/plain\r\n"
          "Transfer-Encoding: chunked\r\n\r\n4\r\nhe a\r\n1\r\n!\r\n0\r\n\r\n");
}

PP_TEST_CASE(an_expression_sees_the_whole_body)
{
    check("{\"types\": [\"Text/Plain\"], \"replace\": [{\"regex\": \"e.*!$\", \"with\": \"X\"}]}",
          RIG_GET, TYPED, "!",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: W/\"e\"\r\nContent-Type: text/plain\r\n"
          "Transfer-Encoding: chunked\r\n\r\n2\r\nhX\r\n0\r\n\r\n");
}

PP_TEST_CASE(a_body_over_the_limit_is_not_let_through)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "response_rewrite";
    conf.native[0].options = "{\"types\": [\"text/*\"], \"limit\": 6, \"replace\":"
                             " [{\"regex\": \"x\", \"with\": \"X\"}]}";
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, TYPED "!");
    rig_expect_fault(&r, c, "502 Bad Gateway", "upstream_body_too_large", false);
    close(o);
    rig_send(&r, c, RIG_GET);
    o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o,
             "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Type: text/plain\r\n"
             "Transfer-Encoding: chunked\r\n\r\n7\r\nabcdefg\r\n");
    rig_expect(&r, c,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Type: text/plain\r\n"
               "Transfer-Encoding: chunked\r\n\r\n");
    rig_expect_reset(&r, c);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(other_bodies_keep_their_length)
{
    const char *encoded = "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: \"e\"\r\nContent-Type: text/a\r\n"
                          "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello";
    const char *image = "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: \"e\"\r\nContent-Type: image/a\r\n"
                        "Content-Length: 5\r\n\r\nhello";
    const char *part = "HTTP/1.1 206 Partial Content\r\n" RIG_DATE "Content-Type: text/a\r\n"
                       "Content-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello";
    check("{" RULE "}", RIG_GET, encoded, "", encoded);
    check("{" RULE "}", RIG_GET, image, "", image);
    check("{" RULE "}", RIG_GET, part, "", part);
    check("{" RULE "}", RIG_GET, RIG_HI, "", RIG_HI);
    check("{\"status\": [404, 404], " RULE "}", RIG_GET, TYPED, "!", TYPED "!");
}

PP_TEST_CASE(the_answer_to_a_head_does_not_say_a_length)
{
    check("{" RULE "}", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Type: text/plain\r\nContent-Length: 7\r\n\r\n",
          "", "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Type: text/plain\r\n\r\n");
}

PP_TEST_CASE(status_fields_and_the_whole_body_are_set)
{
    check("{\"status\": [500, 599], \"set_status\": 200, \"headers\": {\"remove\": [\"x-a\"],"
          " \"set\": {\"x-b\": \"{method}\"}}, \"type\": \"application/json\","
          " \"body\": \"{\\\"s\\\": {status}, \\\"q\\\": \\\"{query.q}\\\"}\"}",
          "GET /?q=%22 HTTP/1.1\r\nHost: a\r\n\r\n",
          "HTTP/1.1 503 No\r\n" RIG_DATE "X-A: 1\r\nContent-Type: a/b\r\n"
          "Content-Length: 2\r\n\r\nhi",
          "",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "x-b: GET\r\nContent-Type: application/json\r\n"
          "Content-Length: 25\r\n\r\n{\"s\": 200, \"q\": \"\\u0022\"}");
}

PP_TEST_CASE(a_status_without_a_body_becomes_one_with_an_empty_one)
{
    check("{\"set_status\": 200}", RIG_GET, "HTTP/1.1 204 No\r\n" RIG_DATE "\r\n", "",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 0\r\n\r\n");
    check("{\"set_status\": 200}", RIG_GET,
          "HTTP/1.1 304 No\r\n" RIG_DATE "Content-Length: 77\r\n\r\n", "",
          "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 0\r\n\r\n");
}

PP_TEST_CASE(our_own_answers_are_rewritten_too)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "response_rewrite";
    conf.native[0].options = "{\"set_status\": 299, \"types\": [\"application/json\"],"
                             " \"replace\": [{\"text\": \"502\", \"with\": \"{status}\"}]}";
    conf.origins = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    char heard[512];
    int ended;
    rig_settle(&r);
    size_t n = rig_read(&r, c, heard, 100, &ended);
    heard[n] = 0;
    PP_CHECK(strncmp(heard, "HTTP/1.1 299 ", 13) == 0);
    PP_CHECK(strstr(heard, "Content-Length: ") != NULL);
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
        {"{\"set_status\": 204}", "a status that has no body cannot be set in \"mine\""},
        {"{\"set_status\": 600}", "the option set_status is not"},
        {"{\"status\": [1, 404]}", "what is no status is in \"mine\""},
        {"{\"status\": [404, 600]}", "what is no status is in \"mine\""},
        {"{\"type\": \"a\nb\"}", "not a media type"},
        {"{\"headers\": {\"set\": {\"te\": \"x\"}}}", "the proxy's own header cannot be changed"},
        {"{\"replace\": [{\"text\": \"\"}]}", "not a text that can be looked for"},
        {"{\"limit\": 0}", "the option limit is not"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        const char *why = refusal_of("response_rewrite", rows[i].options);
        bool same = strncmp(why, rows[i].why, strlen(rows[i].why)) == 0;
        pp_test_true(same && (*rows[i].why != 0 || *why == 0), rows[i].options, __FILE__, __LINE__);
        if (!same)
            printf("    %s\n", why);
    }
}

PP_TEST_MAIN()
