#include "proxy/filter_rewrite.h"

#include "proxy/filter_rewrite_path.h"
#include "proxy/filter_rewrite_query.h"
#include "proxy/filter_text.h"
#include "wire/uri.h"

struct rewrite {
    const struct pp_filter_rewrite_path *path;   /* NULL: stays */
    const struct pp_filter_rewrite_query *query; /* NULL: stays */
    const struct pp_filter_text *host;           /* NULL: stays */
    struct pp_span method;                       /* empty: stays */
    enum pp_http_method method_id;
};

/* ---- making ---- */

/* An answer to HEAD and CONNECT is framed like no other (RFC 9112 section 6.3): with another method
 * towards the endpoint, client and endpoint would disagree where it ends. */
static bool is_framed_alone(enum pp_http_method method)
{
    return method == PP_HTTP_HEAD || method == PP_HTTP_CONNECT;
}

static int make_method(struct pp_filter_make *m, const struct pp_options *o, struct rewrite *r)
{
    pp_options_get_text(o, "method", &r->method, &m->fault);
    r->method_id = pp_http_tok_method(r->method);
    bool fits =
        r->method.n == 0 || (pp_http_tok_is_token(r->method) && !is_framed_alone(r->method_id));
    return fits ? PP_OK : pp_filter_refuse(m, "not a method to change to:", r->method);
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct rewrite *r = pp_arena_alloc(m->arena, sizeof(*r));
    struct pp_span host = PP_SPAN_NONE;
    if (r == NULL)
        return PP_ENOMEM;
    *r = (struct rewrite){.path = NULL};
    pp_options_get_text(o, "host", &host, &m->fault);
    int rc = pp_filter_rewrite_path_make(m, o, &r->path);
    if (rc == PP_OK)
        rc = pp_filter_rewrite_query_make(m, o, &r->query);
    if (rc == PP_OK && host.n > 0)
        rc = pp_filter_text_new(m, host, &r->host);
    if (rc == PP_OK)
        rc = make_method(m, o, r);
    *self = r;
    return rc;
}

/* ---- running ---- */

static int set_host(struct pp_exchange *x, struct pp_span host)
{
    struct pp_uri_authority parts;
    int rc = pp_uri_authority_parse(host, &parts);
    if (rc != PP_OK)
        return rc;
    x->up_host = host;
    return pp_http_msg_set(&x->request, PP_SPAN("Host"), PP_NAME_HOST, host);
}

static void set_method(const struct rewrite *r, struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->request;
    bool other_protocol = x->extended || (m->upgrade && x->route->upgrade.n > 0);
    if (is_framed_alone((enum pp_http_method)m->method_id) || other_protocol)
        return;
    m->method = r->method;
    m->method_id = (uint8_t)r->method_id;
}

/* What is to be changed, and how. */
struct change {
    struct pp_span path, query, host; /* .p of path and host NULL: stays */
};

static int render(const struct rewrite *r, struct pp_exchange *x, struct change *to)
{
    int rc = PP_OK;
    *to = (struct change){PP_SPAN_NONE, PP_SPAN_NONE, PP_SPAN_NONE};
    if (r->path != NULL)
        rc = pp_filter_rewrite_path_render(r->path, x, &to->path);
    rc = rc == PP_ENOENT ? PP_OK : rc;
    if (rc == PP_OK && r->query != NULL)
        rc = pp_filter_rewrite_query_render(r->query, x, &to->query);
    if (rc == PP_OK && r->host != NULL)
        rc = pp_filter_text_render(r->host, x, &to->host);
    return rc;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct rewrite *r = self;
    struct change to;
    (void)phase;
    if (x->path.n == 0 || x->path.p[0] != '/') /* CONNECT, "OPTIONS *": of no resource */
        return PP_NEXT;
    int rc = render(r, x, &to);
    if (rc == PP_OK && to.path.p != NULL)
        rc = pp_exchange_set_path(x, to.path);
    if (rc == PP_OK && r->query != NULL)
        rc = pp_exchange_set_query(x, to.query);
    if (rc == PP_OK && to.host.n > 0)
        rc = set_host(x, to.host);
    if (rc == PP_OK && r->method.n > 0)
        set_method(r, x);
    return rc == PP_OK ? PP_NEXT : pp_filter_failed(x, rc);
}

static const struct pp_filter_ops ops = {.name = "rewrite", .run = run};

const struct pp_filter_kind pp_filter_rewrite_kind = {
    .name = "rewrite",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
