/* A bounded table over given memory that several processes change at once: 128-bit keyed hash of a
 * name -> one 64-bit value. Pure: somebody else has mapped the memory and reads the clock.
 *
 *   [ header | bucket 0: 8 cells | bucket 1: 8 cells | ... ]
 *   cell: { tag (38 bits), time at which it expires (26 bits), value (64 bits) }
 *
 * The hash chooses the bucket and is the tag; names are not kept. Its key is drawn for the table
 * and kept in it, so nobody outside can choose what collides. Two names that a bucket takes for one
 * share a value: with probability 3e-11 for each new name in a full table.
 *
 * NO LOCKS  A cell changes only as a whole, by one compare-and-exchange of its 16 bytes, so there
 * is no moment at which a killed process leaves anything half done, and nobody ever waits for
 * another. Whatever the memory holds, a reader stays inside it and every loop ends.
 *
 * CHANGING A VALUE  pp_shtable_get, compute, pp_shtable_put; again from the start when put says
 * that somebody was faster. Every put that succeeded has replaced exactly the value that get gave.
 *
 * A NEW NAME  takes the first cell of its bucket that was never used; so two processes that bring
 * the same name take the same cell, or one sees the other's. In a full bucket the cell that expires
 * (or has expired) first gives way. That is the one that matters least, and where it was still
 * alive, its value is lost and counted as an eviction. There two processes may choose different
 * cells: put then looks again, and whoever finds the name twice takes its own cell back and begins
 * anew. What is not exact: in a full bucket, what a third process adds to the cell that is taken
 * back in those nanoseconds is lost; and a process killed between the two steps may leave a name
 * twice, of which one is found and the other expires.
 *
 * EXPIRY  counts in units of 2.1 s, rounded up; a value whose time has come reads as 0, as does a
 * name that is not there. Times further ahead than PP_SHTABLE_LIFE_MAX count as that. A cell that
 * nobody has touched for more than two years after its end may look alive once more.
 *
 * Works on processors with a 16-byte compare-and-exchange: all of x86-64 since 2006, all of
 * aarch64.
 */
#ifndef PP_BASE_SHTABLE_H
#define PP_BASE_SHTABLE_H

#include "base/hash.h"

/* Number of the layout described here; a change of the layout or of what the values of its users
 * mean changes it. */
#define PP_SHTABLE_LAYOUT 1
/* Bytes of one bucket, and of the header. */
#define PP_SHTABLE_BUCKET 128
#define PP_SHTABLE_CELLS 8
/* The longest time ahead, in nanoseconds: about two years. */
#define PP_SHTABLE_LIFE_MAX ((uint64_t)1 << 55)

struct pp_shtable_bucket;

/* Filled by format or open; the caller's own copy of what is in the header. mem NULL: no table. */
struct pp_shtable {
    void *mem;
    struct pp_shtable_bucket *bucket;
    uint32_t n_bucket;
    struct pp_hash_seed seed;
};

/* A name, hashed. */
struct pp_shtable_key {
    uint64_t hash[2];
};

/* Where a value was found, and what was there: between get and put. */
struct pp_shtable_ref {
    uint64_t *cell;
    uint64_t word, value; /* as they stand in the cell */
    uint64_t tag;
    uint32_t now;
    uint8_t claim; /* what put would do to the cell: see shtable.c */
};

/* Write a fresh header into zeroed memory, aligned to 64. PP_OK, or PP_EINVAL: unaligned, or not
 * even room for one bucket. */
int pp_shtable_format(struct pp_shtable *t, void *mem, size_t size, struct pp_hash_seed seed)
    PP_MUST_USE;
/* Check the header of formatted memory, trusting nothing in it. PP_OK or PP_EINVAL (no table, of
 * another layout, or larger than its memory). */
int pp_shtable_open(struct pp_shtable *t, void *mem, size_t size) PP_MUST_USE;

/* Hash <name>. Names of different <space>s never meet. */
void pp_shtable_hash(const struct pp_shtable *t, uint64_t space, struct pp_span name,
                     struct pp_shtable_key *key);

/* The value of <key> at the time <now_ns>, and in *ref where it stands; 0 when it is not there or
 * has expired. Changes nothing. */
uint64_t pp_shtable_get(const struct pp_shtable *t, const struct pp_shtable_key *key,
                        uint64_t now_ns, struct pp_shtable_ref *ref);
/* Put <value>, good until <expires_ns>, in the place of what get gave. False: something has changed
 * since, nothing was put, and the caller gets and computes again. */
bool pp_shtable_put(const struct pp_shtable *t, const struct pp_shtable_ref *ref, uint64_t value,
                    uint64_t expires_ns) PP_MUST_USE;

/* How full the table is: what is alive in a part of it that stands for all. */
struct pp_shtable_fill {
    uint64_t cells;       /* of the table */
    uint64_t seen, alive; /* cells looked at, and those of them with a value that has not expired */
    uint64_t evictions;   /* values that gave way while they were alive, ever */
};
void pp_shtable_look(const struct pp_shtable *t, uint64_t now_ns, struct pp_shtable_fill *fill);

#endif
