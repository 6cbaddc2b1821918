#include "proxy/filter_cors.h"

#include "base/num.h"
#include "proxy/filter_patterns.h"

#define ALLOW_ORIGIN PP_SPAN("access-control-allow-origin")
#define ALLOW_CREDENTIALS PP_SPAN("access-control-allow-credentials")
#define ALLOW_METHODS PP_SPAN("access-control-allow-methods")
#define ALLOW_HEADERS PP_SPAN("access-control-allow-headers")
#define EXPOSE_HEADERS PP_SPAN("access-control-expose-headers")
#define MAX_AGE PP_SPAN("access-control-max-age")
#define REQUEST_METHOD PP_SPAN("access-control-request-method")
#define REQUEST_HEADERS PP_SPAN("access-control-request-headers")

struct cors {
    uint32_t n_origin;
    struct pp_span *origin;
    struct pp_filter_patterns pattern;
    bool any;        /* every origin, and the answer is the same for all */
    bool any_header; /* whatever a preflight asks for */
    bool credentials;
    struct pp_span methods, headers, expose, max_age; /* as they are sent; empty: not */
};

/* ---- making ---- */

/* The items of a list as one field value, "a, b". */
static int join(struct pp_filter_make *m, const struct pp_options *o, const char *key,
                struct pp_span *out)
{
    const struct pp_options *list = pp_options_get_list(o, key, &m->fault);
    size_t n = 0;
    for (uint32_t i = 0; i < list->n; i++)
        n += pp_options_text(&list->as.item[i], key, &m->fault).n + 2;
    char *p = pp_arena_alloc(m->arena, n), *at = p;
    if (p == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < list->n; i++) {
        struct pp_span item = pp_options_text(&list->as.item[i], key, &m->fault);
        if (!pp_http_tok_is_token(item))
            return pp_filter_refuse(m, "not a word of HTTP:", item);
        if (i > 0) {
            memcpy(at, ", ", 2);
            at += 2;
        }
        memcpy(at, item.p, item.n);
        at += item.n;
    }
    *out = pp_span(p, (size_t)(at - p));
    return PP_OK;
}

static int make_origins(struct pp_filter_make *m, const struct pp_options *o, struct cors *c)
{
    const struct pp_options *list = pp_options_get_list(o, "origins", &m->fault);
    c->origin = pp_arena_alloc(m->arena, list->n * sizeof(*c->origin));
    if (c->origin == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < list->n; i++) {
        struct pp_span text = pp_options_text(&list->as.item[i], "origins", &m->fault);
        if (pp_span_eq(text, PP_SPAN("*")))
            c->any = true;
        else
            c->origin[c->n_origin++] = text;
    }
    if (c->any && c->credentials)
        return pp_filter_refuse(m, "credentials for every origin:", PP_SPAN("*"));
    return pp_filter_patterns_make(m, o, "origin_patterns", &c->pattern);
}

static int make_max_age(struct pp_filter_make *m, const struct pp_options *o, struct cors *c)
{
    int64_t ms = -1;
    pp_options_get_int(o, "max_age_ms", 0, INT64_MAX, &ms, &m->fault);
    if (ms < 0)
        return PP_OK;
    char digits[PP_NUM_U64_CHARS];
    size_t n = pp_num_format_u64(digits, (uint64_t)ms / 1000);
    return pp_arena_dup(m->arena, pp_span(digits, n), &c->max_age);
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct cors *c = pp_arena_alloc(m->arena, sizeof(*c));
    if (c == NULL)
        return PP_ENOMEM;
    memset(c, 0, sizeof(*c));
    pp_options_get_bool(o, "credentials", &c->credentials, &m->fault);
    int rc = make_origins(m, o, c);
    if (rc == PP_OK)
        rc = join(m, o, "methods", &c->methods);
    if (rc == PP_OK)
        rc = join(m, o, "headers", &c->headers);
    if (rc == PP_OK)
        rc = join(m, o, "expose", &c->expose);
    if (rc == PP_OK)
        rc = make_max_age(m, o, c);
    c->any_header = pp_span_eq(c->headers, PP_SPAN("*"));
    *self = c;
    return rc;
}

/* ---- running ---- */

/* PP_OK: <origin> may read; PP_ENOENT: it may not; or PP_ENOMEM. */
static int judge(const struct cors *c, struct pp_span origin)
{
    if (c->any)
        return PP_OK;
    for (uint32_t i = 0; i < c->n_origin; i++) {
        if (pp_span_eq(c->origin[i], origin))
            return PP_OK;
    }
    return pp_filter_patterns_search(&c->pattern, origin);
}

/* Is <item> in the Vary that <m> has, or "*"? */
static bool varies(const struct pp_http_msg *m, struct pp_span item)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_VARY);
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), name;
        while (pp_span_next_item(&rest, &name)) {
            if (pp_span_eq_fold(name, item) || pp_span_eq(name, PP_SPAN("*")))
                return true;
        }
    }
    return false;
}

static int add_vary(struct pp_http_msg *m, struct pp_span item)
{
    return varies(m, item) ? PP_OK : pp_http_msg_add(m, PP_SPAN("vary"), PP_NAME_VARY, item);
}

static int set(struct pp_http_msg *m, struct pp_span name, struct pp_span value)
{
    return value.n == 0 ? PP_OK : pp_http_msg_set(m, name, PP_NAME_OTHER, value);
}

/* What every answer to an origin that may read it says. */
static int add_origin(const struct cors *c, struct pp_http_msg *m, struct pp_span origin)
{
    int rc = set(m, ALLOW_ORIGIN, c->any ? PP_SPAN("*") : origin);
    return rc == PP_OK && c->credentials ? set(m, ALLOW_CREDENTIALS, PP_SPAN("true")) : rc;
}

static int fill_preflight(const struct cors *c, struct pp_exchange *x, struct pp_span origin)
{
    struct pp_http_msg *m = &x->response;
    struct pp_span headers = c->headers;
    int rc = add_origin(c, m, origin);
    if (rc == PP_OK)
        rc = set(m, ALLOW_METHODS, c->methods);
    if (c->any_header) {
        const struct pp_http_field *f = pp_http_msg_find(&x->request, REQUEST_HEADERS);
        headers = f != NULL ? pp_http_field_value(f) : PP_SPAN_NONE;
        if (rc == PP_OK)
            rc = add_vary(m, REQUEST_HEADERS);
    }
    if (rc == PP_OK)
        rc = set(m, ALLOW_HEADERS, headers);
    return rc == PP_OK ? set(m, MAX_AGE, c->max_age) : rc;
}

static int on_request(const struct cors *c, struct pp_exchange *x)
{
    const struct pp_http_field *f = pp_http_msg_find_id(&x->request, PP_NAME_ORIGIN);
    if (f == NULL || x->request.method_id != PP_HTTP_OPTIONS ||
        pp_http_msg_find(&x->request, REQUEST_METHOD) == NULL)
        return PP_NEXT;
    struct pp_span origin = pp_http_field_value(f);
    int rc = judge(c, origin);
    if (rc != PP_OK && rc != PP_ENOENT)
        return pp_filter_failed(x, rc);
    if (rc == PP_ENOENT)
        return pp_filter_reply(x, 403, PP_SPAN("text/plain"), PP_SPAN("origin not allowed\n"));
    pp_filter_reply(x, 204, PP_SPAN_NONE, PP_SPAN_NONE);
    if (x->replied && (rc = fill_preflight(c, x, origin)) != PP_OK)
        return pp_filter_failed(x, rc);
    return PP_REPLY;
}

/* Of a preflight too, which comes by here as any answer of our own does. */
static int on_response(const struct cors *c, struct pp_exchange *x)
{
    const struct pp_http_field *f = pp_http_msg_find_id(&x->request, PP_NAME_ORIGIN);
    struct pp_http_msg *m = &x->response;
    struct pp_span origin = f != NULL ? pp_http_field_value(f) : PP_SPAN_NONE;
    int rc = f != NULL ? judge(c, origin) : PP_ENOENT;
    pp_http_msg_remove(m, ALLOW_ORIGIN, PP_NAME_OTHER);
    pp_http_msg_remove(m, ALLOW_CREDENTIALS, PP_NAME_OTHER);
    pp_http_msg_remove(m, EXPOSE_HEADERS, PP_NAME_OTHER);
    if (rc == PP_OK)
        rc = add_origin(c, m, origin);
    if (rc == PP_OK)
        rc = set(m, EXPOSE_HEADERS, c->expose);
    if ((rc == PP_OK || rc == PP_ENOENT) && !c->any)
        rc = add_vary(m, PP_SPAN("Origin"));
    return rc == PP_OK || rc == PP_ENOENT ? PP_NEXT : pp_filter_failed(x, rc);
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == PP_PHASE_REQUEST ? on_request(self, x) : on_response(self, x);
}

static const struct pp_filter_ops ops = {.name = "cors", .run = run};

const struct pp_filter_kind pp_filter_cors_kind = {
    .name = "cors",
    .phases = PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(RESPONSE),
    .ops = &ops,
    .make = make,
};
