/* Keyed hash (SipHash-1-3, Aumasson and Bernstein 2012): the seed is passed in, so no peer can
 * choose collisions. */
#ifndef PP_BASE_HASH_H
#define PP_BASE_HASH_H

#include "base/span.h"

struct pp_hash_seed {
    uint64_t k0, k1;
};

/* Hash of the bytes of <s> (not of its pointer) under <seed>. */
uint64_t pp_hash(const struct pp_hash_seed *seed, struct pp_span s);

/* The same with 128 bits (SipHash-1-3-128): where a hash stands for what was hashed. */
void pp_hash_wide(const struct pp_hash_seed *seed, struct pp_span s, uint64_t out[2]);

#endif
