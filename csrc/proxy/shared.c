#include "proxy/shared.h"

#include "base/err.h"
#include "base/mem.h"

#define ALIGN ((uintptr_t)64)

int pp_shared_open(struct pp_shared *s, void *mem, size_t size)
{
    return pp_shtable_open(&s->table, mem, size);
}

void pp_shared_fini(struct pp_shared *s)
{
    pp_mem_free(s->own);
    memset(s, 0, sizeof(*s));
}

const struct pp_shtable *pp_shared_make(struct pp_shared *s, const struct pp_hash_seed *seed)
{
    char *own = pp_mem_zalloc(PP_SHARED_PRIVATE_BYTES + ALIGN);
    if (own == NULL)
        return NULL;
    char *at = own + (-(uintptr_t)own & (ALIGN - 1));
    if (pp_shtable_format(&s->table, at, PP_SHARED_PRIVATE_BYTES, *seed) != PP_OK) {
        pp_mem_free(own);
        return NULL;
    }
    s->own = own;
    return &s->table;
}
