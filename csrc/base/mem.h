/* The only caller of malloc.
 *
 * Run-time variants return NULL when memory is out, and the caller gives up at most one connection.
 * Boot variants (`_boot`) end the process with a message instead. Test builds (PP_TEST) can make
 * the N-th run-time allocation fail. */
#ifndef PP_BASE_MEM_H
#define PP_BASE_MEM_H

#include "base/defs.h"

/* <n> bytes, not cleared; <n> = 0 gives a valid unique pointer. NULL when memory is out. */
void *pp_mem_alloc(size_t n) PP_MUST_USE;
/* <n> zero bytes. */
void *pp_mem_zalloc(size_t n) PP_MUST_USE;
/* Resize; on NULL the old block is unchanged and still owned by the caller. */
void *pp_mem_resize(void *p, size_t n) PP_MUST_USE;
/* Copy of <n> bytes at <p> plus a final NUL. */
char *pp_mem_dup(const char *p, size_t n) PP_MUST_USE;
/* <p> may be NULL. */
void pp_mem_free(void *p);

/* As above, but ends the process when memory is out: for start-up only. */
void *pp_mem_zalloc_boot(size_t n) PP_MUST_USE;

#ifdef PP_TEST
/* Let <n> more run-time allocations succeed, then fail every one until called again; n < 0: never
 * fail. */
void pp_mem_fail_after_for_test(long n);
/* Live blocks now: a test that frees everything ends with the number it began with. */
long pp_mem_live_for_test(void);
#endif

#endif
