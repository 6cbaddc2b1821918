/* A stream of HTTP/2 in place of a socket, as a tunnel reads and writes its channels: bytes are
 * DATA, the end of a direction is END_STREAM, a reset is RST_STREAM (RFC 8441 section 5). What has
 * come and was not read waits in a buffer, within the stream's window; what the peer's window does
 * not allow is not taken, and waits with the tunnel. down_h2_tunnel.c and up_stream_tunnel.c make
 * channels of their streams with it; such a channel has no descriptor, and their <stream>. */
#ifndef PP_PROXY_H2_CHAN_H
#define PP_PROXY_H2_CHAN_H

#include "io/chan.h"
#include "wire/http2_codec.h"

/* What of a stream is read. */
struct pp_h2_chan_source {
    struct pp_http2_stream *s;
    struct pp_buf *in;    /* what has come */
    struct pp_slab *slab; /* of its chunks */
    bool ended;           /* nothing follows */
};

/* Make <ch> the channel of <stream>, whose owner's handler is <fn>. */
void pp_h2_chan_open(struct pp_chan *ch, const struct pp_chan_ops *ops, struct pp_loop *lp,
                     pp_io_fn fn, void *stream);

/* As pp_chan_ops.read and .writev. What was read opens the window by as much; the caller sees to it
 * that the codec's output leaves. */
int pp_h2_chan_read(struct pp_chan *ch, const struct pp_h2_chan_source *from, void *dst, size_t cap,
                    size_t *n) PP_MUST_USE;
int pp_h2_chan_writev(struct pp_chan *ch, struct pp_http2_stream *s, const struct iovec *iov,
                      int count, size_t *n) PP_MUST_USE;

/* Send the end of our direction, as soon as the peer allows it: again after `writable`. */
void pp_h2_chan_send_end(struct pp_http2_stream *s);

#endif
