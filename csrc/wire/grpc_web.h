/* gRPC-Web (github.com/grpc/grpc, doc/PROTOCOL-WEB.md): what browsers can send and read of gRPC.
 * Messages are framed as in gRPC; trailers are one more frame of the body, and in the text form all
 * of the body is base64, encoded piece by piece. */
#ifndef PP_WIRE_GRPC_WEB_H
#define PP_WIRE_GRPC_WEB_H

#include "wire/http_msg.h"

/* Base64 that comes in pieces. Zeroed: at the beginning. */
struct pp_grpc_web_decoder {
    uint32_t bits;   /* of the quantum in hand */
    uint8_t n;       /* its characters so far, padding included */
    uint8_t padding; /* '=' among them */
};

/* Most bytes that <n> characters can be, with what is in hand from before. */
static inline size_t pp_grpc_web_decoded_max(size_t n)
{
    return (n + 3) / 4 * 3;
}

/* Decode <n> characters at <p> to <dst> (room for pp_grpc_web_decoded_max(n)); *out bytes were
 * written. A padded quantum may be followed by others: pieces are encoded one by one. PP_OK, or
 * PP_EINVAL: this is no base64. */
int pp_grpc_web_decode(struct pp_grpc_web_decoder *d, const char *p, size_t n, char *dst,
                       size_t *out) PP_MUST_USE;
/* Has it ended where it may: behind a whole quantum? */
static inline bool pp_grpc_web_is_whole(const struct pp_grpc_web_decoder *d)
{
    return d->n == 0;
}

/* Characters of <n> bytes, padding included. */
static inline size_t pp_grpc_web_encoded(size_t n)
{
    return (n + 2) / 3 * 4;
}
/* Encode <n> bytes at <p> to <dst> (room for pp_grpc_web_encoded(n)). */
void pp_grpc_web_encode(char *dst, const char *p, size_t n);

/* Bytes of the frame that carries the live fields of <trailers>; NULL is fine. */
size_t pp_grpc_web_trailers_size(const struct pp_http_msg *trailers);
/* Write it to <dst>. */
void pp_grpc_web_emit_trailers(char *dst, const struct pp_http_msg *trailers);

#endif
