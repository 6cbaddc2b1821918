#include "base/ip.h"

#include "base/err.h"
#include "base/num.h"

bool pp_ip_parse_v4(struct pp_span s, uint8_t *ip)
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

bool pp_ip_parse_v6(struct pp_span s, uint8_t *ip)
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
            if (n > 12 || !pp_ip_parse_v4(at, parts + n))
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
