#include "proxy/tunnel.h"

#include "base/check.h"
#include "io/chan_tls.h"
#include "proxy/client_tls.h"
#include "proxy/up.h"

PP_STATIC_ASSERT(PP_TUNNEL_RECORD_HELD >= PP_CORE_BULK_BYTES, "what one read brings can be moved");
PP_STATIC_ASSERT(PP_TUNNEL_HELD_IOV > PP_TUNNEL_RECORD_HELD / PP_BUF_CHUNK_BYTES,
                 "all that is held can be looked at");

/* Reads of a side that is gone: enough for what its socket can still hold. */
#define LAST_ROUNDS 256

static void pump(struct pp_tunnel *t, enum pp_dir dir);

/* ---- the end ---- */

static void free_now(struct pp_deferred *deferred)
{
    struct pp_tunnel *t = PP_CONTAINER_OF(deferred, struct pp_tunnel, deferred);
    struct pp_core *core = t->core;
    if (t->ep != NULL)
        pp_cluster_unref(t->ep->cluster);
    pp_cluster_unref(t->next);
    pp_announced_unref(t->announced);
    pp_client_tls_unref(t->tls);
    pp_slab_put(&core->tunnel_slab, t);
}

static void close_channel(struct pp_chan *ch, bool abort)
{
    if (ch->ops != NULL)
        ch->ops->close(ch, abort);
}

static void close_now(struct pp_tunnel *t, bool abort)
{
    struct pp_core *core = t->core;
    t->state = PP_TUNNEL_CLOSED;
    pp_loop_stop(&core->loop, &t->timer);
    if (t->ep != NULL)
        pp_up_tls_keep_ticket(&t->ch[PP_SIDE_UP], t->ep, &t->ticket_kept);
    for (int i = 0; i < 2; i++) {
        close_channel(&t->ch[i], abort);
        pp_buf_fini(&t->flow[i].out, &core->chunk_slab);
        pp_splice_release(&core->splice, t->flow[i].pipe);
        t->flow[i].pipe = NULL;
    }
    pp_cluster_unuse(t->ep); /* the endpoint stays: the log line names it */
}

void pp_tunnel_free(struct pp_tunnel *t)
{
    pp_list_detach(&t->link);
    t->core->n_tunnel--;
    t->deferred.fn = free_now;
    pp_loop_defer_free(&t->core->loop, &t->deferred);
}

/* Tell the owner. An exchange has still to be logged, and frees it afterwards. */
static void tell_end(struct pp_tunnel *t)
{
    bool is_own = t->x == NULL;
    t->ops->ended(t);
    if (is_own)
        pp_tunnel_free(t);
}

void pp_tunnel_end(struct pp_tunnel *t, struct pp_fault fault, bool abort)
{
    if (t->state == PP_TUNNEL_CLOSED)
        return;
    t->fault = fault;
    close_now(t, abort);
    tell_end(t);
}

void pp_tunnel_let_go(struct pp_tunnel *t)
{
    if (t->state == PP_TUNNEL_CLOSED)
        return;
    t->moved = true;
    t->ch[0].shared = t->ch[1].shared = true;
    close_now(t, false);
    tell_end(t);
}

static void cut_off(struct pp_tunnel *t)
{
    struct pp_fault f = pp_fault_make(PP_FAULT_SHUTDOWN, PP_SIDE_DOWN, false, PP_OK);
    if (t->state == PP_TUNNEL_CLOSED) /* a log filter is at work */
        t->x->events->failed(t->x, f);
    else
        pp_tunnel_end(t, f, true);
}

void pp_tunnel_cut_all(struct pp_core *core)
{
    for (uint32_t n = core->n_tunnel; n > 0 && !pp_list_is_empty(&core->tunnels); n--) {
        struct pp_tunnel *t = PP_CONTAINER_OF(core->tunnels.next, struct pp_tunnel, link);
        pp_list_detach(&t->link);
        pp_list_attach_back(&core->tunnels, &t->link);
        if (t->state != PP_TUNNEL_CLOSED)
            cut_off(t);
    }
}

void pp_tunnel_close_all(struct pp_core *core)
{
    while (!pp_list_is_empty(&core->tunnels))
        cut_off(PP_CONTAINER_OF(core->tunnels.next, struct pp_tunnel, link));
}

static void no_memory(struct pp_tunnel *t, enum pp_side side)
{
    pp_tunnel_end(t, pp_fault_make(PP_FAULT_NO_MEMORY, side, false, PP_ENOMEM), true);
}

/* The connection of <side> is gone, and nothing more can be read from it. */
static void broke(struct pp_tunnel *t, enum pp_side side, int rc)
{
    if (t->state != PP_TUNNEL_OPEN)
        return;
    if (side == PP_SIDE_UP && t->ep != NULL)
        PP_COUNT(&t->core->metrics, t->ep->cluster->record, UPSTREAM, RESETS, 1);
    enum pp_fault_code code =
        side == PP_SIDE_DOWN ? PP_FAULT_CLIENT_ABORT : PP_FAULT_UPSTREAM_RESET;
    pp_tunnel_end(t, pp_fault_make(code, side, false, rc), true);
}

/* <side> cannot be written to any more. What it had sent before can still be read, and goes on to
 * the other side as far as that takes it now. */
static void broke_on_send(struct pp_tunnel *t, enum pp_side side, int rc)
{
    if (!t->broken) {
        t->broken = true;
        t->ch[side].readable = true;
        pump(t, side == PP_SIDE_DOWN ? PP_DIR_REQUEST : PP_DIR_RESPONSE);
    }
    broke(t, side, rc);
}

/* ---- moving bytes ---- */

static void note_received(struct pp_tunnel *t, enum pp_dir dir, size_t n)
{
    t->flow[dir].received += n;
    t->last_ms = t->core->loop.now_ms;
    if (dir == PP_DIR_REQUEST && !t->is_stream)
        PP_COUNT(&t->core->metrics, t->record, LISTENER, BYTES_IN, n);
}

static void note_sent(struct pp_tunnel *t, enum pp_dir dir, size_t n)
{
    t->flow[dir].sent += n;
    t->last_ms = t->core->loop.now_ms;
    if (dir == PP_DIR_RESPONSE && !t->is_stream)
        PP_COUNT(&t->core->metrics, t->record, LISTENER, BYTES_OUT, n);
}

static bool is_piped(const struct pp_tunnel_flow *flow)
{
    return flow->pipe != NULL && flow->pipe->held > 0;
}

static void release_pipe(struct pp_tunnel *t, struct pp_tunnel_flow *flow)
{
    pp_splice_release(&t->core->splice, flow->pipe);
    flow->pipe = NULL;
}

static bool send_queue(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_chan *sink = &t->ch[pp_tunnel_sink(dir)];
    struct pp_tunnel_flow *flow = &t->flow[dir];
    struct iovec iov[PP_TUNNEL_HELD_IOV];
    size_t n;
    int count = pp_buf_peek(&flow->out, iov, PP_TUNNEL_HELD_IOV);
    int rc = pp_chan_writev(sink, iov, count, &n);
    if (rc != PP_OK) {
        broke_on_send(t, pp_tunnel_sink(dir), rc);
        return false;
    }
    note_sent(t, dir, n);
    pp_buf_skip(&flow->out, &t->core->chunk_slab, n);
    return true;
}

static bool send_pipe(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_chan *sink = &t->ch[pp_tunnel_sink(dir)];
    struct pp_tunnel_flow *flow = &t->flow[dir];
    size_t n;
    /* Never as if more followed at once: nobody knows that, and a tail must not wait. */
    int rc = pp_splice_out(flow->pipe, sink->io.fd, false, &n);
    if (rc != PP_OK) {
        broke_on_send(t, pp_tunnel_sink(dir), rc);
        return false;
    }
    note_sent(t, dir, n);
    sink->writable = flow->pipe->held == 0;
    return true;
}

/* What is held goes first. True: nothing is held any more. */
static bool send_held(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_tunnel_flow *flow = &t->flow[dir];
    struct pp_chan *sink = &t->ch[pp_tunnel_sink(dir)];
    while (!pp_buf_is_empty(&flow->out)) {
        if (!sink->writable || !send_queue(t, dir))
            return false;
    }
    if (is_piped(flow) && (!sink->writable || !send_pipe(t, dir)))
        return false;
    return !is_piped(flow);
}

/* Many close TLS connections without a word. That is no reset: protocols in tunnels know their own
 * ends, as WebSocket does, and what was said before has to arrive. */
static bool is_end(const struct pp_chan *src, int rc)
{
    return rc == PP_EEOF || (rc == PP_ERESET && pp_chan_is_tls(src) && pp_chan_tls_is_cut(src));
}

/* A read of <dir> did not bring bytes. False: nothing more to do now. */
static bool not_read(struct pp_tunnel *t, enum pp_dir dir, int rc)
{
    if (is_end(&t->ch[pp_tunnel_source(dir)], rc) &&
        !t->broken) { /* afterwards the end only means that the error was told */
        t->flow[dir].source_ended = true;
        return true;
    }
    if (rc != PP_EAGAIN)
        broke(t, pp_tunnel_source(dir), rc);
    return false;
}

/* One read through scratch memory, sent on at once; the rest is held. */
static bool copy_some(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_tunnel_flow *flow = &t->flow[dir];
    struct pp_core *core = t->core;
    size_t n, sent;
    int rc = pp_chan_read(&t->ch[pp_tunnel_source(dir)], core->bulk, PP_CORE_BULK_BYTES, &n);
    if (rc != PP_OK)
        return not_read(t, dir, rc);
    note_received(t, dir, n);
    if (dir == PP_DIR_RESPONSE && t->ep != NULL) /* it may be open for hours */
        pp_up_tls_keep_ticket(&t->ch[PP_SIDE_UP], t->ep, &t->ticket_kept);
    flow->thick = n >= PP_TUNNEL_SPLICE;
    struct iovec iov = {.iov_base = core->bulk, .iov_len = n};
    rc = pp_chan_writev(&t->ch[pp_tunnel_sink(dir)], &iov, 1, &sent);
    if (rc != PP_OK) {
        broke_on_send(t, pp_tunnel_sink(dir), rc);
        return false;
    }
    note_sent(t, dir, sent);
    rc = pp_buf_write(&flow->out, &core->chunk_slab, core->bulk + sent, n - sent,
                      PP_TUNNEL_RECORD_HELD);
    if (rc != PP_OK)
        no_memory(t, pp_tunnel_sink(dir));
    return rc == PP_OK;
}

static bool is_plain(const struct pp_tunnel *t)
{
    return t->ch[0].ops == &pp_chan_tcp_ops && t->ch[1].ops == &pp_chan_tcp_ops;
}

/* One pipe full inside the kernel. */
static bool splice_some(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_tunnel_flow *flow = &t->flow[dir];
    struct pp_chan *src = &t->ch[pp_tunnel_source(dir)];
    size_t n;
    if (flow->pipe == NULL)
        flow->pipe = pp_splice_acquire(&t->core->splice);
    if (flow->pipe == NULL)
        return copy_some(t, dir);
    size_t max = PP_MIN(flow->pipe->cap, PP_TUNNEL_RECORD_HELD);
    int rc = pp_splice_in(flow->pipe, src->io.fd, max, &n);
    if (rc == PP_OK) {
        note_received(t, dir, n);
        flow->burst += n;
        return true;
    }
    release_pipe(t, flow);
    if (rc == PP_EAGAIN) {
        src->readable = false;
        flow->thick = flow->burst >= PP_TUNNEL_SPLICE;
        flow->burst = 0;
    }
    return not_read(t, dir, rc);
}

/* Has <ch> to be told its end in so many words, because closing does not say it? */
static bool has_words(const struct pp_chan *ch)
{
    return pp_chan_is_tls(ch) || ch->ops->is_told != NULL;
}

/* The end that was passed on to <ch> is on its way: closing does not lose it. */
static bool is_told(const struct pp_chan *ch)
{
    if (ch->ops->is_told != NULL)
        return ch->ops->is_told(ch);
    return !pp_chan_is_tls(ch) || pp_chan_tls_is_flushed(ch);
}

/* The source has ended and everything has been sent: pass the end on. Again at every look, until
 * both ends have been told. */
static void finish(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_tunnel_flow *flow = &t->flow[dir];
    struct pp_chan *sink = &t->ch[pp_tunnel_sink(dir)];
    bool is_last = t->flow[1 - dir].shut;
    if (!flow->shut) {
        flow->shut = true;
        release_pipe(t, flow);
        if (!is_last || has_words(sink)) /* closing says it as well */
            sink->ops->shutdown(sink);
    }
    if (is_last && is_told(&t->ch[PP_SIDE_DOWN]) && is_told(&t->ch[PP_SIDE_UP]))
        pp_tunnel_end(t, pp_fault_make(PP_FAULT_NONE, PP_SIDE_DOWN, false, PP_OK), false);
}

/* Others first: go on in the next turn. */
static void go_on_later(struct pp_tunnel *t)
{
    t->again = true;
    pp_loop_start(&t->core->loop, &t->timer, t->core->loop.now_ms);
}

/* Move bytes of <dir> until the source is dry, the sink is full, or the tunnel has ended. */
static void pump(struct pp_tunnel *t, enum pp_dir dir)
{
    struct pp_tunnel_flow *flow = &t->flow[dir];
    const struct pp_chan *src = &t->ch[pp_tunnel_source(dir)];
    for (int round = 0; send_held(t, dir); round++) {
        if (flow->source_ended) {
            finish(t, dir);
            return;
        }
        if (!src->readable)
            return;
        if (round == (t->broken ? LAST_ROUNDS : PP_TUNNEL_ROUNDS)) {
            go_on_later(t);
            return;
        }
        if (!(flow->thick && is_plain(t) ? splice_some(t, dir) : copy_some(t, dir)))
            return;
    }
}

static void pump_both(struct pp_tunnel *t)
{
    pump(t, PP_DIR_REQUEST);
    if (t->state == PP_TUNNEL_OPEN)
        pump(t, PP_DIR_RESPONSE);
}

int pp_tunnel_unpipe(struct pp_tunnel *t)
{
    for (int dir = 0; dir < 2; dir++) {
        struct pp_tunnel_flow *flow = &t->flow[dir];
        while (is_piped(flow)) {
            size_t n;
            int rc = pp_splice_take(flow->pipe, t->core->bulk, PP_CORE_BULK_BYTES, &n);
            if (rc == PP_OK)
                rc = pp_buf_write(&flow->out, &t->core->chunk_slab, t->core->bulk, n,
                                  PP_TUNNEL_RECORD_HELD);
            if (rc != PP_OK)
                return rc;
        }
        release_pipe(t, flow);
    }
    return PP_OK;
}

/* ---- events ---- */

static void on_news(struct pp_tunnel *t, enum pp_side side, uint32_t events)
{
    pp_chan_note(&t->ch[side], events);
    if (t->state == PP_TUNNEL_OPEN) {
        pump_both(t);
        /* An error that neither reading nor writing met, because there was nothing to do. */
        if ((events & EPOLLERR) != 0)
            broke(t, side, PP_ERESET);
    } else if (t->state == PP_TUNNEL_CONNECTING && (side == PP_SIDE_UP || t->next != NULL)) {
        t->ops->connecting(t);
    } else if (t->state == PP_TUNNEL_CONNECTING && t->ch[side].broken) {
        pp_tunnel_end(t, pp_fault_make(PP_FAULT_CLIENT_ABORT, side, false, PP_ERESET), true);
    }
}

static void on_down(struct pp_io *io, uint32_t events)
{
    struct pp_chan *ch = PP_CONTAINER_OF(io, struct pp_chan, io);
    on_news(PP_CONTAINER_OF(ch, struct pp_tunnel, ch[PP_SIDE_DOWN]), PP_SIDE_DOWN, events);
}

static void on_up(struct pp_io *io, uint32_t events)
{
    struct pp_chan *ch = PP_CONTAINER_OF(io, struct pp_chan, io);
    on_news(PP_CONTAINER_OF(ch, struct pp_tunnel, ch[PP_SIDE_UP]), PP_SIDE_UP, events);
}

/* Neither side has said anything for too long. At a quiet point this is an ordinary goodbye; bytes
 * that are still held are lost, and that must show. */
static void on_idle(struct pp_tunnel *t)
{
    bool held = t->flow[0].received != t->flow[0].sent || t->flow[1].received != t->flow[1].sent;
    pp_tunnel_end(t, pp_fault_make(PP_FAULT_IDLE_TIMEOUT, PP_SIDE_DOWN, false, PP_ETIMEDOUT), held);
}

static void on_timer(struct pp_timer *timer)
{
    struct pp_tunnel *t = PP_CONTAINER_OF(timer, struct pp_tunnel, timer);
    struct pp_loop *lp = &t->core->loop;
    uint64_t due = t->deadline_ms;
    if (t->state == PP_TUNNEL_OPEN) {
        if (t->again) {
            t->again = false;
            pump_both(t);
            if (t->state != PP_TUNNEL_OPEN || t->again)
                return;
        }
        due = t->idle_ms == 0 ? UINT64_MAX : t->last_ms + t->idle_ms;
    }
    if (due == UINT64_MAX)
        return;
    if (lp->now_ms < due)
        pp_loop_start(lp, timer, due);
    else if (t->state == PP_TUNNEL_OPEN)
        on_idle(t);
    else
        t->ops->expired(t);
}

/* ---- the beginning ---- */

struct pp_tunnel *pp_tunnel_new(struct pp_core *core, const struct pp_tunnel_ops *ops)
{
    struct pp_tunnel *t = pp_slab_get(&core->tunnel_slab);
    if (t == NULL)
        return NULL;
    memset(t, 0, sizeof(*t));
    t->core = core;
    t->ops = ops;
    t->ch[0].io.fd = t->ch[1].io.fd = -1;
    t->id = ++core->next_exchange;
    t->start_us = core->loop.now_us;
    t->deadline_ms = UINT64_MAX;
    pp_timer_init(&t->timer, on_timer);
    pp_list_attach_back(&core->tunnels, &t->link);
    core->n_tunnel++;
    return t;
}

int pp_tunnel_attach(struct pp_tunnel *t, enum pp_side side, int fd, bool connected)
{
    return pp_chan_tcp_open(&t->ch[side], &t->core->loop, fd,
                            side == PP_SIDE_DOWN ? on_down : on_up, connected);
}

struct pp_heir pp_tunnel_heir(struct pp_tunnel *t, enum pp_side side)
{
    enum pp_dir dir = side == PP_SIDE_DOWN ? PP_DIR_REQUEST : PP_DIR_RESPONSE;
    struct pp_heir heir = {.ch = &t->ch[side],
                           .fn = side == PP_SIDE_DOWN ? on_down : on_up,
                           .unread = &t->flow[dir].out,
                           .limit = PP_TUNNEL_RECORD_HELD};
    return heir;
}

void pp_tunnel_expect(struct pp_tunnel *t, uint64_t ms)
{
    t->deadline_ms = ms == 0 ? UINT64_MAX : t->core->loop.now_ms + ms;
    if (ms != 0)
        pp_loop_no_later(&t->core->loop, &t->timer, t->deadline_ms);
}

void pp_tunnel_open(struct pp_tunnel *t)
{
    struct pp_loop *lp = &t->core->loop;
    t->state = PP_TUNNEL_OPEN;
    t->deadline_ms = UINT64_MAX;
    /* What has come while connecting raised its edge then. */
    for (int side = 0; side < 2; side++)
        t->ch[side].readable = t->ch[side].writable = true;
    if (t->idle_ms > 0)
        pp_loop_no_later(lp, &t->timer, t->last_ms + t->idle_ms);
    pump_both(t);
}
