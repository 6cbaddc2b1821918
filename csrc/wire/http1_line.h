/* One line of an HTTP/1 head, byte by byte: the grammar in its plainest form, with every limit.
 * This automaton alone gives verdicts; the vector code of http1_head.c only accepts what this one
 * would accept too.
 *
 * Verdicts depend on the first offending byte and on nothing behind it, so they are the same
 * however the bytes are cut into pieces (RFC 9112 sections 2.2, 3, 4, 5). */
#ifndef PP_WIRE_HTTP1_LINE_H
#define PP_WIRE_HTTP1_LINE_H

#include "base/err.h"
#include "base/span.h"

enum pp_http1_line_kind {
    PP_HTTP1_LINE_REQUEST = 0, /* method SP target SP HTTP/1.x */
    PP_HTTP1_LINE_STATUS = 1,  /* HTTP/1.x SP 3DIGIT [SP reason] */
    PP_HTTP1_LINE_FIELD = 2    /* name ":" OWS value OWS, or the empty line */
};

#define PP_HTTP1_METHOD_BYTES 32  /* longer method tokens are refused: nothing known comes near */
#define PP_HTTP1_NAME_BYTES 65535 /* what pp_http_field.name_n can say */

struct pp_http1_line_limits {
    uint32_t room;         /* bytes of this line, CRLF included, that the head's limit leaves */
    uint32_t line_bytes;   /* field lines, without CRLF */
    uint32_t target_bytes; /* request lines */
    bool full;             /* no further field line is allowed */
};

/* Zeroed storage is not valid: init. After PP_OK, offsets from the first byte of the line. */
struct pp_http1_line {
    uint32_t n;    /* bytes taken so far; 2 after PP_OK: an empty line */
    uint32_t mark; /* REQUEST: end of the method; FIELD: the colon */
    uint32_t end;  /* REQUEST: end of the target */
    uint8_t state;
    uint8_t before_cr; /* state in which the CR came */
};

/* Ready for the first byte of a line of <kind>. */
void pp_http1_line_init(struct pp_http1_line *l, enum pp_http1_line_kind kind);

/* Take the next <n> bytes of the line at <p>. PP_OK: the line is complete with its CRLF, *used
 * bytes of <p> belong to it. PP_EMORE: all taken, valid so far. Otherwise a PP_EHTTP_* verdict,
 * final. <limits> stays the same for all pieces of a line. An empty line is PP_OK for REQUEST (the
 * caller decides) and FIELD. */
int pp_http1_line_feed(struct pp_http1_line *l, const char *p, size_t n,
                       const struct pp_http1_line_limits *limits, size_t *used) PP_MUST_USE;

#endif
