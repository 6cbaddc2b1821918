#include "route/cidr.h"

#include "base/num.h"

/* One IPv4 address of four decimal parts without leading zeros. */
static bool parse_v4(struct pp_span s, uint8_t *ip)
{
    for (int i = 0; i < 4; i++) {
        size_t n = i < 3 ? pp_span_find(s, '.') : s.n;
        uint64_t v;
        if (n == 0 || n > 3 || (n > 1 && s.p[0] == '0') ||
            pp_num_parse_u64(pp_span(s.p, n), &v) != PP_OK || v > 255)
            return false;
        ip[i] = (uint8_t)v;
        if (i < 3) {
            if (n == s.n)
                return false;
            s = pp_span(s.p + n + 1, s.n - n - 1);
        }
    }
    return true;
}

/* One group of at most four hexadecimal digits off the front of *s. */
static bool take_group(struct pp_span *s, unsigned *out)
{
    unsigned v = 0;
    size_t n = 0;
    while (n < s->n && n < 4 && pp_num_hex((unsigned char)s->p[n]) >= 0)
        v = v << 4 | (unsigned)pp_num_hex((unsigned char)s->p[n++]);
    *out = v;
    *s = pp_span(s->p + n, s->n - n);
    return n > 0;
}

/* RFC 4291 section 2.2: groups, at most one "::", perhaps an IPv4 tail. */
static bool parse_v6(struct pp_span s, uint8_t *ip)
{
    uint8_t parts[16];
    size_t n = 0, gap = SIZE_MAX;
    if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':') {
        gap = 0;
        s = pp_span(s.p + 2, s.n - 2);
    }
    while (s.n > 0) {
        struct pp_span at = s;
        unsigned group;
        if (n == 16 || !take_group(&s, &group))
            return false;
        if (s.n > 0 && s.p[0] == '.') {
            if (n > 12 || !parse_v4(at, parts + n))
                return false;
            n += 4;
            break;
        }
        parts[n++] = (uint8_t)(group >> 8);
        parts[n++] = (uint8_t)group;
        if (s.n == 0)
            break;
        if (s.p[0] != ':' || s.n < 2)
            return false;
        s = pp_span(s.p + 1, s.n - 1);
        if (s.p[0] == ':') {
            if (gap != SIZE_MAX)
                return false;
            gap = n;
            s = pp_span(s.p + 1, s.n - 1);
        }
    }
    if (gap == SIZE_MAX ? n != 16 : n > 14)
        return false;
    size_t head = gap == SIZE_MAX ? n : gap;
    memset(ip, 0, 16);
    memcpy(ip, parts, head);
    memcpy(ip + 16 - (n - head), parts + head, n - head);
    return true;
}

static bool host_bits_are_zero(const struct pp_cidr *c)
{
    size_t bytes = c->v6 ? 16 : 4;
    for (size_t i = c->bits / 8; i < bytes; i++) {
        uint8_t mask = i == c->bits / 8 ? (uint8_t)(0xff >> (c->bits % 8)) : 0xff;
        if (c->ip[i] & mask)
            return false;
    }
    return true;
}

int pp_cidr_parse(struct pp_span text, struct pp_cidr *out)
{
    memset(out, 0, sizeof(*out));
    size_t n = pp_span_find(text, '/');
    struct pp_span ip = pp_span(text.p, n);
    out->v6 = pp_span_find(ip, ':') < ip.n;
    if (!(out->v6 ? parse_v6(ip, out->ip) : parse_v4(ip, out->ip)))
        return PP_EINVAL;
    uint64_t most = out->v6 ? 128 : 32, bits = most;
    if (n < text.n && pp_num_parse_u64(pp_span(text.p + n + 1, text.n - n - 1), &bits) != PP_OK)
        return PP_EINVAL;
    if (bits > most)
        return PP_EINVAL;
    out->bits = (uint8_t)bits;
    return host_bits_are_zero(out) ? PP_OK : PP_EINVAL;
}

bool pp_cidr_has(const struct pp_cidr *c, const uint8_t *ip, bool v6)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (v6 && !c->v6 && memcmp(ip, mapped, sizeof(mapped)) == 0) {
        ip += 12;
        v6 = false;
    }
    if (v6 != c->v6)
        return false;
    unsigned bytes = c->bits / 8, rest = c->bits % 8;
    if (memcmp(c->ip, ip, bytes) != 0)
        return false;
    return rest == 0 || ((c->ip[bytes] ^ ip[bytes]) >> (8 - rest)) == 0;
}
