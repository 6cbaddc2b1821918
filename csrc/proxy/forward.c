#include "proxy/forward.h"

bool pp_forward_is_trusted(const struct pp_exchange *x)
{
    const struct pp_listener_conf *l = x->listener;
    const struct pp_sock_addr *from = x->nearest != NULL ? x->nearest : &x->client;
    if (from->family == AF_UNIX)
        return l->trust_unix;
    for (uint32_t i = 0; i < l->n_trusted; i++) {
        if (pp_cidr_has(&l->trusted[i], from->ip, from->family == AF_INET6))
            return true;
    }
    return false;
}

/* "?query". In a target that came so it stands there already; a query that was set stands alone. */
static int give_query(struct pp_exchange *x, struct pp_span *value)
{
    struct pp_span path = x->request.path, query = x->request.query;
    if (query.p == NULL)
        return PP_ENOENT;
    if (path.p != NULL && query.p == path.p + path.n + 1) {
        *value = pp_span(query.p - 1, query.n + 1);
        return PP_OK;
    }
    char *p = pp_arena_alloc(&x->arena, query.n + 1);
    if (p == NULL)
        return PP_ENOMEM;
    p[0] = '?';
    memcpy(p + 1, query.p, query.n);
    *value = pp_span(p, query.n + 1);
    return PP_OK;
}

/* Names that templates know: see proxy/template.h. */
static int lookup(void *arg, struct pp_span name, struct pp_span *value)
{
    struct pp_exchange *x = arg;
    if (pp_span_eq(name, PP_SPAN("scheme")))
        *value = pp_exchange_scheme(x);
    else if (pp_span_eq(name, PP_SPAN("host")))
        *value = x->request.authority;
    else if (pp_span_eq(name, PP_SPAN("path")))
        *value = x->path;
    else if (pp_span_eq(name, PP_SPAN("query")))
        return give_query(x, value);
    else {
        for (unsigned i = 0; i < x->hit.n_capture; i++) {
            if (pp_span_eq(name, pp_router_capture_name(x->snapshot->router, x->hit.pattern, i))) {
                *value = x->hit.capture[i];
                return PP_OK;
            }
        }
        return PP_ENOENT;
    }
    return value->p != NULL ? PP_OK : PP_ENOENT;
}

/* path[?query] in the arena. */
static int join_target(struct pp_exchange *x, struct pp_span path)
{
    struct pp_span query = x->request.query;
    size_t n = path.n + (query.p != NULL ? query.n + 1 : 0);
    char *p = pp_arena_alloc(&x->arena, n + 1);
    if (p == NULL)
        return PP_ENOMEM;
    memcpy(p, path.p, path.n);
    if (query.p != NULL) {
        p[path.n] = '?';
        memcpy(p + path.n + 1, query.p, query.n);
    }
    x->target = pp_span(p, n);
    return PP_OK;
}

static int settle_target(struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->request;
    struct pp_span path = x->path;
    if (x->route->rewrite_path != NULL) {
        int rc = pp_template_render(x->route->rewrite_path, &x->arena, lookup, x, &path);
        if (rc != PP_OK)
            return rc;
        if (path.n == 0 || path.p[0] != '/') {
            char *p = pp_arena_alloc(&x->arena, path.n + 1);
            if (p == NULL)
                return PP_ENOMEM;
            p[0] = '/';
            memcpy(p + 1, path.p, path.n);
            path = pp_span(p, path.n + 1);
        }
        return join_target(x, path);
    }
    /* Path and query stand side by side as they came, but for "http://host?query", whose path is
     * not in the target. */
    bool together = m->query.p == NULL || m->query.p == path.p + path.n + 1;
    if (path.p != m->path.p || path.n != m->path.n || !together)
        return join_target(x, path);
    x->target =
        m->query.p == NULL ? path : pp_span(path.p, (size_t)(m->query.p + m->query.n - path.p));
    return PP_OK;
}

static int settle_host(struct pp_exchange *x)
{
    if (x->up_host.p != NULL) /* a filter has set it */
        return PP_OK;
    if (x->route->rewrite_host != NULL)
        return pp_template_render(x->route->rewrite_host, &x->arena, lookup, x, &x->up_host);
    x->up_host = x->request.authority;
    return PP_OK;
}

/* "<old>, <more>", or <more> alone. */
static int append_list(struct pp_exchange *x, enum pp_http_name id, struct pp_span name,
                       struct pp_span more)
{
    struct pp_http_field *f = id == PP_NAME_OTHER ? pp_http_msg_find(&x->request, name)
                                                  : pp_http_msg_find_id(&x->request, id);
    if (f == NULL)
        return pp_http_msg_add(&x->request, name, id, more);
    /* Several field lines are one list (RFC 9110 section 5.3): join them all. */
    size_t n = more.n;
    for (const struct pp_http_field *g = f; g != NULL; g = pp_http_msg_find_next(&x->request, g))
        n += g->value_n + 2;
    char *p = pp_arena_alloc(&x->arena, n), *at = p;
    if (p == NULL)
        return PP_ENOMEM;
    for (const struct pp_http_field *g = f; g != NULL; g = pp_http_msg_find_next(&x->request, g)) {
        memcpy(at, g->value, g->value_n);
        memcpy(at + g->value_n, ", ", 2);
        at += g->value_n + 2;
    }
    memcpy(at, more.p, more.n);
    return pp_http_msg_set(&x->request, name, id, pp_span(p, n));
}

/* What is said of a client's certificate is ours to say, or a trusted proxy's: the whole point of
 * the field is to be believed. */
static int set_client_cert(struct pp_exchange *x, bool trusted)
{
    struct pp_span name = PP_SPAN("X-Forwarded-Client-Cert");
    struct pp_span own = x->tls != NULL ? x->tls->forwarded : PP_SPAN_NONE;
    if (own.n > 0)
        return trusted ? append_list(x, PP_NAME_OTHER, name, own)
                       : pp_http_msg_set(&x->request, name, PP_NAME_OTHER, own);
    if (!trusted)
        pp_http_msg_remove(&x->request, name, PP_NAME_OTHER);
    return PP_OK;
}

static int set_forwarded(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->request;
    struct pp_span name_for = PP_SPAN("X-Forwarded-For"), name_proto = PP_SPAN("X-Forwarded-Proto"),
                   name_host = PP_SPAN("X-Forwarded-Host");
    bool trusted = pp_forward_is_trusted(x);
    char *ip = pp_arena_alloc(&x->arena, PP_SOCK_TEXT);
    if (ip == NULL)
        return PP_ENOMEM;
    struct pp_span client =
        pp_span(ip, pp_sock_ip_text(x->nearest != NULL ? x->nearest : &x->client, ip));
    int rc = set_client_cert(x, trusted);
    if (rc != PP_OK)
        return rc;
    if (trusted) {
        rc = append_list(x, PP_NAME_X_FORWARDED_FOR, name_for, client);
    } else {
        pp_http_msg_remove(m, PP_SPAN("forwarded"), PP_NAME_FORWARDED);
        pp_http_msg_remove(m, PP_SPAN("x-real-ip"), PP_NAME_X_REAL_IP);
        rc = pp_http_msg_set(m, name_for, PP_NAME_X_FORWARDED_FOR, client);
    }
    if (rc == PP_OK && !(trusted && pp_http_msg_find_id(m, PP_NAME_X_FORWARDED_PROTO) != NULL))
        rc = pp_http_msg_set(m, name_proto, PP_NAME_X_FORWARDED_PROTO, pp_exchange_scheme(x));
    if (rc == PP_OK && !(trusted && pp_http_msg_find_id(m, PP_NAME_X_FORWARDED_HOST) != NULL)) {
        if (m->authority.n > 0)
            rc = pp_http_msg_set(m, name_host, PP_NAME_X_FORWARDED_HOST, m->authority);
        else
            pp_http_msg_remove(m, name_host, PP_NAME_X_FORWARDED_HOST);
    }
    return rc;
}

/* The version is that of the message as it came (RFC 9110 section 7.6.3). */
static int add_via(struct pp_exchange *x)
{
    struct pp_span via = x->listener->via;
    if (x->request.major == 2) {
        char *p = pp_arena_alloc(&x->arena, via.n);
        if (p == NULL)
            return PP_ENOMEM;
        memcpy(p, via.p, via.n);
        memcpy(p, "2.0", 3);
        via.p = p;
    }
    return append_list(x, PP_NAME_VIA, PP_SPAN("Via"), via);
}

int pp_forward_request(struct pp_exchange *x)
{
    if (x->forwarded)
        return PP_OK;
    int rc = settle_target(x);
    if (rc == PP_OK)
        rc = settle_host(x);
    if (rc == PP_OK)
        rc = set_forwarded(x);
    if (rc == PP_OK && x->listener->via.n > 0)
        rc = add_via(x);
    x->forwarded = rc == PP_OK;
    return rc;
}

int pp_forward_response(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    if (x->listener->server.n > 0) {
        int rc = pp_http_msg_set(m, PP_SPAN("Server"), PP_NAME_SERVER, x->listener->server);
        if (rc != PP_OK)
            return rc;
    }
    /* An origin server with a clock sends Date; for one that does not, the first recipient adds it
     * (RFC 9110 section 6.6.1). */
    if (pp_http_msg_find_id(m, PP_NAME_DATE) != NULL)
        return PP_OK;
    struct pp_span date;
    int rc = pp_arena_dup(&x->arena, pp_span(x->core->loop.date, 29), &date);
    return rc != PP_OK ? rc : pp_http_msg_add(m, PP_SPAN("Date"), PP_NAME_DATE, date);
}

int pp_forward_redirect(struct pp_exchange *x)
{
    struct pp_span location;
    int rc = pp_template_render(x->route->location, &x->arena, lookup, x, &location);
    if (rc == PP_OK)
        rc = pp_exchange_reply(x, x->route->status, PP_SPAN_NONE);
    return rc != PP_OK
               ? rc
               : pp_http_msg_add(&x->response, PP_SPAN("Location"), PP_NAME_LOCATION, location);
}
