/* Content codings and what is said about them: Accept-Encoding and Content-Encoding (RFC 9110
 * sections 8.4 and 12.5.3). */
#ifndef PP_WIRE_HTTP_CODING_H
#define PP_WIRE_HTTP_CODING_H

#include "wire/http_msg.h"

enum pp_http_coding {
    PP_HTTP_CODING_IDENTITY = 0,
    PP_HTTP_CODING_GZIP,    /* RFC 1952; "x-gzip" too */
    PP_HTTP_CODING_BROTLI,  /* "br", RFC 7932 */
    PP_HTTP_CODING_ZSTD,    /* RFC 8878 */
    PP_HTTP_CODING_DEFLATE, /* RFC 1950, not the raw one of RFC 1951 */
    PP_HTTP_CODING_COUNT    /* as a result: another one */
};

/* Most members of all Accept-Encoding fields that are looked at, against requests that are long to
 * read. What stands behind counts as not said. */
#define PP_HTTP_CODING_MEMBERS 32

/* The coding called <word> in any case; COUNT: not one of ours. */
enum pp_http_coding pp_http_coding_find(struct pp_span word);
/* Its name in fields. */
struct pp_span pp_http_coding_text(enum pp_http_coding coding);

/* What a client takes: for each coding its weight in thousandths, 0: not acceptable. */
struct pp_http_coding_accept {
    bool said; /* the request has the field */
    uint16_t q[PP_HTTP_CODING_COUNT];
    bool identity_said; /* identity is named; else it comes after all that are */
};

/* Read Accept-Encoding of <request>. Without it nothing but identity is acceptable here: clients
 * that say nothing have often no decoder. Malformed members count as not said. */
void pp_http_coding_accept(const struct pp_http_msg *request, struct pp_http_coding_accept *out);

/* Of the <n> codings at <ours>, best first, that which the client wants most; IDENTITY when it
 * takes none of them or wants identity more. */
enum pp_http_coding pp_http_coding_choose(const struct pp_http_coding_accept *accept,
                                          const uint8_t *ours, size_t n);

/* Content-Encoding of <m>: IDENTITY without one, COUNT when there is one that we do not have, or
 * more than one. */
enum pp_http_coding pp_http_coding_of(const struct pp_http_msg *m);

#endif
