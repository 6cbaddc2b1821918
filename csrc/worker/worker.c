#include "worker/worker.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/fd.h"
#include "io/sink.h"
#include "proxy/up.h"

int pp_worker_init(struct pp_worker *w, void *stats, size_t stats_size, uint32_t slot,
                   uint64_t seed)
{
    static const struct pp_core_sizes sizes = {.down = sizeof(struct pp_down),
                                               .exchange = sizeof(struct pp_exchange),
                                               .up = sizeof(struct pp_up)};
    memset(w, 0, sizeof(*w));
    return pp_core_init(&w->core, &sizes, stats, stats_size, slot, seed);
}

static void close_doors(struct pp_worker *w)
{
    for (struct pp_door *door = w->doors; door != NULL; door = door->next)
        pp_listener_close(&door->l);
}

static void free_doors(struct pp_worker *w)
{
    while (w->doors != NULL) {
        struct pp_door *door = w->doors;
        w->doors = door->next;
        pp_mem_free((void *)(uintptr_t)door->name.p);
        pp_mem_free(door);
    }
}

static void close_pools(struct pp_core *core, struct pp_snapshot *sn)
{
    for (uint32_t i = 0; i < sn->n_cluster; i++)
        pp_up_close_idle(sn->cluster[i]);
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
    close_doors(w);
    pp_down_close_all(core);
    if (core->snapshot != NULL)
        close_pools(core, core->snapshot);
    pp_loop_leave(&core->loop);
    free_doors(w);
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
    for (uint32_t i = 0; i < sn->n_route; i++)
        ((struct pp_route *)(uintptr_t)sn->route[i])->record =
            pp_metrics_record(&core->metrics, PP_METRIC_ROUTE, sn->route[i]->name);
    for (uint32_t i = 0; i < sn->n_cluster; i++)
        pp_cluster_attach(sn->cluster[i], core);
}

int pp_worker_install(struct pp_worker *w, struct pp_snapshot *sn)
{
    struct pp_core *core = &w->core;
    for (struct pp_door *door = w->doors; door != NULL; door = door->next) {
        if (find_listener(sn, door->name) == NULL)
            return PP_ENOENT;
    }
    int rc = open_logs(core, sn);
    if (rc != PP_OK) {
        if (sn->users == 0)
            pp_snapshot_close_logs(sn);
        return rc;
    }
    attach(core, sn);
    for (struct pp_door *door = w->doors; door != NULL; door = door->next)
        door->conf = find_listener(sn, door->name);
    struct pp_snapshot *old = core->snapshot;
    core->snapshot = pp_snapshot_acquire(sn);
    if (old == NULL)
        return PP_OK;
    /* Exchanges that still run keep the old one alive and write to its logs. */
    pp_loop_enter(&core->loop);
    close_pools(core, old);
    pp_loop_leave(&core->loop);
    pp_snapshot_release(old);
    return PP_OK;
}

int pp_worker_listen(struct pp_worker *w, int fd, struct pp_span listener)
{
    struct pp_core *core = &w->core;
    struct pp_listener_conf *conf =
        core->snapshot == NULL ? NULL : find_listener(core->snapshot, listener);
    if (conf == NULL)
        return PP_ENOENT;
    struct pp_door *door = pp_mem_zalloc(sizeof(*door));
    char *name = pp_mem_dup(listener.p, listener.n);
    int rc = door == NULL || name == NULL ? PP_ENOMEM : PP_OK;
    if (rc == PP_OK) {
        door->core = core;
        door->conf = conf;
        door->name = pp_span(name, listener.n);
        rc = pp_listener_open(&door->l, &core->loop, fd, 0, pp_down_accept, door);
    }
    if (rc != PP_OK) {
        pp_mem_free(door);
        pp_mem_free(name);
        return rc;
    }
    door->next = w->doors;
    w->doors = door;
    return PP_OK;
}

void pp_worker_stop_listening(struct pp_worker *w)
{
    pp_loop_enter(&w->core.loop);
    for (struct pp_door *door = w->doors; door != NULL; door = door->next) {
        pp_listener_resume(&door->l);
        pp_listener_drain(&door->l);
        pp_listener_close(&door->l);
    }
    pp_loop_leave(&w->core.loop);
}

void pp_worker_drain(struct pp_worker *w)
{
    pp_loop_enter(&w->core.loop);
    pp_down_drain(&w->core);
    pp_loop_leave(&w->core.loop);
}

int pp_worker_reopen_logs(struct pp_worker *w)
{
    struct pp_snapshot *sn = w->core.snapshot;
    int rc = PP_OK;
    for (uint32_t i = 0; sn != NULL && i < sn->n_log; i++) {
        if (sn->log[i]->sink != NULL && pp_sink_reopen(sn->log[i]->sink) != PP_OK)
            rc = PP_EIO;
    }
    return rc;
}

void pp_worker_flush_logs(struct pp_worker *w)
{
    struct pp_snapshot *sn = w->core.snapshot;
    for (uint32_t i = 0; sn != NULL && i < sn->n_log; i++) {
        if (sn->log[i]->sink != NULL)
            pp_sink_flush(sn->log[i]->sink);
    }
}
