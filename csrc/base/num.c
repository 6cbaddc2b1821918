#include "base/num.h"

#include "base/err.h"

int pp_num_parse_u64(struct pp_span s, uint64_t *out)
{
    uint64_t v = 0;
    bool over = false;

    if (s.n == 0)
        return PP_EINVAL;
    /* Runs to the end even after an overflow: "99999999999999999999x" is malformed, not large. */
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)((unsigned char)s.p[i] - '0');
        if (digit > 9)
            return PP_EINVAL;
        over |= __builtin_mul_overflow(v, (uint64_t)10, &v);
        over |= __builtin_add_overflow(v, (uint64_t)digit, &v);
    }
    if (over)
        return PP_EOVERFLOW;
    *out = v;
    return PP_OK;
}

size_t pp_num_format_u64(char *dst, uint64_t v)
{
    char digits[PP_NUM_U64_CHARS];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    memcpy(dst, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

size_t pp_num_format_hex(char *dst, uint64_t v)
{
    size_t n = (size_t)(67 - __builtin_clzll(v | 1)) / 4;

    for (size_t i = n; i-- > 0; v >>= 4)
        dst[i] = "0123456789abcdef"[v & 15];
    return n;
}

int pp_num_hex(unsigned char c)
{
    unsigned digit = c - (unsigned)'0';
    unsigned letter = (c | 0x20u) - (unsigned)'a';
    if (digit <= 9)
        return (int)digit;
    return letter <= 5 ? (int)letter + 10 : -1;
}
