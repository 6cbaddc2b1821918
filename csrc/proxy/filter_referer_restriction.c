#include "proxy/filter_referer_restriction.h"

#include "proxy/filter_refusal.h"
#include "route/names.h"

struct hosts {
    uint32_t n;
    struct pp_names_row *row;
};

struct restriction {
    struct hosts allow, deny;
    bool missing;
    struct pp_filter_refusal refusal;
};

static int make_hosts(struct pp_filter_make *m, const struct pp_options *o, const char *key,
                      struct hosts *out)
{
    const struct pp_options *list = pp_options_get_list(o, key, &m->fault);
    *out = (struct hosts){.n = list->n,
                          .row = pp_arena_alloc(m->arena, list->n * sizeof(struct pp_names_row))};
    if (out->row == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < list->n; i++) {
        struct pp_span text = pp_options_text(&list->as.item[i], key, &m->fault);
        char normal[PP_NAMES_BYTES];
        size_t n;
        if (pp_names_normal(text, normal, &n) != PP_OK)
            return pp_filter_refuse(m, "not a host name:", text);
        out->row[i].value = i;
        if (pp_arena_dup(m->arena, pp_span(normal, n), &out->row[i].name) != PP_OK)
            return PP_ENOMEM;
    }
    return pp_names_sort(out->row, out->n) == PP_OK
               ? PP_OK
               : pp_filter_refuse(m, "a host stands twice in", pp_span(key, strlen(key)));
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct restriction *r = pp_arena_alloc(m->arena, sizeof(*r));
    if (r == NULL)
        return PP_ENOMEM;
    int rc = make_hosts(m, o, "allow", &r->allow);
    if (rc == PP_OK)
        rc = make_hosts(m, o, "deny", &r->deny);
    if (rc != PP_OK)
        return rc;
    r->missing = false;
    pp_options_get_bool(o, "missing", &r->missing, &m->fault);
    pp_filter_refusal_make(m, o, 403, PP_SPAN("links from there are not allowed here\n"),
                           &r->refusal);
    *self = r;
    return PP_OK;
}

/* The host in "scheme://[user@]host[:port][/...]", without port and brackets; empty: there is none.
 */
static struct pp_span host_of(struct pp_span url)
{
    size_t at = 0;
    while (at + 2 < url.n && memcmp(url.p + at, "://", 3) != 0)
        at++;
    if (at + 2 >= url.n)
        return PP_SPAN("");
    struct pp_span rest = pp_span(url.p + at + 3, url.n - at - 3);
    size_t end = 0, start = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#') {
        if (rest.p[end] == '@')
            start = end + 1;
        end++;
    }
    struct pp_span host = pp_span(rest.p + start, end - start);
    return pp_span(host.p, pp_span_find(host, ':'));
}

static bool has(const struct hosts *h, struct pp_span host)
{
    return h->n > 0 && pp_names_find(h->row, h->n, host) != PP_ID_NONE;
}

static bool may_ask(const struct restriction *r, const struct pp_http_field *f)
{
    struct pp_span host = host_of(pp_http_field_value(f));
    return !has(&r->deny, host) && (r->allow.n == 0 || has(&r->allow, host));
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct restriction *r = self;
    const struct pp_http_field *f = pp_http_msg_find_id(&x->request, PP_NAME_REFERER);
    bool may = f != NULL || r->missing;
    (void)phase;
    for (; f != NULL && may; f = pp_http_msg_find_next(&x->request, f))
        may = may_ask(r, f);
    return may ? PP_NEXT : pp_filter_refusal_send(&r->refusal, x);
}

static const struct pp_filter_ops ops = {.name = "referer_restriction", .run = run};

const struct pp_filter_kind pp_filter_referer_restriction_kind = {
    .name = "referer_restriction",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
