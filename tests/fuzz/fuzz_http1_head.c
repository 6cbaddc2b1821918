// links: base/mem.c base/check.c base/arena.c base/span.c wire/http_tok.c wire/http_msg.c
// links: wire/http1_line.c wire/http1_head.c
// dict: http1.dict
/* A request or response head whole (the vector parser) and in pieces (the automaton), in memory
 * that moves: same verdict, same message, and nothing in it that the grammar forbids. */
#include "fuzz.h"
#include "wire/http1_head.h"

struct parsed {
    struct pp_arena arena;
    struct pp_http_msg m;
    char *held;
    size_t used;
    int rc;
};

static void parse(struct parsed *t, enum pp_http1_head_kind kind, const uint8_t *in, size_t n,
                  unsigned step)
{
    static const struct pp_http1_limits limits = {8192, 1024, 512, 40};
    struct pp_http1_head h;
    size_t end = 0;

    t->held = NULL;
    pp_arena_init(&t->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&t->m, &t->arena);
    pp_http1_head_init(&h, kind);
    do {
        char *moved;

        end = fuzz_piece_end(end, n, step);
        moved = fuzz_copy(in, end);
        free(t->held);
        t->held = moved;
        t->rc = pp_http1_head_feed(&h, moved, end, &limits, &t->m, &t->used);
    } while (t->rc == PP_EMORE && end < n);
}

static bool is_same(struct pp_span a, struct pp_span b)
{
    return pp_span_eq(a, b);
}

static void check_same(const struct pp_http_msg *a, const struct pp_http_msg *b)
{
    FUZZ_CHECK(a->minor == b->minor && a->status == b->status && a->method_id == b->method_id);
    FUZZ_CHECK(is_same(a->method, b->method) && is_same(a->target, b->target) &&
               is_same(a->reason, b->reason));
    FUZZ_CHECK(a->n_field == b->n_field && a->seen == b->seen);
    for (uint32_t i = 0; i < a->n_field; i++) {
        const struct pp_http_field *f = &a->field[i], *g = &b->field[i];
        FUZZ_CHECK(f->id == g->id && f->flags == 0 && g->flags == 0);
        FUZZ_CHECK(is_same(pp_http_field_name(f), pp_http_field_name(g)));
        FUZZ_CHECK(is_same(pp_http_field_value(f), pp_http_field_value(g)));
    }
}

static void check_grammar(const struct parsed *t, enum pp_http1_head_kind kind)
{
    FUZZ_CHECK(t->used >= 4 && memcmp(t->held + t->used - 4, "\r\n\r\n", 4) == 0);
    FUZZ_CHECK(t->m.n_field <= 40 && t->used <= 8192);
    if (kind == PP_HTTP1_REQUEST) {
        FUZZ_CHECK(pp_http_tok_is_token(t->m.method) && t->m.target.n > 0 && t->m.target.n <= 512);
        FUZZ_CHECK(t->m.method_id == pp_http_tok_method(t->m.method));
    } else {
        FUZZ_CHECK(t->m.status >= 100 && t->m.status <= 999 && pp_http_tok_is_value(t->m.reason));
    }
    for (uint32_t i = 0; i < t->m.n_field; i++) {
        struct pp_span name = pp_http_field_name(&t->m.field[i]),
                       value = pp_http_field_value(&t->m.field[i]);
        FUZZ_CHECK(pp_http_tok_is_token(name) && pp_http_tok_is_value(value));
        FUZZ_CHECK(t->m.field[i].id == pp_http_tok_name(name.p, name.n));
        FUZZ_CHECK(is_same(pp_span_trim(value), value));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct parsed whole, cut;
    enum pp_http1_head_kind kind;

    if (n < 2) {
        return 0;
    }
    kind = bytes[0] & 1 ? PP_HTTP1_RESPONSE : PP_HTTP1_REQUEST;
    parse(&whole, kind, bytes + 2, n - 2, 0);
    parse(&cut, kind, bytes + 2, n - 2, 1 + bytes[1] % 64);
    FUZZ_CHECK(whole.rc == cut.rc);
    if (whole.rc == PP_OK) {
        FUZZ_CHECK(whole.used == cut.used);
        check_same(&whole.m, &cut.m);
        check_grammar(&whole, kind);
    }
    free(whole.held);
    free(cut.held);
    pp_arena_fini(&whole.arena);
    pp_arena_fini(&cut.arena);
    return 0;
}
