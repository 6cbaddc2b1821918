/* HTTP/2 towards a client: one connection, many exchanges at once.
 *
 *   socket -> read (borrowed memory) -> codec -> events -> streams -> their exchanges
 *   exchanges -> streams -> output of the codec ---- at the end of the turn ----> socket
 *
 * down_h2.c keeps the connection: reading, writing, deadlines, the way out. down_h2_stream.c is the
 * client's side of each exchange. What streams send collects in the codec's output and leaves in
 * one call at the end of the turn, however many have answered in it.
 *
 * STREAM   as the connection sees it:
 *
 *   OPEN (exchange runs) -> TAIL (the exchange is over, the client has not taken all) -> gone
 *          |          \___________________________________________________________-> gone
 *          +-> TUNNEL (extended CONNECT: the exchange's tunnel has it) -> TAIL, gone
 *
 * BACK-PRESSURE, both ways. What came of a request body and has no taker waits in <in>; the client
 * may send as much again when it was taken, so a stream never holds more than its window. What the
 * client's windows do not allow of a response waits in <out>; the endpoint is not read meanwhile,
 * so a client that opens no window costs PP_DOWN_H2_AHEAD bytes a stream, for send_timeout.
 *
 * THE END, in order (RFC 9113 section 6.8): GOAWAY that names no stream; when the client has
 * answered the PING behind it (or PP_DOWN_H2_NOTICE_MS later) GOAWAY that names the last one; when
 * that has ended, the connection closes. No request is lost that the client sent before it knew. */
#ifndef PP_PROXY_DOWN_H2_H
#define PP_PROXY_DOWN_H2_H

#include "proxy/down.h"
#include "wire/http2_codec.h"

/* Bytes of a body that are taken for a stream whose client has no window open. */
#define PP_DOWN_H2_AHEAD 16384
/* Between the two steps of going away, when the client does not answer PING. */
#define PP_DOWN_H2_NOTICE_MS 1000

enum pp_down_h2_leave {
    PP_DOWN_H2_STAYS = 0,
    PP_DOWN_H2_PLANNED = 1, /* its time to begin was chosen by chance */
    PP_DOWN_H2_NOTICED = 2, /* the first GOAWAY is out */
    PP_DOWN_H2_LEAVES = 3   /* the second: streams that run are the last */
};

struct pp_down_h2 {
    struct pp_down *d;
    struct pp_down_h2_kind *kind;
    struct pp_http2_codec *codec;
    struct pp_list streams;
    uint32_t n_stream;              /* OPEN and TAIL */
    uint32_t n_open;                /* with an exchange, or in a tunnel */
    struct pp_down_stream *opening; /* its head is not whole */
    struct pp_down_stream *pushing; /* whose endpoint's bytes are collected and not flushed */
    struct pp_timer leave_timer;
    struct pp_deferred flush; /* at the end of this turn */
    struct pp_deferred deferred;
    uint8_t leave; /* enum pp_down_h2_leave */
    bool flush_planned;
    bool in_write;
    bool thirsty; /* did not read because too much waits to be written */
    bool over;    /* the codec has given up: what waits is sent, then the end */
};

struct pp_down_stream {
    struct pp_http2_stream s; /* first: the codec gives it back */
    struct pp_down *d;
    struct pp_exchange *x; /* NULL: TAIL, or TUNNEL */
    struct pp_chan *ch; /* of a tunnel that the stream has become the client's side of; or NULL */
    struct pp_list link;
    struct pp_buf in, out;
    const struct pp_http_msg *came;  /* trailers of the request */
    const struct pp_http_msg *leave; /* trailers that go out behind <out> */
    struct pp_arena *own;            /* holds <leave> after the exchange; from the heap */
    bool in_ended;                   /* nothing follows <in> */
    bool out_ended;                  /* nothing follows <out> and <leave> */
    uint8_t wait;                    /* enum pp_down_wait: BODY, SEND or NONE */
    uint64_t deadline_ms;
    struct pp_timer timer;
    struct pp_down_clock body;
    struct pp_deferred deferred;
};

/* The first bytes [p, p + n) of a connection: PP_OK: it speaks HTTP/2; PP_EMORE: it may; PP_EINVAL:
 * it does not. */
int pp_down_h2_sniff(const char *p, size_t n);
/* From now on <d>, on which nothing has happened, speaks HTTP/2; what was read of it is fed. It may
 * be closed afterwards. */
void pp_down_h2_begin(struct pp_down *d);

extern const struct pp_down_proto pp_down_h2_proto;

/* ---- extended CONNECT (down_h2_tunnel.c) ---- */

/* The stream becomes the client's channel of a tunnel; pp_side_ops.give. */
int pp_down_h2_give(struct pp_exchange *x, const struct pp_heir *to);
/* Where the client came in, when <x> belongs to a stream; else NULL. */
struct pp_door *pp_down_h2_door(const struct pp_exchange *x);

/* What happens to a stream with <ch>; each may end the tunnel, and the stream with it. */
void pp_down_h2_tunnel_data(struct pp_down_stream *st, struct pp_span data);
void pp_down_h2_tunnel_writable(struct pp_down_stream *st);
/* It is reset, or has to be; the tunnel ends. */
void pp_down_h2_tunnel_broke(struct pp_down_stream *st);

/* ---- between the files ---- */

/* What the codec tells about streams; <owner> is the struct pp_down. */
struct pp_http2_stream *pp_down_h2_stream_open(void *owner);
struct pp_http_msg *pp_down_h2_stream_message(struct pp_http2_stream *s, enum pp_http2_part part);
void pp_down_h2_stream_head(struct pp_http2_stream *s, bool end);
void pp_down_h2_stream_bad_head(struct pp_http2_stream *s, int verdict);
void pp_down_h2_stream_data(struct pp_http2_stream *s, struct pp_span data, bool end);
void pp_down_h2_stream_trailers(struct pp_http2_stream *s);
void pp_down_h2_stream_reset(struct pp_http2_stream *s, uint32_t code, bool by_peer);
void pp_down_h2_stream_writable(struct pp_http2_stream *s);
/* Free it: it has no exchange and is detached from the codec. Does not look at the connection. */
void pp_down_h2_stream_free(struct pp_down_stream *st);

/* It has neither exchange nor tunnel any more. <whole>: what it has sent is complete, and waits at
 * most for the client; else it is reset with <code>. */
void pp_down_h2_stream_leave(struct pp_down_stream *st, bool whole, uint32_t code);

/* Something waits in the output, or the connection's state is to be looked at: at the end of this
 * turn, unless it is closed. */
void pp_down_h2_plan(struct pp_down *d);
/* What was collected for the endpoint of the stream that pushes leaves now. */
void pp_down_h2_settle(struct pp_down_h2 *h2);
/* The connection shall end in order, beginning within <spread_ms>. */
void pp_down_h2_leave(struct pp_down *d, uint64_t spread_ms);
/* A stream has ended its exchange. Closes the connection, when it waits for that. */
void pp_down_h2_ended(struct pp_down *d);

extern const struct pp_side_ops pp_down_h2_ops;

#endif
