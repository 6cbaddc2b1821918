/* One exchange on an HTTP/2 connection to an endpoint.
 *
 *   WAITING (the connection is connecting) -> OPEN (request sent) -> ended, reset or broken
 *                                               \-> TUNNEL (it was an extended CONNECT) -> the same
 *
 * As a sink it takes what the peer's windows allow; the rest waits in <out>, and the client is not
 * read meanwhile. As a source it keeps in <in> what the client does not take, and the peer's window
 * for the stream stays shut by as much: so a stream never holds more than one window.
 *
 * What happens to the stream is told to the exchange from here, never while the codec decodes,
 * except for body pieces and interim responses. */
#ifndef PP_PROXY_UP_STREAM_H
#define PP_PROXY_UP_STREAM_H

#include "proxy/up_h2.h"

struct pp_up_stream {
    struct pp_http2_stream s;
    struct pp_up_h2 *h2;   /* NULL: the connection has gone */
    struct pp_exchange *x; /* NULL: the exchange has gone */
    struct pp_chan *ch; /* of a tunnel that the stream has become the endpoint's side of; or NULL */
    struct pp_endpoint *ep;
    struct pp_list link, ready, unsent;
    struct pp_buf out, in;
    struct pp_http_msg *trailers; /* of the response */
    struct pp_fault fault;        /* what it ended with */
    struct pp_timer timer;
    uint64_t deadline_ms; /* UINT64_MAX: none; the timer checks it lazily */
    uint64_t since_ms;    /* when it was set */
    uint8_t why;          /* enum pp_fault_code when the deadline passes */
    bool waiting;         /* for the connection, or for what its SETTINGS say */
    bool extended;        /* the request is an extended CONNECT, which has no end */
    bool unseen;          /* the endpoint has surely not looked at the request */
    bool has_head;        /* x->response is complete, and the exchange does not know */
    bool ended;           /* the response was received to its end */
    bool end_waits;       /* the request ends behind <out> */
    bool blocked;         /* the codec did not take all of <out> */
    struct pp_deferred deferred;
};

/* A stream of <h2> for <x>, attached to both. <waits>: it cannot send yet. NULL when memory is out.
 */
struct pp_up_stream *pp_up_stream_new(struct pp_up_h2 *h2, struct pp_exchange *x, bool waits,
                                      bool reused);
/* Free it at the end of the turn: it is attached to nothing any more. */
void pp_up_stream_free(struct pp_up_stream *s);

/* Tell the exchange what has come for it. */
void pp_up_stream_attend(struct pp_up_stream *s);
/* The connection turned out not to be for it, because it speaks HTTP/1 (then the stream is
 * orphaned) or takes no tunnels: the stream ends without a word. Its exchange, which is to be put
 * on another connection. */
struct pp_exchange *pp_up_stream_take(struct pp_up_stream *s);
/* Give the codec what waits to be sent. */
void pp_up_stream_send(struct pp_up_stream *s);
/* The connection goes, or never came: move the stream to the list <to>; fail it then, because of
 * <f>. */
void pp_up_stream_orphan(struct pp_up_stream *s, struct pp_list *to);
void pp_up_stream_fail(struct pp_up_stream *s, struct pp_fault f);

/* ---- extended CONNECT (up_stream_tunnel.c) ---- */

/* The stream becomes the endpoint's channel of a tunnel; pp_side_ops.give. */
int pp_up_stream_give(struct pp_exchange *x, const struct pp_heir *to);
/* What happens to a stream with <ch>: bytes, the end or a fault came; its window has opened. Each
 * may end the tunnel, and the stream with it. */
void pp_up_stream_tunnel_news(struct pp_up_stream *s);
void pp_up_stream_tunnel_writable(struct pp_up_stream *s);

/* What the codec tells the streams; and their connection. */
extern const struct pp_http2_events pp_up_stream_events;

#endif
