/* Compiler attributes and small macros that every file may use. */
#ifndef PP_BASE_DEFS_H
#define PP_BASE_DEFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PP_LIKELY(e) __builtin_expect(!!(e), 1)
#define PP_UNLIKELY(e) __builtin_expect(!!(e), 0)
#define PP_MUST_USE __attribute__((warn_unused_result))
#define PP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define PP_NORETURN __attribute__((noreturn))
#define PP_COLD __attribute__((cold, noinline))
#define PP_NOINLINE __attribute__((noinline))
#define PP_UNUSED __attribute__((unused))

/* Defined when built with AddressSanitizer, by whichever compiler: arenas and slabs then hand every
 * piece to malloc, so that overruns and use after free show. PP_ASAN_OFF is for tests of the real
 * arena and slab. */
#if defined(PP_ASAN_OFF)
#elif defined(__SANITIZE_ADDRESS__)
#define PP_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PP_ASAN 1
#endif
#endif

#define PP_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#define PP_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))
#define PP_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PP_MAX(a, b) ((a) > (b) ? (a) : (b))

/* The object of type <type> whose member <member> is at <ptr>. */
#define PP_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
