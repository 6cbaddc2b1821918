/* HTTP/1 serialisation: pp_http_msg -> bytes. One pass into memory that the caller gives; nothing
 * of the received bytes is copied except through the parsed message. */
#ifndef PP_WIRE_HTTP1_EMIT_H
#define PP_WIRE_HTTP1_EMIT_H

#include "wire/http_msg.h"

/* How the message that is sent will be framed. Framing and connection fields of <m> itself are
 * hop-by-hop and never emitted: these words say what is written instead. */
struct pp_http1_framing {
    uint8_t body;     /* enum pp_http_body: LENGTH writes Content-Length, CHUNKED writes
                         Transfer-Encoding */
    bool close;       /* write `Connection: close` */
    bool keep_alive;  /* write `Connection: keep-alive` (to HTTP/1.0 clients that asked) */
    bool te_trailers; /* write `TE: trailers` and name TE in Connection (RFC 9110 section 10.1.4) */
    bool upgrade;     /* write `Connection: upgrade` and forward Upgrade */
    uint64_t content_length; /* for LENGTH */
};

/* Request head: method SP <target> SP HTTP/1.1, fields, framing, empty line. <host> is written as
 * the Host field, first (RFC 9110 section 7.2); Host fields of <m> are skipped. Live fields without
 * the HOP flag are written in order. PP_OK and *n bytes at <dst>, or PP_ELIMIT when <cap> is too
 * small. */
int pp_http1_emit_request(char *dst, size_t cap, const struct pp_http_msg *m, struct pp_span target,
                          struct pp_span host, const struct pp_http1_framing *fr, size_t *n)
    PP_MUST_USE;

/* Response head: HTTP/1.1 SP status SP reason, fields, framing, empty line. The reason is <m>'s
 * own, or the standard one. 1xx and 204 carry no framing fields whatever <fr> says; a 304 and the
 * answer to HEAD carry those of <fr> although no body follows (RFC 9110 section 8.6), or none with
 * NONE. PP_OK and *n bytes at <dst>, or PP_ELIMIT when <cap> is too small. */
int pp_http1_emit_response(char *dst, size_t cap, const struct pp_http_msg *m,
                           const struct pp_http1_framing *fr, size_t *n) PP_MUST_USE;

/* Room for what pp_http1_emit_chunk_head writes; what stands behind a chunk's data; a last chunk
 * without trailers. */
#define PP_HTTP1_CHUNK_HEAD 20
#define PP_HTTP1_CHUNK_TAIL "\r\n"
#define PP_HTTP1_LAST_CHUNK "0\r\n\r\n"

/* "<hex size>\r\n" at <dst> (room for PP_HTTP1_CHUNK_HEAD), <size> > 0; returns how many bytes. */
size_t pp_http1_emit_chunk_head(char *dst, uint64_t size);

/* "0\r\n", the live trailer fields, "\r\n". <trailers> may be NULL. PP_OK or PP_ELIMIT. */
int pp_http1_emit_last_chunk(char *dst, size_t cap, const struct pp_http_msg *trailers, size_t *n)
    PP_MUST_USE;

#endif
