#include "proxy/filter_compression.c"

#include "proxy/filter_coder.c"
#include "proxy/refusal.h"
#include "proxy/rig.h"

#define ASK "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br;q=0.5, zstd;q=0.1\r\n\r\n"
#define TYPES "\"types\": [\"text/*\", \"*+json\", \"application/json\"]"
#define ALL "{\"codings\": [\"zstd\", \"br\", \"gzip\"], " TYPES ", \"min_length\": 10}"
#define TEXT "Content-Type: text/plain; charset=utf-8\r\n"

static struct rig r;

static bool start(const char *options)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "compression";
    conf.native[0].options = options;
    return rig_start(&r, &conf);
}

/* Everything that comes until <mark> and with it. */
static size_t read_until(int c, char *to, size_t cap, const char *mark)
{
    size_t n = 0;
    int end = EAGAIN;
    to[0] = '\0';
    while (n + 1 < cap && strstr(to, mark) == NULL && rig_read(&r, c, to + n, 1, &end) == 1)
        to[++n] = '\0';
    return n;
}

/* The content of the next chunk, decoded behind what <d> has had; its text in <to>. */
static size_t read_chunk(int c, struct pp_compress *d, char *to, size_t cap)
{
    static char line[32], raw[1 << 17];
    int end;
    read_until(c, line, sizeof line, "\r\n");
    size_t n = strtoul(line, NULL, 16);
    PP_CHECK(n + 2 <= sizeof raw);
    if (n + 2 > sizeof raw || rig_read(&r, c, raw, n + 2, &end) != n + 2 || n == 0)
        return 0;
    struct pp_compress_io io = {raw, n, to, cap};
    int rc = pp_compress_run(d, &io, PP_COMPRESS_MORE);
    PP_CHECK(rc == PP_OK || rc == PP_EEND);
    return cap - io.out_n;
}

static struct pp_compress *decoder(enum pp_http_coding coding)
{
    struct pp_compress_conf conf = {.coding = (uint8_t)coding, .decodes = true};
    return pp_compress_new(&conf);
}

/* The head that the client gets of <head> with a body of <n> bytes. */
static void check_head(const char *options, const char *ask, const char *head, size_t n,
                       const char *heard)
{
    char got[1024], body[256];
    PP_REQUIRE(start(options) && n < sizeof body);
    int c = rig_connect(&r);
    rig_send(&r, c, ask);
    int o = rig_accept(&r, 0);
    rig_settle(&r);
    read_until(o, got, sizeof got, "\r\n\r\n");
    memset(body, 'a', sizeof body);
    rig_send(&r, o, head);
    PP_CHECK(rig_send_n(&r, o, body, n));
    size_t k = read_until(c, got, sizeof got, "\r\n\r\n");
    pp_test_bytes(pp_span(got, k), rig_span(heard), ask, __FILE__, __LINE__);
    rig_settle(&r);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(heads_say_what_was_done)
{
    check_head(ALL, ASK,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "ETag: \"x\"\r\nVary: Cookie\r\n"
               "Accept-Ranges: bytes\r\nContent-Digest: sha-256=:x:\r\nContent-Length: 20\r\n\r\n",
               20,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "ETag: W/\"x\"\r\n"
               "Vary: Cookie, Accept-Encoding\r\nContent-Encoding: gzip\r\n"
               "Transfer-Encoding: chunked\r\n\r\n");
    check_head(ALL, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: *\r\n\r\n",
               "HTTP/1.1 404 Not Found\r\n" RIG_DATE "Content-Type: application/ld+JSON\r\n"
               "ETag: W/\"x\"\r\nContent-Length: 20\r\n\r\n",
               20,
               "HTTP/1.1 404 Not Found\r\n" RIG_DATE "Content-Type: application/ld+JSON\r\n"
               "ETag: W/\"x\"\r\nVary: Accept-Encoding\r\nContent-Encoding: zstd\r\n"
               "Transfer-Encoding: chunked\r\n\r\n");
    /* HEAD says what GET would. */
    check_head(ALL, "HEAD / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br\r\n\r\n",
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Content-Length: 20\r\n\r\n", 0,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT
               "Vary: Accept-Encoding\r\nContent-Encoding: br\r\n\r\n");
    /* An HTTP/1.0 client gets it until the end of the connection. */
    check_head(ALL, "GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n",
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Content-Length: 20\r\n\r\n", 20,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Vary: Accept-Encoding\r\n"
               "Content-Encoding: gzip\r\nConnection: close\r\n\r\n");
}

PP_TEST_CASE(what_is_not_compressed_stays_as_it_was)
{
    static const char *const same[] = {
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Type: image/png\r\nContent-Length: 20\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 20\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Content-Length: 9\r\n\r\n",
        "HTTP/1.1 206 Partial Content\r\n" RIG_DATE TEXT
        "Content-Range: bytes 0-19/40\r\nContent-Length: 20\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT
        "Content-Encoding: br\r\nETag: \"x\"\r\nContent-Length: 20\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT
        "Cache-Control: public, No-Transform\r\nContent-Length: 20\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n" RIG_DATE TEXT "\r\n",
        "HTTP/1.1 304 Not Modified\r\n" RIG_DATE TEXT "ETag: \"x\"\r\n\r\n",
    };
    for (size_t i = 0; i < PP_COUNT_OF(same); i++)
        check_head(ALL, ASK, same[i], strstr(same[i], "Length: 20") ? 20 : i == 2 ? 9 : 0, same[i]);
    check_head(ALL,
               "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n"
               "Cache-Control: no-transform\r\n\r\n",
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Content-Length: 20\r\n\r\n", 20,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Content-Length: 20\r\n\r\n");
    /* It would have been for others. */
    check_head(ALL, RIG_GET, "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Content-Length: 20\r\n\r\n", 20,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT
               "Vary: Accept-Encoding\r\nContent-Length: 20\r\n\r\n");
    check_head(ALL, RIG_GET,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT
               "Vary: Cookie, ACCEPT-encoding\r\nContent-Length: 20\r\n\r\n",
               20,
               "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT
               "Vary: Cookie, ACCEPT-encoding\r\nContent-Length: 20\r\n\r\n");
}

PP_TEST_CASE(events_do_not_wait_for_the_next)
{
    static const enum pp_http_coding codings[] = {PP_HTTP_CODING_GZIP, PP_HTTP_CODING_BROTLI,
                                                  PP_HTTP_CODING_ZSTD};
    char got[1024], ask[128];
    for (size_t i = 0; i < PP_COUNT_OF(codings); i++) {
        PP_REQUIRE(start(ALL));
        struct pp_compress *d = decoder(codings[i]);
        PP_REQUIRE(d != NULL);
        int c = rig_connect(&r);
        snprintf(ask, sizeof ask, "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n",
                 pp_http_coding_text(codings[i]).p);
        rig_send(&r, c, ask);
        int o = rig_accept(&r, 0);
        read_until(o, got, sizeof got, "\r\n\r\n");
        rig_send(&r, o,
                 "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n");
        read_until(c, got, sizeof got, "\r\n\r\n");
        for (int k = 0; k < 5; k++) {
            rig_send(&r, o, "d\r\ndata: event\n\n\r\n");
            PP_CHECK_EQ(read_chunk(c, d, got, sizeof got), 13);
            PP_CHECK(memcmp(got, "data: event\n\n", 13) == 0);
            rig_expect_quiet(&r, c);
        }
        /* A part of a chunk is a pause too; the beginning of one says nothing. */
        rig_send(&r, o, "d\r\ndata:");
        PP_CHECK_EQ(read_chunk(c, d, got, sizeof got), 5);
        rig_send(&r, o, " event\n\n\r\n5\r\n");
        PP_CHECK_EQ(read_chunk(c, d, got, sizeof got), 8);
        rig_expect_quiet(&r, c);
        rig_send(&r, o, "hello\r\n0\r\nX-T: 1\r\n\r\n");
        PP_CHECK_EQ(read_chunk(c, d, got, sizeof got), 5);
        rig_expect(&r, c, "0\r\nX-T: 1\r\n\r\n");
        pp_compress_free(d);
        close(c);
        close(o);
        rig_settle(&r);
        rig_stop(&r);
    }
}

/* Bytes that do not become fewer. */
static void fill_noise(char *p, size_t n)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        p[i] = (char)x;
    }
}

/* The chunks at <raw> decoded to <to>; how many bytes. */
static size_t decode_chunks(const char *raw, size_t n, char *to, size_t cap)
{
    struct pp_compress *d = decoder(PP_HTTP_CODING_GZIP);
    struct pp_compress_io io = {.out = to, .out_n = cap};
    int rc = d == NULL ? PP_ENOMEM : PP_OK;
    for (size_t at = 0; at < n && rc == PP_OK;) {
        char *behind;
        io.in_n = strtoul(raw + at, &behind, 16);
        io.in = behind + 2;
        at = (size_t)(io.in - raw) + io.in_n + 2;
        if (io.in_n > 0)
            rc = at <= n ? pp_compress_run(d, &io, PP_COMPRESS_MORE) : PP_EINVAL;
    }
    PP_CHECK_EQ(rc, PP_EEND);
    pp_compress_free(d);
    return cap - io.out_n;
}

PP_TEST_CASE(a_slow_client_holds_up_the_origin_and_loses_nothing)
{
    enum { TOTAL = 24 << 20, CAP = TOTAL + (1 << 20) };
    char *in = malloc(TOTAL), *raw = malloc(CAP), *out = malloc(CAP), head[256];
    size_t sent = 0, got = 0;
    bool full = false;
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = "compression";
    conf.native[0].options = "{\"codings\": [\"gzip\"], " TYPES ", \"gzip\": {\"level\": 1}}";
    conf.door_sndbuf = 4096;
    PP_REQUIRE(rig_start(&r, &conf));
    fill_noise(in, TOTAL);
    int c = rig_dial(&r, 4096, 0);
    rig_send(&r, c, ASK);
    int o = rig_accept(&r, 0);
    read_until(o, head, sizeof head, "\r\n\r\n");
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "Content-Length: %d\r\n\r\n",
             TOTAL);
    rig_send(&r, o, head);
    while (sent < TOTAL && !full) {
        ssize_t k = send(o, in + sent, TOTAL - sent, MSG_NOSIGNAL);
        full = k < 0;
        sent += k < 0 ? 0 : (size_t)k;
        rig_settle(&r);
    }
    PP_CHECK(full);
    PP_CHECK(sent < TOTAL); /* it was told to stop */
    read_until(c, head, sizeof head, "\r\n\r\n");
    uint64_t until = rig_real_ms() + 6 * RIG_WAIT_MS;
    while (rig_real_ms() < until && (got < 5 || memcmp(raw + got - 5, "0\r\n\r\n", 5) != 0)) {
        ssize_t k = sent < TOTAL ? send(o, in + sent, TOTAL - sent, MSG_NOSIGNAL) : 0;
        sent += k < 0 ? 0 : (size_t)k;
        k = recv(c, raw + got, CAP - 1 - got, 0);
        got += k < 0 ? 0 : (size_t)k;
        if (k < 0)
            rig_turn(&r, 1);
        raw[got] = '\0';
    }
    PP_CHECK_EQ(decode_chunks(raw, got, out, CAP), TOTAL);
    PP_CHECK(memcmp(in, out, TOTAL) == 0);
    free(in);
    free(raw);
    free(out);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(answers_of_our_own_are_compressed_whole)
{
    char got[1024], text[200];
    struct rig_conf conf = rig_defaults();
    struct pp_respond_field type = {PP_SPAN("Content-Type"), PP_SPAN("text/plain")};
    memset(text, 'x', sizeof text);
    conf.native[0].kind = "compression";
    conf.native[0].options = ALL;
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.route.body = pp_span(text, sizeof text);
    conf.route.field = &type;
    conf.route.n_field = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    struct pp_compress *d = decoder(PP_HTTP_CODING_GZIP);
    PP_REQUIRE(d != NULL);
    int c = rig_connect(&r), end;
    rig_send(&r, c, ASK);
    read_until(c, got, sizeof got, "\r\n\r\n");
    PP_CHECK(strstr(got, "Content-Encoding: gzip\r\n") != NULL);
    const char *length = strstr(got, "Content-Length: ");
    size_t n = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
    PP_CHECK(n > 0 && n < 60);
    char small[64], out[300];
    PP_CHECK_EQ(rig_read(&r, c, small, PP_MIN(n, sizeof small), &end), n);
    struct pp_compress_io io = {small, n, out, sizeof out};
    PP_CHECK_EQ(pp_compress_run(d, &io, PP_COMPRESS_MORE), PP_EEND);
    PP_CHECK(sizeof out - io.out_n == 200 && memcmp(out, text, 200) == 0);
    pp_compress_free(d);
    close(c);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(memory_that_is_out_costs_one_exchange)
{
    char got[4096];
    for (long n = 0; n < 60; n++) {
        PP_REQUIRE(start(ALL));
        int c = rig_connect(&r);
        rig_send(&r, c, ASK);
        int o = rig_accept(&r, 0);
        read_until(o, got, sizeof got, "\r\n\r\n");
        pp_mem_fail_after_for_test(n);
        PP_CHECK(rig_send_n(&r, o,
                            "HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "ETag: \"x\"\r\n"
                            "Content-Length: 20\r\n\r\naaaaaaaaaaaaaaaaaaaa",
                            strlen("HTTP/1.1 200 OK\r\n" RIG_DATE TEXT "ETag: \"x\"\r\n"
                                   "Content-Length: 20\r\n\r\naaaaaaaaaaaaaaaaaaaa")));
        rig_settle(&r);
        pp_mem_fail_after_for_test(-1);
        close(c);
        close(o);
        rig_settle(&r);
        rig_stop(&r);
    }
}

/* ---- what cannot be made ---- */

PP_TEST_CASE(options_that_make_no_sense_are_refused)
{
    static const struct {
        const char *options, *why;
    } rows[] = {
        {ALL, ""},
        {"{\"codings\": [\"deflate\"]}", "responses cannot be compressed with \"deflate\""},
        {"{\"codings\": [\"identity\"]}", "responses cannot be compressed with \"identity\""},
        {"{\"codings\": [\"rot13\"]}", "responses cannot be compressed with \"rot13\""},
        {"{\"codings\": [\"gzip\", \"gzip\"]}", "named twice: \"gzip\""},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        pp_test_bytes(rig_span(refusal_of("compression", rows[i].options)), rig_span(rows[i].why),
                      rows[i].options, __FILE__, __LINE__);
    PP_CHECK(
        strstr(refusal_of("compression", "{\"codings\": [\"gzip\"], \"gzip\": {\"level\": 10}}"),
               "level"));
    PP_CHECK(strstr(refusal_of("compression", "{\"codings\": [\"br\"], \"br\": {\"window\": 24}}"),
                    "window"));
    PP_CHECK(strstr(refusal_of("compression", "{\"codings\": 3}"), "codings"));
}

PP_TEST_MAIN()
