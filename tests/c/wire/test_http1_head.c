#include "wire/http1_head.c"

#include "base/mem.h"
#include "pp_test.h"

static const struct pp_http1_limits limits = {61440, 16384, 8192, 100};

struct run {
    struct pp_arena arena;
    struct pp_http_msg m;
    struct pp_http1_head h;
    char *held;
    size_t used;
    int rc;
};

static void begin(struct run *r, enum pp_http1_head_kind kind)
{
    *r = (struct run){.rc = PP_EMORE};
    pp_arena_init(&r->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&r->m, &r->arena);
    pp_http1_head_init(&r->h, kind);
}

/* As a buffer that moved: memory of exactly <n> bytes, the old one gone. */
static void feed(struct run *r, const char *p, size_t n)
{
    char *fresh = malloc(n ? n : 1);

    if (!fresh) {
        abort();
    }
    memcpy(fresh, p, n);
    free(r->held);
    r->held = fresh;
    r->rc = pp_http1_head_feed(&r->h, fresh, n, &limits, &r->m, &r->used);
}

static void finish(struct run *r)
{
    free(r->held);
    pp_arena_fini(&r->arena);
}

static void check_same(struct run *a, struct run *b)
{
    PP_CHECK_EQ(a->rc, b->rc);
    if (a->rc != PP_OK || b->rc != PP_OK) {
        return;
    }
    PP_CHECK_EQ(a->used, b->used);
    PP_CHECK_EQ(a->m.seen, b->m.seen);
    PP_CHECK_EQ(a->m.minor, b->m.minor);
    PP_CHECK_EQ(a->m.status, b->m.status);
    PP_CHECK_EQ(a->m.method_id, b->m.method_id);
    PP_CHECK_BYTES(a->m.method, b->m.method.p, b->m.method.n);
    PP_CHECK_BYTES(a->m.target, b->m.target.p, b->m.target.n);
    PP_CHECK_BYTES(a->m.reason, b->m.reason.p, b->m.reason.n);
    PP_CHECK_EQ(a->m.n_field, b->m.n_field);
    for (uint32_t i = 0; i < PP_MIN(a->m.n_field, b->m.n_field); i++) {
        const struct pp_http_field *f = &a->m.field[i], *g = &b->m.field[i];
        PP_CHECK_EQ(f->id, g->id);
        PP_CHECK_BYTES(pp_http_field_name(f), g->name, g->name_n);
        PP_CHECK_BYTES(pp_http_field_value(f), g->value, g->value_n);
    }
}

/* Whole against byte by byte: the quick parser against the automaton. */
static int parse_both_ways(enum pp_http1_head_kind kind, const char *p, size_t n)
{
    struct run whole, pieces;
    int rc;

    begin(&whole, kind);
    feed(&whole, p, n);
    begin(&pieces, kind);
    for (size_t i = 1; i <= n && pieces.rc == PP_EMORE; i++) {
        feed(&pieces, p, i);
    }
    check_same(&whole, &pieces);
    rc = whole.rc;
    finish(&whole);
    finish(&pieces);
    return rc;
}

static const char request[] =
    "GET /a/path?with=query&and=more HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "X-Unlisted-Name:no space\r\n"
    "Accept:  two\t\r\n"
    "Access-Control-Request-Headers: a-name-of-thirty-bytes\r\n"
    "Content-Length: 0\r\n"
    "TE: x\r\n"
    "\r\n";
static const char response[] = "HTTP/1.1 200 All is well\r\n"
                               "Server: x\r\n"
                               "Set-Cookie: a=b; Path=/; Expires=Wed, 21 Oct 2015 07:28:00 GMT\r\n"
                               "\r\n";

/* The bytes at the borders of classes in all places, all bytes in some. */
static bool is_telling(size_t at, unsigned c)
{
    static const char telling[] = "\0\x08\t\n\x0b\x0c\r\x0e\x1f !-/0129:;A_az\x7e\x7f\x80\xff";

    return at % 37 == 0 || memchr(telling, (int)c, sizeof(telling) - 1);
}

PP_TEST_CASE(every_byte_at_every_place_of_a_request)
{
    char head[sizeof(request)];
    unsigned good = 0;

    for (size_t at = 0; at < sizeof(request) - 1; at++) {
        for (unsigned c = 0; c < 256; c++) {
            if (!is_telling(at, c)) {
                continue;
            }
            memcpy(head, request, sizeof(request));
            head[at] = (char)c;
            good += parse_both_ways(PP_HTTP1_REQUEST, head, sizeof(request) - 1) == PP_OK;
        }
    }
    PP_CHECK(good > 500);
}

PP_TEST_CASE(every_byte_at_every_place_of_a_response)
{
    char head[sizeof(response)];
    unsigned good = 0;

    for (size_t at = 0; at < sizeof(response) - 1; at++) {
        for (unsigned c = 0; c < 256; c++) {
            if (!is_telling(at, c)) {
                continue;
            }
            memcpy(head, response, sizeof(response));
            head[at] = (char)c;
            good += parse_both_ways(PP_HTTP1_RESPONSE, head, sizeof(response) - 1) == PP_OK;
        }
    }
    PP_CHECK(good > 500);
}

PP_TEST_CASE(bytes_missing_at_every_place)
{
    char head[sizeof(request)];

    for (size_t at = 0; at < sizeof(request) - 1; at++) {
        for (size_t cut = 1; cut < 8 && at + cut < sizeof(request); cut++) {
            size_t n = sizeof(request) - 1 - cut;
            memcpy(head, request, at);
            memcpy(head + at, request + at + cut, n - at);
            (void)parse_both_ways(PP_HTTP1_REQUEST, head, n);
        }
    }
}

PP_TEST_CASE(fields_of_every_length_at_the_end_of_the_memory)
{
    for (size_t name_n = 1; name_n < 70; name_n += 3) {
        for (size_t value_n = 0; value_n < 140; value_n++) {
            char head[512] = "GET / HTTP/1.1\r\n";
            size_t n = 16;

            memset(head + n, 'n', name_n);
            n += name_n;
            memcpy(head + n, ": ", 2);
            n += 2;
            memset(head + n, 'v', value_n);
            n += value_n;
            memcpy(head + n, "\r\n\r\n", 4);
            PP_CHECK_EQ(parse_both_ways(PP_HTTP1_REQUEST, head, n + 4), PP_OK);
        }
    }
}

PP_TEST_CASE(every_listed_name_is_recognised_anywhere_in_the_memory)
{
    for (unsigned id = 1; id < PP_NAME_COUNT; id++) {
        struct pp_span name = pp_http_tok_name_text((enum pp_http_name)id);

        for (size_t after = 0; after < 40; after++) {
            char head[256] = "GET / HTTP/1.1\r\n";
            size_t n = 16;
            struct run r;

            memcpy(head + n, name.p, name.n);
            n += name.n;
            head[n++] = ':';
            memset(head + n, 'v', after);
            n += after;
            memcpy(head + n, "\r\n\r\n", 4);
            begin(&r, PP_HTTP1_REQUEST);
            feed(&r, head, n + 4);
            PP_CHECK_EQ(r.rc, PP_OK);
            PP_CHECK_EQ(r.m.field[0].id, id);
            PP_CHECK_EQ(r.m.seen, UINT64_C(1) << id);
            finish(&r);
        }
    }
}

PP_TEST_CASE(what_follows_the_head_is_not_looked_at)
{
    char bytes[sizeof(request) + 64];
    struct run r;

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, request, sizeof(request) - 1);
    begin(&r, PP_HTTP1_REQUEST);
    feed(&r, bytes, sizeof(bytes));
    PP_CHECK_EQ(r.rc, PP_OK);
    PP_CHECK_EQ(r.used, sizeof(request) - 1);
    finish(&r);
}

static bool parse_sixty_fields(void)
{
    static char head[2048];
    size_t n = 16;
    struct run r;
    bool ok;

    memcpy(head, "GET / HTTP/1.1\r\n", 16);
    for (int i = 0; i < 60; i++, n += 10) {
        memcpy(head + n, "X-Y: abc\r\n", 10);
    }
    memcpy(head + n, "\r\n", 2);
    begin(&r, PP_HTTP1_REQUEST);
    feed(&r, head, n + 2);
    ok = r.rc == PP_OK;
    PP_CHECK(ok || r.rc == PP_ENOMEM);
    PP_CHECK_EQ(r.m.n_field, ok ? 60 : r.m.n_field);
    finish(&r);
    return ok;
}

PP_TEST_CASE(memory_may_be_out_for_fields_past_the_inline_ones)
{
    PP_CHECK_FAIL_EACH(parse_sixty_fields);
}

PP_TEST_CASE(random_cuts_and_changes)
{
    uint64_t seed = 7;

    for (int round = 0; round < 10000; round++) {
        char head[sizeof(request)];
        size_t n = sizeof(request) - 1, end = 0;
        struct run whole, pieces;

        memcpy(head, request, sizeof(request));
        for (uint64_t changes = pp_test_random(&seed) % 3; changes > 0; changes--) {
            head[pp_test_random(&seed) % n] = "\r\n\t :-a\0\x7f\xff"[pp_test_random(&seed) % 10];
        }
        begin(&whole, PP_HTTP1_REQUEST);
        feed(&whole, head, n);
        begin(&pieces, PP_HTTP1_REQUEST);
        while (end < n && pieces.rc == PP_EMORE) {
            end += pp_test_random(&seed) % 80;
            end = PP_MIN(end, n);
            feed(&pieces, head, end);
        }
        check_same(&whole, &pieces);
        finish(&whole);
        finish(&pieces);
    }
}

PP_TEST_MAIN()
