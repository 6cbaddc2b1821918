/* The table that workers share (base/shtable.h), as one worker has it. Without a segment it is
 * private memory, made when it is first asked for: limits then hold for this process. */
#ifndef PP_PROXY_SHARED_H
#define PP_PROXY_SHARED_H

#include "base/shtable.h"

/* Bytes of private memory: thousands of names. */
#define PP_SHARED_PRIVATE_BYTES ((size_t)1 << 20)

/* Zeroed: no segment. */
struct pp_shared {
    struct pp_shtable table;
    void *own; /* private memory, NULL: none */
};

/* Use the segment at <mem> (borrowed, outlives this), formatted by somebody else. PP_OK or
 * PP_EINVAL. Before the first pp_shared_table. */
int pp_shared_open(struct pp_shared *s, void *mem, size_t size) PP_MUST_USE;
void pp_shared_fini(struct pp_shared *s);

/* The table; <seed> is for private memory. NULL: there is no memory for it now. */
const struct pp_shtable *pp_shared_make(struct pp_shared *s, const struct pp_hash_seed *seed);
static inline const struct pp_shtable *pp_shared_table(struct pp_shared *s,
                                                       const struct pp_hash_seed *seed)
{
    return PP_LIKELY(s->table.mem != NULL) ? &s->table : pp_shared_make(s, seed);
}

#endif
