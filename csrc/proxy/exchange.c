#include "proxy/exchange.h"

#include "base/check.h"
#include "base/mem.h"
#include "wire/uri.h"

struct pp_exchange *pp_exchange_new(struct pp_core *core, const struct pp_listener_conf *listener,
                                    const struct pp_exchange_events *events)
{
    struct pp_exchange *x = pp_slab_get(&core->exchange_slab);
    if (x == NULL) {
        PP_COUNT(&core->metrics, core->metrics.fallback[PP_METRIC_WORKER], WORKER, NO_MEMORY, 1);
        return NULL;
    }
    /* The messages' inline fields and the arena's block are left as they are: clearing them would
     * cost more than everything else here. */
    memset(x, 0, offsetof(struct pp_exchange, request));
    pp_arena_init(&x->arena, x->arena_mem, sizeof(x->arena_mem), PP_EXCHANGE_ARENA_BYTES);
    pp_http_msg_init(&x->request, &x->arena);
    pp_http_msg_init(&x->response, &x->arena);
    x->core = core;
    x->client_fd = -1;
    x->body_limit = UINT64_MAX;
    x->snapshot = pp_snapshot_acquire(core->snapshot);
    x->listener = listener;
    x->route = core->snapshot->route[0];
    x->events = events;
    x->id = ++core->next_exchange;
    x->t.start = core->loop.now_us;
    pp_timer_init(&x->timer, NULL);
    core->n_exchange++;
    PP_COUNT(&core->metrics, core->metrics.fallback[PP_METRIC_WORKER], WORKER, EXCHANGES, 1);
    return x;
}

static void free_now(struct pp_deferred *deferred)
{
    struct pp_exchange *x = PP_CONTAINER_OF(deferred, struct pp_exchange, deferred);
    struct pp_core *core = x->core;
    pp_announced_unref(x->announced);
    pp_client_tls_unref(x->tls);
    for (int dir = 0; dir < 2; dir++) {
        pp_mem_free(x->flow[dir].held);
        pp_splice_release(&core->splice, x->flow[dir].pipe);
    }
    pp_arena_fini(&x->arena);
    pp_snapshot_release(x->snapshot);
    pp_snapshot_release(x->home);
    pp_slab_put(&core->exchange_slab, x);
}

void pp_exchange_free(struct pp_exchange *x)
{
    PP_ASSERT(x->ops[PP_SIDE_DOWN] == NULL && x->ops[PP_SIDE_UP] == NULL);
    pp_loop_stop(&x->core->loop, &x->timer);
    x->core->n_exchange--;
    PP_COUNT(&x->core->metrics, x->core->metrics.fallback[PP_METRIC_WORKER], WORKER, EXCHANGES, -1);
    x->deferred.fn = free_now;
    pp_loop_defer_free(&x->core->loop, &x->deferred);
}

/* <s> points into [old, old + n), which now lives at <to>, or elsewhere. */
static void rebase(struct pp_span *s, const char *old, size_t n, const char *to)
{
    uintptr_t off = (uintptr_t)s->p - (uintptr_t)old;
    if (s->p != NULL && off < n)
        s->p = to + off;
}

int pp_exchange_keep(struct pp_exchange *x, const char *mem, size_t n)
{
    struct pp_span *spans[] = {&x->host, &x->path, &x->target, &x->up_host, &x->offer};
    struct pp_span copy;
    int rc = pp_arena_dup(&x->arena, pp_span(mem, n), &copy);
    if (rc != PP_OK)
        return rc;
    pp_http_msg_rebase(&x->request, mem, n, copy.p);
    pp_http_msg_rebase(&x->response, mem, n, copy.p);
    for (size_t i = 0; i < PP_COUNT_OF(spans); i++)
        rebase(spans[i], mem, n, copy.p);
    for (unsigned i = 0; i < x->hit.n_capture; i++)
        rebase(&x->hit.capture[i], mem, n, copy.p);
    /* Made anew when they are wanted again. */
    x->query = x->cookies = NULL;
    x->joined = NULL;
    return PP_OK;
}

void pp_exchange_enter(struct pp_exchange *x, enum pp_exchange_state state)
{
    PP_ASSERT(x->state != PP_EXCHANGE_DONE);
    PP_ASSERT(!x->parked);
    x->state = (uint8_t)state;
    x->cursor = 0;
}

void pp_exchange_fault(struct pp_exchange *x, struct pp_fault f)
{
    if (!pp_fault_is_set(&x->fault))
        x->fault = f;
}

int pp_exchange_reply(struct pp_exchange *x, unsigned status, struct pp_span body)
{
    pp_http_msg_init(&x->response, &x->arena);
    x->response.status = (uint16_t)status;
    x->response.minor = 1;
    x->reply_body = PP_SPAN_NONE;
    x->file = NULL;
    return body.n == 0 ? PP_OK : pp_arena_dup(&x->arena, body, &x->reply_body);
}

bool pp_exchange_may_write(enum pp_http_name id)
{
    switch (id) {
    case PP_NAME_CONNECTION:
    case PP_NAME_CONTENT_LENGTH:
    case PP_NAME_KEEP_ALIVE:
    case PP_NAME_PROXY_CONNECTION:
    case PP_NAME_TE:
    case PP_NAME_TRAILER:
    case PP_NAME_TRANSFER_ENCODING:
    case PP_NAME_UPGRADE:
        return false;
    default:
        return true;
    }
}

/* Check and copy a field that did not come through the parser. */
static int copy_field(struct pp_exchange *x, struct pp_span name, struct pp_span value,
                      struct pp_span *name_out, struct pp_span *value_out)
{
    value = pp_span_trim(value);
    if (name.n > UINT16_MAX || value.n > UINT32_MAX / 2 || !pp_http_tok_is_token(name) ||
        !pp_http_tok_is_value(value) || !pp_exchange_may_write(pp_http_tok_name(name.p, name.n)))
        return PP_EINVAL;
    int rc = pp_arena_dup(&x->arena, name, name_out);
    return rc != PP_OK ? rc : pp_arena_dup(&x->arena, value, value_out);
}

int pp_exchange_add_field(struct pp_exchange *x, struct pp_http_msg *m, struct pp_span name,
                          struct pp_span value)
{
    struct pp_span n, v;
    int rc = copy_field(x, name, value, &n, &v);
    return rc != PP_OK ? rc : pp_http_msg_add(m, n, pp_http_tok_name(n.p, n.n), v);
}

int pp_exchange_set_field(struct pp_exchange *x, struct pp_http_msg *m, struct pp_span name,
                          struct pp_span value)
{
    struct pp_span n, v;
    int rc = copy_field(x, name, value, &n, &v);
    if (rc == PP_OK && m == &x->request && pp_http_tok_name(n.p, n.n) == PP_NAME_HOST)
        x->up_host = v;
    return rc != PP_OK ? rc : pp_http_msg_set(m, n, pp_http_tok_name(n.p, n.n), v);
}

int pp_exchange_set_path(struct pp_exchange *x, struct pp_span path)
{
    bool changed;
    size_t n;
    if (path.n == 0 || path.p[0] != '/' || pp_span_find(path, '?') < path.n ||
        pp_span_find(path, '#') < path.n)
        return PP_EINVAL;
    char *p = pp_arena_alloc(&x->arena, path.n + 1);
    if (p == NULL)
        return PP_ENOMEM;
    int rc = pp_uri_normal_path(path, p, &n, &changed);
    if (rc != PP_OK)
        return rc;
    if (!changed)
        memcpy(p, path.p, path.n);
    x->path = pp_span(p, changed ? n : path.n);
    x->path_set = true;
    return PP_OK;
}

int pp_exchange_set_query(struct pp_exchange *x, struct pp_span query)
{
    for (size_t i = 0; i < query.n; i++) {
        if (query.p[i] <= ' ' || query.p[i] >= 0x7f || query.p[i] == '#')
            return PP_EINVAL;
    }
    struct pp_span kept = PP_SPAN_NONE;
    if (query.p != NULL) {
        char *p = pp_arena_alloc(&x->arena, query.n + 1);
        if (p == NULL)
            return PP_ENOMEM;
        memcpy(p, query.p, query.n);
        kept = pp_span(p, query.n);
    }
    x->request.query = kept;
    x->query = NULL; /* the arguments of the old one */
    return PP_OK;
}

struct pp_span pp_exchange_scheme(const struct pp_exchange *x)
{
    return x->tls != NULL ? PP_SPAN("https") : PP_SPAN("http");
}
