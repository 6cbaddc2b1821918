/* Whole bodies through pp_compress_run in small pieces, for the tests of all codings. */
#ifndef PP_WIRE_COMPRESS_RIG_H
#define PP_WIRE_COMPRESS_RIG_H

#include "base/mem.h"
#include "pp_test.h"
#include "wire/compress.h"

struct bytes {
    char *p;
    size_t n, cap;
};

static inline struct pp_compress *rig_encoder(unsigned coding, unsigned level, unsigned window)
{
    struct pp_compress_conf conf = {
        .coding = (uint8_t)coding, .level = (uint8_t)level, .window = (uint8_t)window};
    return pp_compress_new(&conf);
}

static inline struct pp_compress *rig_decoder(unsigned coding)
{
    struct pp_compress_conf conf = {.coding = (uint8_t)coding, .decodes = true};
    return pp_compress_new(&conf);
}

static inline void rig_clear(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){0};
}

/* One piece, with <step> bytes of room for each call, appended to <to>. The last result. */
static inline int rig_piece(struct pp_compress *c, struct bytes *to, const char *p, size_t n,
                            enum pp_compress_how how, size_t step)
{
    struct pp_compress_io io = {.in = p, .in_n = n};
    int rc = PP_EMORE;
    while (rc == PP_EMORE) {
        if (to->cap - to->n < step)
            to->p = realloc(to->p, to->cap = to->cap * 2 + step);
        io.out = to->p + to->n;
        io.out_n = step;
        rc = pp_compress_run(c, &io, how);
        to->n = (size_t)(io.out - to->p);
    }
    if (rc == PP_OK || rc == PP_EEND)
        PP_CHECK_EQ(io.in_n, 0);
    return rc;
}

/* All of it in pieces of <cut> bytes; how the last one ended. */
static inline int rig_all(struct pp_compress *c, struct bytes *to, const char *p, size_t n,
                          size_t cut, size_t step)
{
    int rc = PP_OK;
    for (size_t at = 0; rc == PP_OK || (rc == PP_EEND && at < n); at += cut) {
        bool last = n - at <= cut;
        rc = rig_piece(c, to, p + at, last ? n - at : cut,
                       last ? PP_COMPRESS_END : PP_COMPRESS_MORE, step);
        if (last)
            break;
    }
    return rc;
}

/* <n> bytes that compress like text does. */
static inline char *rig_text(size_t n)
{
    char *p = malloc(n + 64);
    uint32_t x = 12345;
    for (size_t at = 0; at < n;) {
        x = x * 1103515245u + 12345u;
        at += (size_t)snprintf(p + at, 64, "{\"id\": %u, \"name\": \"item-%u\"},\n", x >> 16,
                               x >> 28);
    }
    return p;
}

#endif
