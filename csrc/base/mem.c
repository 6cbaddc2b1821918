#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#ifdef PP_TEST
static long fail_after = -1; /* run-time allocations that still succeed; negative: all */
static long live;

/* Atomic, because a resolver thread may allocate while a test runs. */
static bool refuse(void)
{
    long left = __atomic_load_n(&fail_after, __ATOMIC_RELAXED);
    if (left < 0)
        return false;
    if (left == 0)
        return true;
    __atomic_fetch_sub(&fail_after, 1, __ATOMIC_RELAXED);
    return false;
}

static void count_live(const void *p, long by)
{
    if (p)
        __atomic_fetch_add(&live, by, __ATOMIC_RELAXED);
}

void pp_mem_fail_after_for_test(long n)
{
    __atomic_store_n(&fail_after, n < 0 ? -1 : n, __ATOMIC_RELAXED);
}

long pp_mem_live_for_test(void)
{
    return __atomic_load_n(&live, __ATOMIC_RELAXED);
}
#else
static inline bool refuse(void)
{
    return false;
}

static inline void count_live(const void *p, long by)
{
}
#endif

/* malloc(0) may return NULL, which would look like a failure. */
static inline size_t at_least_one(size_t n)
{
    return n ? n : 1;
}

void *pp_mem_alloc(size_t n)
{
    if (refuse())
        return NULL;
    void *p = malloc(at_least_one(n));
    count_live(p, 1);
    return p;
}

void *pp_mem_zalloc(size_t n)
{
    if (refuse())
        return NULL;
    void *p = calloc(1, at_least_one(n));
    count_live(p, 1);
    return p;
}

void *pp_mem_resize(void *p, size_t n)
{
    if (refuse())
        return NULL;
    void *q = realloc(p, at_least_one(n));
    if (!p)
        count_live(q, 1);
    return q;
}

char *pp_mem_dup(const char *p, size_t n)
{
    if (n == SIZE_MAX)
        return NULL;
    char *q = pp_mem_alloc(n + 1);
    if (!q)
        return NULL;
    if (n)
        memcpy(q, p, n);
    q[n] = '\0';
    return q;
}

void pp_mem_free(void *p)
{
    count_live(p, -1);
    free(p);
}

void *pp_mem_zalloc_boot(size_t n)
{
    void *p = calloc(1, at_least_one(n));
    if (!p)
        PP_FATAL("out of memory at start (%zu bytes)", n);
    count_live(p, 1);
    return p;
}
