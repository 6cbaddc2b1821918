#include "base/hash.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void stir(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    stir(s);
    s->v0 ^= word;
}

static inline uint64_t load_le(const char *p, size_t n)
{
    uint64_t w = 0;
    memcpy(&w, p, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w = __builtin_bswap64(w);
#endif
    return w;
}

/* All but the finish. <wide> tells the two lengths of the hash apart from the start. */
static inline struct sip digest(const struct pp_hash_seed *seed, struct pp_span span, bool wide)
{
    struct sip s = {
        seed->k0 ^ 0x736f6d6570736575u,
        seed->k1 ^ 0x646f72616e646f6du ^ (wide ? 0xee : 0),
        seed->k0 ^ 0x6c7967656e657261u,
        seed->k1 ^ 0x7465646279746573u,
    };
    const char *p = span.p;
    size_t left = span.n;

    for (; left >= 8; p += 8, left -= 8)
        absorb(&s, load_le(p, 8));
    absorb(&s, (uint64_t)span.n << 56 | (left ? load_le(p, left) : 0));
    return s;
}

static inline uint64_t finish(struct sip *s)
{
    for (int i = 0; i < 3; i++)
        stir(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

uint64_t pp_hash(const struct pp_hash_seed *seed, struct pp_span span)
{
    struct sip s = digest(seed, span, false);
    s.v2 ^= 0xff;
    return finish(&s);
}

void pp_hash_wide(const struct pp_hash_seed *seed, struct pp_span span, uint64_t out[2])
{
    struct sip s = digest(seed, span, true);
    s.v2 ^= 0xee;
    out[0] = finish(&s);
    s.v1 ^= 0xdd;
    out[1] = finish(&s);
}
