/* What one worker holds of the things that only so many may do at once (route/lease.h): one holding
 * for each name, renewed from a timer as long as anything is held.
 *
 * The count itself stands in the table that the workers share (proxy/shared.h), so limits are exact
 * over all of them; what a killed worker held comes back within two terms. */
#ifndef PP_PROXY_LEASES_H
#define PP_PROXY_LEASES_H

#include "base/map.h"
#include "io/loop.h"
#include "proxy/shared.h"
#include "route/lease.h"

struct pp_leases {
    struct pp_map map;  /* hash -> struct pp_holding */
    struct pp_list all; /* of struct pp_holding */
    struct pp_timer timer;
    struct pp_loop *loop;
    struct pp_shared *shared;
    const struct pp_hash_seed *seed;
};

/* One worker's part of one name; lives as long as anything is held. */
struct pp_holding {
    struct pp_list link;
    struct pp_shtable_key key;
    struct pp_lease lease;
};

/* Both pointers outlive this; <seed> as for pp_shared_table. */
void pp_leases_init(struct pp_leases *ls, struct pp_loop *loop, struct pp_shared *shared,
                    const struct pp_hash_seed *seed);
/* Everything was given back before. Accepts zeroed storage. */
void pp_leases_fini(struct pp_leases *ls);

/* One more of <key>, of at most <limit>. PP_OK, with the holding to give back; PP_ELIMIT: there are
 * that many; PP_ENOMEM; PP_EAGAIN: others were faster again and again. *count: how many there are
 * now, with this one. */
int pp_leases_take(struct pp_leases *ls, const struct pp_shtable_key *key, uint32_t limit,
                   struct pp_holding **held, uint32_t *count) PP_MUST_USE;
/* Give back what one pp_leases_take gave. */
void pp_leases_give_back(struct pp_leases *ls, struct pp_holding *held);

#endif
