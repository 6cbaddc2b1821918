/* Bump allocator tied to one exchange: many small allocations, one release.
 *
 *   first block (given by the owner, usually inline in a slab object)   further blocks (malloc)
 *   [ used ......... | free ........ ]  ->  [ ... ]  ->  [ ... ]
 *
 * Nothing is freed before pp_arena_reset(). Total size is bounded by <limit> so that no peer can
 * grow an exchange without end. Under AddressSanitizer every allocation is a malloc of its own, so
 * that overruns show. */
#ifndef PP_BASE_ARENA_H
#define PP_BASE_ARENA_H

#include "base/defs.h"
#include "base/span.h"

struct pp_arena_block;
struct pp_arena_cleanup;

struct pp_arena {
    char *next;  /* first free byte of the current block */
    char *end;   /* its end */
    char *first; /* the owner's block, may be NULL */
    size_t first_size;
    struct pp_arena_block *blocks;    /* malloc'ed blocks, newest first */
    struct pp_arena_cleanup *cleanup; /* run newest first by reset */
    size_t total;                     /* bytes in malloc'ed blocks */
    size_t limit;                     /* most bytes <total> may reach */
};

typedef void (*pp_arena_cleanup_fn)(void *arg);

/* Start with the <size> bytes at <first> (borrowed until fini; may be NULL, 0) and at most <limit>
 * further bytes. */
void pp_arena_init(struct pp_arena *a, void *first, size_t size, size_t limit);

/* Run the cleanups, free all further blocks, start again with the first block. */
void pp_arena_reset(struct pp_arena *a);

/* reset, then forget the first block. Accepts zeroed storage. */
void pp_arena_fini(struct pp_arena *a);

/* <n> bytes aligned to 16, or NULL (memory out or limit reached). Slow path of pp_arena_alloc. */
void *pp_arena_alloc_slow(struct pp_arena *a, size_t n) PP_MUST_USE;

/* <n> bytes aligned to 8, not cleared, or NULL (memory out or limit reached). */
static inline PP_MUST_USE void *pp_arena_alloc(struct pp_arena *a, size_t n)
{
#ifndef PP_ASAN
    size_t need = (n + (n == 0) + 7) & ~(size_t)7;
    if (PP_LIKELY(need >= n && need <= (size_t)(a->end - a->next))) {
        char *p = a->next;
        a->next += need;
        return p;
    }
#endif
    return pp_arena_alloc_slow(a, n);
}

/* Of the newest piece, which was given <n> bytes at <p>, only the first <used> are needed: the rest
 * can be given out again. Of older pieces nothing changes. */
static inline void pp_arena_trim(struct pp_arena *a, char *p, size_t n, size_t used)
{
#ifndef PP_ASAN
    if (p + ((n + (n == 0) + 7) & ~(size_t)7) == a->next) {
        a->next = p + ((used + 7) & ~(size_t)7);
    }
#endif
}

/* Copy <s> into the arena and NUL-terminate it; out->p is NULL only on failure (also for empty
 * spans). */
int pp_arena_dup(struct pp_arena *a, struct pp_span s, struct pp_span *out) PP_MUST_USE;

/* Call fn(arg) at reset, newest first. PP_OK or PP_ENOMEM (then fn is not registered). */
int pp_arena_on_reset(struct pp_arena *a, pp_arena_cleanup_fn fn, void *arg) PP_MUST_USE;

#endif
