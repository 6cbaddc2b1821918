#include "base/arena.h"

#include "base/err.h"
#include "base/mem.h"

/* Sized so that block and header fill whole size classes of usual allocators. */
#define BLOCK_BYTES 4096
#define ALIGN 16

struct pp_arena_block {
    struct pp_arena_block *next;
    size_t size; /* payload bytes, for debuggers; also keeps the payload aligned to 16 */
    char bytes[];
};
PP_STATIC_ASSERT(sizeof(struct pp_arena_block) % ALIGN == 0, "block payload is aligned");

struct pp_arena_cleanup {
    struct pp_arena_cleanup *next;
    pp_arena_cleanup_fn fn;
    void *arg;
};

/* Start again in the owner's block, whose ends may lie unaligned. */
static void use_first(struct pp_arena *a)
{
    size_t skip = a->first ? -(uintptr_t)a->first & (ALIGN - 1) : 0;

    if (a->first_size < skip + ALIGN) {
        a->next = a->end = NULL;
        return;
    }
    a->next = a->first + skip;
    a->end = a->next + ((a->first_size - skip) & ~(size_t)(ALIGN - 1));
}

void pp_arena_init(struct pp_arena *a, void *first, size_t size, size_t limit)
{
    a->first = first;
    a->first_size = first ? size : 0;
    a->blocks = NULL;
    a->cleanup = NULL;
    a->total = 0;
    a->limit = limit;
    use_first(a);
}

void pp_arena_reset(struct pp_arena *a)
{
    /* Taken off before it runs: a cleanup may register another one. */
    while (a->cleanup) {
        struct pp_arena_cleanup *c = a->cleanup;
        a->cleanup = c->next;
        c->fn(c->arg);
    }
    while (a->blocks) {
        struct pp_arena_block *b = a->blocks;
        a->blocks = b->next;
        pp_mem_free(b);
    }
    a->total = 0;
    use_first(a);
}

void pp_arena_fini(struct pp_arena *a)
{
    pp_arena_reset(a);
    a->first = NULL;
    a->first_size = 0;
    a->next = a->end = NULL;
}

static struct pp_arena_block *add_block(struct pp_arena *a, size_t size)
{
    struct pp_arena_block *b = NULL;

    if (size <= SIZE_MAX - sizeof(*b))
        b = pp_mem_alloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    b->size = size;
    b->next = a->blocks;
    a->blocks = b;
    return b;
}

#ifdef PP_ASAN

/* Room is charged as in the real thing, first block included, but every piece is a block of exactly
 * its own size. */
void *pp_arena_alloc_slow(struct pp_arena *a, size_t n)
{
    size_t need = (PP_MAX(n, 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    bool in_first = need >= n && need <= (size_t)(a->end - a->next);

    if (need < n || (!in_first && need > a->limit - a->total))
        return NULL;
    struct pp_arena_block *b = add_block(a, n);
    if (!b)
        return NULL;
    if (in_first)
        a->next += need;
    else
        a->total += need;
    return b->bytes;
}

#else

void *pp_arena_alloc_slow(struct pp_arena *a, size_t n)
{
    size_t need = (PP_MAX(n, 1) + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    size_t left = (a->limit - a->total) & ~(size_t)(ALIGN - 1);

    if (need < n || need > left)
        return NULL;

    /* A large piece gets a block of its own, so that the rest of the current block stays in use. */
    bool own = need >= BLOCK_BYTES / 2;
    size_t size = own ? need : PP_MIN(BLOCK_BYTES - sizeof(struct pp_arena_block), left);
    struct pp_arena_block *b = add_block(a, size);
    if (!b)
        return NULL;
    a->total += size;
    if (!own) {
        a->next = b->bytes + need;
        a->end = b->bytes + size;
    }
    return b->bytes;
}

#endif

int pp_arena_dup(struct pp_arena *a, struct pp_span s, struct pp_span *out)
{
    char *p = s.n < SIZE_MAX ? pp_arena_alloc(a, s.n + 1) : NULL;

    *out = PP_SPAN_NONE;
    if (!p)
        return PP_ENOMEM;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *out = pp_span(p, s.n);
    return PP_OK;
}

int pp_arena_on_reset(struct pp_arena *a, pp_arena_cleanup_fn fn, void *arg)
{
    struct pp_arena_cleanup *c = pp_arena_alloc(a, sizeof(*c));
    if (!c)
        return PP_ENOMEM;
    c->fn = fn;
    c->arg = arg;
    c->next = a->cleanup;
    a->cleanup = c;
    return PP_OK;
}
