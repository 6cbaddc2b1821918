#include "base/decimal.h"

enum { DIGITS_MAX = 18, NANO_DIGITS = 9 };

static bool is_digit(char c)
{
    return (unsigned)(c - '0') < 10u;
}

/* Digits behind the point, as billionths. */
static int parse_nano(struct pp_span s, uint32_t *out)
{
    uint32_t nano = 0;
    for (size_t i = 0; i < s.n || i < NANO_DIGITS; i++) {
        if (i < s.n && !is_digit(s.p[i]))
            return PP_EINVAL;
        if (i < NANO_DIGITS)
            nano = nano * 10 + (i < s.n ? (uint32_t)(s.p[i] - '0') : 0);
    }
    *out = nano;
    return s.n > 0 ? PP_OK : PP_EINVAL;
}

int pp_decimal_parse(struct pp_span s, struct pp_decimal *out)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    size_t i = s.n > 0 && (minus || s.p[0] == '+'), from = i;
    int64_t whole = 0;
    uint32_t nano = 0;
    for (; i < s.n && is_digit(s.p[i]); i++) {
        if (i - from >= DIGITS_MAX)
            return PP_EOVERFLOW;
        whole = whole * 10 + (s.p[i] - '0');
    }
    if (i == from)
        return PP_EINVAL;
    if (i < s.n) {
        if (s.p[i] != '.' || parse_nano(pp_span(s.p + i + 1, s.n - i - 1), &nano) != PP_OK)
            return PP_EINVAL;
    }
    if (minus) { /* -1.25 is -2 and 0.75 */
        whole = -whole - (nano > 0);
        nano = nano > 0 ? 1000000000u - nano : 0;
    }
    *out = (struct pp_decimal){whole, nano};
    return PP_OK;
}
