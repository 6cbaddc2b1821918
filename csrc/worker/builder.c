#include "worker/builder.h"

#include <stdio.h>

#include "base/mem.h"
#include "proxy/accesslog.h"
#include "proxy/filter_grpc_web.h"

/* One bound filter while the snapshot is being built. */
struct draft_filter {
    struct pp_span name;
    uint32_t timeout_ms, buffer_request, buffer_response;
    bool body_first;
    struct pp_filter bound[PP_PHASE_COUNT]; /* .ops NULL: not bound */
};

struct draft_endpoint {
    struct draft_endpoint *next;
    struct pp_span address, name, host;
    uint32_t weight, max_requests, max_connections;
    uint8_t tier;
    bool drain;
};

/* An upstream until the number of its endpoints is known: a cluster has it from the start. */
struct draft_upstream {
    struct pp_span name;
    const struct pp_balance_ops *balance;
    struct pp_cluster_conf conf;
    uint32_t n;
    struct draft_endpoint *first, **end;
    struct pp_cluster *cluster; /* once it is built */
};

/* A server name of a listener, until the clusters are built. */
struct draft_name {
    struct pp_greet_conf *greet;
    struct pp_span name;
    struct draft_upstream *target;
};

/* A growing row of pointers or ids. */
struct row {
    void **at;
    uint32_t n, cap;
};

struct pp_builder {
    struct pp_snapshot *sn;
    struct pp_router_draft *draft;
    struct row logs, listeners, upstreams, filters, routes;
    struct row targets; /* of the routes: a draft_upstream or NULL each */
    struct row tunnels; /* listeners of plain TCP, and the draft_upstream of each */
    struct row tunnel_targets;
    struct row server_names; /* a draft_name each */
    struct row wishes;       /* where filters want clusters, and the draft_upstream of each */
    struct row wish_targets;
    char why[PP_BUILDER_WHY];
};

struct pp_builder *pp_builder_new(void)
{
    struct pp_builder *b = pp_mem_zalloc(sizeof(*b));
    if (b == NULL)
        return NULL;
    b->sn = pp_snapshot_new();
    b->draft = pp_router_draft_new();
    if (b->sn == NULL || b->draft == NULL) {
        pp_builder_free(b);
        return NULL;
    }
    return b;
}

void pp_builder_free(struct pp_builder *b)
{
    if (b == NULL)
        return;
    pp_snapshot_unref(b->sn);
    pp_router_draft_free(b->draft);
    pp_mem_free(b->logs.at);
    pp_mem_free(b->listeners.at);
    pp_mem_free(b->upstreams.at);
    pp_mem_free(b->filters.at);
    pp_mem_free(b->routes.at);
    pp_mem_free(b->targets.at);
    pp_mem_free(b->tunnels.at);
    pp_mem_free(b->tunnel_targets.at);
    pp_mem_free(b->server_names.at);
    pp_mem_free(b->wishes.at);
    pp_mem_free(b->wish_targets.at);
    pp_mem_free(b);
}

const char *pp_builder_why(const struct pp_builder *b)
{
    return b->why;
}

static int bad(struct pp_builder *b, const char *what, struct pp_span text)
{
    snprintf(b->why, sizeof(b->why), "%s: %.*s", what, (int)PP_MIN(text.n, 128),
             text.n > 0 ? text.p : "");
    return PP_EINVAL;
}

int pp_builder_refuse(struct pp_builder *b, const char *what, struct pp_span text)
{
    if (text.n > 0)
        return bad(b, what, text);
    (void)snprintf(b->why, sizeof(b->why), "%s", what);
    return PP_EINVAL;
}

static int push(struct row *r, void *p, uint32_t *id)
{
    if (r->n == r->cap) {
        uint32_t cap = r->cap == 0 ? 16 : r->cap * 2;
        void **at = pp_mem_resize(r->at, cap * sizeof(r->at[0]));
        if (at == NULL)
            return PP_ENOMEM;
        r->at = at;
        r->cap = cap;
    }
    *id = r->n;
    r->at[r->n++] = p;
    return PP_OK;
}

static void *zalloc(struct pp_builder *b, size_t n)
{
    void *p = pp_arena_alloc(&b->sn->arena, n);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

static int dup(struct pp_builder *b, struct pp_span s, struct pp_span *out)
{
    return pp_arena_dup(&b->sn->arena, s, out);
}

int pp_builder_add_log(struct pp_builder *b, struct pp_span path, int fd, bool json,
                       struct pp_span format, uint32_t *id)
{
    struct pp_log_conf *log = zalloc(b, sizeof(*log));
    struct pp_span copy = PP_SPAN_NONE, wrong;
    if (log == NULL)
        return PP_ENOMEM;
    int rc = path.n > 0 ? dup(b, path, &copy) : PP_OK;
    log->path = copy.p;
    log->fd = fd;
    if (rc == PP_OK)
        rc = pp_accesslog_compile(&b->sn->arena, format, json, &log->format, &wrong);
    if (rc == PP_EINVAL)
        return bad(b, "no such access log variable", wrong);
    return rc == PP_OK ? push(&b->logs, log, id) : rc;
}

int pp_builder_add_listener(struct pp_builder *b, struct pp_span name,
                            const struct pp_listener_conf *conf, struct pp_span via,
                            struct pp_span server, uint32_t *id)
{
    struct pp_listener_conf *l = zalloc(b, sizeof(*l));
    if (l == NULL)
        return PP_ENOMEM;
    *l = *conf;
    l->trusted = NULL;
    l->n_trusted = 0;
    if (!pp_http_tok_is_value(server))
        return bad(b, "not a valid Server value", server);
    if (via.n > 0 && !pp_http_tok_is_token(via))
        return bad(b, "not a valid Via pseudonym", via);
    int rc = dup(b, name, &l->name);
    if (rc == PP_OK)
        rc = dup(b, server, &l->server);
    if (rc == PP_OK && via.n > 0) {
        char *p = pp_arena_alloc(&b->sn->arena, via.n + 4);
        rc = p == NULL ? PP_ENOMEM : PP_OK;
        if (rc == PP_OK) {
            memcpy(p, "1.1 ", 4);
            memcpy(p + 4, via.p, via.n);
            l->via = pp_span(p, via.n + 4);
        }
    }
    return rc == PP_OK ? push(&b->listeners, l, id) : rc;
}

/* Add <range> to the <*n> ranges at <*at>, or say that it is of unix sockets. */
static int add_range(struct pp_builder *b, struct pp_span range, const struct pp_cidr **at,
                     uint32_t *n, bool *of_unix)
{
    struct pp_cidr cidr;
    if (pp_span_eq(range, PP_SPAN("unix"))) {
        *of_unix = true;
        return PP_OK;
    }
    if (pp_cidr_parse(range, &cidr) != PP_OK)
        return bad(b, "not an address range (10.0.0.0/8, ::1, unix)", range);
    struct pp_cidr *grown = pp_arena_alloc(&b->sn->arena, (*n + 1) * sizeof(*grown));
    if (grown == NULL)
        return PP_ENOMEM;
    if (*n > 0)
        memcpy(grown, *at, *n * sizeof(*grown));
    grown[(*n)++] = cidr;
    *at = grown;
    return PP_OK;
}

int pp_builder_add_trusted(struct pp_builder *b, uint32_t listener, struct pp_span range)
{
    struct pp_listener_conf *l = b->listeners.at[listener];
    return add_range(b, range, &l->trusted, &l->n_trusted, &l->trust_unix);
}

/* What is read of the listener's connections before they begin; NULL: memory is out. */
static struct pp_greet_conf *greet_of(struct pp_builder *b, uint32_t listener)
{
    struct pp_listener_conf *l = b->listeners.at[listener];
    if (l->greet == NULL)
        l->greet = zalloc(b, sizeof(*l->greet));
    return (struct pp_greet_conf *)l->greet;
}

int pp_builder_add_proxy(struct pp_builder *b, uint32_t listener, struct pp_span range,
                         bool others_direct)
{
    struct pp_greet_conf *greet = greet_of(b, listener);
    if (greet == NULL)
        return PP_ENOMEM;
    greet->header = true;
    greet->others_direct = others_direct;
    return add_range(b, range, &greet->proxies, &greet->n_proxies, &greet->proxies_unix);
}

/* Unless it takes datagrams. */
static void make_tcp(struct pp_listener_conf *l)
{
    if (l->protocol == PP_LISTENER_HTTP)
        l->protocol = PP_LISTENER_TCP;
}

int pp_builder_add_server_name(struct pp_builder *b, uint32_t listener, struct pp_span name,
                               uint32_t upstream)
{
    char text[PP_NAMES_BYTES];
    uint32_t id;
    size_t n;
    if (pp_names_normal(name, text, &n) != PP_OK)
        return bad(b, "not a server name (a.example, *.a.example)", name);
    struct pp_greet_conf *greet = greet_of(b, listener);
    struct draft_name *row = zalloc(b, sizeof(*row));
    if (greet == NULL || row == NULL)
        return PP_ENOMEM;
    greet->server_name = true;
    make_tcp(b->listeners.at[listener]);
    greet->n_name++;
    row->greet = greet;
    row->target = b->upstreams.at[upstream];
    int rc = dup(b, pp_span(text, n), &row->name);
    return rc == PP_OK ? push(&b->server_names, row, &id) : rc;
}

struct pp_listener_conf *pp_builder_listener(struct pp_builder *b, uint32_t listener)
{
    return b->listeners.at[listener];
}

struct pp_cluster_conf *pp_builder_upstream(struct pp_builder *b, uint32_t upstream)
{
    return &((struct draft_upstream *)b->upstreams.at[upstream])->conf;
}

struct pp_snapshot *pp_builder_snapshot(struct pp_builder *b)
{
    return b->sn;
}

struct pp_arena *pp_builder_arena(struct pp_builder *b)
{
    return &b->sn->arena;
}

struct pp_route *pp_builder_route(struct pp_builder *b, uint32_t route)
{
    return b->routes.at[route];
}

void pp_builder_set_predicate(struct pp_builder *b, const struct pp_predicate *p)
{
    pp_router_draft_set_predicate(b->draft, p);
}

void pp_builder_set_http2(struct pp_builder *b, uint32_t listener, bool enabled,
                          const struct pp_http2_limits *limits)
{
    struct pp_listener_conf *l = b->listeners.at[listener];
    l->no_http2 = !enabled;
    l->http2 = *limits;
    l->http2.head_bytes = l->limits.head_bytes;
    l->http2.fields = l->limits.fields;
    l->http2.target_bytes = l->limits.target_bytes;
}

int pp_builder_set_tunnel(struct pp_builder *b, uint32_t listener, uint32_t upstream)
{
    uint32_t id;
    make_tcp(b->listeners.at[listener]);
    int rc = push(&b->tunnels, b->listeners.at[listener], &id);
    return rc == PP_OK ? push(&b->tunnel_targets, b->upstreams.at[upstream], &id) : rc;
}

int pp_builder_add_upstream(struct pp_builder *b, struct pp_span name, struct pp_span balance,
                            const struct pp_cluster_conf *conf, uint32_t *id)
{
    char text[64];
    snprintf(text, sizeof(text), "%.*s", (int)PP_MIN(balance.n, sizeof(text) - 1), balance.p);
    const struct pp_balance_ops *ops = pp_balance_find(text);
    if (ops == NULL)
        return bad(b, "no such balance policy", balance);
    struct draft_upstream *u = zalloc(b, sizeof(*u));
    if (u == NULL)
        return PP_ENOMEM;
    u->balance = ops;
    u->conf = *conf;
    if (conf->proxy_protocol != 0)
        u->conf.max_idle = 0; /* a connection is of the client that it began with */
    u->conf.warm = PP_MIN(u->conf.warm, u->conf.max_idle);
    u->end = &u->first;
    int rc = dup(b, name, &u->name);
    return rc == PP_OK ? push(&b->upstreams, u, id) : rc;
}

int pp_builder_add_endpoint(struct pp_builder *b, uint32_t upstream, struct pp_span address,
                            struct pp_span name, uint32_t weight, uint32_t *id)
{
    struct draft_upstream *u = b->upstreams.at[upstream];
    struct pp_sock_dest dest;
    if (pp_sock_dest_parse(address, &dest) != PP_OK)
        return bad(b, "not an endpoint address (127.0.0.1:80, [::1]:80, unix:/path)", address);
    struct draft_endpoint *ep = zalloc(b, sizeof(*ep));
    if (ep == NULL)
        return PP_ENOMEM;
    ep->weight = weight;
    int rc = dup(b, address, &ep->address);
    if (rc == PP_OK)
        rc = dup(b, name, &ep->name);
    if (rc != PP_OK)
        return rc;
    *u->end = ep;
    u->end = &ep->next;
    *id = u->n++;
    return PP_OK;
}

int pp_builder_set_host(struct pp_builder *b, uint32_t upstream, struct pp_span host)
{
    struct draft_upstream *u = b->upstreams.at[upstream];
    struct draft_endpoint *last = PP_CONTAINER_OF(u->end, struct draft_endpoint, next);
    return dup(b, host, &last->host);
}

void pp_builder_set_role(struct pp_builder *b, uint32_t upstream, uint8_t tier, bool drain)
{
    struct draft_upstream *u = b->upstreams.at[upstream];
    struct draft_endpoint *last = PP_CONTAINER_OF(u->end, struct draft_endpoint, next);
    last->tier = tier;
    last->drain = drain;
}

void pp_builder_set_endpoint_limits(struct pp_builder *b, uint32_t upstream, uint32_t max_requests,
                                    uint32_t max_connections)
{
    struct draft_upstream *u = b->upstreams.at[upstream];
    struct draft_endpoint *last = PP_CONTAINER_OF(u->end, struct draft_endpoint, next);
    last->max_requests = max_requests;
    last->max_connections = max_connections;
    if ((max_requests | max_connections) != 0)
        u->conf.admission.endpoints = true;
}

int pp_builder_add_filter(struct pp_builder *b, struct pp_span name, uint32_t timeout_ms,
                          uint32_t buffer_request, uint32_t buffer_response, uint32_t *id)
{
    struct draft_filter *f = zalloc(b, sizeof(*f));
    if (f == NULL)
        return PP_ENOMEM;
    f->timeout_ms = timeout_ms;
    f->buffer_request = buffer_request;
    f->buffer_response = buffer_response;
    int rc = dup(b, name, &f->name);
    return rc == PP_OK ? push(&b->filters, f, id) : rc;
}

void pp_builder_set_body_first(struct pp_builder *b, uint32_t filter, uint32_t bytes)
{
    struct draft_filter *f = b->filters.at[filter];
    f->body_first = bytes > 0;
    f->buffer_request = PP_MAX(f->buffer_request, bytes);
}

int pp_builder_bind(struct pp_builder *b, uint32_t filter, enum pp_phase phase, void *callable)
{
    const struct draft_filter *f = b->filters.at[filter];
    struct pp_hook *hook = pp_arena_alloc(&b->sn->arena, sizeof(*hook));
    if (hook == NULL)
        return PP_ENOMEM;
    *hook = (struct pp_hook){.callable = callable, .timeout_ms = f->timeout_ms, .name = f->name};
    *pp_builder_bound(b, filter, phase) =
        (struct pp_filter){.ops = &pp_hook_filter_ops, .self = hook};
    return PP_OK;
}

struct pp_filter *pp_builder_bound(struct pp_builder *b, uint32_t filter, enum pp_phase phase)
{
    return &((struct draft_filter *)b->filters.at[filter])->bound[phase];
}

/* Sort the filters by phase. */
static int build_chain(struct pp_builder *b, const uint32_t *filter, uint32_t n,
                       struct pp_chain *chain)
{
    memset(chain, 0, sizeof(*chain));
    if (n > UINT8_MAX - 1)
        return bad(b, "more than 254 filters on one route", PP_SPAN_NONE);
    for (int phase = 0; phase < PP_PHASE_COUNT; phase++) {
        struct pp_filter *row = NULL;
        for (uint32_t i = 0; i < n; i++) {
            const struct pp_filter *bound = pp_builder_bound(b, filter[i], (enum pp_phase)phase);
            if (bound->ops == NULL)
                continue;
            if (row == NULL)
                row = pp_arena_alloc(&b->sn->arena, (n - i) * sizeof(*row));
            if (row == NULL)
                return PP_ENOMEM;
            row[chain->n[phase]++] = *bound;
        }
        chain->filter[phase] = row;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct draft_filter *f = b->filters.at[filter[i]];
        chain->buffer_request = PP_MAX(chain->buffer_request, f->buffer_request);
        chain->buffer_response = PP_MAX(chain->buffer_response, f->buffer_response);
        chain->body_first = chain->body_first || f->body_first;
    }
    return PP_OK;
}

/* Put a filter of ours in front of those of <phase>, or behind them. */
static int add_native(struct pp_builder *b, struct pp_chain *chain, enum pp_phase phase,
                      const struct pp_filter_ops *ops, bool front)
{
    uint8_t n = chain->n[phase];
    struct pp_filter *row = pp_arena_alloc(&b->sn->arena, (n + 1u) * sizeof(*row));
    if (row == NULL)
        return PP_ENOMEM;
    if (n > 0)
        memcpy(row + front, chain->filter[phase], n * sizeof(*row));
    row[front ? 0 : n] = (struct pp_filter){.ops = ops};
    chain->filter[phase] = row;
    chain->n[phase]++;
    return PP_OK;
}

static int add_grpc_web(struct pp_builder *b, struct pp_chain *chain)
{
    static const enum pp_phase phases[] = {PP_PHASE_REQUEST, PP_PHASE_REQUEST_BODY,
                                           PP_PHASE_RESPONSE, PP_PHASE_RESPONSE_BODY};
    int rc = PP_OK;
    for (size_t i = 0; i < PP_COUNT_OF(phases) && rc == PP_OK; i++)
        rc = add_native(b, chain, phases[i], &pp_filter_grpc_web_ops, i < 2);
    return rc;
}

static int copy_fields(struct pp_builder *b, const struct pp_builder_route *r,
                       struct pp_route *route)
{
    struct pp_respond_field *f = pp_arena_alloc(&b->sn->arena, r->n_field * sizeof(*f) + 1);
    if (f == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < r->n_field; i++) {
        struct pp_span name = r->field[i].name, value = r->field[i].value;
        if (!pp_http_tok_is_token(name) || !pp_http_tok_is_value(value))
            return bad(b, "not a valid response header", name);
        if (dup(b, name, &f[i].name) != PP_OK || dup(b, value, &f[i].value) != PP_OK)
            return PP_ENOMEM;
    }
    route->field = f;
    route->n_field = r->n_field;
    return PP_OK;
}

static int compile_template(struct pp_builder *b, struct pp_span text,
                            const struct pp_template **out)
{
    if (text.p == NULL)
        return PP_OK;
    int rc = pp_template_new(&b->sn->arena, text, out);
    return rc == PP_EINVAL ? bad(b, "not a valid template", text) : rc;
}

int pp_builder_add_route(struct pp_builder *b, const struct pp_builder_route *r, uint32_t *id)
{
    struct pp_route *route = zalloc(b, sizeof(*route));
    if (route == NULL)
        return PP_ENOMEM;
    route->action = (uint8_t)r->action;
    route->status = (uint16_t)r->status;
    route->max_body = r->max_body;
    route->total_timeout_ms = r->total_timeout_ms;
    route->access_log = r->access_log;
    int rc = dup(b, r->name, &route->name);
    if (rc == PP_OK)
        rc = dup(b, r->body, &route->body);
    if (rc == PP_OK)
        rc = dup(b, r->upgrade, &route->upgrade);
    if (rc == PP_OK)
        rc = copy_fields(b, r, route);
    if (rc == PP_OK)
        rc = compile_template(b, r->location, &route->location);
    if (rc == PP_OK)
        rc = compile_template(b, r->rewrite_path, &route->rewrite_path);
    if (rc == PP_OK)
        rc = compile_template(b, r->rewrite_host, &route->rewrite_host);
    if (rc == PP_OK)
        rc = build_chain(b, r->filter, r->n_filter, &route->chain);
    if (rc == PP_OK && r->grpc_web)
        rc = add_grpc_web(b, &route->chain);
    if (rc == PP_OK)
        rc = push(&b->targets, r->upstream == PP_ID_NONE ? NULL : b->upstreams.at[r->upstream], id);
    return rc == PP_OK ? push(&b->routes, route, id) : rc;
}

int pp_builder_add_match(struct pp_builder *b, uint32_t route, struct pp_span host,
                         struct pp_span path, pp_router_methods methods, int priority)
{
    if (methods != PP_ROUTER_ANY_METHOD && (methods >> PP_HTTP_CONNECT & 1) != 0)
        ((struct pp_route *)b->routes.at[route])->takes_connect = true;
    return pp_router_draft_add(b->draft, host, path, methods, priority, route, b->why);
}

int pp_builder_set_early(struct pp_builder *b, const uint32_t *filter, uint32_t n)
{
    struct pp_chain chain;
    int rc = build_chain(b, filter, n, &chain);
    b->sn->early.n[PP_PHASE_EARLY_REQUEST] = chain.n[PP_PHASE_EARLY_REQUEST];
    b->sn->early.filter[PP_PHASE_EARLY_REQUEST] = chain.filter[PP_PHASE_EARLY_REQUEST];
    return rc;
}

int pp_builder_wish(struct pp_builder *b, struct pp_span upstream, struct pp_cluster **at)
{
    uint32_t id;
    for (uint32_t i = 0; i < b->upstreams.n; i++) {
        struct draft_upstream *u = b->upstreams.at[i];
        if (!pp_span_eq(u->name, upstream))
            continue;
        int rc = push(&b->wishes, at, &id);
        return rc == PP_OK ? push(&b->wish_targets, u, &id) : rc;
    }
    return bad(b, "no upstream of the name", upstream);
}

static void unref_cluster(void *cl)
{
    pp_cluster_unref(cl);
}

/* The cluster of an upstream with all its endpoints; the arena's. */
static int build_cluster(struct pp_builder *b, struct draft_upstream *u)
{
    struct pp_cluster *cl = u->cluster = pp_cluster_new(u->name, &u->conf, u->balance, u->n);
    if (cl == NULL)
        return PP_ENOMEM;
    int rc = pp_arena_on_reset(&b->sn->arena, unref_cluster, cl);
    if (rc != PP_OK)
        pp_cluster_unref(cl);
    uint32_t i = 0;
    for (const struct draft_endpoint *ep = u->first; ep != NULL && rc == PP_OK; ep = ep->next) {
        rc = pp_cluster_set_endpoint(cl, i, ep->address, ep->name, ep->weight);
        if (rc == PP_OK && ep->host.n > 0)
            rc = pp_cluster_set_host(cl, i, ep->host);
        pp_cluster_set_role(cl, i, ep->tier, ep->drain);
        pp_cluster_set_limits(cl, i, ep->max_requests, ep->max_connections);
        i++;
    }
    return rc;
}

/* All clusters, for the snapshot and for the routes that lead to them. */
static int build_clusters(struct pp_builder *b)
{
    struct pp_snapshot *sn = b->sn;
    sn->cluster = pp_arena_alloc(&sn->arena, b->upstreams.n * sizeof(sn->cluster[0]) + 1);
    if (sn->cluster == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < b->upstreams.n; i++) {
        struct draft_upstream *u = b->upstreams.at[i];
        int rc = build_cluster(b, u);
        if (rc != PP_OK)
            return rc;
        u->cluster->index = sn->n_cluster;
        sn->cluster[sn->n_cluster++] = u->cluster;
    }
    for (uint32_t i = 0; i < b->routes.n; i++) {
        const struct draft_upstream *u = b->targets.at[i];
        if (u != NULL) {
            ((struct pp_route *)b->routes.at[i])->cluster = u->cluster;
            ((struct pp_route *)b->routes.at[i])->upstream = u->name;
        }
    }
    for (uint32_t i = 0; i < b->routes.n; i++)
        pp_builder_settle_split(b, i, sn->cluster);
    for (uint32_t i = 0; i < b->tunnels.n; i++)
        ((struct pp_listener_conf *)b->tunnels.at[i])->cluster =
            ((struct draft_upstream *)b->tunnel_targets.at[i])->cluster;
    for (uint32_t i = 0; i < b->wishes.n; i++)
        *(struct pp_cluster **)b->wishes.at[i] =
            ((struct draft_upstream *)b->wish_targets.at[i])->cluster;
    return PP_OK;
}

/* Room for the server names of one listener: <n_name> is what there will be. */
static int open_names(struct pp_builder *b, struct pp_greet_conf *greet)
{
    struct pp_arena *arena = &b->sn->arena;
    greet->name = pp_arena_alloc(arena, greet->n_name * sizeof(greet->name[0]));
    greet->upstream = pp_arena_alloc(arena, greet->n_name * sizeof(greet->upstream[0]));
    greet->n_name = 0;
    return greet->name == NULL || greet->upstream == NULL ? PP_ENOMEM : PP_OK;
}

/* The server names of all listeners, with the clusters that they lead to. */
static int build_names(struct pp_builder *b)
{
    int rc = PP_OK;
    for (uint32_t i = 0; i < b->server_names.n && rc == PP_OK; i++) {
        const struct draft_name *row = b->server_names.at[i];
        struct pp_greet_conf *greet = row->greet;
        if (greet->name == NULL)
            rc = open_names(b, greet);
        if (rc != PP_OK)
            return rc;
        uint32_t n = greet->n_name++;
        ((struct pp_names_row *)greet->name)[n] = (struct pp_names_row){row->name, n};
        ((struct pp_cluster **)greet->upstream)[n] = row->target->cluster;
    }
    for (uint32_t i = 0; i < b->listeners.n && rc == PP_OK; i++) {
        const struct pp_greet_conf *greet = ((struct pp_listener_conf *)b->listeners.at[i])->greet;
        if (greet != NULL && greet->n_name > 0)
            rc = pp_names_sort((struct pp_names_row *)greet->name, greet->n_name);
    }
    return rc;
}

/* Copy a row into the snapshot's arena. */
static void **settle(struct pp_builder *b, const struct row *r, uint32_t *n)
{
    void **at = pp_arena_alloc(&b->sn->arena, r->n * sizeof(void *) + 1);
    if (at != NULL && r->n > 0)
        memcpy(at, r->at, r->n * sizeof(void *));
    *n = r->n;
    return at;
}

int pp_builder_finish(struct pp_builder *b, void (*release)(void *arg), void *arg,
                      struct pp_snapshot **out)
{
    struct pp_snapshot *sn = b->sn;
    int rc = build_clusters(b);
    if (rc == PP_OK)
        rc = build_names(b);
    sn->log = (struct pp_log_conf **)settle(b, &b->logs, &sn->n_log);
    sn->listener = (struct pp_listener_conf **)settle(b, &b->listeners, &sn->n_listener);
    sn->route = (const struct pp_route **)settle(b, &b->routes, &sn->n_route);
    sn->router = pp_router_new(b->draft);
    if (sn->log == NULL || sn->listener == NULL || sn->route == NULL || sn->router == NULL ||
        sn->n_route == 0)
        rc = PP_ENOMEM;
    if (rc == PP_OK)
        rc = pp_arena_on_reset(&sn->arena, release, arg);
    if (rc == PP_OK) {
        *out = sn;
        b->sn = NULL;
    }
    pp_builder_free(b);
    return rc;
}
