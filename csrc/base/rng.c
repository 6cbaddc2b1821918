#include "base/rng.h"

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

/* SplitMix64 (Steele, Lea and Flood 2014): spreads one seed over the state, which must not be all
 * zero; four successive outputs never are. */
static uint64_t spread(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

void pp_rng_init(struct pp_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->s[i] = spread(&seed);
}

uint64_t pp_rng_next(struct pp_rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint32_t pp_rng_below(struct pp_rng *r, uint32_t n)
{
    /* Multiply instead of divide (Lemire 2019): the high word of a 32 by 32 bit product is uniform
     * once the low words below 2^32 mod n are thrown away. */
    uint64_t product = (pp_rng_next(r) >> 32) * n;
    if ((uint32_t)product < n) {
        uint32_t refuse = (uint32_t)-n % n;
        while ((uint32_t)product < refuse)
            product = (pp_rng_next(r) >> 32) * n;
    }
    return (uint32_t)(product >> 32);
}
