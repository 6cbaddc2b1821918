#include "proxy/filter_decompression.c"

#include "proxy/rig.h"

#define BOTH "{\"requests\": true, \"max_ratio\": 20, \"max_size\": 400000}"

static struct rig r;

static bool start(void)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "decompression";
    conf.native[0].options = BOTH;
    return rig_start(&r, &conf);
}

/* <n> bytes of <text> encoded to <to>. */
static size_t encode(enum pp_http_coding coding, const char *text, size_t n, char *to, size_t cap)
{
    struct pp_compress_conf conf = {.coding = (uint8_t)coding, .level = 5, .window = 15};
    struct pp_compress *c = pp_compress_new(&conf);
    struct pp_compress_io io = {text, n, to, cap};
    PP_CHECK(c != NULL && pp_compress_run(c, &io, PP_COMPRESS_END) == PP_EEND);
    pp_compress_free(c);
    return cap - io.out_n;
}

/* A message: the head <format> with <n> as its only argument, and the <n> bytes at <body>. */
static void send_message(int fd, const char *format, const char *body, size_t n)
{
    char head[512];
    snprintf(head, sizeof head, format, n);
    rig_send(&r, fd, head);
    PP_CHECK(rig_send_n(&r, fd, body, n));
}

static void stop(int c, int o)
{
    close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    rig_stop(&r);
}

#define RESPONSE(coding)                                                                           \
    "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: \"x\"\r\nContent-Encoding: " coding                      \
    "\r\nContent-Length: %zu\r\n\r\n"
#define POST(coding)                                                                               \
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: " coding "\r\nContent-Length: %zu\r\n\r\n"

PP_TEST_CASE(responses_are_decoded_for_who_does_not_take_them)
{
    static const struct {
        enum pp_http_coding coding;
        const char *head;
    } rows[] = {{PP_HTTP_CODING_GZIP, RESPONSE("gzip")},
                {PP_HTTP_CODING_BROTLI, RESPONSE("br")},
                {PP_HTTP_CODING_ZSTD, RESPONSE("zstd")},
                {PP_HTTP_CODING_DEFLATE, RESPONSE("deflate")}};
    char small[256];
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        PP_REQUIRE(start());
        size_t n = encode(rows[i].coding, "hello hello", 11, small, sizeof small);
        int c = rig_connect(&r);
        rig_send(&r, c, RIG_GET);
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        send_message(o, rows[i].head, small, n);
        rig_expect(&r, c,
                   "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: W/\"x\"\r\nVary: Accept-Encoding\r\n"
                   "Transfer-Encoding: chunked\r\n\r\nb\r\nhello hello\r\n0\r\n\r\n");
        stop(c, o);
    }
}

PP_TEST_CASE(what_the_client_takes_stays_as_it_is)
{
    PP_REQUIRE(start());
    int c = rig_connect(&r);
    rig_send(&r, c, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_settle(&r);
    send_message(o, RESPONSE("gzip"), "1234", 4);
    rig_expect(&r, c,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "ETag: \"x\"\r\nContent-Encoding: gzip\r\n"
               "Content-Length: 4\r\n\r\n1234");
    stop(c, o);
}

PP_TEST_CASE(requests_are_decoded)
{
    char small[256];
    PP_REQUIRE(start());
    size_t n = encode(PP_HTTP_CODING_GZIP, "hello hello", 11, small, sizeof small);
    int c = rig_connect(&r);
    send_message(c, POST("gzip"), small, n);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o,
               "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n"
               "b\r\nhello hello\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    stop(c, o);
}

/* What a request that cannot be decoded is answered with. */
static void check_refused(const char *head, const char *body, size_t n, const char *status,
                          const char *more)
{
    char got[1024];
    int end, o;
    PP_REQUIRE(start());
    int c = rig_connect(&r);
    send_message(c, head, body, n);
    o = rig_try_accept(&r, 0, 50);
    size_t k = rig_read(&r, c, got, strlen(status), &end);
    pp_test_bytes(pp_span(got, k), rig_span(status), head, __FILE__, __LINE__);
    rig_settle(&r);
    ssize_t rest = recv(c, got, sizeof got - 1, 0);
    got[rest < 0 ? 0 : rest] = '\0';
    PP_CHECK(strstr(got, more) != NULL);
    stop(c, o);
}

PP_TEST_CASE(requests_that_cannot_be_decoded_are_refused)
{
    char small[256];
    size_t n = encode(PP_HTTP_CODING_GZIP, "hello hello", 11, small, sizeof small);
    check_refused(POST("compress"), "1234", 4, "HTTP/1.1 415 ",
                  "Accept-Encoding: gzip, deflate, br, zstd\r\n");
    check_refused(POST("gzip, gzip"), "1234", 4, "HTTP/1.1 415 ", "Accept-Encoding: ");
    check_refused(POST("gzip"), "1234", 4, "HTTP/1.1 400 ", "bad_content_coding");
    check_refused(POST("zstd"), "not at all", 10, "HTTP/1.1 400 ", "bad_content_coding");
    check_refused(POST("gzip"), small, n - 3, "HTTP/1.1 400 ", "body_truncated");
}

PP_TEST_CASE(bombs_are_defused)
{
    size_t size = 4 << 20;
    char *zeros = calloc(1, size), *small = malloc(size);
    static const enum pp_http_coding codings[] = {PP_HTTP_CODING_GZIP, PP_HTTP_CODING_DEFLATE};
    /* By its ratio, ... */
    size_t n = encode(codings[0], zeros, 100000, small, size);
    check_refused(POST("gzip"), small, n, "HTTP/1.1 413 ", "decompression_bomb");
    n = encode(PP_HTTP_CODING_BROTLI, zeros, size, small, size);
    check_refused(POST("br"), small, n, "HTTP/1.1 413 ", "decompression_bomb");
    n = encode(PP_HTTP_CODING_ZSTD, zeros, size, small, size);
    check_refused(POST("zstd"), small, n, "HTTP/1.1 413 ", "decompression_bomb");
    /* ... or its size alone. */
    uint32_t x = 2463534242u;
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        zeros[i] = (char)(x >> 9 & 15);
    }
    n = encode(codings[1], zeros, 500000, small, size);
    PP_CHECK(n * 20 > 500000);
    check_refused(POST("deflate"), small, n, "HTTP/1.1 413 ", "decompression_bomb");
    free(zeros);
    free(small);
}

PP_TEST_CASE(a_response_that_is_cut_short_is_cut_short)
{
    char small[256], got[1024];
    int end;
    size_t n = encode(PP_HTTP_CODING_GZIP, "hello hello", 11, small, sizeof small);
    PP_REQUIRE(start());
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    send_message(o, RESPONSE("gzip"), small, n - 4);
    size_t k = rig_read(&r, c, got, sizeof got - 1, &end);
    got[k] = '\0';
    PP_CHECK(strstr(got, "\r\n0\r\n") == NULL && end != EAGAIN);
    stop(c, o);
}

PP_TEST_CASE(memory_that_is_out_costs_one_exchange)
{
    char small[256];
    size_t size = encode(PP_HTTP_CODING_GZIP, "hello hello", 11, small, sizeof small);
    for (long n = 0; n < 40; n += 2) {
        PP_REQUIRE(start());
        int c = rig_connect(&r);
        rig_settle(&r);
        pp_mem_fail_after_for_test(n);
        send_message(c, POST("gzip"), small, size);
        rig_settle(&r);
        pp_mem_fail_after_for_test(-1);
        rig_settle(&r);
        stop(c, -1);
    }
}

PP_TEST_MAIN()
