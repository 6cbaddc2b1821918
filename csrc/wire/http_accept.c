#include "wire/http_accept.h"

/* qvalue of RFC 9110 section 12.4.2: 0, 1, 0.ddd or 1.000; anything else weighs nothing. */
static unsigned read_weight(struct pp_span s)
{
    unsigned v = 0, unit = PP_HTTP_ACCEPT_FULL;
    if (s.n == 0 || s.n > 5 || s.p[0] < '0' || s.p[0] > '1' || (s.n > 1 && s.p[1] != '.'))
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (i == 1)
            continue;
        if (!pp_http_tok_is((unsigned char)s.p[i], PP_TOK_DIGIT))
            return 0;
        v += (unsigned)(s.p[i] - '0') * unit;
        unit /= 10;
    }
    return v <= PP_HTTP_ACCEPT_FULL ? v : 0;
}

/* Take what stands before the next ';' off the front of *rest. */
static struct pp_span next_part(struct pp_span *rest)
{
    size_t n = pp_span_find(*rest, ';');
    struct pp_span part = pp_span_trim(pp_span(rest->p, n));
    size_t skip = n < rest->n ? n + 1 : n;
    *rest = pp_span(rest->p + skip, rest->n - skip);
    return part;
}

/* The weight among the parameters of an element; full when it names none. */
static unsigned weight_of(struct pp_span params)
{
    while (params.n > 0) {
        struct pp_span part = next_part(&params);
        if (part.n >= 2 && (part.p[0] | 0x20) == 'q' && part.p[1] == '=')
            return read_weight(pp_span(part.p + 2, part.n - 2));
    }
    return PP_HTTP_ACCEPT_FULL;
}

/* How well a range fits: 0 not at all, 1 as any, 2 as any of its kind, 3 by name. */
static unsigned fit(struct pp_span range, struct pp_span wanted)
{
    if (pp_span_eq_fold(range, wanted))
        return 3;
    if (pp_span_eq(range, PP_SPAN("*/*")))
        return 1;
    size_t n = pp_span_find(wanted, '/');
    return n < wanted.n && range.n == n + 2 && range.p[n + 1] == '*' &&
                   pp_span_eq_fold(pp_span(range.p, n + 1), pp_span(wanted.p, n + 1))
               ? 2
               : 0;
}

/* The weight that the best fitting element of all fields gives to <wanted>. */
static unsigned weigh(const struct pp_http_msg *m, const struct pp_http_field *f,
                      struct pp_span wanted)
{
    unsigned best = 0, weight = 0;
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;
        while (pp_span_next_item(&rest, &item)) {
            unsigned how = fit(next_part(&item), wanted);
            if (how > best) {
                best = how;
                weight = weight_of(item);
            }
        }
    }
    return weight;
}

unsigned pp_http_accept_media(const struct pp_http_msg *request, struct pp_span type)
{
    const struct pp_http_field *f = pp_http_msg_find_id(request, PP_NAME_ACCEPT);
    return f == NULL ? PP_HTTP_ACCEPT_FULL : weigh(request, f, type);
}
