/* A client's stream of HTTP/2 as its channel of a tunnel (h2_chan.h). */
#include "base/check.h"
#include "proxy/down_h2.h"
#include "proxy/h2_chan.h"

/* The channel's handler belongs to the tunnel, which may end in it: the stream may be gone then. */
static void tell(struct pp_down_stream *st, uint32_t events)
{
    pp_down_h2_plan(st->d);
    st->ch->io.fn(&st->ch->io, events);
}

static void send_end(struct pp_down_stream *st)
{
    st->out_ended = true;
    pp_h2_chan_send_end(&st->s);
    pp_down_h2_plan(st->d);
}

/* ---- the channel ---- */

static int chan_read(struct pp_chan *ch, void *dst, size_t cap, size_t *n)
{
    struct pp_down_stream *st = ch->stream;
    struct pp_h2_chan_source from = {.s = &st->s,
                                     .in = &st->in,
                                     .slab = &st->d->h.core->chunk_slab,
                                     .ended = st->in_ended && st->s.codec != NULL};
    pp_down_h2_plan(st->d);
    return pp_h2_chan_read(ch, &from, dst, cap, n);
}

static int chan_writev(struct pp_chan *ch, const struct iovec *iov, int count, size_t *n)
{
    struct pp_down_stream *st = ch->stream;
    pp_down_h2_plan(st->d);
    return pp_h2_chan_writev(ch, &st->s, iov, count, n);
}

static void chan_shutdown(struct pp_chan *ch)
{
    send_end(ch->stream);
}

static void chan_close(struct pp_chan *ch, bool abort)
{
    struct pp_down_stream *st = ch->stream;
    if (st == NULL)
        return;
    ch->stream = NULL;
    st->ch = NULL;
    if (!abort)
        send_end(st);
    pp_down_h2_stream_leave(st, !abort, PP_HTTP2_CANCEL);
}

static const struct pp_chan_ops stream_ops = {
    .name = "http/2 stream of a client",
    .read = chan_read,
    .writev = chan_writev,
    .shutdown = chan_shutdown,
    .close = chan_close,
};

/* ---- the stream ---- */

int pp_down_h2_give(struct pp_exchange *x, const struct pp_heir *to)
{
    struct pp_down_stream *st = x->side[PP_SIDE_DOWN];
    PP_ASSERT(pp_buf_is_empty(&st->out) && st->ch == NULL);
    pp_h2_chan_open(to->ch, &stream_ops, &x->core->loop, to->fn, st);
    st->ch = to->ch;
    st->x = NULL;
    st->wait = PP_DOWN_WAIT_NONE; /* the tunnel has a deadline of its own */
    st->deadline_ms = UINT64_MAX;
    x->side[PP_SIDE_DOWN] = NULL;
    x->ops[PP_SIDE_DOWN] = NULL;
    return PP_OK;
}

struct pp_door *pp_down_h2_door(const struct pp_exchange *x)
{
    return x->ops[PP_SIDE_DOWN] == &pp_down_h2_ops
               ? ((const struct pp_down_stream *)x->side[PP_SIDE_DOWN])->d->door
               : NULL;
}

void pp_down_h2_tunnel_data(struct pp_down_stream *st, struct pp_span data)
{
    struct pp_core *core = st->d->h.core;
    /* The client's window bounds it: what waits here was not given back. */
    if (pp_buf_write(&st->in, &core->chunk_slab, data.p, data.n, SIZE_MAX) == PP_OK) {
        tell(st, EPOLLIN);
        return;
    }
    PP_COUNT(&core->metrics, core->metrics.fallback[PP_METRIC_WORKER], WORKER, NO_MEMORY, 1);
    pp_down_h2_tunnel_broke(st);
}

void pp_down_h2_tunnel_writable(struct pp_down_stream *st)
{
    if (st->out_ended)
        send_end(st);
    tell(st, EPOLLOUT);
}

void pp_down_h2_tunnel_broke(struct pp_down_stream *st)
{
    if (st->s.codec != NULL)
        pp_http2_codec_reset(&st->s, PP_HTTP2_CANCEL);
    tell(st, EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
}
