#include "base/span.h"

#define EACH_BYTE(b) (0x0101010101010101ull * (b))

static inline uint64_t load8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof(w));
    return w;
}

/* pp_span_lower on eight bytes at once: bit 7 of each byte of <ge_a> says ">= 'A'", of <gt_z> ">
 * 'Z'" (the low seven bits decide; no sum carries into the next byte); bit 7 of <upper>, moved to
 * bit 5, is the case bit. */
static inline uint64_t lower8(uint64_t w)
{
    uint64_t low7 = w & EACH_BYTE(0x7f);
    uint64_t ge_a = low7 + EACH_BYTE(0x80 - 'A');
    uint64_t gt_z = low7 + EACH_BYTE(0x7f - 'Z');
    uint64_t upper = ge_a & ~gt_z & ~w & EACH_BYTE(0x80);
    return w | upper >> 2;
}

/* Most words that differ do so in more than the case bit: the others need a closer look. */
static inline bool is_same8(const char *p, const char *q)
{
    uint64_t v = load8(p), w = load8(q);
    return v == w || (((v ^ w) & ~EACH_BYTE(0x20)) == 0 && lower8(v) == lower8(w));
}

bool pp_span_eq_fold(struct pp_span a, struct pp_span b)
{
    size_t i = 0;

    if (a.n != b.n)
        return false;
    if (a.n >= 8) { /* the last word overlaps the one before it */
        for (; i + 8 < a.n; i += 8)
            if (!is_same8(a.p + i, b.p + i))
                return false;
        return is_same8(a.p + a.n - 8, b.p + a.n - 8);
    }
    for (; i < a.n; i++)
        if (pp_span_lower((unsigned char)a.p[i]) != pp_span_lower((unsigned char)b.p[i]))
            return false;
    return true;
}

int pp_span_cmp(struct pp_span a, struct pp_span b)
{
    size_t n = PP_MIN(a.n, b.n);
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order)
        return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

bool pp_span_starts_with(struct pp_span s, struct pp_span prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct pp_span pp_span_trim(struct pp_span s)
{
    while (s.n && is_ows(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && is_ows(s.p[s.n - 1]))
        s.n--;
    return s;
}

size_t pp_span_find(struct pp_span s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? (size_t)(at - s.p) : s.n;
}

/* Offset of the first comma outside a quoted string, or s.n. A quoted string that never ends takes
 * the rest: splitting inside it would let a sender choose where. */
static size_t item_end(struct pp_span s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quoted && c == '\\')
            i++; /* quoted-pair: the next character is itself */
        else if (c == '"')
            quoted = !quoted;
        else if (c == ',' && !quoted)
            return i;
    }
    return s.n;
}

bool pp_span_next_item(struct pp_span *rest, struct pp_span *out)
{
    while (rest->n) {
        size_t end = item_end(*rest);
        struct pp_span item = pp_span_trim(pp_span(rest->p, end));
        size_t eaten = end < rest->n ? end + 1 : end;
        rest->p += eaten;
        rest->n -= eaten;
        if (item.n) {
            *out = item;
            return true;
        }
    }
    return false;
}

void pp_span_copy_lower(char *dst, struct pp_span s)
{
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        uint64_t w = lower8(load8(s.p + i));
        memcpy(dst + i, &w, sizeof(w));
    }
    for (; i < s.n; i++)
        dst[i] = (char)pp_span_lower((unsigned char)s.p[i]);
}
