/* Per-worker pseudo-random numbers (xoshiro256**, Blackman and Vigna 2018). Not for secrets. */
#ifndef PP_BASE_RNG_H
#define PP_BASE_RNG_H

#include "base/defs.h"

struct pp_rng {
    uint64_t s[4];
};

/* Same seed, same numbers. */
void pp_rng_init(struct pp_rng *r, uint64_t seed);
uint64_t pp_rng_next(struct pp_rng *r);
/* Uniform in [0, n); n > 0. */
uint32_t pp_rng_below(struct pp_rng *r, uint32_t n);

#endif
