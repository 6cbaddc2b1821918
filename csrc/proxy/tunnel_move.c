/* Tunnels on their way to another worker: described by one, gone on with by the other.
 *
 * Of what was announced of the client (proxy/announced.h) only its address goes along, as the
 * client's: endpoints have heard the rest when they were connected to, filters have run, and a log
 * line has no more of it. */
#include "base/check.h"
#include "io/fd.h"
#include "proxy/down.h"
#include "proxy/tunnel.h"

/* ---- export ---- */

static void describe_client(const struct pp_sock_addr *a, struct pp_tunnel_record *r)
{
    r->family = a->family == AF_INET    ? PP_TUNNEL_RECORD_IP4
                : a->family == AF_INET6 ? PP_TUNNEL_RECORD_IP6
                : a->family == AF_UNIX  ? PP_TUNNEL_RECORD_UNIX
                                        : 0;
    memcpy(r->ip, a->ip, sizeof(r->ip));
    r->port = a->port;
    r->scope = a->scope;
}

static void describe(const struct pp_tunnel *t, struct pp_tunnel_record *r)
{
    const struct pp_loop *lp = &t->core->loop;
    memset(r, 0, sizeof(*r));
    describe_client(&t->client, r);
    r->listener = t->door->name;
    r->upstream = t->ep->cluster->name;
    r->endpoint = t->ep->name;
    r->attempts = t->attempts;
    r->age_us = lp->now_us - t->start_us;
    r->connect_us = t->connected_us - t->connect_us;
    r->quiet_ms = lp->now_ms - t->last_ms;
    for (int dir = 0; dir < 2; dir++) {
        const struct pp_tunnel_flow *flow = &t->flow[dir];
        r->flow[dir].sent = flow->sent;
        r->flow[dir].source_ended = flow->source_ended;
        r->flow[dir].shut = flow->shut;
        r->flow[dir].held.n = flow->out.n;
    }
}

static bool is_movable(const struct pp_tunnel *t)
{
    return t->ch[0].ops == &pp_chan_tcp_ops && t->ch[1].ops == &pp_chan_tcp_ops && t->ep != NULL &&
           t->door->name.n <= PP_TUNNEL_RECORD_NAME && t->ep->name.n <= PP_TUNNEL_RECORD_NAME &&
           t->ep->cluster->name.n <= PP_TUNNEL_RECORD_NAME &&
           (t->x == NULL || t->x->route->name.n <= PP_TUNNEL_RECORD_NAME);
}

int pp_tunnel_export(struct pp_tunnel *t, struct pp_tunnel_moved *out)
{
    if (t->state == PP_TUNNEL_CONNECTING)
        return PP_EAGAIN;
    if (t->state != PP_TUNNEL_OPEN || !is_movable(t))
        return PP_EINVAL;
    int rc = pp_tunnel_unpipe(t);
    if (rc != PP_OK) {
        pp_tunnel_end(t, pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_DOWN, false, rc), true);
        return rc;
    }
    out->n_held = 0;
    for (int i = 0; i < 2; i++) {
        out->fd[i] = t->ch[i].io.fd;
        out->n_held += pp_buf_peek(&t->flow[i].out, out->held + out->n_held, PP_TUNNEL_HELD_IOV);
    }
    describe(t, &out->record);
    if (t->x != NULL)
        pp_tunnel_describe_http(t, &out->record);
    return PP_OK;
}

size_t pp_tunnel_moved_size(const struct pp_tunnel_moved *m)
{
    return pp_tunnel_record_size(&m->record);
}

void pp_tunnel_moved_pack(const struct pp_tunnel_moved *m, char *dst)
{
    dst += pp_tunnel_record_encode(&m->record, dst);
    for (int i = 0; i < m->n_held; i++) {
        memcpy(dst, m->held[i].iov_base, m->held[i].iov_len);
        dst += m->held[i].iov_len;
    }
}

/* ---- adopt ---- */

static void take_client(const struct pp_tunnel_record *r, struct pp_sock_addr *a)
{
    a->family = r->family == PP_TUNNEL_RECORD_IP4    ? AF_INET
                : r->family == PP_TUNNEL_RECORD_IP6  ? AF_INET6
                : r->family == PP_TUNNEL_RECORD_UNIX ? AF_UNIX
                                                     : 0;
    memcpy(a->ip, r->ip, sizeof(a->ip));
    a->port = r->port;
    a->scope = r->scope;
}

static struct pp_endpoint *find_endpoint(const struct pp_snapshot *sn, struct pp_span upstream,
                                         struct pp_span endpoint)
{
    for (uint32_t i = 0; i < sn->n_cluster; i++) {
        struct pp_cluster *cl = sn->cluster[i];
        if (!pp_span_eq(cl->name, upstream))
            continue;
        for (uint32_t k = 0; k < cl->n; k++) {
            if (pp_span_eq(cl->endpoint[k].name, endpoint))
                return &cl->endpoint[k];
        }
    }
    return NULL;
}

/* The configuration does not name the endpoint any more, but there is a tunnel to it: a cluster of
 * its own keeps the names, and goes with it. Nothing ever connects to it. */
static int use_lost_endpoint(struct pp_tunnel *t, const struct pp_tunnel_record *r)
{
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = pp_cluster_new(r->upstream, &conf, &pp_balance_rr_ops, 1);
    if (cl == NULL)
        return PP_ENOMEM;
    int rc = pp_cluster_set_endpoint(cl, 0, PP_SPAN("unix:@-"), r->endpoint, 1);
    if (rc == PP_OK) {
        pp_cluster_attach(cl, t->core);
        pp_cluster_use(&t->ep, &cl->endpoint[0]);
    }
    pp_cluster_unref(cl);
    return rc;
}

static int take_endpoint(struct pp_tunnel *t, const struct pp_tunnel_record *r)
{
    struct pp_endpoint *ep = find_endpoint(t->core->snapshot, r->upstream, r->endpoint);
    if (ep == NULL)
        return use_lost_endpoint(t, r);
    pp_cluster_use(&t->ep, ep);
    return PP_OK;
}

static int take_flows(struct pp_tunnel *t, const struct pp_tunnel_record *r)
{
    for (int dir = 0; dir < 2; dir++) {
        struct pp_tunnel_flow *flow = &t->flow[dir];
        const struct pp_tunnel_record_flow *from = &r->flow[dir];
        flow->sent = from->sent;
        flow->received = from->sent + from->held.n;
        flow->source_ended = from->source_ended;
        flow->shut = from->shut;
        int rc = pp_buf_write(&flow->out, &t->core->chunk_slab, from->held.p, from->held.n,
                              PP_TUNNEL_RECORD_HELD);
        if (rc != PP_OK)
            return rc;
    }
    return PP_OK;
}

/* The clock is the machine's, so spans of time say the same here; a span that is longer than the
 * machine has been running is no reason to stumble. */
static void take_times(struct pp_tunnel *t, const struct pp_tunnel_record *r)
{
    const struct pp_loop *lp = &t->core->loop;
    t->start_us = lp->now_us - PP_MIN(r->age_us, lp->now_us);
    t->connect_us = PP_MAX(t->start_us, 1);
    t->connected_us = t->connect_us + r->connect_us;
    t->last_ms = lp->now_ms - PP_MIN(r->quiet_ms, lp->now_ms);
}

/* Both descriptors become the tunnel's, or are closed. */
static int take_descriptors(struct pp_tunnel *t, const int fd[2])
{
    int rc = PP_OK;
    for (int side = 0; side < 2; side++) {
        int own = fd[side];
        if (rc == PP_OK)
            rc = pp_fd_prepare(own);
        if (rc == PP_OK)
            rc = pp_tunnel_attach(t, (enum pp_side)side, own, true);
        else
            pp_fd_close(&own);
    }
    return rc;
}

int pp_tunnel_adopt(struct pp_door *door, const int fd[2], const struct pp_tunnel_record *record)
{
    struct pp_tunnel *t = pp_tunnel_new(door->core, &pp_tunnel_door_ops);
    if (t == NULL) {
        int own[2] = {fd[0], fd[1]};
        pp_fd_close(&own[0]);
        pp_fd_close(&own[1]);
        return PP_ENOMEM;
    }
    pp_tunnel_enter(t, door);
    take_client(record, &t->client);
    take_times(t, record);
    t->attempts = (uint8_t)PP_MIN(record->attempts, UINT8_MAX);
    int rc = take_descriptors(t, fd);
    if (rc == PP_OK)
        rc = take_endpoint(t, record);
    if (rc == PP_OK)
        rc = take_flows(t, record);
    if (rc == PP_OK && record->route.n > 0)
        rc = pp_tunnel_restore_http(t, record);
    if (rc == PP_OK) {
        PP_COUNT(&door->core->metrics, door->conf->record, LISTENER, MOVED_IN, 1);
        pp_tunnel_open(t);
    } else {
        pp_tunnel_let_go(t);
    }
    return rc;
}

/* ---- offering ---- */

/* One tunnel. False: nobody can take any now. */
static bool offer_one(struct pp_tunnel_offer *offer, struct pp_tunnel *t)
{
    struct pp_tunnel_moved m;
    if (pp_tunnel_export(t, &m) != PP_OK) { /* it has ended, or can never be moved */
        t->refused = true;
        return true;
    }
    int verdict = offer->fn(offer->arg, &m);
    if (verdict == PP_MOVE_TAKEN) {
        if (t->door != NULL)
            PP_COUNT(&t->core->metrics, t->door->conf->record, LISTENER, MOVED_OUT, 1);
        pp_tunnel_let_go(t);
    } else if (verdict == PP_MOVE_REFUSED) {
        t->refused = true;
    }
    return verdict != PP_MOVE_LATER;
}

static void on_offer(struct pp_timer *timer)
{
    struct pp_tunnel_offer *offer = PP_CONTAINER_OF(timer, struct pp_tunnel_offer, timer);
    struct pp_core *core = offer->core;
    unsigned offered = 0;
    bool busy = false, connecting = false;
    /* Each is looked at once in a round, and goes to the back: the list may change under <fn>. */
    uint32_t left = core->n_tunnel;
    while (left > 0 && offered < PP_TUNNEL_OFFERS && !busy && !pp_list_is_empty(&core->tunnels)) {
        struct pp_tunnel *t = PP_CONTAINER_OF(core->tunnels.next, struct pp_tunnel, link);
        pp_list_detach(&t->link);
        pp_list_attach_back(&core->tunnels, &t->link);
        left--;
        if (t->state == PP_TUNNEL_CONNECTING) {
            connecting = true;
        } else if (!t->refused) {
            offered++;
            busy = !offer_one(offer, t);
            if (offer->fn == NULL)
                return;
        }
    }
    /* The next millisecond, not the same advance: others have their turn in between. And while
     * connections are still accepted, somebody has to look for new ones. */
    pp_loop_start(&core->loop, timer,
                  core->loop.now_ms + (busy         ? PP_TUNNEL_LATER_MS
                                       : left > 0   ? 1
                                       : connecting ? PP_TUNNEL_LATER_MS
                                                    : PP_TUNNEL_WATCH_MS));
}

void pp_tunnel_offer(struct pp_tunnel_offer *offer, struct pp_core *core, pp_tunnel_move_fn fn,
                     void *arg)
{
    if (offer->core == NULL)
        pp_timer_init(&offer->timer, on_offer);
    offer->core = core;
    offer->fn = fn;
    offer->arg = arg;
    if (fn == NULL) {
        pp_loop_stop(&core->loop, &offer->timer);
        return;
    }
    for (struct pp_list *at = core->tunnels.next; at != &core->tunnels; at = at->next)
        PP_CONTAINER_OF(at, struct pp_tunnel, link)->refused = false;
    pp_loop_start(&core->loop, &offer->timer, core->loop.now_ms);
}
