#include "proxy/udp.h"

#include "base/check.h"
#include "io/fd.h"
#include "proxy/accesslog.h"
#include "proxy/affinity.h"

/* ---- the end ---- */

static void free_now(struct pp_deferred *deferred)
{
    struct pp_udp_flow *s = PP_CONTAINER_OF(deferred, struct pp_udp_flow, deferred);
    struct pp_core *core = pp_udp_core(s);
    struct pp_door *door = s->udp->door;
    if (s->ep != NULL)
        pp_cluster_unref(s->ep->cluster);
    if (s->spare)
        pp_list_attach(&core->udp_spare, &s->link); /* last ended, first used: still warm */
    else
        pp_slab_put(&core->udp_slab, s);
    pp_down_leave_door(door); /* freed at the end of the turn too, if this was the last */
}

static void write_log(const struct pp_udp_flow *s)
{
    const struct pp_door *door = s->udp->door;
    struct pp_accesslog_tunnel line = {
        .protocol = PP_SPAN("UDP"),
        .listener = door->conf->name,
        .upstream = s->ep == NULL ? PP_SPAN_NONE : s->ep->cluster->name,
        .endpoint = s->ep == NULL ? PP_SPAN_NONE : s->ep->name,
        .received = s->received,
        .sent = s->sent,
        .start_us = s->start_us,
        .sent_us = s->sent_us,
        .first_byte_us = s->answer_us,
        .attempts = s->attempts,
        .fault = s->fault,
        .id = s->id,
    };
    const struct pp_snapshot *sn = door->home != NULL ? door->home : door->core->snapshot;
    pp_dgram_peer(&s->node.path, &line.client);
    pp_accesslog_write_tunnel(door->core, sn, door->conf->access_log, &line);
}

static void close_socket(struct pp_udp_flow *s)
{
    int fd = s->io.fd;
    pp_loop_remove(&pp_udp_core(s)->loop, &s->io, true);
    pp_fd_close(&fd);
}

/* ---- sockets for the next ones ---- */

/* Let another session use the socket, if all is well. */
static bool keep_socket(struct pp_udp_flow *s)
{
    struct pp_core *core = pp_udp_core(s);
    if (s->io.fd < 0 || pp_fault_is_set(&s->fault) || s->udp->door->l.fd < 0 ||
        core->n_udp_spare >= PP_UDP_SPARE || pp_dgram_disconnect(s->io.fd) != PP_OK)
        return false;
    core->n_udp_spare++;
    return true;
}

static void free_spare(struct pp_deferred *deferred)
{
    struct pp_udp_flow *s = PP_CONTAINER_OF(deferred, struct pp_udp_flow, deferred);
    pp_slab_put(&pp_udp_core(s)->udp_slab, s);
}

void pp_udp_on_spare(struct pp_udp_flow *s)
{
    if (pp_list_is_empty(&s->link))
        return;
    pp_list_detach(&s->link);
    pp_udp_core(s)->n_udp_spare--;
    close_socket(s);
    s->deferred.fn = free_spare;
    pp_loop_defer_free(&pp_udp_core(s)->loop, &s->deferred);
}

void pp_udp_drop_spare(struct pp_core *core)
{
    while (!pp_list_is_empty(&core->udp_spare)) {
        struct pp_udp_flow *s = PP_CONTAINER_OF(core->udp_spare.next, struct pp_udp_flow, link);
        pp_list_detach(&s->link);
        core->n_udp_spare--;
        close_socket(s);
        pp_slab_put(&core->udp_slab, s);
    }
}

/* Memory for a session, with a socket when one is spare; NULL: none. */
static struct pp_udp_flow *get_flow(struct pp_core *core)
{
    struct pp_io io = {.fd = -1};
    struct pp_udp_flow *s;
    if (pp_list_is_empty(&core->udp_spare)) {
        s = pp_slab_get(&core->udp_slab);
    } else {
        s = PP_CONTAINER_OF(core->udp_spare.next, struct pp_udp_flow, link);
        pp_list_detach(&s->link);
        core->n_udp_spare--;
        io = s->io;
    }
    if (s == NULL)
        return NULL;
    memset(s, 0, offsetof(struct pp_udp_flow, kept));
    s->io = io;
    return s;
}

void pp_udp_end(struct pp_udp_flow *s, struct pp_fault fault)
{
    struct pp_udp *u = s->udp;
    if (s->state == PP_UDP_CLOSED)
        return;
    s->state = PP_UDP_CLOSED;
    s->fault = fault;
    s->spare = keep_socket(s);
    if (!s->spare)
        close_socket(s);
    pp_udp_table_take(&u->table, &s->node);
    pp_list_detach(&s->link);
    pp_cluster_unuse(s->ep); /* the endpoint stays: the log line names it */
    PP_UDP_COUNT(u, ACTIVE, -1);
    u->door->core->n_udp--;
    write_log(s);
    s->deferred.fn = free_now;
    pp_loop_defer_free(&u->door->core->loop, &s->deferred);
}

uint64_t pp_udp_due(const struct pp_udp_flow *s)
{
    const struct pp_door *door = s->udp->door;
    uint64_t idle_ms = door->conf->idle_timeout_ms;
    uint64_t due = idle_ms == 0 ? UINT64_MAX : s->last_ms + idle_ms;
    return door->l.fd >= 0 ? due : PP_MIN(due, s->udp->stopped_ms + PP_UDP_LINGER_MS);
}

void pp_udp_expire(struct pp_udp_flow *s)
{
    /* Silence is how a session ends, unless an answer was to come. */
    if (s->udp->door->conf->responses == 0 || s->answered > 0 || s->ep == NULL) {
        pp_udp_end(s, pp_fault_make(PP_FAULT_NONE, PP_SIDE_DOWN, false, PP_OK));
        return;
    }
    PP_COUNT(&pp_udp_core(s)->metrics, s->ep->cluster->record, UPSTREAM, TIMEOUTS, 1);
    PP_COUNT(&pp_udp_core(s)->metrics, s->ep->record, ENDPOINT, FAILURES, 1);
    pp_udp_end(s, pp_fault_make(PP_FAULT_FIRST_BYTE_TIMEOUT, PP_SIDE_UP, false, PP_ETIMEDOUT));
}

/* ---- finding an endpoint ---- */

static enum pp_fault_code fault_code(const struct pp_udp_flow *s, int rc)
{
    return s->answered > 0   ? PP_FAULT_UPSTREAM_RESET
           : rc == PP_EMFILE ? PP_FAULT_NO_MEMORY
                             : pp_fault_connect_code(rc);
}

/* The endpoint is not there. True: another one may be tried with what is kept. */
bool pp_udp_give_up(struct pp_udp_flow *s, int rc)
{
    struct pp_metrics *m = &pp_udp_core(s)->metrics;
    const struct pp_endpoint *ep = s->ep;
    bool ours = rc == PP_ENOMEM || rc == PP_EMFILE; /* another endpoint would not help */
    close_socket(s);
    if (ours) {
        PP_UDP_COUNT(s->udp, UDP_NO_ROOM, 1);
    } else {
        PP_COUNT(m, ep->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
        PP_COUNT(m, ep->record, ENDPOINT, FAILURES, 1);
    }
    if (ep->index < 64)
        s->tried |= UINT64_C(1) << ep->index;
    if (ours || s->answered > 0 || s->attempts > ep->cluster->conf.retries ||
        s->attempts == UINT8_MAX || (s->asked > 0 && s->n_kept == 0)) {
        pp_udp_end(s, pp_fault_make(fault_code(s, rc), PP_SIDE_UP, false, rc));
        return false;
    }
    PP_COUNT(m, ep->cluster->record, UPSTREAM, RETRIES, 1);
    return true;
}

static int connect_to(struct pp_udp_flow *s, struct pp_endpoint *ep)
{
    struct pp_core *core = pp_udp_core(s);
    int fd;
    pp_cluster_use(&s->ep, ep);
    s->attempts++;
    s->sent_us = core->loop.now_us;
    PP_COUNT(&core->metrics, ep->cluster->record, UPSTREAM, CONNECTS, 1);
    PP_COUNT(&core->metrics, ep->record, ENDPOINT, REQUESTS, 1);
    if (s->io.fd >= 0 && pp_dgram_reconnect(s->io.fd, &ep->dest) == PP_OK)
        return PP_OK;
    close_socket(s); /* none, or of another family */
    int rc = pp_dgram_connect(&ep->dest, &fd);
    if (rc == PP_OK)
        rc = pp_loop_add_level(&core->loop, &s->io, fd, pp_udp_on_answers);
    if (rc != PP_OK)
        pp_fd_close(&fd);
    return rc;
}

/* Connect to an endpoint, and send what is kept; others are tried as often as retries allow. False:
 * the session has ended. */
bool pp_udp_connect(struct pp_udp_flow *s)
{
    /* The cluster of the first attempt, whatever is installed meanwhile. */
    struct pp_cluster *cl = s->ep != NULL ? s->ep->cluster : s->udp->door->conf->cluster;
    struct pp_sock_addr client;
    pp_dgram_peer(&s->node.path, &client);
    for (;;) {
        struct pp_endpoint *ep = pp_cluster_pick(cl, s->tried, pp_affinity_client(cl, &client));
        if (ep == NULL) {
            PP_COUNT(&pp_udp_core(s)->metrics, cl->record, UPSTREAM, NO_ENDPOINT, 1);
            pp_udp_end(s, pp_fault_make(PP_FAULT_NO_ENDPOINT, PP_SIDE_UP, false, PP_ENOENT));
            return false;
        }
        int rc = connect_to(s, ep);
        if (rc == PP_OK && s->n_kept > 0)
            rc = pp_dgram_send(s->io.fd, s->kept, s->n_kept);
        if (s->io.fd >= 0 && !pp_udp_is_gone(rc))
            return true;
        if (!pp_udp_give_up(s, rc))
            return false;
    }
}

/* ---- finding the session ---- */

/* Make room for one more: who has been silent longest goes. */
static void make_room(struct pp_udp *u)
{
    uint32_t most = u->door->conf->max_flows;
    if (most == 0 || u->table.n < most)
        return;
    PP_UDP_COUNT(u, REJECTED, 1);
    pp_udp_end(PP_CONTAINER_OF(u->flows.next, struct pp_udp_flow, link),
               pp_fault_make(PP_FAULT_FLOW_LIMIT, PP_SIDE_DOWN, false, PP_ELIMIT));
}

static struct pp_udp_flow *new_flow(struct pp_udp *u, const struct pp_dgram_path *path,
                                    uint64_t hash)
{
    struct pp_core *core = u->door->core;
    struct pp_udp_flow *s = get_flow(core);
    if (s == NULL)
        return NULL;
    s->udp = u;
    s->node.path = *path;
    s->node.hash = hash;
    if (pp_udp_table_put(&u->table, &s->node) != PP_OK) {
        close_socket(s);
        pp_slab_put(&core->udp_slab, s);
        return NULL;
    }
    s->group = u->door->conf->cluster;
    s->id = ++core->next_exchange;
    s->start_us = core->loop.now_us;
    s->last_ms = core->loop.now_ms;
    pp_list_attach_back(&u->flows, &s->link);
    core->n_udp++;
    PP_UDP_COUNT(u, CONNECTIONS, 1);
    PP_UDP_COUNT(u, ACTIVE, 1);
    pp_down_enter_door(u->door);
    return s;
}

/* A session for a client that has none, connected. NULL: there is none, and that is counted. */
struct pp_udp_flow *pp_udp_begin(struct pp_udp *u, const struct pp_dgram_path *path, uint64_t hash)
{
    make_room(u);
    struct pp_udp_flow *s = new_flow(u, path, hash);
    if (s == NULL) {
        PP_UDP_COUNT(u, UDP_NO_ROOM, 1);
        return NULL;
    }
    if (pp_udp_due(s) != UINT64_MAX)
        pp_loop_no_later(&u->door->core->loop, &u->timer, pp_udp_due(s));
    return pp_udp_connect(s) ? s : NULL;
}

/* The listener has another upstream than when <s> began, at least a new copy of it: go on with the
 * endpoint of that address there, if it is still one. False: the session has ended. */
static bool follow(struct pp_udp_flow *s)
{
    struct pp_cluster *cl = s->udp->door->conf->cluster;
    s->group = cl;
    for (uint32_t i = 0; i < cl->n; i++) {
        struct pp_endpoint *ep = &cl->endpoint[i];
        if (ep->dest.len == s->ep->dest.len &&
            memcmp(&ep->dest.ss, &s->ep->dest.ss, ep->dest.len) == 0) {
            pp_cluster_use(&s->ep, ep);
            return true;
        }
    }
    pp_udp_end(s, pp_fault_make(PP_FAULT_NONE, PP_SIDE_DOWN, false, PP_OK));
    return false;
}

struct pp_udp_flow *pp_udp_flow_of(struct pp_udp *u, const struct pp_dgram_path *path)
{
    uint64_t hash = pp_udp_table_hash(&u->table, path);
    struct pp_udp_node *node = pp_udp_table_find(&u->table, path, hash);
    if (node != NULL) {
        struct pp_udp_flow *s = PP_CONTAINER_OF(node, struct pp_udp_flow, node);
        if (s->group == u->door->conf->cluster || follow(s))
            return s;
    }
    return pp_udp_begin(u, path, hash);
}
