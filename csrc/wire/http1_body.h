/* HTTP/1 body framing: bytes -> spans of body (RFC 9112 sections 6 and 7). No copy: data spans
 * point into the input.
 *
 * Limits and the attacks they stop: chunk extension bytes over the whole body (CVE-2023-39326 style
 * amplification), chunk size digits (overflow), trailer bytes and count, whole body bytes.
 *
 * Chunk extensions are checked against their grammar and dropped (RFC 9112 section 7.1.1); the
 * "bad" white space that the grammar allows around ";" and "=" is accepted, white space between a
 * size and its CRLF is not. */
#ifndef PP_WIRE_HTTP1_BODY_H
#define PP_WIRE_HTTP1_BODY_H

#include "wire/http1_head.h"

#define PP_HTTP1_CHUNK_DIGITS 16      /* of one chunk size, leading zeros included */
#define PP_HTTP1_CHUNK_EXT_BYTES 4096 /* extension bytes of one body, all chunks together */
#define PP_HTTP1_TRAILER_BYTES 8192   /* the whole trailer section */
#define PP_HTTP1_TRAILER_FIELDS 64

struct pp_http1_body {
    uint64_t left; /* bytes left of the body (length) or of the current chunk */
    uint64_t
        total; /* body bytes announced so far: whole chunks, whole length, or (close) bytes seen */
    uint64_t limit;               /* most body bytes, UINT64_MAX: none */
    struct pp_http_msg *trailers; /* where trailer fields go; NULL: checked and dropped */
    char *trailer_mem;            /* from the message's arena, NULL until trailers begin */
    uint32_t trailer_n;           /* bytes of the trailer section so far */
    uint32_t ext_bytes;
    struct pp_http1_line line; /* the trailer line being read */
    int16_t verdict;           /* once one was given */
    uint16_t trailer_fields;
    uint8_t digits; /* of the current chunk size */
    uint8_t kind;   /* enum pp_http_body */
    uint8_t state;
    char name[PP_HTTP_TOK_NAME_MAX + 1]; /* front of the current trailer's name */
};

/* <length> matters for PP_HTTP_BODY_LENGTH only. <limit>: most body bytes, UINT64_MAX for none.
 * <trailers> may be NULL; its arena holds what is kept, and it outlives <b>. */
void pp_http1_body_init(struct pp_http1_body *b, enum pp_http_body kind, uint64_t length,
                        uint64_t limit, struct pp_http_msg *trailers);

/* Consume from [p, p + n): *used bytes were taken (framing included), *data is the body piece among
 * them (may be empty, points into the input).
 *
 * PP_OK: took something, call again with the rest. PP_EMORE: took everything, more is needed.
 * PP_EEND: the body is complete (*data may still hold its last piece); bytes after *used belong to
 * the next message. Otherwise a verdict, final: PP_EHTTP_CHUNK_*, PP_EHTTP_TRAILER*,
 * PP_EHTTP_BODY_BYTES, line and field syntax codes, PP_EHTTP_FIELD_COUNT (trailers), PP_ENOMEM.
 * With n = 0: PP_EEND or PP_EMORE (or PP_EHTTP_BODY_BYTES when the length announced is over the
 * limit). Body bytes before the first offending byte are always delivered before the verdict. */
int pp_http1_body_next(struct pp_http1_body *b, const char *p, size_t n, size_t *used,
                       struct pp_span *data) PP_MUST_USE;

/* The connection ended here: PP_EEND when that is how this body ends, else PP_EHTTP_BODY_SHORT. */
int pp_http1_body_eof(struct pp_http1_body *b);

static inline bool pp_http1_body_is_chunked(const struct pp_http1_body *b)
{
    return b->kind == PP_HTTP_BODY_CHUNKED;
}

#endif
