#include "proxy/shadow.h"

#include "proxy/forward.h"
#include "proxy/phase.h"
#include "route/retry_policy.h"

/* What stands in the client's place; in the exchange's arena. */
struct shadow {
    struct pp_list link; /* in core->shadows once it was started */
    struct pp_exchange *x;
    struct pp_shadow_plan plan;
};

/* ---- the side that keeps nothing ---- */

static int take_nothing(struct pp_exchange *x)
{
    (void)x;
    return PP_OK;
}

static int take_body(struct pp_exchange *x, struct pp_span piece)
{
    (void)x;
    (void)piece;
    return PP_OK;
}

static size_t room(const struct pp_exchange *x)
{
    (void)x;
    return SIZE_MAX;
}

/* All of the request is there from the start. */
static void pump(struct pp_exchange *x)
{
    (void)x;
}

static void moved(struct pp_exchange *x, size_t n, bool read)
{
    (void)x;
    (void)n;
    (void)read;
}

static bool has_nothing(const struct pp_exchange *x)
{
    (void)x;
    return false;
}

static struct pp_chan *no_channel(const struct pp_exchange *x)
{
    (void)x;
    return NULL;
}

static bool discard(struct pp_exchange *x)
{
    (void)x;
    return true;
}

/* Never asked: it opens no tunnel. */
static int give(struct pp_exchange *x, const struct pp_heir *to)
{
    (void)x;
    (void)to;
    return PP_ENOMEM;
}

static void finish(struct pp_exchange *x, bool reusable)
{
    struct shadow *s = x->side[PP_SIDE_DOWN];
    (void)reusable;
    pp_list_detach(&s->link);
    x->side[PP_SIDE_DOWN] = NULL;
    x->ops[PP_SIDE_DOWN] = NULL;
    s->plan.ended(s->plan.arg, x);
}

static const struct pp_side_ops side_ops = {
    .send_head = take_nothing,
    .send_body = take_body,
    .send_end = take_nothing,
    .flush = take_nothing,
    .room = room,
    .pump = pump,
    .probe = pump,
    .yield = pump,
    .moved = moved,
    .is_readable = has_nothing,
    .has_buffered = has_nothing,
    .plain_channel = no_channel,
    .discard = discard,
    .give = give,
    .finish = finish,
};

/* ---- the copy ---- */

/* A copy of <from>; what is not there stays so. */
static int copy_span(struct pp_exchange *x, struct pp_span from, struct pp_span *to)
{
    *to = PP_SPAN_NONE;
    return from.p == NULL ? PP_OK : pp_arena_dup(&x->arena, from, to);
}

static int copy_fields(struct pp_exchange *x, const struct pp_http_msg *from)
{
    struct pp_http_msg *to = &x->request;
    for (uint32_t i = 0; i < from->n_field; i++) {
        const struct pp_http_field *f = &from->field[i];
        struct pp_span name, value;
        if (!pp_http_field_is_live(f))
            continue;
        if (pp_arena_dup(&x->arena, pp_http_field_name(f), &name) != PP_OK ||
            pp_arena_dup(&x->arena, pp_http_field_value(f), &value) != PP_OK ||
            pp_http_msg_add(to, name, (enum pp_http_name)f->id, value) != PP_OK)
            return PP_ENOMEM;
        to->field[to->n_field - 1].flags = f->flags;
    }
    return PP_OK;
}

static int copy_request(struct pp_exchange *x, const struct pp_http_msg *from)
{
    struct pp_http_msg *to = &x->request;
    const struct {
        struct pp_span from, *to;
    } spans[] = {{from->method, &to->method}, {from->target, &to->target},
                 {from->scheme, &to->scheme}, {from->authority, &to->authority},
                 {from->path, &to->path},     {from->query, &to->query}};
    for (size_t i = 0; i < PP_COUNT_OF(spans); i++) {
        if (copy_span(x, spans[i].from, spans[i].to) != PP_OK)
            return PP_ENOMEM;
    }
    to->method_id = from->method_id;
    to->major = from->major;
    to->minor = from->minor;
    to->keep_alive = true;
    to->te_trailers = from->te_trailers;
    /* It is known by the time it is sent. */
    to->body = from->body == PP_HTTP_BODY_NONE ? PP_HTTP_BODY_NONE : PP_HTTP_BODY_LENGTH;
    return copy_fields(x, from);
}

/* Who the client is, for forwarding fields and keys of hashing policies. */
static int copy_client(struct pp_exchange *x, const struct pp_exchange *of)
{
    x->client = of->client;
    if (of->nearest != NULL) {
        struct pp_sock_addr *nearest = pp_arena_alloc(&x->arena, sizeof(*nearest));
        if (nearest == NULL)
            return PP_ENOMEM;
        *nearest = *of->nearest;
        x->nearest = nearest;
    }
    x->announced = pp_announced_ref(of->announced);
    x->tls = pp_client_tls_ref(of->tls);
    return copy_span(x, of->request_id, &x->request_id);
}

/* The route of <of>, but for what it does: no filters, another upstream, no log, no retries by
 * policy. */
static int set_route(struct pp_exchange *x, const struct pp_exchange *of,
                     struct pp_cluster *cluster)
{
    static const struct pp_retry_policy none = {0};
    struct pp_route *route = pp_arena_alloc(&x->arena, sizeof(*route));
    if (route == NULL)
        return PP_ENOMEM;
    *route = *of->route;
    memset(&route->chain, 0, sizeof(route->chain));
    route->action = PP_ROUTE_ACTION_UPSTREAM;
    route->split = NULL;
    route->retry = &none;
    route->access_log = PP_ROUTE_LOG_OFF;
    route->cluster = x->cluster = cluster;
    x->route = route;
    return PP_OK;
}

/* Target, host and forwarding fields. */
static int settle(struct pp_exchange *x, const struct pp_exchange *of)
{
    int rc = copy_span(x, of->host, &x->host);
    if (rc == PP_OK)
        rc = copy_span(x, of->path, &x->path);
    if (rc == PP_OK)
        rc = copy_span(x, of->target, &x->target);
    if (rc == PP_OK)
        rc = copy_span(x, of->up_host, &x->up_host);
    x->hit = of->hit;
    for (unsigned i = 0; i < of->hit.n_capture && rc == PP_OK; i++)
        rc = copy_span(x, of->hit.capture[i], &x->hit.capture[i]);
    x->forwarded = of->forwarded;
    return rc == PP_OK ? pp_forward_request(x) : rc;
}

int pp_shadow_new(struct pp_exchange *of, struct pp_cluster *cluster, struct pp_exchange **out)
{
    struct pp_exchange *x = pp_exchange_new(of->core, of->listener, of->events);
    *out = NULL;
    if (x == NULL)
        return PP_ENOMEM;
    pp_snapshot_release(x->snapshot);
    x->snapshot = pp_snapshot_acquire(of->snapshot);
    x->home = of->home != NULL ? pp_snapshot_acquire(of->home) : NULL;
    x->shadow = true;
    int rc = set_route(x, of, cluster);
    if (rc == PP_OK)
        rc = copy_request(x, &of->request);
    if (rc == PP_OK)
        rc = copy_client(x, of);
    if (rc == PP_OK)
        rc = settle(x, of);
    struct shadow *s = rc == PP_OK ? pp_arena_alloc(&x->arena, sizeof(*s)) : NULL;
    if (s == NULL) {
        pp_exchange_free(x);
        return PP_ENOMEM;
    }
    pp_list_init(&s->link);
    s->x = x;
    x->side[PP_SIDE_DOWN] = s;
    *out = x;
    return PP_OK;
}

/* ---- its life ---- */

static void on_late(struct pp_timer *t)
{
    struct pp_exchange *x = PP_CONTAINER_OF(t, struct pp_exchange, timer);
    x->events->failed(x, pp_fault_make(PP_FAULT_TOTAL_TIMEOUT, PP_SIDE_UP, false, PP_ETIMEDOUT));
}

/* It goes on as an exchange does whose filters have just finished with its collected body. */
static void on_start(struct pp_timer *t)
{
    struct pp_exchange *x = PP_CONTAINER_OF(t, struct pp_exchange, timer);
    const struct shadow *s = x->side[PP_SIDE_DOWN];
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    pp_timer_init(t, on_late);
    pp_loop_start(&x->core->loop, t, x->core->loop.now_ms + s->plan.timeout_ms);
    pp_phase_resume(x, PP_PARK_REQUEST_BODY, PP_NEXT, pp_span(flow->held, flow->held_n));
}

void pp_shadow_start(struct pp_exchange *x, const struct pp_shadow_plan *plan, char *body,
                     uint32_t n)
{
    struct shadow *s = x->side[PP_SIDE_DOWN];
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    s->plan = *plan;
    x->ops[PP_SIDE_DOWN] = &side_ops;
    pp_list_attach_back(&x->core->shadows, &s->link);
    flow->held = body;
    flow->held_n = flow->held_cap = n;
    flow->hold = PP_MAX(n, 1);
    flow->received = n;
    flow->source_ended = flow->last = flow->parked = true;
    pp_exchange_enter(x, PP_EXCHANGE_COLLECT);
    /* From a timer that is due, because the exchange that it was copied from may be in the middle
     * of a write. */
    pp_timer_init(&x->timer, on_start);
    pp_loop_start(&x->core->loop, &x->timer, x->core->loop.now_ms);
}

void pp_shadow_drop(struct pp_exchange *x)
{
    x->side[PP_SIDE_DOWN] = NULL;
    pp_exchange_free(x);
}

void pp_shadow_close_all(struct pp_core *core)
{
    while (!pp_list_is_empty(&core->shadows)) {
        struct shadow *s = PP_CONTAINER_OF(core->shadows.next, struct shadow, link);
        s->x->events->failed(s->x, pp_fault_make(PP_FAULT_SHUTDOWN, PP_SIDE_DOWN, false, PP_OK));
    }
}
