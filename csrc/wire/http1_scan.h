/* Vector searches of the head parser: SSE2, which every x86-64 has, or plain loops elsewhere. All
 * stay inside [p, end); none returns a pointer past <end>. */
#ifndef PP_WIRE_HTTP1_SCAN_H
#define PP_WIRE_HTTP1_SCAN_H

#include "wire/http_tok.h"

#ifdef __SSE2__
#include <emmintrin.h>

/* Bit i: byte i of the 16 at <p> may not stand in a field value (controls except HTAB, and DEL). */
static inline unsigned pp_http1_scan_value_mask(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

/* Bit i: byte i of the 16 at <p> is printable ASCII: what may stand in a field value, but for HTAB
 * and 0x80 to 0xff, which are rare. Adding 1 takes DEL to the bottom of the signed range, where
 * 0x80 to 0xfe are, and the controls to below '!'. */
static inline unsigned pp_http1_scan_printable_mask(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i up = _mm_add_epi8(v, _mm_set1_epi8(1));

    return (unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(up, _mm_set1_epi8(0x20)));
}

/* Bit i: byte i of the 16 at <p> is not visible ASCII. The signed compare catches 0x80 to 0xff too.
 */
static inline unsigned pp_http1_scan_target_mask(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x21)),
                                                    _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
}
#endif

/* First byte in [p, end) that may not stand in a field value, or <end>. */
static inline const char *pp_http1_scan_value(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        unsigned m = pp_http1_scan_value_mask(p);
        if (m) {
            return p + __builtin_ctz(m);
        }
        p += 16;
    }
#endif
    while (p < end && pp_http_tok_is((unsigned char)*p, PP_TOK_FIELD)) {
        p++;
    }
    return p;
}

/* First byte in [p, end) that may not stand in a request target, or <end>. */
static inline const char *pp_http1_scan_target(const char *p, const char *end)
{
#ifdef __SSE2__
    while (end - p >= 16) {
        unsigned m = pp_http1_scan_target_mask(p);
        if (m) {
            return p + __builtin_ctz(m);
        }
        p += 16;
    }
#endif
    while (p < end && pp_http_tok_is((unsigned char)*p, PP_TOK_TARGET)) {
        p++;
    }
    return p;
}

/* First byte in [p, end) that may not stand in a token, or <end>. */
static inline const char *pp_http1_scan_token(const char *p, const char *end)
{
    while (p < end && pp_http_tok_is((unsigned char)*p, PP_TOK_TCHAR)) {
        p++;
    }
    return p;
}

#endif
