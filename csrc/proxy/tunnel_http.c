/* Exchanges that become tunnels: their two connections leave the sides that spoke HTTP/1 on them.
 *
 *   pp_down --give--> ch[DOWN]  tunnel  ch[UP] <--give-- pp_up
 *                          |
 *   exchange (TUNNEL) -----+      its messages are kept for the log line and for log filters, which
 *                                 see it when the tunnel has ended, with what passed through it */
#include "base/check.h"
#include "proxy/down_h2.h"
#include "proxy/step.h"
#include "proxy/tunnel.h"
#include "wire/http_rules.h"

static void count(const struct pp_tunnel *t, int n)
{
    PP_COUNT(&t->core->metrics, t->x->route->record, ROUTE, TUNNELS, n);
}

static void enter(struct pp_tunnel *t, struct pp_door *stream)
{
    struct pp_down *d = stream != NULL ? NULL : t->x->side[PP_SIDE_DOWN];
    count(t, 1);
    if (d != NULL) {
        pp_tunnel_enter(t, d->door);
        return;
    }
    /* The connection of the stream is counted, and so are its bytes. */
    t->is_stream = true;
    t->door = stream;
    t->record = stream->conf->record;
}

static void leave(struct pp_tunnel *t)
{
    count(t, -1);
    if (!t->is_stream)
        pp_tunnel_leave(t);
}

static void on_ended(struct pp_tunnel *t)
{
    struct pp_exchange *x = t->x;
    leave(t);
    for (int dir = 0; dir < 2; dir++) {
        x->flow[dir].received += t->flow[dir].received;
        x->flow[dir].bytes += t->flow[dir].sent;
    }
    x->moved = t->moved;
    if (pp_fault_is_set(&t->fault))
        pp_exchange_fault(x, t->fault);
    pp_exchange_enter(x, PP_EXCHANGE_LOG);
    pp_step_run(x);
}

const struct pp_tunnel_ops pp_tunnel_http_ops = {.ended = on_ended};

/* ---- the exchange's side ---- */

static int flush(struct pp_exchange *x)
{
    (void)x; /* bytes of tunnels are never gathered */
    return PP_OK;
}

static void finish(struct pp_exchange *x, bool reusable)
{
    struct pp_tunnel *t = x->side[PP_SIDE_DOWN];
    (void)reusable;
    x->ops[PP_SIDE_DOWN] = NULL;
    x->side[PP_SIDE_DOWN] = NULL;
    pp_tunnel_free(t);
}

/* All that a state after RESPONSE asks of a side. */
static const struct pp_side_ops tunnel_side = {.flush = flush, .finish = finish};

/* ---- the beginning ---- */

static int give(struct pp_exchange *x, struct pp_tunnel *t, enum pp_side side)
{
    struct pp_heir heir = pp_tunnel_heir(t, side);
    int rc = x->ops[side]->give(x, &heir);
    struct pp_tunnel_flow *flow = &t->flow[side == PP_SIDE_DOWN ? PP_DIR_REQUEST : PP_DIR_RESPONSE];
    flow->received = flow->out.n; /* counted as bytes of the listener when they were read */
    return rc;
}

static void take_facts(struct pp_tunnel *t, const struct pp_exchange *x)
{
    t->id = x->id;
    t->client = x->client;
    t->attempts = x->attempts;
    t->start_us = x->t.start;
    t->connect_us = x->t.connect;
    t->connected_us = x->t.connected;
    t->last_ms = x->core->loop.now_ms;
}

static void forgotten(struct pp_tunnel *t)
{
    (void)t;
}

/* It has not begun: the exchange goes on without it. */
static void forget(struct pp_tunnel *t)
{
    static const struct pp_tunnel_ops ops = {.ended = forgotten};
    leave(t);
    t->x = NULL;
    t->ops = &ops;
    pp_tunnel_let_go(t);
}

int pp_tunnel_begin(struct pp_exchange *x)
{
    struct pp_core *core = x->core;
    struct pp_tunnel *t = pp_tunnel_new(core, &pp_tunnel_http_ops);
    if (t == NULL)
        return PP_ENOMEM;
    t->x = x;
    take_facts(t, x);
    enter(t, pp_down_h2_door(x));
    t->idle_ms = t->door->conf->tunnel_idle_ms;
    pp_cluster_use(&t->ep, x->endpoint);
    pp_loop_stop(&core->loop, &x->timer); /* the exchange has had its answer */
    int rc = give(x, t, PP_SIDE_DOWN);
    if (rc == PP_ENOMEM) {
        forget(t);
        return rc;
    }
    if (rc == PP_OK)
        rc = give(x, t, PP_SIDE_UP);
    x->side[PP_SIDE_DOWN] = t;
    x->ops[PP_SIDE_DOWN] = &tunnel_side;
    if (rc == PP_OK) {
        pp_tunnel_keep_alive(t);
        pp_tunnel_open(t);
    } else {
        pp_tunnel_end(t, pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_DOWN, false, rc), true);
    }
    return PP_OK;
}

/* ---- to another worker ---- */

/* Written once: a tunnel may be offered many times. */
static void write_head(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_exchange *x = t->x;
    struct pp_core *core = x->core;
    struct pp_http1_framing fr = {.upgrade = x->status == 101};
    size_t n;
    int rc =
        dir == PP_DIR_REQUEST
            ? pp_http1_emit_request(core->scratch, PP_TUNNEL_RECORD_HEAD, &x->request,
                                    x->request.target, x->request.authority, &fr, &n)
            : pp_http1_emit_response(core->scratch, PP_TUNNEL_RECORD_HEAD, &x->response, &fr, &n);
    if (rc != PP_OK || pp_arena_dup(&x->arena, pp_span(core->scratch, n), &t->head[dir]) != PP_OK)
        t->head[dir] = PP_SPAN_NONE;
}

void pp_tunnel_describe_http(struct pp_tunnel *t, struct pp_tunnel_record *r)
{
    const struct pp_exchange *x = t->x;
    for (int dir = 0; dir < 2; dir++) {
        if (t->head[dir].n == 0)
            write_head(t, (enum pp_dir)dir);
    }
    r->route = x->route->name;
    r->request = t->head[PP_DIR_REQUEST];
    r->response = t->head[PP_DIR_RESPONSE];
    r->status = x->status;
    r->upstream_status = x->upstream_status;
    r->first_byte_us = x->t.first_byte - PP_MIN(x->t.sent, x->t.first_byte);
}

/* What cannot be read is missing in the log line, and that is all: the tunnel goes on. */
static int read_head(struct pp_exchange *x, struct pp_http_msg *m, enum pp_http1_head_kind kind,
                     struct pp_span head)
{
    static const struct pp_http1_limits limits = {.head_bytes = PP_TUNNEL_RECORD_HEAD,
                                                  .line_bytes = PP_TUNNEL_RECORD_HEAD,
                                                  .target_bytes = PP_TUNNEL_RECORD_HEAD,
                                                  .fields = 1000};
    struct pp_http1_head parser;
    struct pp_span copy;
    bool declared;
    size_t used;
    if (pp_arena_dup(&x->arena, head, &copy) != PP_OK)
        return PP_ENOMEM;
    pp_http1_head_init(&parser, kind);
    int rc = pp_http1_head_feed(&parser, copy.p, copy.n, &limits, m, &used);
    if (rc == PP_OK)
        rc = kind == PP_HTTP1_REQUEST
                 ? pp_http_rules_request(m)
                 : pp_http_rules_response(m, (enum pp_http_method)x->request.method_id, &declared);
    if (rc != PP_OK)
        pp_http_msg_init(m, &x->arena);
    return rc == PP_ENOMEM ? rc : PP_OK;
}

static int take_route(struct pp_exchange *x, struct pp_span name)
{
    const struct pp_snapshot *sn = x->snapshot;
    for (uint32_t i = 0; i < sn->n_route; i++) {
        if (pp_span_eq(sn->route[i]->name, name)) {
            x->route = sn->route[i];
            return PP_OK;
        }
    }
    struct pp_route *lost = pp_arena_alloc(&x->arena, sizeof(*lost));
    if (lost == NULL)
        return PP_ENOMEM;
    memset(lost, 0, sizeof(*lost));
    lost->access_log = PP_ID_NONE;
    lost->record = x->core->metrics.fallback[PP_METRIC_ROUTE];
    x->route = lost;
    return pp_arena_dup(&x->arena, name, &lost->name);
}

static void give_facts(const struct pp_tunnel *t, const struct pp_tunnel_record *r,
                       struct pp_exchange *x)
{
    x->client = t->client;
    x->cluster = t->ep->cluster;
    x->endpoint = t->ep;
    x->attempts = t->attempts;
    x->status = r->status;
    x->upstream_status = r->upstream_status;
    x->t.start = t->start_us;
    x->t.connect = t->connect_us;
    x->t.connected = t->connected_us;
    x->t.sent = r->upstream_status != 0 ? t->connected_us : 0;
    x->t.first_byte = x->t.sent != 0 ? x->t.sent + r->first_byte_us : 0;
    x->host = x->request.authority;
    if (pp_exchange_set_path(x, x->request.path) != PP_OK)
        x->path = x->request.path;
    x->routed = x->tunnelled = x->restored = true;
}

int pp_tunnel_restore_http(struct pp_tunnel *t, const struct pp_tunnel_record *r)
{
    struct pp_exchange *x = pp_exchange_new(t->core, t->door->conf, &pp_drive_events);
    if (x == NULL)
        return PP_ENOMEM;
    if (t->door->home != NULL)
        x->home = pp_snapshot_acquire(t->door->home);
    int rc = take_route(x, r->route);
    if (rc == PP_OK)
        rc = read_head(x, &x->request, PP_HTTP1_REQUEST, r->request);
    if (rc == PP_OK)
        rc = read_head(x, &x->response, PP_HTTP1_RESPONSE, r->response);
    if (rc == PP_OK)
        give_facts(t, r, x);
    if (rc == PP_OK && x->cluster->admission != NULL)
        rc = pp_admission_hold(x);
    if (rc != PP_OK) {
        pp_exchange_free(x);
        return rc;
    }
    pp_exchange_enter(x, PP_EXCHANGE_TUNNEL);
    x->side[PP_SIDE_DOWN] = t;
    x->ops[PP_SIDE_DOWN] = &tunnel_side;
    t->x = x;
    t->id = x->id;
    t->ops = &pp_tunnel_http_ops;
    t->idle_ms = t->door->conf->tunnel_idle_ms;
    count(t, 1);
    return PP_OK;
}
