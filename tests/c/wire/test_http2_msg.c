#include "wire/http2_msg.c"

#include "base/mem.h"
#include "pp_test.h"
#include "wire/http1_emit.h"

struct pair {
    const char *name, *value;
};

#define GET                                                                                        \
    {":method", "GET"}, {":scheme", "https"},                                                      \
    {                                                                                              \
        ":path", "/"                                                                               \
    }
#define GET_A                                                                                      \
    GET,                                                                                           \
    {                                                                                              \
        ":authority", "a.test"                                                                     \
    }

static struct pp_arena arena;
static struct pp_http_msg m;
static bool declared;
static struct pp_http2_section_limits limits = {65536, 100, 100};

static int read_section(enum pp_http2_section_kind kind, const struct pair *fields, bool end,
                        enum pp_http_method method)
{
    struct pp_http2_section c;

    pp_arena_fini(&arena);
    pp_arena_init(&arena, NULL, 0, 1 << 22);
    pp_http_msg_init(&m, &arena);
    pp_http2_msg_begin(&c, kind, &m, &limits);
    for (; fields->name; fields++) {
        pp_http2_msg_field(&c, pp_span(fields->name, strlen(fields->name)),
                           pp_span(fields->value, strlen(fields->value)), false);
    }
    return pp_http2_msg_end(&c, end, method, &declared);
}

#define REQUEST(end, ...)                                                                          \
    read_section(PP_HTTP2_REQUEST, (const struct pair[]){__VA_ARGS__, {NULL, NULL}}, end,          \
                 PP_HTTP_OTHER)
#define RESPONSE(method, end, ...)                                                                 \
    read_section(PP_HTTP2_RESPONSE, (const struct pair[]){__VA_ARGS__, {NULL, NULL}}, end, method)
#define TRAILERS(end, ...)                                                                         \
    read_section(PP_HTTP2_TRAILER_SECTION, (const struct pair[]){__VA_ARGS__, {NULL, NULL}}, end,  \
                 PP_HTTP_OTHER)

PP_TEST_CASE(a_request_becomes_a_message)
{
    PP_CHECK_EQ(REQUEST(true, {":method", "PATCH"}, {":scheme", "http"}, {":path", "/a/b?c=d"},
                        {":authority", "a.test:81"}, {"accept", "*/*"}, {"x-a", ""}),
                PP_OK);
    PP_CHECK_STR(m.method, "PATCH");
    PP_CHECK_EQ(m.method_id, PP_HTTP_PATCH);
    PP_CHECK_STR(m.scheme, "http");
    PP_CHECK_STR(m.authority, "a.test:81");
    PP_CHECK_STR(m.target, "/a/b?c=d");
    PP_CHECK_STR(m.path, "/a/b");
    PP_CHECK_STR(m.query, "c=d");
    PP_CHECK(m.protocol.p == NULL && m.keep_alive);
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_NONE);
    PP_CHECK_EQ(m.major, 2);
    PP_CHECK_EQ(m.n_field, 3); /* with the Host made of :authority */
    PP_CHECK_STR(pp_http_field_value(pp_http_msg_find_id(&m, PP_NAME_HOST)), "a.test:81");
    PP_CHECK_EQ(REQUEST(true, {":method", "BREW"}, {":scheme", "http"}, {":path", "/"},
                        {":authority", "a"}),
                PP_OK);
    PP_CHECK_STR(m.method, "BREW");
    PP_CHECK_EQ(REQUEST(true, {":method", "OPTIONS"}, {":scheme", "http"}, {":path", "*"},
                        {":authority", "a"}),
                PP_OK);
    PP_CHECK_STR(m.path, "*");
}

PP_TEST_CASE(fields_lie_in_memory_as_http1_writes_them)
{
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_NONE};
    char head[512];
    size_t n;

    PP_CHECK_EQ(REQUEST(true, GET_A, {"accept", "*/*"}, {"x-a", "b c"}, {"te", "trailers"},
                        {"x-empty", ""}),
                PP_OK);
    PP_CHECK_EQ(m.field[1].name - m.field[0].name, (long)strlen("accept: */*\r\n"));
    PP_CHECK_EQ(memcmp(m.field[0].name, "accept: */*\r\nx-a: b c\r\n", 23), 0);
    PP_REQUIRE(pp_http1_emit_request(head, sizeof(head), &m, m.target, m.authority, &fr, &n) ==
               PP_OK);
    PP_CHECK_STR(pp_span(head, n), "GET / HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\nx-a: b c\r\n"
                                   "x-empty: \r\n\r\n");
}

PP_TEST_CASE(pseudo_fields_come_first_and_once_and_are_known)
{
    PP_CHECK_EQ(REQUEST(true, GET_A, {":path", "/b"}), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(REQUEST(true, GET, {"accept", "*/*"}, {":authority", "a"}), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(REQUEST(true, GET_A, {":status", "200"}), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(REQUEST(true, GET_A, {":x", "200"}), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(REQUEST(true, GET_A, {":", "200"}), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(REQUEST(true, {":method", "GET"}, {":path", "/"}, {":authority", "a"}),
                PP_EURI_SCHEME);
    PP_CHECK_EQ(REQUEST(true, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}),
                PP_EHTTP_METHOD);
    PP_CHECK_EQ(REQUEST(true, {":method", "GET"}, {":scheme", "http"}, {":authority", "a"}),
                PP_EHTTP_TARGET);
    PP_CHECK_EQ(REQUEST(true, GET), PP_EHTTP_HOST_MISSING);
    PP_CHECK_EQ(TRAILERS(true, {":path", "/"}), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, true, {":path", "/"}), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, true, {"server", "a"}), PP_EHTTP_STATUS);
}

PP_TEST_CASE(methods_schemes_and_paths_are_checked)
{
#define LINE(method, scheme, path)                                                                 \
    REQUEST(true, {":method", method}, {":scheme", scheme}, {":path", path}, {":authority", "a"})
    PP_CHECK_EQ(LINE("G T", "http", "/"), PP_EHTTP_METHOD);
    PP_CHECK_EQ(LINE("", "http", "/"), PP_EHTTP_METHOD);
    PP_CHECK_EQ(LINE("GET", "HTTP", "/"), PP_EURI_SCHEME);
    PP_CHECK_EQ(LINE("GET", "ftp", "/"), PP_EURI_SCHEME);
    PP_CHECK_EQ(LINE("GET", "", "/"), PP_EURI_SCHEME);
    PP_CHECK_EQ(LINE("GET", "http", ""), PP_EHTTP_TARGET);
    PP_CHECK_EQ(LINE("GET", "http", "*"), PP_EHTTP_TARGET);
    PP_CHECK_EQ(LINE("GET", "http", "a"), PP_EHTTP_TARGET);
    PP_CHECK_EQ(LINE("GET", "http", "http://a/"), PP_EHTTP_TARGET);
    PP_CHECK_EQ(LINE("GET", "http", "/#b"), PP_EHTTP_TARGET);
    PP_CHECK_EQ(LINE("GET", "http", "/a b"), PP_EHTTP_TARGET);
    PP_CHECK_EQ(LINE("GET", "http", "/\xc3\xa4"), PP_EHTTP_TARGET);
    PP_CHECK_EQ(LINE("GET", "http", "/\r\nX: y"), PP_EHTTP_FIELD_NAME);
    PP_CHECK_EQ(LINE("GET", "http", "/?"), PP_OK);
    PP_CHECK(m.query.p != NULL && m.query.n == 0);
}

PP_TEST_CASE(authority_and_host_agree)
{
    PP_CHECK_EQ(REQUEST(true, GET, {"host", "b.test"}), PP_OK);
    PP_CHECK_STR(m.authority, "b.test");
    PP_CHECK_EQ(REQUEST(true, GET_A, {"host", "A.test:443"}), PP_OK);
    PP_CHECK_STR(m.authority, "a.test");
    PP_CHECK_EQ(REQUEST(true, GET_A, {"host", "b.test"}), PP_EHTTP_HOST_MISMATCH);
    PP_CHECK_EQ(REQUEST(true, GET_A, {"host", "a.test"}, {"host", "a.test"}), PP_EHTTP_HOST_DUP);
    PP_CHECK_EQ(REQUEST(true, GET, {":authority", "u@a.test"}), PP_EURI_AUTHORITY);
    PP_CHECK_EQ(REQUEST(true, GET, {":authority", ""}), PP_EURI_AUTHORITY);
    PP_CHECK_EQ(REQUEST(true, GET, {":authority", ""}, {"host", "a"}), PP_EURI_AUTHORITY);
    PP_CHECK_EQ(REQUEST(true, GET, {"host", "a b"}), PP_EHTTP_HOST_BAD);
}

PP_TEST_CASE(forms_of_connect)
{
#define CONNECT {":method", "CONNECT"}
    PP_CHECK_EQ(REQUEST(false, CONNECT, {":authority", "a.test:22"}), PP_OK);
    PP_CHECK_STR(m.target, "a.test:22");
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_CHUNKED);
    PP_CHECK_EQ(REQUEST(false, CONNECT, {":authority", "a.test"}), PP_EHTTP_TARGET);
    PP_CHECK_EQ(REQUEST(false, CONNECT, {"host", "a.test:22"}), PP_EHTTP_TARGET);
    PP_CHECK_EQ(REQUEST(false, CONNECT, {":authority", "a:22"}, {":path", "/"}), PP_EHTTP_TARGET);
    PP_CHECK_EQ(REQUEST(false, CONNECT, {":authority", "a:22"}, {":scheme", "http"}),
                PP_EHTTP_TARGET);
    PP_CHECK_EQ(REQUEST(false, CONNECT, {":protocol", "websocket"}, {":scheme", "https"},
                        {":path", "/chat?x"}, {":authority", "a.test"}),
                PP_OK);
    PP_CHECK_STR(m.protocol, "websocket");
    PP_CHECK_STR(m.path, "/chat");
    PP_CHECK_EQ(m.method_id, PP_HTTP_CONNECT);
    PP_CHECK_EQ(REQUEST(false, CONNECT, {":protocol", "websocket"}, {":authority", "a:22"}),
                PP_EURI_SCHEME);
    PP_CHECK_EQ(REQUEST(false, GET_A, {":protocol", "websocket"}), PP_EHTTP_METHOD);
    PP_CHECK_EQ(REQUEST(false, CONNECT, {":protocol", "web socket"}, {":scheme", "https"},
                        {":path", "/"}, {":authority", "a.test"}),
                PP_EHTTP_METHOD);
}

PP_TEST_CASE(names_are_lower_case_tokens_and_values_have_no_controls)
{
    static const char *const names[] = {"Accept", "X-a", "x a", "", "x:", "x\x80", "a\n", "aCCEPT"};
    static const char *const values[] = {" a", "a ", "\ta", "a\t", "a\r", "a\nb", "a\x7f", "\x01"};

    for (size_t i = 0; i < PP_COUNT_OF(names); i++) {
        PP_CHECK_EQ(REQUEST(true, GET_A, {names[i], "a"}), PP_EHTTP_FIELD_NAME);
        PP_CHECK_EQ(TRAILERS(true, {names[i], "a"}), PP_EHTTP_FIELD_NAME);
    }
    for (size_t i = 0; i < PP_COUNT_OF(values); i++) {
        PP_CHECK_EQ(REQUEST(true, GET_A, {"x-a", values[i]}), PP_EHTTP_FIELD_VALUE);
        PP_CHECK_EQ(TRAILERS(true, {"x-a", values[i]}), PP_EHTTP_FIELD_VALUE);
    }
    PP_CHECK_EQ(REQUEST(true, GET_A, {"x-a", "a\tb \xc3\xa4"}), PP_OK);
}

PP_TEST_CASE(fields_of_http1_connections_are_refused)
{
    static const struct pair all[] = {
        {"connection", "close"},  {"keep-alive", "a"}, {"proxy-connection", "a"},
        {"upgrade", "h2c"},       {"te", "gzip"},      {"transfer-encoding", "chunked"},
        {"te", "trailers, gzip"},
    };

    for (size_t i = 0; i < PP_COUNT_OF(all); i++) {
        PP_CHECK_EQ(REQUEST(true, GET_A, all[i]), PP_EHTTP_CONNECTION);
        PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, true, {":status", "200"}, all[i]), PP_EHTTP_CONNECTION);
    }
    PP_CHECK_EQ(REQUEST(true, GET_A, {"te", "trailers"}), PP_OK);
    PP_CHECK(m.te_trailers);
    PP_CHECK(pp_http_msg_find_id(&m, PP_NAME_TE)->flags & PP_HTTP_FIELD_HOP);
}

PP_TEST_CASE(cookie_crumbs_become_one_field)
{
    PP_CHECK_EQ(REQUEST(true, GET_A, {"cookie", "a=1"}, {"x", "y"}, {"cookie", "b=2"},
                        {"cookie", "c=3; d=4"}),
                PP_OK);
    struct pp_http_field *f = pp_http_msg_find_id(&m, PP_NAME_COOKIE);
    PP_CHECK_STR(pp_http_field_value(f), "a=1; b=2; c=3; d=4");
    PP_CHECK(pp_http_msg_find_next(&m, f) == NULL);
}

PP_TEST_CASE(lengths_and_ends_agree)
{
    PP_CHECK_EQ(REQUEST(false, GET_A), PP_OK);
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_CHUNKED);
    PP_CHECK_EQ(REQUEST(false, GET_A, {"content-length", "5"}, {"expect", "100-continue"}), PP_OK);
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_LENGTH);
    PP_CHECK_EQ(m.content_length, 5);
    PP_CHECK(m.expect_continue);
    PP_CHECK_EQ(REQUEST(true, GET_A, {"content-length", "0"}), PP_OK);
    PP_CHECK_EQ(REQUEST(true, GET_A, {"content-length", "5"}), PP_EHTTP_BODY_SHORT);
    PP_CHECK_EQ(REQUEST(false, GET_A, {"content-length", "+5"}), PP_EHTTP_CL_BAD);
    PP_CHECK_EQ(REQUEST(false, GET_A, {"content-length", "5"}, {"content-length", "5"}),
                PP_EHTTP_CL_DUP);
    PP_CHECK_EQ(REQUEST(false, GET_A, {"expect", "200-ok"}), PP_EHTTP_EXPECT);
}

PP_TEST_CASE(responses)
{
    static const char *const bad[] = {"99", "1000", "20", "2x0", "", "101", "099", "+20"};

    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, false, {":status", bad[i]}), PP_EHTTP_STATUS);
    }
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, false, {":status", "200"}), PP_OK);
    PP_CHECK_EQ(m.status, 200);
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_CHUNKED);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, true, {":status", "200"}), PP_OK);
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_LENGTH);
    PP_CHECK(m.content_length == 0 && !declared);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, true, {":status", "200"}, {"content-length", "1"}),
                PP_EHTTP_BODY_SHORT);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_HEAD, true, {":status", "200"}, {"content-length", "1"}), PP_OK);
    PP_CHECK(m.body == PP_HTTP_BODY_NONE && m.content_length == 1 && declared);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, true, {":status", "304"}, {"content-length", "1"}), PP_OK);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, false, {":status", "204"}), PP_OK);
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_NONE);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, false, {":status", "103"}, {"link", "</a>"}), PP_OK);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_GET, true, {":status", "103"}), PP_EHTTP_STATUS);
    PP_CHECK_EQ(RESPONSE(PP_HTTP_CONNECT, false, {":status", "200"}, {"content-length", "9"}),
                PP_OK);
    PP_CHECK_EQ(m.body, PP_HTTP_BODY_CHUNKED);
}

PP_TEST_CASE(trailers)
{
    PP_CHECK_EQ(TRAILERS(true, {"grpc-status", "0"}, {"content-length", "9"}, {"x", "y"}), PP_OK);
    PP_CHECK_EQ(m.n_field, 2);
    PP_CHECK_EQ(TRAILERS(false, {"grpc-status", "0"}), PP_EHTTP_TRAILER);
}

PP_TEST_CASE(limits_are_kept)
{
    limits.fields = 6;
    PP_CHECK_EQ(REQUEST(true, GET_A, {"a", "1"}, {"b", "2"}), PP_OK);
    PP_CHECK_EQ(REQUEST(true, GET_A, {"a", "1"}, {"b", "2"}, {"c", "3"}), PP_EHTTP_FIELD_COUNT);
    limits.fields = 100;
    limits.target_bytes = 4;
    PP_CHECK_EQ(REQUEST(true, {":method", "GET"}, {":scheme", "http"}, {":path", "/1234"},
                        {":authority", "a"}),
                PP_EHTTP_TARGET_BYTES);
    limits.target_bytes = 100;
    limits.bytes = 4 * 32 + (7 + 3) + (7 + 5) + (5 + 1) + (10 + 6);
    PP_CHECK_EQ(REQUEST(true, GET_A), PP_OK);
    limits.bytes--;
    PP_CHECK_EQ(REQUEST(true, GET_A), PP_EHTTP_HEAD_BYTES);
    PP_CHECK(pp_http2_msg_is_limit(PP_EHTTP_HEAD_BYTES) && !pp_http2_msg_is_limit(PP_ENOMEM));
    limits.bytes = 65536;
}

static bool all_memory(void)
{
    static char wide[3000];
    struct pair many[40] = {GET_A};
    int rc;

    memset(wide, 'x', sizeof(wide) - 1);
    for (size_t i = 4; i < 30; i++) {
        many[i] = (struct pair){i % 7 ? "x-y" : "cookie", i == 20 ? wide : "some value"};
    }
    rc = read_section(PP_HTTP2_REQUEST, many, true, PP_HTTP_OTHER);
    pp_arena_fini(&arena);
    PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
    return rc == PP_OK;
}

PP_TEST_CASE(memory_may_run_out_anywhere)
{
    pp_arena_fini(&arena);
    PP_CHECK_FAIL_EACH(all_memory);
}

PP_TEST_CASE(trailers_whose_message_goes_are_still_checked)
{
    struct pp_http2_section c;

    pp_arena_fini(&arena);
    pp_arena_init(&arena, NULL, 0, 1 << 22);
    pp_http_msg_init(&m, &arena);
    pp_http2_msg_begin(&c, PP_HTTP2_TRAILER_SECTION, &m, &limits);
    pp_http2_msg_field(&c, PP_SPAN("x-a"), PP_SPAN("1"), false);
    pp_http2_msg_forget(&c);
    pp_arena_fini(&arena);
    pp_http2_msg_field(&c, PP_SPAN("x-b"), PP_SPAN("2"), false);
    PP_CHECK_EQ(c.verdict, PP_OK);
    pp_http2_msg_field(&c, PP_SPAN("X-C"), PP_SPAN("3"), false);
    PP_CHECK_EQ(pp_http2_msg_end(&c, true, PP_HTTP_OTHER, &declared), PP_EHTTP_FIELD_NAME);
}

PP_TEST_MAIN()
