/* Layout of the shared counter segment: plain 64-bit words, one region per worker slot, and a
 * directory that says what they are. Pure: works over memory that somebody else has mapped.
 *
 *   [ header | chains | directory: {kind, name, base, n} ... | slot 0 words | slot 1 words | ... ]
 *
 * One process (the one that compiles the configuration) defines records; every worker looks its
 * records up and writes only the words of its own slot, with plain stores; readers add the slots
 * up. A word never moves, and a slot's words outlive the worker that wrote them: its successor goes
 * on counting where it stopped, which is why counters never fall when a worker dies. Words that are
 * gauges (kind's schema says so) are set to zero by a new worker.
 *
 * Many processes map the memory, so nothing read from it is trusted: whatever it holds, a reader
 * stays inside it and every loop ends. A record becomes visible whole or not at all. */
#ifndef PP_BASE_STATSEG_H
#define PP_BASE_STATSEG_H

#include "base/span.h"

/* Filled by format or open; the geometry is the caller's copy, so a later change of the shared
 * header cannot move a check. */
struct pp_statseg {
    void *mem;
    size_t size;
    uint32_t slots, words, dir_bytes;
};

/* Directory bytes that one record with a name of <n> bytes takes. */
#define PP_STATSEG_RECORD_BYTES(n) (24 + (((size_t)(n) + 7) & ~(size_t)7))

/* Bytes needed for <slots> regions of <words> words and a directory of <dir_bytes>; SIZE_MAX when
 * that does not fit. */
size_t pp_statseg_size(uint32_t slots, uint32_t words, uint32_t dir_bytes);
/* Write a fresh header into zeroed memory, aligned to 8. PP_OK or PP_EINVAL (memory too small or
 * unaligned, no slots or no words). */
int pp_statseg_format(struct pp_statseg *s, void *mem, size_t size, uint32_t slots, uint32_t words,
                      uint32_t dir_bytes) PP_MUST_USE;
/* Check the header of formatted memory, trusting nothing in it. PP_OK or PP_EINVAL. */
int pp_statseg_open(struct pp_statseg *s, void *mem, size_t size) PP_MUST_USE;

/* Number of slots, as checked by format or open. */
uint32_t pp_statseg_slots(const struct pp_statseg *s);

/* Find or add the record (<kind>, <name>) with <n> > 0 words; *base is the index of its first word
 * in each slot. One process at a time. PP_OK, PP_ELIMIT (full: callers fall back to the kind's
 * shared record), PP_EINVAL (exists with another n, or n is 0). */
int pp_statseg_define(struct pp_statseg *s, uint32_t kind, struct pp_span name, uint32_t n,
                      uint32_t *base) PP_MUST_USE;
/* Look up only. PP_OK or PP_ENOENT. */
int pp_statseg_find(const struct pp_statseg *s, uint32_t kind, struct pp_span name, uint32_t *base,
                    uint32_t *n) PP_MUST_USE;
/* Words of <slot>, or NULL when there is no such slot. */
uint64_t *pp_statseg_words(const struct pp_statseg *s, uint32_t slot);
/* Sum of word <index> over all slots; 0 for an index past the end. */
uint64_t pp_statseg_sum(const struct pp_statseg *s, uint32_t index);
/* Iterate the directory: *pos starts at 0; false at the end. The name is borrowed from the segment.
 * Every record that is returned has <base> + <n> within a slot's words. */
bool pp_statseg_next(const struct pp_statseg *s, uint32_t *pos, uint32_t *kind,
                     struct pp_span *name, uint32_t *base, uint32_t *n);

#endif
