#include "wire/uri.h"

#include "base/num.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Classes of a byte (RFC 3986 section 2). */
enum {
    UNRESERVED = 1 << 0, /* ALPHA DIGIT - . _ ~ */
    SUB_DELIM = 1 << 1,  /* ! $ & ' ( ) * + , ; = */
    PLAIN_MARK = 1 << 2, /* the others that a plain path holds: : @ / */
    VISIBLE = 1 << 3     /* what a path may hold raw: visible ASCII but # ? \ and % */
};

#define IS_UNRESERVED(c)                                                                           \
    (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z') || ((c) >= '0' && (c) <= '9') ||     \
     (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_SUB_DELIM(c)                                                                            \
    ((c) == '!' || (c) == '$' || ((c) >= '&' && (c) <= ',') || (c) == ';' || (c) == '=')
#define IS_VISIBLE(c)                                                                              \
    ((c) > 0x20 && (c) < 0x7f && (c) != '#' && (c) != '?' && (c) != '\\' && (c) != '%')
#define C1(c)                                                                                      \
    ((IS_UNRESERVED(c) ? UNRESERVED : 0) | (IS_SUB_DELIM(c) ? SUB_DELIM : 0) |                     \
     ((c) == ':' || (c) == '@' || (c) == '/' ? PLAIN_MARK : 0) | (IS_VISIBLE(c) ? VISIBLE : 0))
#define C4(c) C1(c), C1((c) + 1), C1((c) + 2), C1((c) + 3)
#define C16(c) C4(c), C4((c) + 4), C4((c) + 8), C4((c) + 12)
#define C64(c) C16(c), C16((c) + 16), C16((c) + 32), C16((c) + 48)

static const uint8_t class_of[256] = {C64(0), C64(64), C64(128), C64(192)};

static inline bool is(char c, unsigned cls)
{
    return (class_of[(unsigned char)c] & cls) != 0;
}

/* Value of the percent-encoding at the front of <n> bytes at <p>, or -1. */
static int percent_value(const char *p, size_t n)
{
    int high, low;

    if (n < 3) {
        return -1;
    }
    high = pp_num_hex((unsigned char)p[1]);
    low = pp_num_hex((unsigned char)p[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* ---- authority ---- */

/* Dotted quad without leading zeros (RFC 3986 section 3.2.2). */
static bool is_ipv4(struct pp_span s)
{
    size_t i = 0;

    for (int part = 0; part < 4; part++) {
        unsigned v = 0;
        size_t digits = 0;

        if (part > 0 && (i == s.n || s.p[i++] != '.')) {
            return false;
        }
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, digits++) {
            v = v * 10 + (unsigned)(s.p[i] - '0');
            if (v > 255 || (digits > 0 && v < 10)) {
                return false;
            }
        }
        if (digits == 0) {
            return false;
        }
    }
    return i == s.n;
}

/* Without brackets: up to eight groups, one "::", an IPv4 tail counts as two groups. */
static bool is_ipv6(struct pp_span s)
{
    unsigned groups = 0;
    bool gap = false;
    size_t i = 0;

    if (s.n < 2) {
        return false;
    }
    if (s.p[0] == ':') {
        if (s.p[1] != ':') {
            return false;
        }
        gap = true;
        i = 2;
    }
    while (i < s.n) {
        size_t from = i;

        while (i < s.n && pp_num_hex((unsigned char)s.p[i]) >= 0) {
            i++;
        }
        if (i < s.n && s.p[i] == '.') {
            groups += 2;
            return is_ipv4(pp_span(s.p + from, s.n - from)) && (gap ? groups < 8 : groups == 8);
        }
        if (i == from || i - from > 4 || ++groups > 8) {
            return false;
        }
        if (i == s.n) {
            break;
        }
        if (s.p[i++] != ':' || i == s.n) {
            return false;
        }
        if (s.p[i] == ':') {
            if (gap) {
                return false;
            }
            gap = true;
            i++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* Length of the reg-name (or IPv4 address, which is one by its letters) at the front of <s>. */
static size_t reg_name(struct pp_span s)
{
    size_t i = 0;

    while (i < s.n) {
        if (is(s.p[i], UNRESERVED | SUB_DELIM)) {
            i++;
        } else if (s.p[i] == '%' && percent_value(s.p + i, s.n - i) >= 0) {
            i += 3;
        } else {
            break;
        }
    }
    return i;
}

int pp_uri_authority_parse(struct pp_span s, struct pp_uri_authority *out)
{
    size_t n;
    uint32_t port = 0;

    if (s.n > 0 && s.p[0] == '[') {
        n = pp_span_find(s, ']');
        if (n == s.n || !is_ipv6(pp_span(s.p + 1, n - 1))) {
            return PP_EURI_AUTHORITY;
        }
        n++;
    } else {
        n = reg_name(s);
    }
    if (n == 0) {
        return PP_EURI_AUTHORITY;
    }
    out->host = pp_span(s.p, n);
    out->port = 0;
    if (n == s.n) {
        return PP_OK;
    }
    if (s.p[n] != ':' || s.n - n < 2 || s.n - n > 6) {
        return PP_EURI_AUTHORITY;
    }
    for (size_t i = n + 1; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return PP_EURI_AUTHORITY;
        }
        port = port * 10 + (uint32_t)(s.p[i] - '0');
    }
    out->port = port;
    return port >= 1 && port <= 65535 ? PP_OK : PP_EURI_AUTHORITY;
}

bool pp_uri_authority_eq(const struct pp_uri_authority *a, const struct pp_uri_authority *b,
                         uint32_t default_port)
{
    uint32_t a_port = a->port ? a->port : default_port;
    uint32_t b_port = b->port ? b->port : default_port;

    return a_port == b_port && pp_span_eq_fold(a->host, b->host);
}

/* ---- absolute form ---- */

int pp_uri_split_absolute(struct pp_span s, struct pp_uri_split *out)
{
    size_t colon = pp_span_find(s, ':'), at;
    struct pp_uri_authority authority;
    struct pp_span rest;

    out->scheme = pp_span(s.p, colon);
    if (s.n - colon < 3 || memcmp(s.p + colon, "://", 3) != 0 ||
        !(pp_span_eq_fold(out->scheme, PP_SPAN("http")) ||
          pp_span_eq_fold(out->scheme, PP_SPAN("https")))) {
        return PP_EURI_SCHEME;
    }
    rest = pp_span(s.p + colon + 3, s.n - colon - 3);
    if (pp_span_find(rest, '#') < rest.n) {
        return PP_EURI_CHAR;
    }
    for (at = 0; at < rest.n && rest.p[at] != '/' && rest.p[at] != '?'; at++) {
    }
    out->authority = pp_span(rest.p, at);
    if (pp_uri_authority_parse(out->authority, &authority) != PP_OK) {
        return PP_EURI_AUTHORITY;
    }
    rest = pp_span(rest.p + at, rest.n - at);
    at = pp_span_find(rest, '?');
    out->path = at > 0 ? pp_span(rest.p, at) : PP_SPAN("/");
    out->query = at < rest.n ? pp_span(rest.p + at + 1, rest.n - at - 1) : PP_SPAN_NONE;
    return PP_OK;
}

/* ---- path ---- */

/* First half of the normal form: octets. Writes never pass reads, so <dst> may be the input. */
static int normal_octets(struct pp_span path, char *dst, size_t *n, bool *changed)
{
    static const char digit[] = "0123456789ABCDEF";
    size_t w = 0;

    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];
        int v;

        if (is(c, VISIBLE)) {
            dst[w++] = c;
            continue;
        }
        if (c != '%') {
            return c == '\\' ? PP_EURI_SLASH : PP_EURI_CHAR;
        }
        v = percent_value(path.p + i, path.n - i);
        if (v < 0) {
            return PP_EURI_PERCENT;
        }
        if (v < 0x20 || v == 0x7f) {
            return PP_EURI_NUL;
        }
        if (v == '/' || v == '\\') {
            return PP_EURI_SLASH;
        }
        if (is((char)v, UNRESERVED)) {
            dst[w++] = (char)v;
            *changed = true;
        } else {
            char high = digit[v >> 4], low = digit[v & 15];
            *changed |= path.p[i + 1] != high || path.p[i + 2] != low;
            dst[w] = '%';
            dst[w + 1] = high;
            dst[w + 2] = low;
            w += 3;
        }
        i += 2;
    }
    *n = w;
    return PP_OK;
}

/* Second half: dot segments, in place (RFC 3986 section 5.2.4).
 *
 *   [ /kept/segments ........ | "/seg" being looked at | rest ]
 *                            w  i                   end
 */
static int remove_dots(char *p, size_t *n, bool *changed)
{
    size_t w = 0, i = 0, total = *n;

    while (i < total) {
        size_t end = i + 1, seg;

        while (end < total && p[end] != '/') {
            end++;
        }
        seg = end - i - 1;
        if (seg == 1 && p[i + 1] == '.') {
            *changed = true;
        } else if (seg == 2 && p[i + 1] == '.' && p[i + 2] == '.') {
            *changed = true;
            if (w == 0) {
                return PP_EURI_DOTS;
            }
            while (p[--w] != '/') {
            }
        } else {
            memmove(p + w, p + i, end - i);
            w += end - i;
            i = end;
            continue;
        }
        if (end == total) {
            p[w++] = '/'; /* a dot segment at the end leaves its slash */
        }
        i = end;
    }
    *n = w;
    return PP_OK;
}

int pp_uri_normal_path(struct pp_span path, char *dst, size_t *n, bool *changed)
{
    int rc;

    *changed = false;
    if (path.n == 0 || path.p[0] != '/') {
        return PP_EURI_CHAR;
    }
    rc = normal_octets(path, dst, n, changed);
    return rc == PP_OK ? remove_dots(dst, n, changed) : rc;
}

#ifdef __SSE2__
static inline __m128i between(__m128i v, char low, char high)
{
    __m128i d = _mm_sub_epi8(v, _mm_set1_epi8(low));

    return _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8((char)(high - low))), d);
}

/* Bit i: byte i of the 16 at <p> may not stand in a plain path, or is the '.' of a "/." that lies
 * within. */
static inline unsigned not_plain_mask(const char *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));
    __m128i dot = _mm_cmpeq_epi8(v, _mm_set1_epi8('.'));
    __m128i bad;

    /* 0x22 " 0x23 # | 0x25 % | 0x3c < | 0x3e > 0x3f ? | 0x5b [ 0x5c \ 0x5d ] 0x5e ^ | 0x60 ` | 0x7b
     * { to 0xff */
    bad = _mm_cmplt_epi8(v, _mm_set1_epi8(0x21));
    bad = _mm_or_si128(bad, between(v, '"', '#'));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('%')));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('<')));
    bad = _mm_or_si128(bad, between(v, '>', '?'));
    bad = _mm_or_si128(bad, between(v, '[', '^'));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8('`')));
    bad = _mm_or_si128(bad, between(v, '{', '}'));
    bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)));
    bad = _mm_or_si128(bad, _mm_and_si128(dot, _mm_slli_si128(slash, 1)));
    return (unsigned)_mm_movemask_epi8(bad);
}
#endif

bool pp_uri_is_plain_path(struct pp_span path)
{
    size_t i = 1;

    if (path.n == 0 || path.p[0] != '/') {
        return false;
    }
#ifdef __SSE2__
    if (path.n >= 16) {
        /* Steps of 15, and the last 16 bytes: every pair of neighbours lies within one vector. */
        for (i = 0; i + 16 < path.n; i += 15) {
            if (not_plain_mask(path.p + i)) {
                return false;
            }
        }
        return not_plain_mask(path.p + path.n - 16) == 0;
    }
#endif
    for (; i < path.n; i++) {
        if (!is(path.p[i], UNRESERVED | SUB_DELIM | PLAIN_MARK) ||
            (path.p[i] == '.' && path.p[i - 1] == '/')) {
            return false;
        }
    }
    return true;
}

/* ---- queries ---- */

int pp_uri_decode(struct pp_span s, bool plus, char *dst, size_t *n)
{
    size_t w = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (c == '%') {
            int v = percent_value(s.p + i, s.n - i);
            if (v < 0) {
                return PP_EURI_PERCENT;
            }
            c = (char)v;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        dst[w++] = c;
    }
    *n = w;
    return PP_OK;
}

size_t pp_uri_encode(struct pp_span s, char *dst)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t w = 0;

    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (is((char)c, UNRESERVED)) {
            dst[w++] = (char)c;
        } else {
            dst[w++] = '%';
            dst[w++] = digits[c >> 4];
            dst[w++] = digits[c & 15];
        }
    }
    return w;
}

bool pp_uri_next_arg(struct pp_span *rest, struct pp_span *name, struct pp_span *value)
{
    while (rest->n > 0) {
        size_t end = pp_span_find(*rest, '&');
        struct pp_span piece = pp_span(rest->p, end);
        size_t skip = end < rest->n ? end + 1 : end, eq;

        *rest = pp_span(rest->p + skip, rest->n - skip);
        if (piece.n == 0) {
            continue;
        }
        eq = pp_span_find(piece, '=');
        *name = pp_span(piece.p, eq);
        *value = eq < piece.n ? pp_span(piece.p + eq + 1, piece.n - eq - 1) : PP_SPAN_NONE;
        return true;
    }
    return false;
}
