#include "wire/http1_emit.c"

#include "pp_test.h"
#include "wire/http1_head.h"
#include "wire/http_rules.h"

static const struct pp_http1_limits limits = {61440, 16384, 8192, 100};

struct parsed {
    struct pp_arena arena;
    struct pp_http_msg m;
    char *bytes;
};

static void parse(struct parsed *t, enum pp_http1_head_kind kind, const char *text)
{
    size_t n = strlen(text), used;
    struct pp_http1_head h;
    bool declared;
    int rc;

    t->bytes = malloc(n);
    if (!t->bytes) {
        abort();
    }
    memcpy(t->bytes, text, n);
    pp_arena_init(&t->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&t->m, &t->arena);
    pp_http1_head_init(&h, kind);
    rc = pp_http1_head_feed(&h, t->bytes, n, &limits, &t->m, &used);
    PP_CHECK_EQ(rc, PP_OK);
    if (rc == PP_OK && kind != PP_HTTP1_TRAILERS) {
        rc = kind == PP_HTTP1_REQUEST ? pp_http_rules_request(&t->m)
                                      : pp_http_rules_response(&t->m, PP_HTTP_GET, &declared);
        PP_CHECK_EQ(rc, PP_OK);
    }
}

static void finish(struct parsed *t)
{
    free(t->bytes);
    pp_arena_fini(&t->arena);
}

/* The head at every size of memory: refused when it is too small, never a byte too many, else
 * <want>. */
static void check_emitted(bool is_request, const struct pp_http_msg *m,
                          const struct pp_http1_framing *fr, const char *want)
{
    size_t full = strlen(want);

    for (size_t cap = 0; cap <= full + 40; cap++) {
        char *dst = malloc(cap ? cap : 1);
        size_t n = 0;
        int rc;

        if (!dst) {
            abort();
        }
        rc = is_request
                 ? pp_http1_emit_request(dst, cap, m, PP_SPAN("/new"), PP_SPAN("up:80"), fr, &n)
                 : pp_http1_emit_response(dst, cap, m, fr, &n);
        PP_CHECK_EQ(rc, cap < full ? PP_ELIMIT : PP_OK);
        if (rc == PP_OK) {
            PP_CHECK_BYTES(pp_span(dst, n), want, full);
        }
        free(dst);
    }
}

PP_TEST_CASE(a_request_is_written_from_the_message)
{
    struct parsed t;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_NONE};

    parse(&t, PP_HTTP1_REQUEST,
          "GET /old HTTP/1.0\r\nA: b\r\nHost: x\r\nC:no-space\r\nD:  spaces \t\r\nE:\r\nF: "
          "\r\nLast: g\r\n\r\n");
    check_emitted(true, &t.m, &fr,
                  "GET /new HTTP/1.1\r\nHost: up:80\r\nA: b\r\nC: no-space\r\nD: spaces\r\nE: "
                  "\r\nF: \r\nLast: g\r\n\r\n");
    finish(&t);
}

PP_TEST_CASE(hop_by_hop_removed_and_framing_fields_are_left_out)
{
    struct parsed t;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = 12};

    parse(&t, PP_HTTP1_REQUEST,
          "POST / HTTP/1.1\r\nHost: x\r\nA: 1\r\nX-Hop: 2\r\nB: 3\r\nConnection: "
          "x-hop\r\nKeep-Alive: 5\r\n"
          "Transfer-Encoding: chunked\r\nTE: gzip\r\nUpgrade: x\r\nGone: y\r\nC: 4\r\n\r\n");
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("gone"), PP_NAME_OTHER), 1);
    check_emitted(
        true, &t.m, &fr,
        "POST /new HTTP/1.1\r\nHost: up:80\r\nA: 1\r\nB: 3\r\nC: 4\r\nContent-Length: 12\r\n\r\n");
    fr = (struct pp_http1_framing){.body = PP_HTTP_BODY_CHUNKED};
    check_emitted(true, &t.m, &fr,
                  "POST /new HTTP/1.1\r\nHost: up:80\r\nA: 1\r\nB: 3\r\nC: 4\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n");
    finish(&t);
}

PP_TEST_CASE(fields_that_a_filter_wrote_stand_in_place_and_cannot_frame)
{
    struct parsed t;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_NONE};

    parse(&t, PP_HTTP1_REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    PP_CHECK_EQ(pp_http_msg_set(&t.m, PP_SPAN("b"), PP_NAME_OTHER, PP_SPAN("two")), PP_OK);
    PP_CHECK_EQ(pp_http_msg_set(&t.m, PP_SPAN("Via"), PP_NAME_VIA, PP_SPAN("1.1 p")), PP_OK);
    PP_CHECK_EQ(
        pp_http_msg_set(&t.m, PP_SPAN("Content-Length"), PP_NAME_CONTENT_LENGTH, PP_SPAN("9")),
        PP_OK);
    PP_CHECK_EQ(pp_http_msg_set(&t.m, PP_SPAN("Connection"), PP_NAME_CONNECTION, PP_SPAN("x")),
                PP_OK);
    check_emitted(
        true, &t.m, &fr,
        "GET /new HTTP/1.1\r\nHost: up:80\r\nA: 1\r\nB: two\r\nC: 3\r\nVia: 1.1 p\r\n\r\n");
    finish(&t);
}

PP_TEST_CASE(connection_options_are_one_field)
{
    struct parsed t;
    struct pp_http1_framing fr = {.te_trailers = true, .upgrade = true};

    parse(&t, PP_HTTP1_REQUEST,
          "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nA: 1\r\n\r\n");
    check_emitted(
        true, &t.m, &fr,
        "GET /new HTTP/1.1\r\nHost: up:80\r\nA: 1\r\nTE: trailers\r\nUpgrade: websocket\r\n"
        "Connection: upgrade, TE\r\n\r\n");
    fr = (struct pp_http1_framing){.close = true, .keep_alive = true, .te_trailers = true};
    check_emitted(true, &t.m, &fr,
                  "GET /new HTTP/1.1\r\nHost: up:80\r\nA: 1\r\nTE: trailers\r\nConnection: close, "
                  "TE\r\n\r\n");
    fr = (struct pp_http1_framing){.keep_alive = true};
    check_emitted(true, &t.m, &fr,
                  "GET /new HTTP/1.1\r\nHost: up:80\r\nA: 1\r\nConnection: keep-alive\r\n\r\n");
    finish(&t);
}

PP_TEST_CASE(a_response_is_written_from_the_message)
{
    struct parsed t;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = UINT64_MAX};

    parse(&t, PP_HTTP1_RESPONSE,
          "HTTP/1.0 404 Gone fishing\r\nServer: x\r\nHost: kept\r\nContent-Length: 1\r\n\r\n");
    check_emitted(false, &t.m, &fr,
                  "HTTP/1.1 404 Gone fishing\r\nServer: x\r\nHost: kept\r\n"
                  "Content-Length: 18446744073709551615\r\n\r\n");
    t.m.reason = PP_SPAN_NONE;
    fr = (struct pp_http1_framing){.body = PP_HTTP_BODY_CLOSE, .close = true};
    check_emitted(false, &t.m, &fr,
                  "HTTP/1.1 404 Not Found\r\nServer: x\r\nHost: kept\r\nConnection: close\r\n\r\n");
    t.m.status = 299;
    fr = (struct pp_http1_framing){.body = PP_HTTP_BODY_CHUNKED};
    check_emitted(false, &t.m, &fr,
                  "HTTP/1.1 299 \r\nServer: x\r\nHost: kept\r\nTransfer-Encoding: chunked\r\n\r\n");
    t.m.status = 200;
    fr = (struct pp_http1_framing){.body = PP_HTTP_BODY_NONE};
    check_emitted(false, &t.m, &fr, "HTTP/1.1 200 OK\r\nServer: x\r\nHost: kept\r\n\r\n");
    finish(&t);
}

PP_TEST_CASE(interim_and_empty_responses_carry_no_framing)
{
    static const uint16_t statuses[] = {100, 103, 204};
    struct parsed t;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = 5};

    parse(&t, PP_HTTP1_RESPONSE, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n");
    t.m.reason = PP_SPAN("R");
    for (size_t i = 0; i < PP_COUNT_OF(statuses); i++) {
        char want[64];
        t.m.status = statuses[i];
        snprintf(want, sizeof(want), "HTTP/1.1 %u R\r\nA: b\r\n\r\n", statuses[i]);
        check_emitted(false, &t.m, &fr, want);
    }
    t.m.status = 304;
    check_emitted(false, &t.m, &fr, "HTTP/1.1 304 R\r\nA: b\r\nContent-Length: 5\r\n\r\n");
    finish(&t);
}

PP_TEST_CASE(chunk_heads)
{
    char dst[PP_HTTP1_CHUNK_HEAD];

    PP_CHECK_BYTES(pp_span(dst, pp_http1_emit_chunk_head(dst, 1)), "1\r\n", 3);
    PP_CHECK_BYTES(pp_span(dst, pp_http1_emit_chunk_head(dst, 0x1234abcd)), "1234abcd\r\n", 10);
    PP_CHECK_BYTES(pp_span(dst, pp_http1_emit_chunk_head(dst, UINT64_MAX)), "ffffffffffffffff\r\n",
                   18);
}

PP_TEST_CASE(the_last_chunk_with_and_without_trailers)
{
    struct parsed t;
    char dst[64];
    size_t n;

    PP_CHECK_EQ(pp_http1_emit_last_chunk(dst, sizeof(dst), NULL, &n), PP_OK);
    PP_CHECK_BYTES(pp_span(dst, n), PP_HTTP1_LAST_CHUNK, 5);
    PP_CHECK_EQ(pp_http1_emit_last_chunk(dst, 4, NULL, &n), PP_ELIMIT);
    parse(&t, PP_HTTP1_TRAILERS, "X-Sum:1\r\nX-B: 2\r\n\r\n");
    PP_CHECK_EQ(pp_http1_emit_last_chunk(dst, sizeof(dst), &t.m, &n), PP_OK);
    PP_CHECK_STR(pp_span(dst, n), "0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n");
    PP_CHECK_EQ(pp_http1_emit_last_chunk(dst, n - 1, &t.m, &n), PP_ELIMIT);
    finish(&t);
}

PP_TEST_MAIN()
