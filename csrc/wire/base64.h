/* Base64 with padding (RFC 4648 section 4), as WebSocket and gRPC-Web have it. */
#ifndef PP_WIRE_BASE64_H
#define PP_WIRE_BASE64_H

#include "base/err.h"

/* Base64 that comes in pieces. Zeroed: at the beginning. */
struct pp_base64_decoder {
    uint32_t bits;   /* of the quantum in hand */
    uint8_t n;       /* its characters so far, padding included */
    uint8_t padding; /* '=' among them */
};

/* Most bytes that <n> characters can be, with what is in hand from before. */
static inline size_t pp_base64_decoded_max(size_t n)
{
    return (n + 3) / 4 * 3;
}

/* Decode <n> characters at <p> to <dst> (room for pp_base64_decoded_max(n)); *out bytes were
 * written. A padded quantum may be followed by others: pieces are encoded one by one. PP_OK, or
 * PP_EINVAL: this is no base64. */
int pp_base64_decode(struct pp_base64_decoder *d, const char *p, size_t n, char *dst, size_t *out)
    PP_MUST_USE;
/* Has it ended where it may: behind a whole quantum? */
static inline bool pp_base64_is_whole(const struct pp_base64_decoder *d)
{
    return d->n == 0;
}

/* Characters of <n> bytes, padding included. */
static inline size_t pp_base64_encoded(size_t n)
{
    return (n + 2) / 3 * 4;
}
/* Encode <n> bytes at <p> to <dst> (room for pp_base64_encoded(n)). */
void pp_base64_encode(char *dst, const char *p, size_t n);

#endif
