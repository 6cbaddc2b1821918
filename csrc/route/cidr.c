#include "route/cidr.h"

#include "base/ip.h"
#include "base/num.h"

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
    if (!(out->v6 ? pp_ip_parse_v6(ip, out->ip) : pp_ip_parse_v4(ip, out->ip)))
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
