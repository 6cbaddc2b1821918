/* The sessions of one UDP listener by path: a hash table whose nodes are the sessions themselves,
 * so that putting one in costs no allocation. Keyed with a random seed: clients choose addresses,
 * and spoofed ones are free of charge. */
#ifndef PP_PROXY_UDP_TABLE_H
#define PP_PROXY_UDP_TABLE_H

#include "base/hash.h"
#include "io/dgram.h"

struct pp_udp_node {
    struct pp_udp_node *next; /* in its bucket */
    uint64_t hash;
    struct pp_dgram_path path;
};

struct pp_udp_table {
    struct pp_udp_node **bucket; /* NULL: none yet */
    uint32_t cap, n;             /* buckets (a power of two), nodes */
    struct pp_hash_seed seed;
};

/* Empty; allocates nothing. */
void pp_udp_table_init(struct pp_udp_table *t, struct pp_hash_seed seed);
/* The table must be empty. Accepts zeroed storage. */
void pp_udp_table_fini(struct pp_udp_table *t);
uint64_t pp_udp_table_hash(const struct pp_udp_table *t, const struct pp_dgram_path *path);
/* The node of <path>, whose hash is <hash>, or NULL. */
struct pp_udp_node *pp_udp_table_find(const struct pp_udp_table *t,
                                      const struct pp_dgram_path *path, uint64_t hash);
/* Put <node>, whose path and hash are set and are not in the table. PP_OK or PP_ENOMEM. */
int pp_udp_table_put(struct pp_udp_table *t, struct pp_udp_node *node) PP_MUST_USE;
/* Take <node>, which must be in the table, out. */
void pp_udp_table_take(struct pp_udp_table *t, struct pp_udp_node *node);

#endif
