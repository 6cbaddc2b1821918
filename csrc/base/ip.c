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

static unsigned group_at(const uint8_t *ip, int i)
{
    return (unsigned)ip[2 * i] << 8 | ip[2 * i + 1];
}

/* The first of the longest runs of two or more zero groups; its length, 0: there is none. */
static int longest_gap(const uint8_t *ip, int *start)
{
    int best = 1;
    for (int i = 0, run = 0; i < 8; i++) {
        run = group_at(ip, i) == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *start = i - run + 1;
        }
    }
    return best > 1 ? best : 0;
}

size_t pp_ip_format_v6(char *dst, const uint8_t *ip)
{
    int start = 8, gap = longest_gap(ip, &start);
    char *p = dst;
    for (int i = 0; i < 8; i++) {
        if (i > 0 || i == start)
            *p++ = ':';
        if (i == start) {
            i += gap - 1;
            if (i == 7)
                *p++ = ':';
            continue;
        }
        p += pp_num_format_hex(p, group_at(ip, i));
    }
    return (size_t)(p - dst);
}
