/* TCP listeners: every connection becomes a tunnel to an endpoint of the listener's upstream. */
#include "base/check.h"
#include "io/fd.h"
#include "io/chan_tls.h"
#include "proxy/accesslog.h"
#include "proxy/affinity.h"
#include "proxy/cluster_outlier.h"
#include "proxy/down.h"
#include "proxy/tunnel.h"
#include "proxy/up.h"

/* Unanswered probes that end a connection, and the seconds between them. */
#define PROBES 4
#define PROBE_INTERVAL_S 15

/* ---- the door ---- */

void pp_tunnel_enter(struct pp_tunnel *t, struct pp_door *door)
{
    const struct pp_listener_conf *conf = door->conf;
    t->door = door;
    t->record = conf->record;
    t->idle_ms = conf->idle_timeout_ms;
    PP_COUNT(&t->core->metrics, conf->record, LISTENER, ACTIVE, 1);
    pp_down_enter_door(door);
}

void pp_tunnel_leave(struct pp_tunnel *t)
{
    PP_COUNT(&t->core->metrics, t->door->conf->record, LISTENER, ACTIVE, -1);
    pp_down_leave_door(t->door); /* freed at the end of the turn too, if this was the last */
}

static void write_log(const struct pp_tunnel *t)
{
    struct pp_accesslog_tunnel line = {
        .client = t->client,
        .listener = t->door->conf->name,
        .upstream = t->ep == NULL ? PP_SPAN_NONE : t->ep->cluster->name,
        .endpoint = t->ep == NULL ? PP_SPAN_NONE : t->ep->name,
        .received = t->flow[PP_DIR_REQUEST].received,
        .sent = t->flow[PP_DIR_RESPONSE].sent,
        .start_us = t->start_us,
        .connect_us = t->connect_us,
        .connected_us = t->connected_us,
        .attempts = t->attempts,
        .fault = t->fault,
        .tls = t->tls,
        .id = t->id,
    };
    const struct pp_snapshot *sn = t->door->home != NULL ? t->door->home : t->core->snapshot;
    pp_accesslog_write_tunnel(t->core, sn, t->door->conf->access_log, &line);
}

static void on_ended(struct pp_tunnel *t)
{
    if (!t->moved)
        write_log(t);
    pp_tunnel_leave(t);
}

/* ---- connecting ---- */

static void connect_next(struct pp_tunnel *t, struct pp_cluster *cl);

void pp_tunnel_keep_alive(const struct pp_tunnel *t)
{
    uint32_t s = t->door->conf->keepalive_s;
    if (s == 0)
        return;
    for (int side = 0; side < 2; side++) /* a unix socket refuses, and needs none */
        (void)pp_sock_keepalive(t->ch[side].io.fd, (int)s, PROBE_INTERVAL_S, PROBES);
}

/* The endpoint is told who the client is, before anything else. PP_OK, or why it could not be. */
static int announce(const struct pp_tunnel *t)
{
    struct pp_sock_addr local;
    unsigned version = t->ep->cluster->conf.proxy_protocol;
    if (version == 0)
        return PP_OK;
    pp_sock_local(t->ch[PP_SIDE_DOWN].io.fd, &local);
    return pp_announced_send(t->announced, version, &t->client, &local, t->ch[PP_SIDE_UP].io.fd);
}

/* Go on with connecting: the endpoint is there, it hears who the client is, and then TLS. PP_OK:
 * all of it is done; PP_EAGAIN; or why it could not be. */
static int go_on(struct pp_tunnel *t)
{
    struct pp_chan *up = &t->ch[PP_SIDE_UP];
    if (!t->reached) {
        int rc = pp_sock_connect_result(up->io.fd);
        if (rc == PP_OK)
            rc = announce(t);
        if (rc != PP_OK)
            return rc;
        t->reached = true;
    }
    return pp_up_tls_handshake(up, t->ep);
}

static void connected(struct pp_tunnel *t)
{
    t->connected_us = t->core->loop.now_us;
    t->last_ms = t->core->loop.now_ms;
    pp_cluster_outlier_answer(t->ep, 200);
    pp_tunnel_keep_alive(t);
    pp_tunnel_open(t);
}

static enum pp_fault_code connect_code(const struct pp_tunnel *t, int rc)
{
    if (rc == PP_EMFILE) /* of ours as well */
        return PP_FAULT_NO_MEMORY;
    enum pp_fault_code code = pp_fault_connect_code(rc);
    return t->reached && code == PP_FAULT_CONNECT_FAILED ? PP_FAULT_UPSTREAM_TLS : code;
}

/* The endpoint could not be reached. True: another one may be tried. */
static bool give_up(struct pp_tunnel *t, int rc)
{
    struct pp_endpoint *ep = t->ep;
    struct pp_metrics *m = &t->core->metrics;
    struct pp_fault f = pp_fault_make(connect_code(t, rc), PP_SIDE_UP, false, rc);
    bool ours = rc == PP_ENOMEM || rc == PP_EMFILE; /* another endpoint would not help */
    if (t->ch[PP_SIDE_UP].ops != NULL)
        t->ch[PP_SIDE_UP].ops->close(&t->ch[PP_SIDE_UP], false);
    PP_COUNT(m, ep->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
    PP_COUNT(m, ep->record, ENDPOINT, FAILURES, 1);
    pp_cluster_outlier_fault(ep, &f);
    if (ep->index < 64)
        t->tried |= UINT64_C(1) << ep->index;
    if (ours || t->attempts > ep->cluster->conf.retries || t->attempts == UINT8_MAX) {
        pp_tunnel_end(t, f, true);
        return false;
    }
    PP_COUNT(m, ep->cluster->record, UPSTREAM, RETRIES, 1);
    return true;
}

/* Begin to connect to <ep>. PP_OK: connected; PP_EAGAIN: in progress; else it failed. */
static int connect_to(struct pp_tunnel *t, struct pp_endpoint *ep)
{
    struct pp_core *core = t->core;
    int fd;
    pp_cluster_use(&t->ep, ep);
    t->reached = false;
    t->attempts++;
    t->connect_us = core->loop.now_us;
    PP_COUNT(&core->metrics, ep->cluster->record, UPSTREAM, CONNECTS, 1);
    PP_COUNT(&core->metrics, ep->record, ENDPOINT, REQUESTS, 1);
    int rc = pp_sock_connect(&ep->dest, &fd);
    if (rc != PP_OK && rc != PP_EAGAIN)
        return rc;
    int err = pp_tunnel_attach(t, PP_SIDE_UP, fd, rc == PP_OK);
    if (err == PP_OK)
        err = pp_tunnel_tls_connect(t);
    if (err != PP_OK || rc != PP_OK)
        return err != PP_OK ? err : rc;
    return go_on(t);
}

/* To an endpoint of <cl>: the same one at every attempt, whatever is installed meanwhile. */
static void connect_next(struct pp_tunnel *t, struct pp_cluster *cl)
{
    for (;;) { /* as often as retries allow: give_up() counts */
        struct pp_endpoint *ep = pp_cluster_pick(cl, t->tried, pp_affinity_client(cl, &t->client));
        if (ep == NULL) {
            PP_COUNT(&t->core->metrics, cl->record, UPSTREAM, NO_ENDPOINT, 1);
            pp_tunnel_end(t, pp_fault_make(PP_FAULT_NO_ENDPOINT, PP_SIDE_UP, false, PP_ENOENT),
                          true);
            return;
        }
        int rc = connect_to(t, ep);
        if (rc == PP_OK) {
            connected(t);
            return;
        }
        if (rc == PP_EAGAIN) {
            pp_tunnel_expect(t, cl->conf.connect_timeout_ms);
            return;
        }
        if (!give_up(t, rc))
            return;
    }
}

static void on_handshake(struct pp_tunnel *t)
{
    if (pp_tunnel_tls_shake(t) != PP_OK)
        return;
    struct pp_cluster *cl = t->next;
    t->next = NULL;
    connect_next(t, cl);
    pp_cluster_unref(cl);
}

static void on_connecting(struct pp_tunnel *t)
{
    if (t->next != NULL) {
        on_handshake(t);
        return;
    }
    int rc = go_on(t);
    if (rc == PP_OK)
        connected(t);
    else if (rc != PP_EAGAIN && give_up(t, rc))
        connect_next(t, t->ep->cluster);
}

static void on_expired(struct pp_tunnel *t)
{
    if (t->next != NULL) {
        pp_tunnel_tls_expired(t);
        return;
    }
    PP_COUNT(&t->core->metrics, t->ep->cluster->record, UPSTREAM, TIMEOUTS, 1);
    if (give_up(t, PP_ETIMEDOUT))
        connect_next(t, t->ep->cluster);
}

const struct pp_tunnel_ops pp_tunnel_door_ops = {
    .connecting = on_connecting, .expired = on_expired, .ended = on_ended};

/* ---- accepting ---- */

void pp_tunnel_admit(struct pp_door *door, int fd, const struct pp_arrival *arrival,
                     struct pp_cluster *cl)
{
    struct pp_core *core = door->core;
    struct pp_tunnel *t = pp_tunnel_new(core, &pp_tunnel_door_ops);
    if (t == NULL) {
        pp_announced_unref(arrival->announced);
        pp_fd_close(&fd);
        PP_COUNT(&core->metrics, door->conf->record, LISTENER, REJECTED, 1);
        return;
    }
    t->client = arrival->client;
    t->announced = arrival->announced;
    t->start_us -= PP_MIN(arrival->waited_ms * 1000, t->start_us - 1);
    pp_tunnel_enter(t, door);
    int rc = pp_tunnel_attach(t, PP_SIDE_DOWN, fd, true);
    bool tls = rc == PP_OK && door->conf->tls != NULL;
    if (tls)
        rc = pp_tunnel_tls_accept(t, cl, arrival->waited_ms);
    if (rc != PP_OK)
        pp_tunnel_end(t, pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_DOWN, false, rc), true);
    else if (!tls)
        connect_next(t, cl);
}

void pp_tunnel_accept(struct pp_listener *l, int fd, const struct sockaddr_storage *from)
{
    struct pp_door *door = l->owner;
    struct pp_arrival arrival = {.announced = NULL};
    pp_sock_addr_from(&arrival.client, from);
    PP_COUNT(&door->core->metrics, door->conf->record, LISTENER, CONNECTIONS, 1);
    pp_tunnel_admit(door, fd, &arrival, door->conf->cluster);
}
