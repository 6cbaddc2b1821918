/* Layout of the shared counter segment: plain 64-bit words, one column for each process that
 * counts, and a directory that says what they are. Pure: works over memory that somebody else has
 * mapped.
 *
 *   [ header | column table | chains | directory: {kind, name, base, n} ... | column 0 | ... ]
 *
 * The segment outlives configurations, workers and whole process trees: it is made with room to
 * spare, in memory that exists only once it is touched. One process at a time defines records, also
 * while others count and read; a worker looks its records up and writes only the words of the
 * column that it was given, with plain stores; readers add the columns up. A word never moves, and
 * a column's words outlive its writer: the next one to take the column goes on counting where the
 * last one stopped, which is why counters never fall. Words that are gauges (the kind's schema says
 * so) are set to zero between two writers.
 *
 *   column:  free ──take──► taken ──(gauges cleared) release──► free
 *
 * Column 0 is common: it is never given out, and whoever writes it does so with pp_statseg_add and
 * pp_statseg_set.
 *
 * Many processes map the memory, so nothing read from it is trusted: whatever it holds, a reader
 * stays inside it and every loop ends. A record becomes visible whole or not at all. */
#ifndef PP_BASE_STATSEG_H
#define PP_BASE_STATSEG_H

#include "base/span.h"

/* Number of the layout described here; a change of the layout changes it. */
#define PP_STATSEG_LAYOUT 2
/* The column of many writers. */
#define PP_STATSEG_COMMON 0

/* Filled by format or open; the geometry is the caller's copy, so a later change of the shared
 * header cannot move a check. <schema> is the caller's to compare: it stands for the meaning of the
 * words. */
struct pp_statseg {
    void *mem;
    size_t size;
    uint32_t columns, words, dir_bytes, schema;
};

/* Directory bytes that one record with a name of <n> bytes takes. */
#define PP_STATSEG_RECORD_BYTES(n) (24 + (((size_t)(n) + 7) & ~(size_t)7))

/* Bytes needed for <columns> regions of <words> words and a directory of <dir_bytes>; SIZE_MAX when
 * that does not fit. */
size_t pp_statseg_size(uint32_t columns, uint32_t words, uint32_t dir_bytes);
/* Write a fresh header into zeroed memory, aligned to 8. PP_OK or PP_EINVAL (memory too small or
 * unaligned, no columns or no words). */
int pp_statseg_format(struct pp_statseg *s, void *mem, size_t size, uint32_t columns,
                      uint32_t words, uint32_t dir_bytes, uint32_t schema) PP_MUST_USE;
/* The layout that formatted memory has; 0 when it is no segment. Layout and mark stand at the same
 * place in every layout. */
uint32_t pp_statseg_layout(const void *mem, size_t size);
/* Check the header of formatted memory, trusting nothing in it. PP_OK or PP_EINVAL. */
int pp_statseg_open(struct pp_statseg *s, void *mem, size_t size) PP_MUST_USE;

/* Find or add the record (<kind>, <name>) with <n> > 0 words; *base is the index of its first word
 * in each column. One process at a time; it also completes what a definer that died left half done.
 * PP_OK, PP_ELIMIT (full: callers fall back to the kind's shared record), PP_EINVAL (exists with
 * another n, or n is 0). */
int pp_statseg_define(struct pp_statseg *s, uint32_t kind, struct pp_span name, uint32_t n,
                      uint32_t *base) PP_MUST_USE;
/* Look up only. PP_OK or PP_ENOENT. */
int pp_statseg_find(const struct pp_statseg *s, uint32_t kind, struct pp_span name, uint32_t *base,
                    uint32_t *n) PP_MUST_USE;
/* Iterate the directory: *pos starts at 0; false at the end. The name is borrowed from the segment.
 * Every record that is returned has <base> + <n> within a column's words. */
bool pp_statseg_next(const struct pp_statseg *s, uint32_t *pos, uint32_t *kind,
                     struct pp_span *name, uint32_t *base, uint32_t *n);

/* Take a free column for <owner> (not 0: what tells owners apart is the callers' matter). Safe
 * between processes. PP_OK, PP_ELIMIT (none is free) or PP_EINVAL. */
int pp_statseg_take(const struct pp_statseg *s, uint32_t owner, uint32_t *column) PP_MUST_USE;
/* Owner of <column>; 0 when it is free or there is no such column. */
uint32_t pp_statseg_owner(const struct pp_statseg *s, uint32_t column);
/* Give a column back. Its writer has ended and its gauges are cleared by now. */
void pp_statseg_release(const struct pp_statseg *s, uint32_t column);

/* Words of <column>, or NULL when there is no such column. The writer says with pp_statseg_reach
 * which words it may write; those that no writer has reached are not looked at. */
uint64_t *pp_statseg_words(const struct pp_statseg *s, uint32_t column);
/* The words of <column> before <end> are in use from now on. */
void pp_statseg_reach(const struct pp_statseg *s, uint32_t column, uint32_t end);
/* How far a writer of <column> has ever reached. */
uint32_t pp_statseg_reached(const struct pp_statseg *s, uint32_t column);

/* Add to, or set, word <index> of the common column; any number of processes. No-ops past the end.
 */
void pp_statseg_add(const struct pp_statseg *s, uint32_t index, uint64_t n);
void pp_statseg_set(const struct pp_statseg *s, uint32_t index, uint64_t value);
/* Replace the bits of <mask> in word <index> of the common column by <bits>; writers of other bits
 * are not disturbed. Whoever reads a word that was added to afterwards, sees
 * the new bits. A no-op past the end. */
void pp_statseg_change(const struct pp_statseg *s, uint32_t index, uint64_t mask, uint64_t bits);

/* Let word <index> of the common column be <next> if it is <old>. False: it is another one, or past
 * the end. */
bool pp_statseg_swap(const struct pp_statseg *s, uint32_t index, uint64_t old, uint64_t next);

/* Word <index> of one column, and the sum of it over all columns; 0 for what is past the ends or
 * was never reached. */
uint64_t pp_statseg_get(const struct pp_statseg *s, uint32_t column, uint32_t index);
uint64_t pp_statseg_sum(const struct pp_statseg *s, uint32_t index);
/* Where word <index> of the common column stands, for whoever looks at it often (with
 * __ATOMIC_ACQUIRE); NULL past the end. */
const uint64_t *pp_statseg_common(const struct pp_statseg *s, uint32_t index);

#endif
