// links: base/mem.c base/check.c base/arena.c base/span.c base/num.c wire/http_tok.c
// links: wire/http_msg.c wire/http1_line.c wire/http1_head.c wire/http1_body.c wire/http_rules.c
// links: wire/uri.c
// dict: http1.dict
/* A body whole and in pieces: same bytes, same end, same verdict, same trailers; and with trailers
 * dropped. */
#include "fuzz.h"
#include "wire/http1_body.h"

struct decoded {
    struct pp_arena arena;
    struct pp_http_msg trailers;
    char *out;
    size_t out_n, used;
    int rc;
};

static void decode(struct decoded *t, enum pp_http_body kind, const uint8_t *in, size_t n,
                   unsigned step, bool keep)
{
    struct pp_http1_body b;

    t->out = fuzz_copy(in, n);
    t->out_n = t->used = 0;
    t->rc = PP_EMORE;
    pp_arena_init(&t->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&t->trailers, &t->arena);
    pp_http1_body_init(&b, kind, 20, 4096, keep ? &t->trailers : NULL);
    while ((t->rc == PP_EMORE || t->rc == PP_OK) && t->used < n) {
        size_t end = fuzz_piece_end(t->used, n, step), used = 0;
        char *piece = fuzz_copy(in + t->used, end - t->used);
        struct pp_span got;

        t->rc = pp_http1_body_next(&b, piece, end - t->used, &used, &got);
        FUZZ_CHECK(used <= end - t->used);
        FUZZ_CHECK(t->rc != PP_EMORE || used == end - t->used);
        FUZZ_CHECK(t->rc != PP_OK || used > 0);
        if (t->rc == PP_OK || t->rc == PP_EMORE || t->rc == PP_EEND) {
            FUZZ_CHECK(got.n == 0 || (got.p >= piece && got.p + got.n <= piece + used));
            if (got.n > 0) {
                memcpy(t->out + t->out_n, got.p, got.n);
            }
            t->out_n += got.n;
            t->used += used;
        }
        free(piece);
    }
    FUZZ_CHECK(t->out_n <= 4096);
}

static void finish(struct decoded *t)
{
    free(t->out);
    pp_arena_fini(&t->arena);
}

static void check_same(const struct decoded *a, const struct decoded *b)
{
    FUZZ_CHECK(a->rc == b->rc);
    FUZZ_CHECK(pp_span_eq(pp_span(a->out, a->out_n), pp_span(b->out, b->out_n)));
    FUZZ_CHECK(a->rc != PP_EEND || a->used == b->used);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct decoded whole, cut, dropped;
    enum pp_http_body kind;

    if (n < 2) {
        return 0;
    }
    kind = bytes[0] < 0xf0 ? PP_HTTP_BODY_CHUNKED : (enum pp_http_body)(bytes[0] & 3);
    decode(&whole, kind, bytes + 2, n - 2, 0, true);
    decode(&cut, kind, bytes + 2, n - 2, 1 + bytes[1] % 64, true);
    decode(&dropped, kind, bytes + 2, n - 2, 0, false);
    check_same(&whole, &cut);
    check_same(&whole, &dropped);
    FUZZ_CHECK(dropped.trailers.n_field == 0);
    FUZZ_CHECK(whole.rc != PP_EEND || whole.trailers.n_field == cut.trailers.n_field);
    finish(&whole);
    finish(&cut);
    finish(&dropped);
    return 0;
}
