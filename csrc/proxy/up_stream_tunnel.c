/* A stream of HTTP/2 to an endpoint as its channel of a tunnel (h2_chan.h), once the endpoint has
 * taken an extended CONNECT. The exchange lives as long as the tunnel, and with it what the stream
 * needs of it. */
#include "base/check.h"
#include "proxy/h2_chan.h"
#include "proxy/up_stream.h"

static void write_soon(struct pp_up_stream *s)
{
    if (s->h2 != NULL)
        pp_up_h2_write_soon(s->h2);
}

static void send_end(struct pp_up_stream *s)
{
    s->end_waits = true;
    pp_h2_chan_send_end(&s->s);
    write_soon(s);
}

/* ---- the channel ---- */

static int chan_read(struct pp_chan *ch, void *dst, size_t cap, size_t *n)
{
    struct pp_up_stream *s = ch->stream;
    /* An endpoint that has said everything may reset the stream then: it wants no more. */
    struct pp_h2_chan_source from = {
        .s = &s->s, .in = &s->in, .slab = &s->x->core->chunk_slab, .ended = s->ended};
    write_soon(s);
    return pp_h2_chan_read(ch, &from, dst, cap, n);
}

static int chan_writev(struct pp_chan *ch, const struct iovec *iov, int count, size_t *n)
{
    struct pp_up_stream *s = ch->stream;
    write_soon(s);
    return pp_h2_chan_writev(ch, &s->s, iov, count, n);
}

static void chan_shutdown(struct pp_chan *ch)
{
    send_end(ch->stream);
}

/* With the stream goes what it has not said. */
static bool chan_is_told(const struct pp_chan *ch)
{
    const struct pp_up_stream *s = ch->stream;
    return s == NULL || s->s.codec == NULL || s->s.sent_end;
}

static void chan_close(struct pp_chan *ch, bool abort)
{
    struct pp_up_stream *s = ch->stream;
    if (s == NULL)
        return;
    ch->stream = NULL;
    s->ch = NULL;
    if (!abort)
        send_end(s);
    pp_up_stream_free(s);
}

static const struct pp_chan_ops stream_ops = {
    .name = "http/2 stream to an endpoint",
    .read = chan_read,
    .writev = chan_writev,
    .shutdown = chan_shutdown,
    .is_told = chan_is_told,
    .close = chan_close,
};

/* ---- the stream ---- */

int pp_up_stream_give(struct pp_exchange *x, const struct pp_heir *to)
{
    struct pp_up_stream *s = x->side[PP_SIDE_UP];
    PP_ASSERT(pp_buf_is_empty(&s->out) && s->ch == NULL);
    pp_h2_chan_open(to->ch, &stream_ops, &x->core->loop, to->fn, s);
    s->ch = to->ch;
    s->deadline_ms = UINT64_MAX; /* the tunnel has one of its own */
    pp_up_end(x, s->ep);
    return PP_OK;
}

void pp_up_stream_tunnel_news(struct pp_up_stream *s)
{
    bool broke = pp_fault_is_set(&s->fault) && !s->ended;
    s->ch->io.fn(&s->ch->io,
                 broke ? EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR : (uint32_t)EPOLLIN);
}

void pp_up_stream_tunnel_writable(struct pp_up_stream *s)
{
    if (s->end_waits)
        send_end(s);
    write_soon(s);
    s->ch->io.fn(&s->ch->io, EPOLLOUT);
}
