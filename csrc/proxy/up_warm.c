#include "proxy/up_warm.h"

#include "proxy/snapshot.h"
#include "proxy/up_h2.h"

/* ---- one connection of HTTP/1 ---- */

static void leave(struct pp_up *up)
{
    if (pp_list_is_empty(&up->pooled.link))
        return;
    pp_list_detach(&up->pooled.link);
    up->h.core->warming.n--;
}

static void on_connected(struct pp_up *up)
{
    leave(up);
    pp_up_rest(up);
}

static void on_failed(struct pp_up *up, struct pp_fault f)
{
    (void)f;
    PP_COUNT(&up->h.core->metrics, up->ep->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
    pp_up_close(up);
}

/* While it connects; then it is as any other. */
static const struct pp_up_proto warm_proto = {
    .on_connected = on_connected,
    .on_failed = on_failed,
    .on_late = on_failed,
    .on_close = leave,
};

/* ---- opening ---- */

/* Is there nothing (more) to be opened for <ep>, or not now? */
static bool is_served(struct pp_endpoint *ep, bool shared)
{
    if (ep->unopened == 0 || ep->out != 0)
        return true;
    bool has = shared ? !pp_list_is_empty(&ep->multi) : ep->n_idle >= ep->cluster->conf.warm;
    if (has && (!shared || ep->speaks == PP_CLUSTER_H2)) /* else what it speaks turns out soon */
        ep->unopened = 0;
    return has;
}

static void open_one(struct pp_endpoint *ep, bool shared)
{
    struct pp_core *core = ep->cluster->core;
    struct pp_up *up;
    ep->unopened--;
    int rc = pp_up_dial(ep, NULL, !shared, &up);
    if (rc != PP_OK && rc != PP_EAGAIN) {
        PP_COUNT(&core->metrics, ep->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
        return;
    }
    if (shared) {
        if (pp_up_h2_begin(up, NULL) != PP_OK)
            pp_up_close(up);
        return;
    }
    up->proto = &warm_proto;
    pp_list_attach_back(&core->warming.connecting, &up->pooled.link);
    core->warming.n++;
    if (rc == PP_OK)
        on_connected(up);
}

/* One more for each endpoint of <cl>, as long as there are some *left for this time. */
static void open_some(struct pp_cluster *cl, uint32_t *left)
{
    pp_cluster_catch_up(cl);
    for (uint32_t i = 0; *left > 0 && i < cl->n; i++) {
        struct pp_endpoint *ep = &cl->endpoint[i];
        bool shared = pp_up_may_speak_h2(cl) && !ep->wants_h1 && ep->speaks != PP_CLUSTER_H1;
        if (is_served(ep, shared) || cl->core->warming.n >= PP_UP_WARM_CONNECTING ||
            pp_up_is_full(ep))
            continue;
        open_one(ep, shared);
        --*left;
    }
}

static void on_timer(struct pp_timer *t)
{
    struct pp_core *core = PP_CONTAINER_OF(t, struct pp_core, warming.timer);
    struct pp_snapshot *sn = core->snapshot;
    uint32_t left = PP_UP_WARM_AT_A_TIME;
    bool any = false;
    for (uint32_t i = 0; i < sn->n_cluster && !core->draining; i++) {
        if (sn->cluster[i]->conf.warm == 0)
            continue;
        any = true;
        open_some(sn->cluster[i], &left);
    }
    if (any) /* what all workers are told of endpoints makes no noise: it is looked at */
        pp_loop_start(&core->loop, t, core->loop.now_ms + PP_UP_WARM_EVERY_MS);
}

void pp_up_warm_begin(struct pp_core *core)
{
    const struct pp_snapshot *sn = core->snapshot;
    bool any = false;
    for (uint32_t i = 0; i < sn->n_cluster; i++)
        any = any || sn->cluster[i]->conf.warm > 0;
    pp_loop_stop(&core->loop, &core->warming.timer);
    pp_timer_init(&core->warming.timer, on_timer);
    if (any)
        pp_loop_start(&core->loop, &core->warming.timer, core->loop.now_ms);
}

void pp_up_warm_end(struct pp_core *core)
{
    pp_loop_stop(&core->loop, &core->warming.timer);
    while (!pp_list_is_empty(&core->warming.connecting))
        pp_up_close(
            PP_CONTAINER_OF(PP_CONTAINER_OF(core->warming.connecting.next, struct pp_pooled, link),
                            struct pp_up, pooled));
}
