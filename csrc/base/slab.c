#include "base/slab.h"

#include "base/check.h"
#include "base/mem.h"

void pp_slab_init(struct pp_slab *s, uint32_t size, uint32_t keep)
{
    s->free = NULL;
    s->size = PP_MAX(size, (uint32_t)sizeof(void *));
    s->n_free = 0;
    s->keep = keep;
    s->n_live = 0;
}

void pp_slab_fini(struct pp_slab *s)
{
    (void)PP_EXPECT(s->n_live == 0);
    while (s->free) {
        void *p = s->free;
        s->free = *(void **)p;
        pp_mem_free(p);
    }
    s->n_free = 0;
}

void *pp_slab_get(struct pp_slab *s)
{
    void *p = s->free;
    if (PP_LIKELY(p != NULL)) {
        s->free = *(void **)p;
        s->n_free--;
    } else {
        p = pp_mem_alloc(s->size);
        if (PP_UNLIKELY(!p))
            return NULL;
    }
    s->n_live++;
    return p;
}

void pp_slab_put(struct pp_slab *s, void *p)
{
    if (!p)
        return;
    s->n_live--;
#ifndef PP_ASAN
    if (PP_LIKELY(s->n_free < s->keep)) {
        *(void **)p = s->free;
        s->free = p;
        s->n_free++;
        return;
    }
#endif
    pp_mem_free(p);
}
