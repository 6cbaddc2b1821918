/* UDP sessions: datagrams both ways. */
#include "proxy/udp.h"

static void touch(struct pp_udp_flow *s)
{
    s->last_ms = pp_udp_core(s)->loop.now_ms;
    pp_list_detach(&s->link);
    pp_list_attach_back(&s->udp->flows, &s->link);
}

/* ---- from the client ---- */

/* The last datagram may have to go to another endpoint. */
static void keep(struct pp_udp_flow *s, const char *p, uint32_t n)
{
    bool useful = s->answered == 0 && s->ep->cluster->conf.retries > 0 && s->ep->cluster->n > 1;
    s->n_kept = useful && n <= PP_UDP_KEPT ? (uint16_t)n : 0;
    memcpy(s->kept, p, s->n_kept);
}

/* Send [*from, to) of the batch on to the session's endpoint. False: it is gone, and so is the
 * session. */
static bool send_on(struct pp_udp_flow *s, struct pp_dgram_batch *b, unsigned *from, unsigned to)
{
    unsigned n;
    touch(s);
    keep(s, pp_dgram_bytes(b, to - 1), pp_dgram_slot(b, to - 1)->n);
    s->asked += to - *from;
    for (unsigned i = *from; i < to; i++)
        s->received += pp_dgram_slot(b, i)->n;
    while (*from < to) {
        int rc = pp_dgram_forward(b, s->io.fd, *from, to, &n);
        *from += n;
        if (rc == PP_OK)
            return true;
        if (pp_udp_is_gone(rc)) /* what an earlier one has met; the kept one goes elsewhere */
            return pp_udp_give_up(s, rc) && pp_udp_connect(s);
        PP_UDP_COUNT(s->udp, UDP_UNSENT, rc == PP_EAGAIN ? to - *from : 1);
        *from = rc == PP_EAGAIN ? to : *from + 1;
    }
    return true;
}

/* Send [from, to) of the batch on: they came by one path. */
static void deliver(struct pp_udp *u, struct pp_dgram_batch *b, unsigned from, unsigned to)
{
    const struct pp_dgram_path *path = &pp_dgram_slot(b, from)->path;
    struct pp_udp_flow *s = pp_udp_flow_of(u, path);
    if (s == NULL || send_on(s, b, &from, to) || s->answered == 0)
        return;
    /* An endpoint that has been there is gone: these begin a new session. */
    s = pp_udp_begin(u, path, s->node.hash);
    if (s != NULL)
        (void)send_on(s, b, &from, to);
}

/* Those that can be sent on, in runs of one path. */
static void deliver_all(struct pp_udp *u, struct pp_dgram_batch *b)
{
    unsigned n = pp_dgram_count(b), from = 0;
    while (from < n) {
        struct pp_dgram_slot *slot = pp_dgram_slot(b, from);
        unsigned to = from + 1;
        PP_UDP_COUNT(u, UDP_IN, 1);
        PP_UDP_COUNT(u, BYTES_IN, slot->n);
        if (slot->truncated) {
            PP_UDP_COUNT(u, UDP_TRUNCATED, 1);
            from = to;
            continue;
        }
        while (to < n && !pp_dgram_slot(b, to)->truncated &&
               pp_dgram_path_eq(&pp_dgram_slot(b, to)->path, &slot->path)) {
            PP_UDP_COUNT(u, UDP_IN, 1);
            PP_UDP_COUNT(u, BYTES_IN, pp_dgram_slot(b, to)->n);
            to++;
        }
        deliver(u, b, from, to);
        from = to;
    }
}

bool pp_udp_read(struct pp_udp *u, unsigned rounds)
{
    struct pp_core *core = u->door->core;
    struct pp_dgram_batch *b = core->replies.batch;
    uint32_t lost;
    pp_udp_flush(core);
    while (rounds-- > 0) {
        int rc = pp_dgram_receive(b, &u->socket, &lost);
        PP_UDP_COUNT(u, UDP_OVERFLOW, lost);
        if (rc != PP_OK)
            return false;
        deliver_all(u, b);
        bool full = pp_dgram_count(b) == PP_DGRAM_BATCH;
        pp_dgram_clear(b);
        if (!full)
            return false;
    }
    return true;
}

void pp_udp_on_datagrams(struct pp_io *io, uint32_t events)
{
    (void)events;
    (void)pp_udp_read(PP_CONTAINER_OF(io, struct pp_udp, io), PP_UDP_ROUNDS);
}

/* ---- from the endpoint ---- */

void pp_udp_flush(struct pp_core *core)
{
    struct pp_udp *u = core->replies.owner;
    core->replies.owner = NULL;
    if (u == NULL)
        return;
    unsigned lost = pp_dgram_reply(core->replies.batch, &u->socket);
    PP_UDP_COUNT(u, UDP_UNSENT, lost);
}

static void flush_now(struct pp_deferred *deferred)
{
    struct pp_core *core = PP_CONTAINER_OF(deferred, struct pp_core, replies.flush);
    core->replies.due = false;
    pp_udp_flush(core);
}

/* The batch, with room, for replies of <u> that leave at the end of the turn. */
static struct pp_dgram_batch *replies_of(struct pp_udp *u)
{
    struct pp_core *core = u->door->core;
    struct pp_dgram_batch *b = core->replies.batch;
    if (core->replies.owner != u || pp_dgram_count(b) == PP_DGRAM_BATCH)
        pp_udp_flush(core);
    core->replies.owner = u;
    if (!core->replies.due) {
        core->replies.due = true;
        core->replies.flush.fn = flush_now;
        pp_loop_defer_free(&core->loop, &core->replies.flush);
    }
    return b;
}

static void note_answer(struct pp_udp_flow *s, unsigned n, size_t bytes)
{
    struct pp_core *core = pp_udp_core(s);
    if (s->answered == 0) {
        s->answer_us = core->loop.now_us;
        pp_metrics_observe(&core->metrics, PP_METRIC_UPSTREAM, s->ep->cluster->record,
                           s->answer_us - s->sent_us);
    }
    s->answered += n;
    s->sent += bytes;
    s->n_kept = 0;
    PP_UDP_COUNT(s->udp, UDP_OUT, n);
    PP_UDP_COUNT(s->udp, BYTES_OUT, bytes);
}

void pp_udp_on_answers(struct pp_io *io, uint32_t events)
{
    struct pp_udp_flow *s = PP_CONTAINER_OF(io, struct pp_udp_flow, io);
    struct pp_dgram_batch *b = replies_of(s->udp);
    unsigned from = pp_dgram_count(b);
    size_t bytes = 0;
    (void)events;
    int rc = pp_dgram_append(b, io->fd);
    if (pp_udp_is_gone(rc) && pp_udp_give_up(s, rc))
        (void)pp_udp_connect(s);
    else if (rc != PP_OK && rc != PP_EAGAIN && !pp_udp_is_gone(rc))
        PP_UDP_COUNT(s->udp, UDP_UNSENT, 1);
    if (rc != PP_OK)
        return;
    touch(s);
    for (unsigned i = from; i < pp_dgram_count(b); i++) {
        pp_dgram_slot(b, i)->path = s->node.path;
        bytes += pp_dgram_slot(b, i)->n;
    }
    note_answer(s, pp_dgram_count(b) - from, bytes);
    uint32_t responses = s->udp->door->conf->responses;
    if (responses > 0 && s->answered >= s->asked * responses)
        pp_udp_end(s, pp_fault_make(PP_FAULT_NONE, PP_SIDE_DOWN, false, PP_OK));
}
