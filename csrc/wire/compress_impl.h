/* What the codings' files share. */
#ifndef PP_WIRE_COMPRESS_IMPL_H
#define PP_WIRE_COMPRESS_IMPL_H

#include "base/check.h"
#include "wire/compress.h"

/* One block of a library's memory; its bytes follow. */
struct pp_compress_block {
    struct pp_compress_block *next;
    size_t n;
};
PP_STATIC_ASSERT(sizeof(struct pp_compress_block) % 16 == 0, "blocks are aligned as malloc's are");

struct pp_compress {
    const struct pp_compress_ops *ops;
    struct pp_compress_conf conf;
    size_t used;                     /* bytes that the library has, with their heads */
    size_t spare_bytes;              /* bytes that it gave back */
    struct pp_compress_block *spare; /* newest first */
    char *reserve;                   /* all that the library gets; NULL: it gets heap */
    size_t reserve_n, peak;          /* its bytes; of them, those that were ever touched */
    bool refused;                    /* an allocation failed */
    bool ended;                      /* decoder: behind a whole stream */
    void *state;                     /* the library's; NULL: there is none */
};

/* One library in one direction. */
struct pp_compress_ops {
    /* c->state at the beginning of a stream. PP_OK or PP_ENOMEM. */
    int (*open)(struct pp_compress *c);
    /* Back to the beginning; NULL: it has to be closed and opened. */
    int (*reset)(struct pp_compress *c);
    void (*close)(struct pp_compress *c);
    int (*run)(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how);
};

extern const struct pp_compress_ops pp_compress_gzip_encoder, pp_compress_gzip_decoder;
extern const struct pp_compress_ops pp_compress_brotli_encoder, pp_compress_brotli_decoder;
extern const struct pp_compress_ops pp_compress_zstd_encoder, pp_compress_zstd_decoder;

/* The allocator that libraries are given, with the stream as their argument. */
void *pp_compress_alloc(void *stream, size_t n);
void pp_compress_release(void *stream, void *p);

/* From now on give the library nothing but of one block of <n> bytes (a multiple of 16), got now:
 * for a library that cannot go on when memory is out. Called when it has none. PP_OK or PP_ENOMEM.
 */
int pp_compress_reserve(struct pp_compress *c, size_t n) PP_MUST_USE;

/* PP_ENOMEM when the library has just been refused memory, else <rc>. */
static inline int pp_compress_why(const struct pp_compress *c, int rc)
{
    return c->refused ? PP_ENOMEM : rc;
}

#endif
