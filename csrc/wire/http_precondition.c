#include "wire/http_precondition.h"

#include "wire/http_date.h"

/* Take the next element of a list of entity tags off the front of *rest; false at the end. In a tag
 * a backslash is a character like others (section 8.8.3), so it is no list of quoted strings. */
static bool next_tag(struct pp_span *rest, struct pp_span *tag)
{
    size_t from = 0, to;
    while (from < rest->n &&
           (rest->p[from] == ',' || rest->p[from] == ' ' || rest->p[from] == '\t'))
        from++;
    to = from;
    if (rest->n - to > 2 && rest->p[to] == 'W' && rest->p[to + 1] == '/')
        to += 2;
    if (to < rest->n && rest->p[to] == '"')
        to += 1 + pp_span_find(pp_span(rest->p + to + 1, rest->n - to - 1), '"');
    to += pp_span_find(pp_span(rest->p + PP_MIN(to, rest->n), rest->n - PP_MIN(to, rest->n)), ',');
    to = PP_MIN(to, rest->n);
    *tag = pp_span_trim(pp_span(rest->p + from, to - from));
    *rest = pp_span(rest->p + to, rest->n - to);
    return tag->n > 0;
}

/* Is <etag>, which is strong, in one of the lists from <f> on? <weak>: a weak tag is as good
 * (section 8.8.3.2). */
static bool lists(const struct pp_http_msg *m, const struct pp_http_field *f, struct pp_span etag,
                  bool weak)
{
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;
        while (next_tag(&rest, &item)) {
            if (pp_span_eq(item, PP_SPAN("*")))
                return true;
            if (weak && pp_span_starts_with(item, PP_SPAN("W/")))
                item = pp_span(item.p + 2, item.n - 2);
            if (pp_span_eq(item, etag))
                return true;
        }
    }
    return false;
}

/* The date in <f>. False: there is no field, or what is no date. */
static bool read_date(const struct pp_http_field *f, int64_t *s)
{
    return f != NULL && pp_http_date_parse(pp_http_field_value(f), s) == PP_OK;
}

unsigned pp_http_precondition_check(const struct pp_http_msg *request,
                                    const struct pp_http_validators *v)
{
    int64_t s;
    const struct pp_http_field *f = pp_http_msg_find(request, PP_SPAN("if-match"));
    if (f != NULL) {
        if (!lists(request, f, v->etag, false))
            return 412;
    } else if (read_date(pp_http_msg_find(request, PP_SPAN("if-unmodified-since")), &s) &&
               v->modified_s > s) {
        return 412;
    }
    f = pp_http_msg_find_id(request, PP_NAME_IF_NONE_MATCH);
    if (f != NULL)
        return lists(request, f, v->etag, true) ? 304 : 0;
    f = pp_http_msg_find_id(request, PP_NAME_IF_MODIFIED_SINCE);
    return read_date(f, &s) && v->modified_s <= s ? 304 : 0;
}

bool pp_http_precondition_allows_range(const struct pp_http_msg *request,
                                       const struct pp_http_validators *v)
{
    int64_t s;
    const struct pp_http_field *f = pp_http_msg_find(request, PP_SPAN("if-range"));
    if (f == NULL)
        return true;
    if (pp_http_msg_find_next(request, f) != NULL)
        return false;
    struct pp_span value = pp_http_field_value(f);
    return read_date(f, &s) ? s == v->modified_s : pp_span_eq(value, v->etag);
}
