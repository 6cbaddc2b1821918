#include "route/names.h"

static bool is_inside(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int pp_names_normal(struct pp_span text, char *dst, size_t *n)
{
    if (text.n > 1 && text.p[0] == '*' && text.p[1] == '.')
        text = pp_span(text.p + 1, text.n - 1);
    else if (text.n > 0 && text.p[0] == '.')
        return PP_EINVAL;
    if (text.n > 0 && text.p[text.n - 1] == '.')
        text.n--;
    if (text.n == 0 || text.n > PP_NAMES_BYTES)
        return PP_EINVAL;
    pp_span_copy_lower(dst, text);
    *n = text.n;
    for (size_t i = 0; i < text.n; i++) {
        bool dot = dst[i] == '.' && i + 1 < text.n && dst[i + 1] != '.';
        if (!dot && !is_inside((unsigned char)dst[i]))
            return PP_EINVAL;
    }
    return PP_OK;
}

/* Let rows[at] sink until no child is above it in the order. */
static void sink(struct pp_names_row *rows, uint32_t at, uint32_t n)
{
    struct pp_names_row row = rows[at];
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && pp_span_cmp(rows[child].name, rows[child + 1].name) < 0)
            child++;
        if (pp_span_cmp(row.name, rows[child].name) >= 0)
            break;
        rows[at] = rows[child];
    }
    rows[at] = row;
}

int pp_names_sort(struct pp_names_row *rows, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sink(rows, i, n);
    for (uint32_t end = n; end-- > 1;) {
        struct pp_names_row top = rows[0];
        rows[0] = rows[end];
        rows[end] = top;
        sink(rows, 0, end);
    }
    for (uint32_t i = 1; i < n; i++) {
        if (pp_span_eq(rows[i - 1].name, rows[i].name))
            return PP_EEXIST;
    }
    return PP_OK;
}

static uint32_t find_row(const struct pp_names_row *rows, uint32_t n, struct pp_span name)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = pp_span_cmp(rows[middle].name, name);
        if (order == 0)
            return rows[middle].value;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return PP_ID_NONE;
}

uint32_t pp_names_find(const struct pp_names_row *rows, uint32_t n, struct pp_span name)
{
    char lower[PP_NAMES_BYTES];
    if (name.n > 0 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n > sizeof(lower))
        return PP_ID_NONE;
    pp_span_copy_lower(lower, name);
    struct pp_span rest = pp_span(lower, name.n);
    uint32_t value = lower[0] == '.' ? PP_ID_NONE : find_row(rows, n, rest);
    while (value == PP_ID_NONE) { /* the longest suffix first */
        size_t dot = 1 + pp_span_find(pp_span(rest.p + 1, rest.n - 1), '.');
        if (dot >= rest.n)
            break;
        rest = pp_span(rest.p + dot, rest.n - dot);
        value = find_row(rows, n, rest);
    }
    return value;
}
