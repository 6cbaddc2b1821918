#include "wire/http2_flood.h"

static const struct {
    uint16_t tokens, rate;
    const char *word;
} kinds[PP_HTTP2_FLOOD_COUNT] = {[PP_HTTP2_FLOOD_NONE] = {0, 0, ""},
#define KIND(tail, word, tokens, rate) [PP_HTTP2_FLOOD_##tail] = {tokens, rate, word},
                                 PP_HTTP2_FLOOD_LIST(KIND)
#undef KIND
};

unsigned pp_http2_flood_tokens(enum pp_http2_flood kind)
{
    return kinds[kind].tokens;
}

const char *pp_http2_flood_name(enum pp_http2_flood kind)
{
    return (unsigned)kind < PP_HTTP2_FLOOD_COUNT ? kinds[kind].word : "";
}

void pp_http2_flood_fill(struct pp_http2_floods *f, enum pp_http2_flood kind)
{
    f->bucket[kind].left = kinds[kind].tokens * 4u;
}

void pp_http2_flood_init(struct pp_http2_floods *f, uint64_t now_ms)
{
    for (unsigned i = 0; i < PP_HTTP2_FLOOD_COUNT; i++) {
        pp_http2_flood_fill(f, (enum pp_http2_flood)i);
        f->bucket[i].at_ms = (uint32_t)now_ms;
    }
}

static void add(struct pp_http2_floods *f, enum pp_http2_flood kind, uint64_t quarters)
{
    struct pp_http2_bucket *b = &f->bucket[kind];
    uint32_t most = kinds[kind].tokens * 4u;

    b->left = quarters < most - b->left ? b->left + (uint32_t)quarters : most;
}

void pp_http2_flood_refund(struct pp_http2_floods *f, enum pp_http2_flood kind, unsigned tokens)
{
    add(f, kind, (uint64_t)tokens * 4);
}

bool pp_http2_flood_take(struct pp_http2_floods *f, enum pp_http2_flood kind, unsigned quarters,
                         uint64_t now_ms)
{
    struct pp_http2_bucket *b = &f->bucket[kind];
    uint32_t passed = (uint32_t)now_ms - b->at_ms;
    uint64_t back = (uint64_t)passed * kinds[kind].rate * 4 / 1000;

    /* The bucket's clock moves only when it gives something: quick calls do not round it to
     * nothing. */
    if (back > 0) {
        b->at_ms = (uint32_t)now_ms;
        add(f, kind, back);
    }
    if (b->left < quarters) {
        return false;
    }
    b->left -= quarters;
    return true;
}
