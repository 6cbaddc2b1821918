/* Streams of compressed bytes, of every content coding in the same way: gzip and deflate (zlib),
 * brotli and zstd.
 *
 *   pp_compress_new -> pp_compress_run ... -> PP_EEND -> [pp_compress_reset -> ...] -> _free
 *
 * The libraries keep their memory through an allocator of ours, which ends at a limit and keeps
 * what one stream has given back for the next: an encoder is worth keeping, for making one costs
 * more than compressing a page. */
#ifndef PP_WIRE_COMPRESS_H
#define PP_WIRE_COMPRESS_H

#include "wire/http_coding.h"

/* Most memory of one stream, whatever the level: what is needed for all that the bounds below
 * allow. Against frames that announce large windows (RFC 8878 section 7.2), which are refused. */
#define PP_COMPRESS_BYTES ((size_t)24 << 20)

/* Bounds of levels and windows (log2 of bytes) of encoders. Brotli above 6 takes tens of megabytes
 * for each stream, and zstd above 12 is made for files that are compressed once. */
#define PP_COMPRESS_GZIP_LEVEL_MAX 9
#define PP_COMPRESS_BROTLI_LEVEL_MAX 6
#define PP_COMPRESS_ZSTD_LEVEL_MAX 12
#define PP_COMPRESS_WINDOW_MIN 10
#define PP_COMPRESS_GZIP_WINDOW_MAX 15
#define PP_COMPRESS_BROTLI_WINDOW_MAX 20
#define PP_COMPRESS_ZSTD_WINDOW_MAX 20

/* Largest window of zstd that a decoder takes (log2; RFC 9659 section 3). Brotli's ends at 16 MiB.
 */
#define PP_COMPRESS_DECODER_WINDOW 23

enum pp_compress_how {
    PP_COMPRESS_MORE, /* more input will follow: hold back what makes the result smaller */
    PP_COMPRESS_SYNC, /* let the other side see all that was given */
    PP_COMPRESS_END   /* nothing follows */
};

struct pp_compress_conf {
    uint8_t coding; /* enum pp_http_coding, not IDENTITY */
    bool decodes;   /* else it encodes, with: */
    uint8_t level;  /* from 1 (brotli, gzip: 0) */
    uint8_t window; /* log2 of bytes */
};

/* What is read and where results go; the call moves both on. */
struct pp_compress_io {
    const char *in;
    size_t in_n;
    char *out;
    size_t out_n;
};

struct pp_compress;

/* A stream at its beginning, or NULL: memory is out, or PP_COMPRESS_BYTES do not do. */
struct pp_compress *pp_compress_new(const struct pp_compress_conf *conf) PP_MUST_USE;
/* NULL is fine. */
void pp_compress_free(struct pp_compress *c);
/* To the beginning of another stream, from any state. PP_OK, or PP_ENOMEM: free it. */
int pp_compress_reset(struct pp_compress *c) PP_MUST_USE;

/* Compress, or decompress (then <how> says nothing).
 *
 * PP_OK     all input was taken, and what <how> wants is in the output
 * PP_EMORE  the output is full: again, with more room and the same <how>
 * PP_EEND   all input was taken, and the stream is complete. When decoding, members or frames that
 *           follow are a part of it (RFC 1952 section 2.2, RFC 8878 section 3); not with brotli
 * PP_EINVAL the input is not of this coding
 * PP_ENOMEM memory is out, or the input wants more than PP_COMPRESS_BYTES
 *
 * After the last two, only reset and free. */
int pp_compress_run(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
    PP_MUST_USE;

/* Bytes that the library holds for this stream. */
size_t pp_compress_memory(const struct pp_compress *c);

#endif
