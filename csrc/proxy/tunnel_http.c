/* Exchanges that become tunnels: their two connections leave the sides that spoke HTTP/1 on them.
 *
 *   pp_down --give--> ch[DOWN]  tunnel  ch[UP] <--give-- pp_up
 *                          |
 *   exchange (TUNNEL) -----+      its messages are kept for the log line and for log filters, which
 *                                 see it when the tunnel has ended, with what passed through it */
#include "base/check.h"
#include "proxy/down.h"
#include "proxy/step.h"
#include "proxy/tunnel.h"

static void count(const struct pp_tunnel *t, int n)
{
    PP_COUNT(&t->core->metrics, t->x->route->record, ROUTE, TUNNELS, n);
}

static void on_ended(struct pp_tunnel *t)
{
    struct pp_exchange *x = t->x;
    count(t, -1);
    pp_tunnel_leave(t);
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

int pp_tunnel_begin(struct pp_exchange *x)
{
    struct pp_core *core = x->core;
    struct pp_door *door = ((struct pp_down *)x->side[PP_SIDE_DOWN])->door;
    struct pp_tunnel *t = pp_tunnel_new(core, &pp_tunnel_http_ops);
    if (t == NULL)
        return PP_ENOMEM;
    t->x = x;
    take_facts(t, x);
    pp_tunnel_enter(t, door);
    t->idle_ms = door->conf->tunnel_idle_ms;
    pp_tunnel_set_endpoint(t, x->endpoint);
    count(t, 1);
    pp_loop_stop(&core->loop, &x->timer); /* the exchange has had its answer */
    int rc = give(x, t, PP_SIDE_DOWN);
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
