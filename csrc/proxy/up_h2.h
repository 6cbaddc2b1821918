/* HTTP/2 on a connection to an endpoint: many exchanges at once, each on a stream of its own.
 *
 *   endpoint->multi ── connection ── streams          (proxy/up_stream.h)
 *                          │             │
 *                        codec  <────────┘            (wire/http2_codec.h)
 *
 * SHARING   A connection stands in the endpoint's list `multi` as long as it takes further streams,
 * from the moment when it begins to connect: exchanges that come meanwhile wait for that one. A
 * connection that the peer says goodbye to, that is too old or used up, leaves the list and ends
 * with its last stream.
 *
 * ALPN      While it connects it is not always known what it will speak. When that turns out to be
 * HTTP/1, the first exchange gets it, and the others connections of their own.
 *
 * WRITING   Frames of all streams are collected and leave in one write at the end of the turn.
 *
 * READING   What comes is fed to the codec as a whole. Body bytes go straight to their sink; heads
 * wait until everything read has been seen, so that a head leaves together with its body. */
#ifndef PP_PROXY_UP_H2_H
#define PP_PROXY_UP_H2_H

#include "proxy/up.h"
#include "wire/http2_codec.h"

struct pp_up_stream;

struct pp_up_h2 {
    struct pp_up *up;
    struct pp_http2_codec *codec; /* NULL: connecting */
    struct pp_list link;          /* in endpoint->multi, or alone: no further streams */
    struct pp_list streams;       /* every stream of it, those that wait too */
    struct pp_list ready;         /* streams that have something for their exchange */
    struct pp_list unsent;        /* streams that have something for the codec */
    struct pp_up_stream *pushing; /* whose client's bytes are collected and not flushed */
    uint32_t n;                   /* streams */
    uint64_t heard_ms;            /* when bytes last came */
    uint32_t last_seen;           /* the last stream that the peer has looked at, when it goes */
    bool settled;                 /* the peer's first SETTINGS have come */
    bool apart;                   /* not in the list: the endpoint has lately chosen HTTP/1 */
    bool flush_waits;
    bool deaf; /* nothing is read before the peer has taken what was said to it */
    struct pp_deferred flush;
};

/* Put <x> on a connection to <ep> that takes one more stream: PP_OK: ready; PP_EAGAIN: it is
 * connecting. PP_ENOENT: there is none. PP_ENOMEM. PP_EHTTP_SWITCH: <x> wants a tunnel that the
 * endpoint does not take. <fresh>: none that has been silent for long. */
int pp_up_h2_join(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh) PP_MUST_USE;

/* Make the new connection <up> one that may be shared, with <x> as its first stream (NULL: it has
 * none). PP_OK or PP_ENOMEM, then it has no stream and is to be closed. */
int pp_up_h2_begin(struct pp_up *up, struct pp_exchange *x) PP_MUST_USE;

/* Close the connections of <ep> that are idle; the others end with their last stream. */
void pp_up_h2_retire(struct pp_endpoint *ep);

/* The connection of <ep> that is idle, the one that is used last; NULL: none. */
struct pp_up *pp_up_h2_idle(const struct pp_endpoint *ep);

/* ---- for the streams ---- */

/* There is something to write: at the end of the turn. */
void pp_up_h2_write_soon(struct pp_up_h2 *h2);
/* What was collected for the client of the stream that pushes leaves now. */
void pp_up_h2_settle(struct pp_up_h2 *h2);
/* No further streams; the last one that is there closes the connection. */
void pp_up_h2_stop(struct pp_up_h2 *h2);
/* Does <x> have to know what the peer's SETTINGS say before it can go on? */
bool pp_up_h2_is_undecided(const struct pp_up_h2 *h2, const struct pp_exchange *x);
/* Make <x> such that it can be sent: what the peer does not take is not asked for. PP_OK or
 * PP_EHTTP_SWITCH. */
int pp_up_h2_decide(const struct pp_up_h2 *h2, struct pp_exchange *x) PP_MUST_USE;
/* The endpoint has said HTTP_1_1_REQUIRED. True: from now on it is spoken to in that. */
bool pp_up_h2_give_way(struct pp_up_h2 *h2);
/* <s> has left; the connection may be idle or closed now. */
void pp_up_h2_left(struct pp_up_h2 *h2, const struct pp_up_stream *s);

extern const struct pp_up_proto pp_up_h2_proto;

#endif
