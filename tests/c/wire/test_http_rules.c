#include "wire/http_rules.c"

#include "pp_test.h"
#include "wire/http1_head.h"

/* What the rules say about whole messages is in tests/data/http1; here is what a fixture cannot
 * show. */

static const struct pp_http1_limits limits = {61440, 16384, 8192, 100};

struct parsed {
    struct pp_arena arena;
    struct pp_http_msg m;
};

static void parse(struct parsed *t, enum pp_http1_head_kind kind, const char *text)
{
    struct pp_http1_head h;
    size_t used;

    pp_arena_init(&t->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&t->m, &t->arena);
    pp_http1_head_init(&h, kind);
    PP_CHECK_EQ(pp_http1_head_feed(&h, text, strlen(text), &limits, &t->m, &used), PP_OK);
}

PP_TEST_CASE(removed_fields_do_not_count)
{
    struct parsed t;

    parse(&t, PP_HTTP1_REQUEST,
          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: "
          "chunked\r\nConnection: close\r\n\r\n");
    PP_CHECK_EQ(pp_http_rules_request(&t.m), PP_EHTTP_CL_TE);
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("content-length"), PP_NAME_CONTENT_LENGTH), 1);
    PP_CHECK_EQ(pp_http_rules_request(&t.m), PP_OK);
    PP_CHECK_EQ(t.m.body, PP_HTTP_BODY_CHUNKED);
    PP_CHECK(!t.m.keep_alive);
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("connection"), PP_NAME_CONNECTION), 1);
    PP_CHECK_EQ(pp_http_rules_request(&t.m), PP_OK);
    PP_CHECK(t.m.keep_alive);
    pp_arena_fini(&t.arena);
}

PP_TEST_CASE(the_rules_may_be_applied_again)
{
    struct parsed t;

    parse(&t, PP_HTTP1_REQUEST,
          "POST http://a/b?c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: "
          "100-continue\r\nTE: trailers\r\n\r\n");
    for (int i = 0; i < 2; i++) {
        PP_CHECK_EQ(pp_http_rules_request(&t.m), PP_OK);
        PP_CHECK_STR(t.m.authority, "a");
        PP_CHECK_STR(t.m.path, "/b");
        PP_CHECK_STR(t.m.query, "c");
        PP_CHECK_EQ(t.m.content_length, 5);
        PP_CHECK(t.m.expect_continue && t.m.te_trailers && t.m.keep_alive && !t.m.upgrade);
    }
    pp_arena_fini(&t.arena);
}

PP_TEST_CASE(spans_of_a_split_target_point_into_it)
{
    struct parsed t;

    parse(&t, PP_HTTP1_REQUEST, "GET /a?b HTTP/1.1\r\nHost: h:1\r\n\r\n");
    PP_CHECK_EQ(pp_http_rules_request(&t.m), PP_OK);
    PP_CHECK(t.m.path.p == t.m.target.p && t.m.query.p == t.m.target.p + 3);
    PP_CHECK(t.m.authority.p == t.m.field[0].value);
    pp_arena_fini(&t.arena);
}

PP_TEST_CASE(declared_tells_of_a_length_that_frames_nothing)
{
    struct parsed t;
    bool declared = false;

    parse(&t, PP_HTTP1_RESPONSE, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    PP_CHECK_EQ(pp_http_rules_response(&t.m, PP_HTTP_HEAD, &declared), PP_OK);
    PP_CHECK(declared);
    PP_CHECK_EQ(t.m.body, PP_HTTP_BODY_NONE);
    PP_CHECK_EQ(pp_http_rules_response(&t.m, PP_HTTP_GET, &declared), PP_OK);
    PP_CHECK_EQ(t.m.body, PP_HTTP_BODY_LENGTH);
    PP_CHECK(declared);
    pp_arena_fini(&t.arena);
}

PP_TEST_CASE(what_may_trail)
{
    static const char *const never[] = {
        "content-length",
        "Transfer-Encoding",
        "Host",
        "authorization",
        "Set-Cookie",
        "cookie",
        "content-type",
        "content-range",
        "Cache-Control",
        "te",
        "trailer",
        "connection",
        "keep-alive",
        "X-Forwarded-For",
        "x-forwarded-port",
        "max-forwards",
        "Expect",
        "via",
        "vary",
        "if-none-match",
    };
    static const char *const may[] = {"etag",           "server-timing", "x-sum",
                                      "content-digest", "grpc-status",   "x"};

    for (size_t i = 0; i < PP_COUNT_OF(never); i++) {
        size_t n = strlen(never[i]);
        PP_CHECK(!pp_http_rules_may_trail(pp_http_tok_name(never[i], n), pp_span(never[i], n)));
    }
    for (size_t i = 0; i < PP_COUNT_OF(may); i++) {
        size_t n = strlen(may[i]);
        PP_CHECK(pp_http_rules_may_trail(pp_http_tok_name(may[i], n), pp_span(may[i], n)));
    }
}

PP_TEST_CASE(statuses_that_answer_verdicts)
{
    PP_CHECK_EQ(pp_http_rules_status(PP_ETIMEDOUT), 408);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_BODY_BYTES), 413);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_TARGET_BYTES), 414);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_EXPECT), 417);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_HEAD_BYTES), 431);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_FIELD_COUNT), 431);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_TE_BAD), 501);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_VERSION), 505);
    PP_CHECK_EQ(pp_http_rules_status(PP_EHTTP_CL_TE), 400);
    PP_CHECK_EQ(pp_http_rules_status(PP_EURI_DOTS), 400);
}

PP_TEST_MAIN()
