#include "proxy/filter_body.h"

static bool is_one_of(const struct pp_http_field *f, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (pp_span_eq_fold(pp_http_field_name(f), pp_span(names[i], strlen(names[i]))))
            return true;
    }
    return false;
}

/* Is the field about the very bytes of the body? */
static bool is_of_bytes(const struct pp_http_field *f)
{
    static const char *const names[] = {"content-md5", "content-digest", "repr-digest", "digest"};
    return f->id == PP_NAME_ACCEPT_RANGES ||
           (f->id == PP_NAME_OTHER && is_one_of(f, names, PP_COUNT_OF(names)));
}

static bool is_of_body(const struct pp_http_field *f)
{
    static const char *const names[] = {"content-language", "content-location", "content-range",
                                        "content-disposition"};
    switch (f->id) {
    case PP_NAME_CONTENT_ENCODING:
    case PP_NAME_CONTENT_LENGTH:
    case PP_NAME_CONTENT_TYPE:
    case PP_NAME_ETAG:
    case PP_NAME_LAST_MODIFIED:
    case PP_NAME_TRAILER:
        return true;
    default:
        return is_of_bytes(f) ||
               (f->id == PP_NAME_OTHER && is_one_of(f, names, PP_COUNT_OF(names)));
    }
}

/* Leave only the fields that are not about the body. <keep>: the connection they came from goes,
 * so their bytes are copied. */
static int strip(struct pp_exchange *x, bool keep)
{
    struct pp_http_msg *m = &x->response;
    for (uint32_t i = 0; i < m->n_field; i++) {
        struct pp_http_field *f = &m->field[i];
        struct pp_span name, value;
        if (is_of_body(f))
            f->flags |= PP_HTTP_FIELD_REMOVED;
        if (!keep || !pp_http_field_is_live(f))
            continue;
        int rc = pp_arena_dup(&x->arena, pp_http_field_name(f), &name);
        if (rc == PP_OK)
            rc = pp_arena_dup(&x->arena, pp_http_field_value(f), &value);
        if (rc != PP_OK)
            return rc;
        f->name = name.p;
        f->value = value.p;
    }
    if (keep)
        m->reason = PP_SPAN_NONE;
    return PP_OK;
}

int pp_filter_body_replace(struct pp_exchange *x, struct pp_span type, struct pp_span body)
{
    bool own = pp_filter_is_own(x);
    int rc = strip(x, !own);
    if (rc == PP_OK && body.n > 0)
        rc = pp_http_msg_add(&x->response, PP_SPAN("Content-Type"), PP_NAME_CONTENT_TYPE, type);
    if (rc != PP_OK)
        return pp_filter_failed(x, rc);
    x->reply_body = body;
    if (own)
        return PP_NEXT;
    x->replied = true;
    return PP_REPLY;
}

/* W/"..." instead of "..." (RFC 9110 section 8.8.1). */
static int weaken(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_ETAG);
    if (f == NULL || pp_span_starts_with(pp_http_field_value(f), PP_SPAN("W/")))
        return PP_OK;
    char *p = pp_arena_alloc(&x->arena, (size_t)f->value_n + 2);
    if (p == NULL)
        return PP_ENOMEM;
    memcpy(p, "W/", 2);
    memcpy(p + 2, f->value, f->value_n);
    return pp_http_msg_set(m, pp_http_field_name(f), PP_NAME_ETAG,
                           pp_span(p, (size_t)f->value_n + 2));
}

int pp_filter_body_changes(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    for (uint32_t i = 0; i < m->n_field; i++) {
        if (is_of_bytes(&m->field[i]))
            m->field[i].flags |= PP_HTTP_FIELD_REMOVED;
    }
    return weaken(x);
}
