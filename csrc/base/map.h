/* String map with open addressing: byte-string key -> pointer. Keys are copied; values are
 * borrowed. */
#ifndef PP_BASE_MAP_H
#define PP_BASE_MAP_H

#include "base/hash.h"

struct pp_map_cell;

struct pp_map {
    struct pp_map_cell *cells;
    uint32_t cap, n, dead;
    struct pp_hash_seed seed;
};

/* An empty map; allocates nothing. <seed> should be random where strangers choose keys. */
void pp_map_init(struct pp_map *m, struct pp_hash_seed seed);
/* Frees the keys and the table, not the values. Accepts zeroed storage. */
void pp_map_fini(struct pp_map *m);
/* The value of <key>, or NULL. */
void *pp_map_get(const struct pp_map *m, struct pp_span key);
/* Set or replace. <value> must not be NULL. PP_OK or PP_ENOMEM (then the map is unchanged). */
int pp_map_put(struct pp_map *m, struct pp_span key, void *value) PP_MUST_USE;
/* Remove; returns the value that was there, or NULL. */
void *pp_map_take(struct pp_map *m, struct pp_span key);
/* Iterate: *pos starts at 0; false at the end. No put or take in between. */
bool pp_map_next(const struct pp_map *m, uint32_t *pos, struct pp_span *key, void **value);

#endif
