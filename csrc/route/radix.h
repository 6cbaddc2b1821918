/* Compressed radix trees over the keys of route/pattern.h: any number of trees, written once into
 * one piece of memory with 32-bit offsets, then only read.
 *
 * A node, 4-byte aligned; brackets: there only when its flag or count says so:
 *
 *   u8 text_n | u8 n_child | u8 flags | u8 skip
 *   | text bytes | first bytes of the children | padding
 *   | u32 offset of each child | [u32 offset of the {name} child]
 *   | [leaf of the key that ends here] | [leaf of the star]
 *
 * A leaf is a count and that many entries, in order of rank: higher priority, then named methods,
 * then the order in which they were given.
 *
 * With many keys a lookup costs cache misses and little else. So a node that has but one way on
 * stands right before it, and <skip> (the node's length) gives the address without another look
 * into memory; and whatever fits in a cache line, a node or the whole lonely tail of a key, does
 * not lie in two.
 *
 * COST of a find: every node is visited at most once, because a key prefix fits at one place of a
 * path only. The way goes back only at nodes that have both a fitting literal child and a {name}
 * child; a star on the way whose methods fit ends all going back above it. So the bound is the
 * length of the path times the number of key prefixes that match it, which is what the table holds:
 * 2^k only for a table in which 2^k patterns were written. */
#ifndef PP_ROUTE_RADIX_H
#define PP_ROUTE_RADIX_H

#include "base/err.h"
#include "base/ids.h"
#include "base/span.h"

struct pp_radix_entry {
    uint32_t methods; /* bit per method id, all: any method */
    uint32_t route;
    uint32_t pattern;
    int32_t priority;
};

/* A key before it is filed. */
struct pp_radix_item {
    const char *key;
    uint32_t key_n;
    uint32_t group; /* which tree */
    struct pp_radix_entry entry;
};

/* Trees and what the caller appends between them. Zeroed is empty. */
struct pp_radix {
    char *mem;   /* after freeze it begins at a cache line */
    char *block; /* what was allocated: <mem> lies in it */
    uint32_t n, cap;
};

/* Bytes that are readable behind the last node: the search for a child loads this many at once. */
#define PP_RADIX_SLACK 16

struct pp_radix_hit {
    const struct pp_radix_entry *entry; /* in the tree's memory */
    unsigned n_capture;
    struct pp_span *capture; /* the caller's, PP_CAPTURES_MAX of them */
};

/* Accepts zeroed storage. */
void pp_radix_fini(struct pp_radix *t);

/* Order of two items: group, key, then rank of the entries; 0 when nothing but the order of adding
 * tells them apart. */
int pp_radix_compare(const struct pp_radix_item *a, const struct pp_radix_item *b);

/* Sort <n> items by pp_radix_compare, keeping the order of equal ones; <spare> has room for <n>
 * items. */
void pp_radix_sort(struct pp_radix_item *item, struct pp_radix_item *spare, uint32_t n);

/* Append <n> bytes (cleared when <p> is NULL) and pad to 4; *at is their offset. PP_OK, PP_ENOMEM,
 * or PP_ELIMIT when 32-bit offsets do not reach. */
int pp_radix_append(struct pp_radix *t, const void *p, uint32_t n, uint32_t *at) PP_MUST_USE;

/* Write the tree of <n> > 0 sorted items of one group; its root is the next byte to be written.
 * Results as pp_radix_append. */
int pp_radix_build(struct pp_radix *t, const struct pp_radix_item *item, uint32_t n) PP_MUST_USE;

/* Give memory over what was written back; it stays readable for PP_RADIX_SLACK bytes. Before the
 * first find. PP_OK or PP_ENOMEM. */
int pp_radix_freeze(struct pp_radix *t) PP_MUST_USE;

/* The entry for <path> in the tree at <root>, all of whose entries have one priority: of the most
 * specific key, then by rank. <method> is one bit. PP_OK and *hit; PP_ENOENT, then the methods of
 * every entry whose key matches are added to *allowed. */
int pp_radix_find(const struct pp_radix *t, uint32_t root, struct pp_span path, uint32_t method,
                  struct pp_radix_hit *hit, uint32_t *allowed) PP_MUST_USE;

/* The same for a tree of several priorities: highest priority first. */
int pp_radix_find_mixed(const struct pp_radix *t, uint32_t root, struct pp_span path,
                        uint32_t method, struct pp_radix_hit *hit, uint32_t *allowed) PP_MUST_USE;

/* Who is asked about an entry that fits by key and method. */
struct pp_radix_guard {
    bool (*holds)(void *arg, uint32_t pattern);
    void *arg;
    bool others; /* ask about entries of other methods too, for *allowed: else it gets nothing */
};

/* The same, but an entry for which <guard> does not hold is passed over, and the next one tried. It
 * is asked while the path is walked, so also about entries that a more specific one beats in the
 * end; about each once at most. */
int pp_radix_find_guarded(const struct pp_radix *t, uint32_t root, struct pp_span path,
                          uint32_t method, const struct pp_radix_guard *guard,
                          struct pp_radix_hit *hit, uint32_t *allowed) PP_MUST_USE;

#endif
