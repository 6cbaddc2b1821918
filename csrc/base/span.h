/* Borrowed bytes: pointer and length, never owned, never NUL-terminated unless said. */
#ifndef PP_BASE_SPAN_H
#define PP_BASE_SPAN_H

#include <string.h>

#include "base/defs.h"

struct pp_span {
    const char *p;
    size_t n;
};

#define PP_SPAN(literal) ((struct pp_span){(literal), sizeof(literal) - 1})
#define PP_SPAN_NONE ((struct pp_span){NULL, 0})

static inline struct pp_span pp_span(const char *p, size_t n)
{
    struct pp_span s = {p, n};
    return s;
}

/* Byte for byte equal. */
static inline bool pp_span_eq(struct pp_span a, struct pp_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* Equal after folding A-Z to a-z (ASCII only, as RFC 9110 section 5.1 wants). */
bool pp_span_eq_fold(struct pp_span a, struct pp_span b);
/* As memcmp, shorter first. */
int pp_span_cmp(struct pp_span a, struct pp_span b);
bool pp_span_starts_with(struct pp_span s, struct pp_span prefix);
/* Without leading and trailing SP and HTAB (OWS of RFC 9110 section 5.6.3). */
struct pp_span pp_span_trim(struct pp_span s);
/* Offset of <c> in <s>, or s.n. */
size_t pp_span_find(struct pp_span s, char c);

/* Next element of a comma-separated list (RFC 9110 section 5.6.1): takes it off the front of *rest,
 * trims it and stores it in *out. Empty elements are skipped. false at the end. Quoted strings are
 * respected. */
bool pp_span_next_item(struct pp_span *rest, struct pp_span *out);

/* The lower-case form of an ASCII letter, everything else unchanged. */
static inline unsigned char pp_span_lower(unsigned char c)
{
    return (unsigned)(c - 'A') < 26u ? (unsigned char)(c | 0x20) : c;
}

/* Copy <s> to <dst> (s.n bytes) in lower case. */
void pp_span_copy_lower(char *dst, struct pp_span s);

#endif
