#include "worker/worker.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/sink.h"
#include "proxy/greet.h"
#include "proxy/shadow.h"
#include "proxy/down_h2.h"
#include "proxy/overload.h"
#include "proxy/up_carry.h"
#include "proxy/up_stream.h"
#include "proxy/up_warm.h"

int pp_worker_init(struct pp_worker *w, void *stats, size_t stats_size, uint32_t slot,
                   uint64_t seed)
{
    static const struct pp_core_sizes sizes = {.down = sizeof(struct pp_down),
                                               .stream = sizeof(struct pp_down_stream),
                                               .exchange = sizeof(struct pp_exchange),
                                               .up = sizeof(struct pp_up),
                                               .up_stream = sizeof(struct pp_up_stream),
                                               .tunnel = sizeof(struct pp_tunnel),
                                               .udp = sizeof(struct pp_udp_flow)};
    memset(w, 0, sizeof(*w));
    return pp_core_init(&w->core, &sizes, stats, stats_size, slot, seed);
}

int pp_worker_share(struct pp_worker *w, void *mem, size_t size)
{
    return pp_shared_open(&w->core.shared, mem, size);
}

static void free_door(struct pp_door *door)
{
    pp_udp_free(door);
    pp_snapshot_release(door->home);
    pp_mem_free((void *)(uintptr_t)door->name.p);
    pp_mem_free(door);
}

static void free_now(struct pp_deferred *deferred)
{
    free_door(PP_CONTAINER_OF(deferred, struct pp_door, deferred));
}

/* Its last connections may still be on the stack. */
static void on_empty(struct pp_door *door)
{
    struct pp_core *core = door->core;
    struct pp_door **at = &PP_CONTAINER_OF(core, struct pp_worker, core)->doors;
    while (*at != door)
        at = &(*at)->next;
    *at = door->next;
    door->deferred.fn = free_now;
    pp_loop_defer_free(&core->loop, &door->deferred);
}

/* A door of the listener, without socket. NULL: memory is out. */
static struct pp_door *add_door(struct pp_worker *w, const struct pp_listener_conf *conf)
{
    struct pp_door *door = pp_mem_zalloc(sizeof(*door));
    char *name = pp_mem_dup(conf->name.p, conf->name.n);
    if (door == NULL || name == NULL) {
        pp_mem_free(door);
        pp_mem_free(name);
        return NULL;
    }
    door->l.fd = door->l.io.fd = -1;
    door->core = &w->core;
    door->conf = conf;
    door->name = pp_span(name, conf->name.n);
    door->on_empty = on_empty;
    door->next = w->doors;
    w->doors = door;
    return door;
}

/* Accept no more; without connections that is its end. */
static void close_door(struct pp_door *door)
{
    if (door->udp != NULL)
        pp_udp_stop(door);
    else
        pp_listener_close(&door->l);
    if (door->n_open == 0)
        on_empty(door);
}

static void close_doors(struct pp_worker *w)
{
    struct pp_door *next;
    for (struct pp_door *door = w->doors; door != NULL; door = next) {
        next = door->next;
        close_door(door);
    }
}

static void close_flows(struct pp_worker *w)
{
    for (struct pp_door *door = w->doors; door != NULL; door = door->next) {
        if (door->udp != NULL)
            pp_udp_close_all(door);
    }
}

static void close_pools(struct pp_snapshot *sn)
{
    for (uint32_t i = 0; i < sn->n_cluster; i++)
        pp_up_close_idle(sn->cluster[i]);
}

static void close_address_pools(struct pp_core *core)
{
    uint32_t pos = 0;
    struct pp_span key;
    void *cl;
    while (pp_map_next(&core->addresses, &pos, &key, &cl))
        pp_up_close_idle(cl);
    pp_cluster_forget_addresses(core);
}

void pp_worker_fini(struct pp_worker *w)
{
    struct pp_core *core = &w->core;
    if (core->scratch == NULL)
        return;
    pp_loop_enter(&core->loop);
    pp_overload_stop(core);
    close_doors(w);
    pp_greet_close_all(core);
    pp_tunnel_offer(&w->offer, core, NULL, NULL);
    pp_tunnel_close_all(core); /* before the connections whose streams some are made of */
    pp_down_close_all(core);
    pp_shadow_close_all(core);
    close_flows(w);
    pp_up_warm_end(core);
    if (core->snapshot != NULL)
        close_pools(core->snapshot);
    close_address_pools(core);
    pp_loop_leave(&core->loop);
    pp_udp_drop_spare(core);
    pp_core_fini(core);
}

void pp_worker_set_hook(struct pp_worker *w, const struct pp_hook_ops *ops, void *owner)
{
    w->core.hook = ops;
    w->core.hook_owner = owner;
}

void pp_worker_count_filter(struct pp_worker *w, bool timed_out)
{
    struct pp_metrics *m = &w->core.metrics;
    uint32_t record = m->fallback[PP_METRIC_WORKER];
    if (timed_out)
        PP_COUNT(m, record, WORKER, FILTER_TIMEOUTS, 1);
    else
        PP_COUNT(m, record, WORKER, FILTER_ERRORS, 1);
}

static void count_turns(struct pp_core *core, uint64_t turns, uint64_t events)
{
    uint32_t record = core->metrics.fallback[PP_METRIC_WORKER];
    PP_COUNT(&core->metrics, record, WORKER, TURNS, core->loop.turns - turns);
    PP_COUNT(&core->metrics, record, WORKER, EVENTS, core->loop.events - events);
}

int pp_worker_run_ready(struct pp_worker *w)
{
    uint64_t turns = w->core.loop.turns, events = w->core.loop.events;
    int n = pp_loop_run_ready(&w->core.loop);
    count_turns(&w->core, turns, events);
    return n;
}

int pp_worker_turn(struct pp_worker *w, int wait_ms)
{
    uint64_t turns = w->core.loop.turns, events = w->core.loop.events;
    int n = pp_loop_turn(&w->core.loop, wait_ms);
    count_turns(&w->core, turns, events);
    return n;
}

static struct pp_listener_conf *find_listener(struct pp_snapshot *sn, struct pp_span name)
{
    for (uint32_t i = 0; i < sn->n_listener; i++) {
        if (pp_span_eq(sn->listener[i]->name, name))
            return sn->listener[i];
    }
    return NULL;
}

static int open_logs(struct pp_core *core, struct pp_snapshot *sn)
{
    for (uint32_t i = 0; i < sn->n_log; i++) {
        struct pp_log_conf *log = sn->log[i];
        if (log->sink != NULL) /* installed once more */
            continue;
        struct pp_sink *sink = pp_mem_zalloc(sizeof(*sink));
        if (sink == NULL)
            return PP_ENOMEM;
        int rc = pp_sink_open(sink, &core->loop, log->path, log->fd);
        if (rc != PP_OK) {
            pp_mem_free(sink);
            return rc;
        }
        log->sink = sink;
    }
    return PP_OK;
}

/* Counters of everything that the snapshot names. */
static void attach(struct pp_core *core, struct pp_snapshot *sn)
{
    for (uint32_t i = 0; i < sn->n_listener; i++)
        sn->listener[i]->record =
            pp_metrics_record(&core->metrics, PP_METRIC_LISTENER, sn->listener[i]->name);
    for (uint32_t i = 0; i < sn->n_route; i++) {
        const struct pp_split *split = sn->route[i]->split;
        ((struct pp_route *)(uintptr_t)sn->route[i])->record =
            pp_metrics_record(&core->metrics, PP_METRIC_ROUTE, sn->route[i]->name);
        for (uint32_t k = 0; split != NULL && k < split->n; k++)
            split->arm[k].record =
                pp_metrics_record(&core->metrics, PP_METRIC_ARM, split->arm[k].name);
    }
    for (uint32_t i = 0; i < sn->n_cluster; i++)
        pp_cluster_attach(sn->cluster[i], core);
}

/* The configuration of <door> under <sn>, which is about to replace the installed snapshot. */
static void renew(struct pp_door *door, struct pp_snapshot *sn)
{
    const struct pp_listener_conf *conf = find_listener(sn, door->name);
    if (conf != NULL && (conf->protocol == PP_LISTENER_UDP) != (door->udp != NULL))
        conf = NULL; /* only the name is the same */
    if (conf != NULL) {
        /* The listener may have got a record of its own since. */
        uint64_t *words = door->core->metrics.words + PP_METRIC_WORD(LISTENER, ACTIVE);
        words[door->conf->record] -= door->n_open;
        words[conf->record] += door->n_open;
        door->conf = conf;
        pp_snapshot_release(door->home);
        door->home = NULL;
    } else if (door->home == NULL) {
        door->home = pp_snapshot_acquire(door->core->snapshot);
    }
}

int pp_worker_install(struct pp_worker *w, struct pp_snapshot *sn)
{
    struct pp_core *core = &w->core;
    int rc = open_logs(core, sn);
    if (rc != PP_OK) {
        if (sn->users == 0)
            pp_snapshot_close_logs(sn);
        return rc;
    }
    attach(core, sn);
    for (struct pp_door *door = w->doors; door != NULL; door = door->next)
        renew(door, sn);
    struct pp_snapshot *old = core->snapshot;
    core->snapshot = pp_snapshot_acquire(sn);
    if (pp_list_is_empty(&sn->in_use))
        pp_list_attach(&core->in_use, &sn->in_use);
    pp_loop_enter(&core->loop);
    pp_overload_apply(core);
    pp_loop_leave(&core->loop);
    pp_up_warm_begin(core);
    if (old == NULL)
        return PP_OK;
    /* Exchanges that still run keep the old one alive and write to its logs. */
    pp_loop_enter(&core->loop);
    if (old != sn)
        pp_up_carry_all(old, sn);
    close_address_pools(core);
    pp_loop_leave(&core->loop);
    pp_snapshot_release(old);
    return PP_OK;
}

static void on_connection(struct pp_listener *l, int fd, const struct sockaddr_storage *from)
{
    const struct pp_door *door = l->owner;
    if (door->conf->greet != NULL)
        pp_greet_accept(l, fd, from);
    else if (door->conf->protocol == PP_LISTENER_TCP)
        pp_tunnel_accept(l, fd, from);
    else
        pp_down_accept(l, fd, from);
}

int pp_worker_listen(struct pp_worker *w, int fd, struct pp_span listener)
{
    struct pp_core *core = &w->core;
    struct pp_listener_conf *conf =
        core->snapshot == NULL ? NULL : find_listener(core->snapshot, listener);
    if (conf == NULL)
        return PP_ENOENT;
    struct pp_door *door = add_door(w, conf);
    if (door == NULL)
        return PP_ENOMEM;
    int rc = conf->protocol == PP_LISTENER_UDP
                 ? pp_udp_listen(door, fd)
                 : pp_listener_open(&door->l, &core->loop, fd, 0, on_connection, door);
    if (rc != PP_OK) {
        w->doors = door->next;
        free_door(door);
    }
    return rc;
}

/* Nothing in the queue is lost, whatever the limit of connections. */
static void drain_door(struct pp_door *door)
{
    door->closing = true;
    if (door->udp == NULL) {
        pp_listener_resume(&door->l);
        pp_listener_drain(&door->l);
    }
    close_door(door);
}

int pp_worker_unlisten(struct pp_worker *w, int fd)
{
    struct pp_door *door = w->doors;
    while (door != NULL && door->l.fd != fd)
        door = door->next;
    if (door == NULL || fd < 0)
        return PP_ENOENT;
    pp_loop_enter(&w->core.loop);
    drain_door(door);
    pp_loop_leave(&w->core.loop);
    return PP_OK;
}

void pp_worker_stop_listening(struct pp_worker *w)
{
    struct pp_door *next;
    pp_loop_enter(&w->core.loop);
    for (struct pp_door *door = w->doors; door != NULL; door = next) {
        next = door->next;
        if (door->l.fd >= 0)
            drain_door(door);
    }
    pp_loop_leave(&w->core.loop);
}

void pp_worker_drain(struct pp_worker *w, uint64_t spread_ms)
{
    pp_loop_enter(&w->core.loop);
    pp_move_drain(&w->core, spread_ms);
    pp_loop_leave(&w->core.loop);
}

void pp_worker_hand_over(struct pp_worker *w, pp_move_fn fn, void *arg)
{
    pp_loop_enter(&w->core.loop);
    pp_move_hand_over(&w->core, fn, arg);
    pp_loop_leave(&w->core.loop);
}

/* A door of the listener, open or not. */
static struct pp_door *door_of(struct pp_worker *w, struct pp_span listener, int *rc)
{
    struct pp_listener_conf *conf =
        w->core.snapshot == NULL ? NULL : find_listener(w->core.snapshot, listener);
    if (conf != NULL && conf->protocol == PP_LISTENER_UDP)
        conf = NULL; /* only the name is the same */
    *rc = conf == NULL ? PP_ENOENT : PP_ENOMEM;
    if (conf == NULL)
        return NULL;
    for (struct pp_door *door = w->doors; door != NULL; door = door->next) {
        if (pp_span_eq(door->name, listener) && door->udp == NULL)
            return door;
    }
    return add_door(w, conf);
}

int pp_worker_take(struct pp_worker *w, const struct pp_moved *m)
{
    int fd = m->fd, rc;
    pp_loop_enter(&w->core.loop);
    struct pp_door *door = door_of(w, m->listener, &rc);
    if (door == NULL) {
        pp_fd_close(&fd);
    } else {
        rc = pp_move_take(door, m);
    }
    if (rc != PP_OK && door != NULL && door->n_open == 0 && door->l.fd < 0)
        on_empty(door);
    pp_loop_leave(&w->core.loop);
    return rc;
}

void pp_worker_hand_over_tunnels(struct pp_worker *w, pp_tunnel_move_fn fn, void *arg)
{
    pp_tunnel_offer(&w->offer, &w->core, fn, arg);
}

int pp_worker_take_tunnel(struct pp_worker *w, const int fd[2], struct pp_span packed)
{
    struct pp_tunnel_record record;
    struct pp_door *door = NULL;
    int own[2] = {fd[0], fd[1]};
    int rc = pp_tunnel_record_decode(packed, &record);
    pp_loop_enter(&w->core.loop);
    if (rc == PP_OK)
        door = door_of(w, record.listener, &rc);
    if (door == NULL) {
        pp_fd_close(&own[0]);
        pp_fd_close(&own[1]);
    } else {
        rc = pp_tunnel_adopt(door, fd, &record);
    }
    pp_loop_leave(&w->core.loop);
    return rc;
}

void pp_worker_close_connections(struct pp_worker *w)
{
    pp_loop_enter(&w->core.loop);
    pp_greet_close_all(&w->core);
    pp_down_cut_all(&w->core);
    pp_shadow_close_all(&w->core);
    pp_loop_leave(&w->core.loop);
}

void pp_worker_close_tunnels(struct pp_worker *w)
{
    pp_loop_enter(&w->core.loop);
    pp_tunnel_cut_all(&w->core);
    pp_loop_leave(&w->core.loop);
}

void pp_worker_close_flows(struct pp_worker *w)
{
    pp_loop_enter(&w->core.loop);
    close_flows(w);
    pp_loop_leave(&w->core.loop);
}

static int reopen(struct pp_snapshot *sn)
{
    int rc = PP_OK;
    for (uint32_t i = 0; i < sn->n_log; i++) {
        if (sn->log[i]->sink != NULL && pp_sink_reopen(sn->log[i]->sink) != PP_OK)
            rc = PP_EIO;
    }
    return rc;
}

/* Old snapshots too: an exchange of one may last for days, as a tunnel or a stream of events. */
int pp_worker_reopen_logs(struct pp_worker *w)
{
    const struct pp_list *all = &w->core.in_use;
    int rc = PP_OK;
    for (struct pp_list *at = all->next; at != all; at = at->next) {
        if (reopen(PP_CONTAINER_OF(at, struct pp_snapshot, in_use)) != PP_OK)
            rc = PP_EIO;
    }
    return rc;
}

static void flush_logs(struct pp_snapshot *sn)
{
    for (uint32_t i = 0; i < sn->n_log; i++) {
        if (sn->log[i]->sink != NULL)
            pp_sink_flush(sn->log[i]->sink);
    }
}

void pp_worker_flush_logs(struct pp_worker *w)
{
    const struct pp_list *all = &w->core.in_use;
    for (struct pp_list *at = all->next; at != all; at = at->next)
        flush_logs(PP_CONTAINER_OF(at, struct pp_snapshot, in_use));
}

int pp_worker_replace_tls(struct pp_worker *w, struct pp_span listener, struct pp_tls_conf *tls)
{
    struct pp_listener_conf *conf =
        w->core.snapshot == NULL ? NULL : find_listener(w->core.snapshot, listener);
    if (conf == NULL || conf->tls == NULL)
        return PP_ENOENT;
    pp_tls_conf_unref(conf->tls);
    conf->tls = pp_tls_conf_ref(tls);
    return PP_OK;
}
