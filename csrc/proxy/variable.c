#include "proxy/variable.h"

#include "base/num.h"
#include "wire/args.h"

int pp_variable_compile(struct pp_span text, struct pp_variable *out)
{
    int rc = pp_variable_parse(text, out);
    if (rc == PP_OK && out->kind == PP_VARIABLE_HEADER)
        out->field = (uint8_t)pp_http_tok_name(out->name.p, out->name.n);
    return rc;
}

static int give(struct pp_span s, struct pp_span *out)
{
    *out = s;
    return s.n > 0 ? PP_OK : PP_ENOENT;
}

/* Text that is made for the asker. */
static int give_copy(struct pp_exchange *x, const char *p, size_t n, struct pp_span *out)
{
    return n > 0 ? pp_arena_dup(&x->arena, pp_span(p, n), out) : PP_ENOENT;
}

static int give_number(struct pp_exchange *x, uint64_t n, struct pp_span *out)
{
    char digits[PP_NUM_U64_CHARS];
    return give_copy(x, digits, pp_num_format_u64(digits, n), out);
}

static int give_address(struct pp_exchange *x, const struct pp_sock_addr *a, bool port,
                        struct pp_span *out)
{
    char text[PP_SOCK_TEXT];
    if (a->family == 0)
        return PP_ENOENT;
    if (port)
        return a->family == AF_UNIX ? PP_ENOENT : give_number(x, a->port, out);
    return give_copy(x, text, pp_sock_ip_text(a, text), out);
}

/* Where the client has connected to: what a proxy in front has announced, or our own end. */
static void find_server(const struct pp_exchange *x, struct pp_sock_addr *a)
{
    memset(a, 0, sizeof(*a));
    const struct pp_proxyproto *h = x->announced != NULL ? &x->announced->header : NULL;
    if (h != NULL && h->version > 0 && !h->local &&
        (h->family == PP_PROXYPROTO_IP4 || h->family == PP_PROXYPROTO_IP6)) {
        a->family = h->family == PP_PROXYPROTO_IP4 ? AF_INET : AF_INET6;
        memcpy(a->ip, h->destination.ip, sizeof(a->ip));
        a->port = h->destination.port;
    } else if (x->client_fd >= 0) {
        pp_sock_local(x->client_fd, a);
    }
}

/* Fields of one name as one text. Kept, because every rule that asks would otherwise take memory.
 */
struct pp_joined {
    struct pp_joined *next;
    const char *first, *last; /* values of the first and the last line, and their bytes: which */
    size_t n;
    struct pp_span text;
};

static struct pp_joined *find_joined(struct pp_exchange *x, const char *first, const char *last,
                                     size_t n)
{
    struct pp_joined *j = x->joined;
    while (j != NULL && (j->first != first || j->last != last || j->n != n))
        j = j->next;
    return j;
}

/* With ", " between them (RFC 9110 section 5.3); cookies with "; ". <n> bytes are enough. */
static struct pp_joined *join_fields(struct pp_exchange *x, const struct pp_http_field *first,
                                     size_t n)
{
    const struct pp_http_msg *m = &x->request;
    struct pp_joined *j = pp_arena_alloc(&x->arena, sizeof(*j));
    char *p = pp_arena_alloc(&x->arena, n), *at = p;
    if (j == NULL || p == NULL)
        return NULL;
    for (const struct pp_http_field *f = first; f != NULL; f = pp_http_msg_find_next(m, f)) {
        if (f != first) {
            *at++ = f->id == PP_NAME_COOKIE ? ';' : ',';
            *at++ = ' ';
        }
        if (f->value_n > 0)
            memcpy(at, f->value, f->value_n);
        at += f->value_n;
        j->last = f->value;
    }
    j->first = first->value;
    j->n = n;
    j->text = pp_span(p, (size_t)(at - p));
    j->next = x->joined;
    x->joined = j;
    return j;
}

static int give_header(struct pp_exchange *x, struct pp_span name, unsigned id, struct pp_span *out)
{
    const struct pp_http_msg *m = &x->request;
    const struct pp_http_field *first = id != PP_NAME_OTHER
                                            ? pp_http_msg_find_id(m, (enum pp_http_name)id)
                                            : pp_http_msg_find(m, name);
    if (first == NULL)
        return PP_ENOENT;
    const struct pp_http_field *last = first, *f;
    size_t n = first->value_n + 2;
    while ((f = pp_http_msg_find_next(m, last)) != NULL) {
        n += f->value_n + 2;
        last = f;
    }
    *out = pp_http_field_value(first);
    if (last == first)
        return PP_OK;
    struct pp_joined *j = find_joined(x, first->value, last->value, n);
    if (j == NULL)
        j = join_fields(x, first, n);
    if (j == NULL)
        return PP_ENOMEM;
    *out = j->text;
    return PP_OK;
}

static int give_arg(const struct pp_args *args, const struct pp_variable *v, struct pp_span *out)
{
    const struct pp_arg *arg = pp_args_find(args, v->name, v->hash);
    if (arg == NULL)
        return PP_ENOENT;
    *out = arg->value;
    return PP_OK;
}

static bool is_split(const struct pp_args *args, struct pp_span text)
{
    return args != NULL && args->of.p == text.p && args->of.n == text.n;
}

static int give_argument(struct pp_exchange *x, const struct pp_variable *v, struct pp_span *out)
{
    struct pp_span text = x->request.query;
    int rc = PP_OK;
    if (text.n == 0)
        return PP_ENOENT;
    if (!is_split(x->query, text))
        rc = pp_args_split_query(&x->arena, text, &x->query);
    if (rc == PP_OK)
        return give_arg(x->query, v, out);
    x->query = NULL;
    return rc;
}

static int give_cookie(struct pp_exchange *x, const struct pp_variable *v, struct pp_span *out)
{
    struct pp_span text;
    int rc = give_header(x, PP_SPAN_NONE, PP_NAME_COOKIE, &text);
    if (rc == PP_OK && !is_split(x->cookies, text))
        rc = pp_args_split_cookies(&x->arena, text, &x->cookies);
    if (rc == PP_OK)
        return give_arg(x->cookies, v, out);
    x->cookies = NULL;
    return rc;
}

/* A capture of the route that the request has taken. */
static int give_param(struct pp_exchange *x, struct pp_span name, struct pp_span *out)
{
    for (unsigned i = 0; i < x->hit.n_capture; i++) {
        if (pp_span_eq(name, pp_router_capture_name(x->snapshot->router, x->hit.pattern, i))) {
            *out = x->hit.capture[i];
            return PP_OK;
        }
    }
    return PP_ENOENT;
}

static int give_tls(const struct pp_client_tls *ct, enum pp_variable_kind kind, struct pp_span *out)
{
    if (ct == NULL)
        return PP_ENOENT;
    switch (kind) {
    case PP_VARIABLE_TLS_VERSION:
        return give(ct->facts.version, out);
    case PP_VARIABLE_TLS_CIPHER:
        return give(ct->facts.cipher, out);
    case PP_VARIABLE_TLS_SNI:
        return give(ct->facts.sni, out);
    case PP_VARIABLE_TLS_ALPN:
        return give(ct->facts.alpn, out);
    default:
        return give(ct->forwarded, out);
    }
}

/* Of the request's head alone. */
static int give_request(struct pp_exchange *x, enum pp_variable_kind kind, struct pp_span *out)
{
    const struct pp_http_msg *m = &x->request;
    switch (kind) {
    case PP_VARIABLE_HOST:
        return give(x->host, out);
    case PP_VARIABLE_AUTHORITY:
        return give(m->authority, out);
    case PP_VARIABLE_PATH:
        return give(x->path.p != NULL ? x->path : m->path, out);
    case PP_VARIABLE_QUERY:
        *out = m->query;
        return m->query.p != NULL ? PP_OK : PP_ENOENT;
    case PP_VARIABLE_METHOD:
        return give(m->method, out);
    case PP_VARIABLE_SCHEME:
        return give(pp_exchange_scheme(x), out);
    default:
        return give(m->major == 2           ? PP_SPAN("HTTP/2.0")
                    : pp_http_msg_is_1_0(m) ? PP_SPAN("HTTP/1.0")
                                            : PP_SPAN("HTTP/1.1"),
                    out);
    }
}

/* Of the connection, and of ourselves. */
static int give_place(struct pp_exchange *x, enum pp_variable_kind kind, struct pp_span *out)
{
    struct pp_sock_addr server;
    switch (kind) {
    case PP_VARIABLE_CLIENT_ADDRESS:
        return give_address(x, &x->client, false, out);
    case PP_VARIABLE_CLIENT_PORT:
        return give_address(x, &x->client, true, out);
    case PP_VARIABLE_SERVER_ADDRESS:
    case PP_VARIABLE_SERVER_PORT:
        find_server(x, &server);
        return give_address(x, &server, kind == PP_VARIABLE_SERVER_PORT, out);
    case PP_VARIABLE_LISTENER:
        return give(x->listener->name, out);
    case PP_VARIABLE_ROUTE:
        return give(x->route->name, out);
    case PP_VARIABLE_UPSTREAM:
        return give(x->arm != NULL ? x->arm->upstream : x->route->upstream, out);
    case PP_VARIABLE_REQUEST_ID:
        return x->request_id.n > 0 ? give(x->request_id, out) : give_number(x, x->id, out);
    default:
        return give_number(x, x->core->loop.wall_s, out);
    }
}

int pp_variable_get(struct pp_exchange *x, const struct pp_variable *v, struct pp_span *out)
{
    switch ((enum pp_variable_kind)v->kind) {
    case PP_VARIABLE_HEADER:
        return give_header(x, v->name, v->field, out);
    case PP_VARIABLE_ARGUMENT:
        return give_argument(x, v, out);
    case PP_VARIABLE_COOKIE:
        return give_cookie(x, v, out);
    case PP_VARIABLE_PARAM:
        return give_param(x, v->name, out);
    case PP_VARIABLE_TLS_VERSION:
    case PP_VARIABLE_TLS_CIPHER:
    case PP_VARIABLE_TLS_SNI:
    case PP_VARIABLE_TLS_ALPN:
    case PP_VARIABLE_TLS_CLIENT:
        return give_tls(x->tls, v->kind, out);
    default:
        return v->kind <= PP_VARIABLE_PROTOCOL ? give_request(x, v->kind, out)
                                               : give_place(x, v->kind, out);
    }
}
