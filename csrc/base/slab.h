/* Per-worker free list of fixed-size objects: last freed, first reused (still warm in the cache).
 * Under AddressSanitizer every object is a malloc of its own, so that use after free shows. */
#ifndef PP_BASE_SLAB_H
#define PP_BASE_SLAB_H

#include "base/defs.h"

struct pp_slab {
    void *free;      /* singly linked through the objects' first word */
    uint32_t size;   /* bytes of one object, >= sizeof(void *) */
    uint32_t n_free; /* on the list */
    uint32_t keep;   /* most objects kept on the list; more go back to the allocator */
    uint32_t n_live; /* handed out now */
};

/* Objects of <size> bytes; at most <keep> idle ones are kept. */
void pp_slab_init(struct pp_slab *s, uint32_t size, uint32_t keep);
/* Frees the idle objects. All objects must have been put back (checked with PP_EXPECT). */
void pp_slab_fini(struct pp_slab *s);
/* An object, not cleared, or NULL when memory is out. */
void *pp_slab_get(struct pp_slab *s) PP_MUST_USE;
/* Give <p> back; NULL is fine. */
void pp_slab_put(struct pp_slab *s, void *p);

#endif
