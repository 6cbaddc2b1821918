// links: base/mem.c base/check.c base/arena.c base/span.c base/num.c wire/http_tok.c
// links: wire/http_msg.c wire/http1_line.c wire/http1_head.c wire/http_rules.c wire/http1_emit.c
// links: wire/uri.c
// dict: http1.dict
/* A message that was accepted, written and read again: accepted again, with the same end-to-end
 * fields and the framing that was asked for. */
#include "fuzz.h"
#include "wire/http1_emit.h"
#include "wire/http1_head.h"
#include "wire/http_rules.h"

static const struct pp_http1_limits limits = {65536, 32768, 32768, 200};

struct parsed {
    struct pp_arena arena;
    struct pp_http_msg m;
    size_t used;
};

static int parse(struct parsed *t, bool request, const char *p, size_t n)
{
    struct pp_http1_head h;
    bool declared;
    int rc;

    pp_arena_init(&t->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&t->m, &t->arena);
    pp_http1_head_init(&h, request ? PP_HTTP1_REQUEST : PP_HTTP1_RESPONSE);
    rc = pp_http1_head_feed(&h, p, n, &limits, &t->m, &t->used);
    if (rc != PP_OK) {
        return rc;
    }
    return request ? pp_http_rules_request(&t->m)
                   : pp_http_rules_response(&t->m, PP_HTTP_GET, &declared);
}

/* Next field from *i on that is not for one hop. */
static const struct pp_http_field *next_field(const struct pp_http_msg *m, uint32_t *i)
{
    while (*i < m->n_field) {
        const struct pp_http_field *f = &m->field[(*i)++];
        if (!(f->flags & PP_HTTP_FIELD_HOP) && f->id != PP_NAME_HOST) {
            return f;
        }
    }
    return NULL;
}

static void check_fields(const struct pp_http_msg *a, const struct pp_http_msg *b)
{
    uint32_t i = 0, k = 0;
    const struct pp_http_field *f, *g;

    do {
        f = next_field(a, &i);
        g = next_field(b, &k);
        FUZZ_CHECK(!f == !g);
        if (f) {
            FUZZ_CHECK(f->id == g->id && pp_span_eq(pp_http_field_name(f), pp_http_field_name(g)));
            FUZZ_CHECK(pp_span_eq(pp_http_field_value(f), pp_http_field_value(g)));
        }
    } while (f);
}

static int emit(char *dst, size_t cap, bool request, const struct pp_http_msg *m,
                const struct pp_http1_framing *fr, size_t *n)
{
    struct pp_span host = m->authority.n > 0 ? m->authority : PP_SPAN("up.example");

    return request ? pp_http1_emit_request(dst, cap, m, m->target, host, fr, n)
                   : pp_http1_emit_response(dst, cap, m, fr, n);
}

static void round_trip(bool request, const struct pp_http_msg *m, unsigned choice)
{
    static char out[1 << 17];
    struct pp_http1_framing fr = {
        .body = choice & 1 ? PP_HTTP_BODY_CHUNKED : PP_HTTP_BODY_LENGTH,
        .close = choice & 2,
        .upgrade = m->upgrade,
        .te_trailers = request && (choice & 4),
        .content_length = choice * 1000003ull,
    };
    bool framed = request || (m->status >= 200 && m->status != 204 && m->status != 304);
    struct parsed again;
    size_t n = 0, small = 0;
    char *tight;

    FUZZ_CHECK(emit(out, sizeof(out), request, m, &fr, &n) == PP_OK);
    tight = fuzz_copy(out, n);
    FUZZ_CHECK(emit(tight, n, request, m, &fr, &small) == PP_OK && small == n);
    FUZZ_CHECK(memcmp(tight, out, n) == 0);
    FUZZ_CHECK(emit(tight, n - 1, request, m, &fr, &small) == PP_ELIMIT);
    free(tight);
    FUZZ_CHECK(parse(&again, request, out, n) == PP_OK);
    FUZZ_CHECK(again.used == n && again.m.minor == 1);
    FUZZ_CHECK(!framed || again.m.body == fr.body);
    FUZZ_CHECK(!framed || fr.body != PP_HTTP_BODY_LENGTH ||
               again.m.content_length == fr.content_length);
    FUZZ_CHECK(!fr.close || !again.m.keep_alive);
    FUZZ_CHECK(again.m.upgrade == fr.upgrade && again.m.te_trailers == fr.te_trailers);
    check_fields(m, &again.m);
    pp_arena_fini(&again.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct parsed t;
    char *in;

    if (n < 1) {
        return 0;
    }
    in = fuzz_copy(bytes + 1, n - 1);
    if (parse(&t, !(bytes[0] & 1), in, n - 1) == PP_OK) {
        round_trip(!(bytes[0] & 1), &t.m, bytes[0] >> 1);
    }
    free(in);
    pp_arena_fini(&t.arena);
    return 0;
}
