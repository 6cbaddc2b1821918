/* Field sections of HTTP/2, decoded field by field, into messages (RFC 9113 sections 8.1 to 8.3):
 * pseudo-fields first, names in lower case, values without controls, all within limits; then the
 * rules of pp_http_rules_*_2.
 *
 * Every field is written into the message's arena once, as a line of HTTP/1:
 *
 *   | accept: a CRLF cookie: b CRLF ...        fields point into it
 *
 * so that an HTTP/1 head made of the message is a copy of whole runs (see http1_emit.c). */
#ifndef PP_WIRE_HTTP2_MSG_H
#define PP_WIRE_HTTP2_MSG_H

#include "wire/http_msg.h"

enum pp_http2_section_kind {
    PP_HTTP2_REQUEST = 0,
    PP_HTTP2_RESPONSE = 1,
    PP_HTTP2_TRAILER_SECTION = 2
};

struct pp_http2_section_limits {
    uint32_t bytes;        /* names and values, and 32 for each field -> PP_EHTTP_HEAD_BYTES */
    uint32_t fields;       /* -> PP_EHTTP_FIELD_COUNT */
    uint32_t target_bytes; /* -> PP_EHTTP_TARGET_BYTES */
};

/* A section that is being read; a connection has at most one. */
struct pp_http2_section {
    struct pp_http_msg *m; /* NULL: trailers that are checked and dropped */
    const struct pp_http2_section_limits *limits;
    char *text, *text_end; /* free bytes of the piece of arena in use */
    char *piece;           /* its beginning */
    uint64_t bytes;        /* size so far, whatever the verdict */
    uint32_t fields;
    int verdict;    /* the first mistake, or the first limit passed */
    uint8_t kind;   /* enum pp_http2_section_kind */
    uint8_t pseudo; /* those seen */
    bool regular;   /* a field that is no pseudo-field was seen */
};

/* Begin a section that goes into <m>, freshly initialised; <limits> is borrowed. */
void pp_http2_msg_begin(struct pp_http2_section *c, enum pp_http2_section_kind kind,
                        struct pp_http_msg *m, const struct pp_http2_section_limits *limits);

/* The next field. <secret>: it must never be indexed. The bytes are copied. A mistake is kept in
 * c->verdict; then fields are only counted. */
void pp_http2_msg_field(struct pp_http2_section *c, struct pp_span name, struct pp_span value,
                        bool secret);

/* The message is about to go: what follows of the section, trailers, is checked and dropped. */
void pp_http2_msg_forget(struct pp_http2_section *c);

/* The section is complete. PP_OK: the message is valid, and pp_http_rules_*_2 has been through it
 * (<end>: nothing follows; <request_method>, *declared: of a response). Else the verdict:
 * PP_EHTTP_*, PP_EURI_*, or PP_ENOMEM. Trailers must come with <end>; fields that may not trail
 * (pp_http_rules_may_trail) are dropped from them. */
int pp_http2_msg_end(struct pp_http2_section *c, bool end, enum pp_http_method request_method,
                     bool *declared) PP_MUST_USE;

/* Is the verdict about a limit and not about a mistake? */
bool pp_http2_msg_is_limit(int verdict);

#endif
