/* What fuzz targets share: checks that stop the program, and input in memory of exactly its size.
 */
#ifndef PP_FUZZ_H
#define PP_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* <expr> must hold whatever the input. */
#define FUZZ_CHECK(expr)                                                                           \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            fprintf(stderr, "%s:%d: false: %s\n", __FILE__, __LINE__, #expr);                      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* The <n> bytes at <p> in memory of their own: a byte read too many is seen. Freed by the caller.
 */
static inline char *fuzz_copy(const void *p, size_t n)
{
    char *copy = malloc(n ? n : 1);

    FUZZ_CHECK(copy);
    if (n > 0) {
        memcpy(copy, p, n);
    }
    return copy;
}

/* Where the piece that begins at <from> ends: <step> says how the input is cut. 0: nowhere. */
static inline size_t fuzz_piece_end(size_t from, size_t n, unsigned step)
{
    size_t size = step == 0 ? n : 1 + (from * 7 + step) % (step + 1);

    return n - from < size ? n : from + size;
}

#endif
