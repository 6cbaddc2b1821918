/* How many are at work at once, over several processes of which any may be killed, as arithmetic
 * over one 64-bit word and the time. Pure.
 *
 *   word: { number of the term (16 bits), leases of the term before (24), of this term (24) }
 *
 * Time is cut into terms of PP_LEASE_TERM_NS. Whoever holds leases renews them once in every term:
 * they move from the counter of the term before to that of this one. When a term ends, what was not
 * renewed in it is gone: it was a dead process's. So the leases of a process that was killed come
 * back within two terms, and nobody has to find out what it held.
 *
 *     take -> this term ──(term ends)──► term before ──(renewed)──► this term
 *                 └──── given back ───────────┴──(not renewed, term ends)──► gone
 *
 * A holder that was stopped for so long that its leases were dropped adds them again when it
 * renews: the count may lie above the limit then, until some are given back. The same mends a word
 * that was lost (evicted): after one term everybody's leases are in it again. */
#ifndef PP_ROUTE_LEASE_H
#define PP_ROUTE_LEASE_H

#include "base/defs.h"

#define PP_LEASE_TERM_NS ((uint64_t)1 << 32) /* 4.3 s */
#define PP_LEASE_MAX (((uint32_t)1 << 24) - 1)

/* What one process holds of one word; zeroed: nothing. */
struct pp_lease {
    uint32_t n;
    uint16_t term; /* in which they were renewed last, when n > 0 */
};

/* One step: the word and the holder's part as they become, once the word was replaced. */
struct pp_lease_step {
    uint64_t word;
    struct pp_lease held;
    uint32_t count; /* of all holders together */
};

/* When a word that was changed at <now_ns> will mean no more than 0. */
static inline uint64_t pp_lease_expires(uint64_t now_ns)
{
    return now_ns + 2 * PP_LEASE_TERM_NS;
}

/* Renew what is held, and take one more if that leaves at most <limit> (up to PP_LEASE_MAX) at
 * work. False: there were that many already, and nothing needs to be written. */
bool pp_lease_take(uint64_t word, struct pp_lease held, uint64_t now_ns, uint32_t limit,
                   struct pp_lease_step *step);
/* Give one back. <held> has at least one. */
void pp_lease_give_back(uint64_t word, struct pp_lease held, uint64_t now_ns,
                        struct pp_lease_step *step);
/* Keep what is held for another term. */
void pp_lease_renew(uint64_t word, struct pp_lease held, uint64_t now_ns,
                    struct pp_lease_step *step);

#endif
