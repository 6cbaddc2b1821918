#include "proxy/h2_chan.h"

void pp_h2_chan_open(struct pp_chan *ch, const struct pp_chan_ops *ops, struct pp_loop *lp,
                     pp_io_fn fn, void *stream)
{
    memset(ch, 0, sizeof(*ch));
    ch->ops = ops;
    ch->io.fd = -1;
    ch->io.fn = fn;
    ch->loop = lp;
    ch->stream = stream;
    ch->readable = ch->writable = true;
}

int pp_h2_chan_read(struct pp_chan *ch, const struct pp_h2_chan_source *from, void *dst, size_t cap,
                    size_t *n)
{
    struct iovec iov;
    *n = 0;
    while (*n < cap && pp_buf_peek(from->in, &iov, 1) > 0) {
        size_t some = PP_MIN(cap - *n, iov.iov_len);
        memcpy((char *)dst + *n, iov.iov_base, some);
        pp_buf_skip(from->in, from->slab, some);
        *n += some;
    }
    if (*n > 0) {
        if (from->s->codec != NULL)
            pp_http2_codec_consume(from->s, *n);
        return PP_OK;
    }
    if (from->ended)
        return PP_EEOF;
    if (from->s->codec == NULL)
        return PP_ERESET;
    ch->readable = false;
    return PP_EAGAIN;
}

int pp_h2_chan_writev(struct pp_chan *ch, struct pp_http2_stream *s, const struct iovec *iov,
                      int count, size_t *n)
{
    *n = 0;
    if (s->codec == NULL)
        return PP_ERESET;
    for (int i = 0; i < count && ch->writable; i++) {
        struct pp_span piece = pp_span(iov[i].iov_base, iov[i].iov_len);
        size_t taken;
        if (pp_http2_codec_send_data(s, piece, false, &taken) != PP_OK)
            return PP_ERESET;
        *n += taken;
        ch->writable = taken == piece.n;
    }
    return PP_OK;
}

void pp_h2_chan_send_end(struct pp_http2_stream *s)
{
    size_t taken;
    if (s->codec != NULL && !s->sent_end)
        (void)!pp_http2_codec_send_data(s, PP_SPAN_NONE, true, &taken); /* else it is reset */
}
