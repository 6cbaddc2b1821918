#include "wire/http_range.h"

/* One or more digits; numbers that do not fit are as large as can be. */
static bool read_number(struct pp_span s, uint64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (digit > 9)
            return false;
        *v = *v > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *v * 10 + digit;
    }
    return s.n > 0;
}

/* "-5": the last five bytes. */
static int parse_suffix(struct pp_span digits, uint64_t size, uint64_t *first, uint64_t *n)
{
    uint64_t last;
    if (!read_number(digits, &last))
        return PP_EINVAL;
    *n = PP_MIN(last, size);
    *first = size - *n;
    return *n > 0 ? PP_OK : PP_ENOENT;
}

int pp_http_range_parse(struct pp_span value, uint64_t size, uint64_t *first, uint64_t *n)
{
    static const struct pp_span unit = {"bytes", 5};
    size_t equals = pp_span_find(value, '=');
    if (equals == value.n || !pp_span_eq_fold(pp_span(value.p, equals), unit))
        return PP_EINVAL;
    struct pp_span set = pp_span_trim(pp_span(value.p + equals + 1, value.n - equals - 1));
    size_t dash = pp_span_find(set, '-');
    if (dash == set.n)
        return PP_EINVAL;
    struct pp_span from = pp_span(set.p, dash), to = pp_span(set.p + dash + 1, set.n - dash - 1);
    uint64_t last = UINT64_MAX;
    if (from.n == 0)
        return parse_suffix(to, size, first, n);
    if (!read_number(from, first) || (to.n > 0 && !read_number(to, &last)) || last < *first)
        return PP_EINVAL;
    if (*first >= size)
        return PP_ENOENT;
    *n = PP_MIN(last, size - 1) - *first + 1;
    return PP_OK;
}
