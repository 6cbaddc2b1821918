/* HTTP/2 connections as functions of bytes (RFC 9113, HPACK: RFC 7541), both roles: bytes that came
 * go in and become events, heads and bodies go in and become bytes to send. No socket, no clock.
 * The only door to nghttp2.
 *
 *   socket -> feed -> [one frame at a time: floods counted, decoded] -> events -> owner
 *   owner  -> send_* -> [HPACK, windows, frames] -> output queue -> peek/sent -> socket
 *
 * STREAMS  belong to the owner, who embeds a struct pp_http2_stream in its own object (zeroed, it
 * is attached to nothing). The codec holds the pointer from `open` (server) or send_request
 * (client) until the event `reset`, or until the owner calls pp_http2_codec_release or _reset; each
 * stream that was attached needs one of these three. Then its memory is the owner's again: at once,
 * or, in an event, when that event has returned.
 *
 *   (owner's) --open / send_request--> ATTACHED --event reset | release | reset--> (owner's)
 *
 *   Both directions are seen in `received_end` and `sent_end`; a stream that is through with both
 * stays attached (and costs the codec nothing) until its owner releases it.
 *
 * EVENTS   come from inside feed and wake only, never from a send. All functions but feed, wake and
 * free may be called in them, the stream's own release and reset too. `open` and `message` are
 * questions, asked in the middle of decoding: no function of the codec may be called there.
 *
 * BODIES   received: spans into the fed bytes, valid during the event. The peer may send as much
 * again only when the owner has said that the sink took them (consume): the windows of stream and
 * connection open then and not before. Sent: send_data frames what the peer's windows and the
 * output's room allow, copies it into the output once, and says how much it took; when that is not
 * all, the owner keeps the rest and the event `writable` tells when to go on. Streams that wait get
 * their turns by urgency, then in order (RFC 9218). An end without data waits for no window.
 *
 * FLOODS   are counted here, by kind; one that is over its limit ends the connection with GOAWAY
 * ENHANCE_YOUR_CALM and is named by pp_http2_codec_flood. See the enum.
 *
 * MEMORY   all of it through base/mem; when an allocation fails, the call says PP_ENOMEM and the
 * connection is over, and nothing else. An idle connection has no output chunks. */
#ifndef PP_WIRE_HTTP2_CODEC_H
#define PP_WIRE_HTTP2_CODEC_H

#include "base/buf.h"
#include "base/list.h"
#include "wire/http2_flood.h"
#include "wire/http1_emit.h"
#include "wire/http_msg.h"

/* Error codes (RFC 9113 section 7) as RST_STREAM and GOAWAY carry them. */
enum pp_http2_code {
    PP_HTTP2_NO_ERROR = 0,
    PP_HTTP2_PROTOCOL_ERROR = 1,
    PP_HTTP2_INTERNAL_ERROR = 2,
    PP_HTTP2_FLOW_CONTROL_ERROR = 3,
    PP_HTTP2_SETTINGS_TIMEOUT = 4,
    PP_HTTP2_STREAM_CLOSED = 5,
    PP_HTTP2_FRAME_SIZE_ERROR = 6,
    PP_HTTP2_REFUSED_STREAM = 7, /* nothing was done with the request: it may be sent again */
    PP_HTTP2_CANCEL = 8,
    PP_HTTP2_COMPRESSION_ERROR = 9,
    PP_HTTP2_CONNECT_ERROR = 10,
    PP_HTTP2_ENHANCE_YOUR_CALM = 11,
    PP_HTTP2_INADEQUATE_SECURITY = 12,
    PP_HTTP2_HTTP_1_1_REQUIRED = 13
};

enum pp_http2_role { PP_HTTP2_SERVER = 0, PP_HTTP2_CLIENT = 1 };

/* What `message` asks for. */
enum pp_http2_part {
    PP_HTTP2_HEAD = 0, /* the request, or a response; a final one comes after any number of 1xx */
    PP_HTTP2_TRAILERS = 1
};

struct pp_http2_codec;

/* One stream. Owners read the first group; `codec` is NULL when it is not attached. */
struct pp_http2_stream {
    struct pp_http2_codec *codec;
    uint32_t id;
    uint8_t urgency;   /* RFC 9218: 0 (most) to 7, 3 when nobody said */
    bool incremental;  /* RFC 9218: of use in pieces */
    bool received_end; /* the peer's side has ended */
    bool sent_end;     /* our side has ended */
    bool declared;     /* client: the response came with Content-Length (HEAD, 304 too) */
    bool by_peer;      /* the peer has reset it */
    int16_t verdict;   /* PP_EHTTP_* or PP_EURI_*: the mistake for which the codec reset it */
    uint32_t code;     /* error code it ended with, once it is over */

    /* the codec's own */
    bool head_done;   /* the (final) head was received */
    bool answered;    /* a head went out */
    bool prioritized; /* somebody has said something about its turns */
    bool waiting;     /* in a list of those who wait for their turn */
    bool has_data;    /* nghttp2 knows of a body to come */
    bool counted;     /* of the body, <left> bytes must still come, no more and no less */
    bool over;        /* closed in the protocol's eyes */
    bool out_end;
    uint8_t request_method; /* client: enum pp_http_method of what was asked */
    uint32_t held;          /* body bytes received and not yet consumed */
    uint64_t left;
    struct pp_span out;  /* what send_data wants framed, during the call */
    struct pp_list wait; /* among those who wait for their turn */
    struct pp_list link; /* among all of the connection, or those that are over */
};

/* What the codec asks and tells; <owner> is the connection's, as given to pp_http2_codec_new. The
 * last four may be NULL. */
struct pp_http2_events {
    /* Server, a question: a request begins on a new stream. Zeroed storage for it, or NULL to
     * refuse it (REFUSED_STREAM). */
    struct pp_http2_stream *(*open)(void *owner);
    /* A question: where to put the head or the trailers that begin now: a message that was just
     * initialised, whose arena gives the bytes. It must stay until the event that tells it, or the
     * end of the stream, or pp_http2_codec_forget_trailers: between the frames of a section other
     * things may happen. For a response it is asked again after each 1xx.
     * NULL for trailers: they are checked and dropped. NULL for a head: refuse the stream. */
    struct pp_http_msg *(*message)(struct pp_http2_stream *s, enum pp_http2_part part);
    /* A valid head is complete: request, 1xx or final response; rules as of pp_http_rules_*.
     * <end>: no body follows. */
    void (*head)(struct pp_http2_stream *s, bool end);
    /* Server: a request over a limit (PP_EHTTP_HEAD_BYTES, _FIELD_COUNT, _TARGET_BYTES). The owner
     * may answer it, with pp_http_rules_status, and then release it, or reset it. A request that is
     * malformed makes no event `head`: its stream is reset with PROTOCOL_ERROR, event `reset`. */
    void (*bad_head)(struct pp_http2_stream *s, int verdict);
    /* A piece of the body, maybe empty when <end>. Each byte must be given back by consume. */
    void (*data)(struct pp_http2_stream *s, struct pp_span data, bool end);
    /* The trailers are complete, and so is the message. */
    void (*trailers)(struct pp_http2_stream *s);
    /* The stream is over and detached: reset by the peer (<by_peer>), by the codec because of the
     * peer's mistake, or, REFUSED_STREAM, not looked at by a peer that goes away. NO_ERROR after
     * `received_end` on a client: the server has answered and does not want the rest. */
    void (*reset)(struct pp_http2_stream *s, uint32_t code, bool by_peer);
    /* Data that send_data did not take may be sent now. Comes from wake only. */
    void (*writable)(struct pp_http2_stream *s);
    /* The peer goes away: no new streams (client: those after <last> get `reset` with
     * REFUSED_STREAM). */
    void (*goaway)(void *owner, uint32_t code, uint32_t last);
    /* The peer's SETTINGS came, the first or others (max streams, extended CONNECT). */
    void (*settings)(void *owner);
    /* The answer to pp_http2_codec_ping. */
    void (*pong)(void *owner, uint64_t tag);
    /* Server: urgency or incremental of the stream have changed after the head. */
    void (*priority)(struct pp_http2_stream *s);
};

/* What we allow the peer; 0 means the default in brackets. */
struct pp_http2_limits {
    uint32_t max_streams;       /* server: open at once [128] */
    uint32_t stream_window;     /* body bytes of one stream before its sink took them [65535] */
    uint32_t connection_window; /* of all streams together [1 MiB] */
    uint32_t frame_bytes;       /* payload of one frame, 16384 to 2^24 - 1 [16384] */
    uint32_t table_bytes;       /* HPACK table that the peer may fill [4096] */
    uint32_t head_bytes;        /* field section, 32 more for each field [65536] */
    uint32_t fields;            /* [256] */
    uint32_t target_bytes;      /* [8192] */
    uint32_t output_bytes;      /* body waits while more than this is queued to be sent [65536] */
    bool connect_protocol;      /* server: extended CONNECT (RFC 8441) is welcome */
};

/* What all connections of a listener (or cluster) share: role, limits, events. Immutable; lives
 * longer than every codec made with it. <events> and <chunks> (of pp_buf_slab_init) are borrowed.
 * NULL when memory is out. */
struct pp_http2_kind;
struct pp_http2_kind *pp_http2_codec_kind_new(enum pp_http2_role role,
                                              const struct pp_http2_limits *limits,
                                              const struct pp_http2_events *events,
                                              struct pp_slab *chunks) PP_MUST_USE;
/* One more reference to <k>, which is returned. */
struct pp_http2_kind *pp_http2_codec_kind_ref(struct pp_http2_kind *k);
/* Give a reference back; the last one frees it. <k> may be NULL. */
void pp_http2_codec_kind_free(struct pp_http2_kind *k);

/* A connection that begins now: our SETTINGS (and a client's preface) wait in the output. NULL when
 * memory is out. */
struct pp_http2_codec *pp_http2_codec_new(const struct pp_http2_kind *kind, void *owner)
    PP_MUST_USE;
/* Ends it without a word. Streams still attached are detached, without events. <h> may be NULL. Not
 * in an event. */
void pp_http2_codec_free(struct pp_http2_codec *h);

/* ---- receiving ---- */

/* Should more be read now? Not while so much is queued to be sent that answers would pile up, nor
 * after the end. To be asked before each read. */
bool pp_http2_codec_wants_input(const struct pp_http2_codec *h);

/* Take <n> bytes that came, all of them, at <now_ms> of a monotonic clock. The server's bytes begin
 * with the client preface. PP_OK; PP_EEND: the connection is over (a flood, or an error of the
 * peer's): send what is queued, the GOAWAY among it, and close; PP_ENOMEM: as PP_EEND, with nothing
 * to send. Then no more events come and streams stay attached until they are released or freed. */
int pp_http2_codec_feed(struct pp_http2_codec *h, const char *p, size_t n, uint64_t now_ms)
    PP_MUST_USE;

/* The sink took <n> bytes of what `data` gave: the peer may send as many again. What a stream holds
 * when it is detached goes back to the connection by itself. */
void pp_http2_codec_consume(struct pp_http2_stream *s, size_t n);

/* The message that `message` gave for trailers is about to go, before or after they are complete:
 * the rest of them is checked and dropped. */
void pp_http2_codec_forget_trailers(struct pp_http2_stream *s);

/* ---- sending: the output ---- */

/* Fill at most <max> iovecs with what is to be sent, oldest first; returns how many. Borrowed until
 * the next call for this connection. */
int pp_http2_codec_peek(struct pp_http2_codec *h, struct iovec *iov, int max);
/* The oldest <n> bytes were sent. */
void pp_http2_codec_sent(struct pp_http2_codec *h, size_t n);
/* Bytes in the output (after peek: all that there is). */
size_t pp_http2_codec_pending(const struct pp_http2_codec *h);
/* Give each stream that waits and may send its turn, once: event `writable`. To be called when feed
 * has returned and when bytes were sent. */
void pp_http2_codec_wake(struct pp_http2_codec *h);

/* ---- sending: messages ----
 *
 * The bytes of a message or body are read during the call. Results: PP_OK; PP_ENOMEM: the
 * connection is over; PP_EINVAL: not possible in the stream's state (the peer has reset it, the end
 * was sent), nothing happened. Fields that are removed, hop-by-hop, Host, and those of HTTP/1's
 * framing are not sent; names go out in lower case. Of <fr> count body, content_length (LENGTH
 * writes content-length) and te_trailers. */

/* Client: a request on a new stream, which is <s>, zeroed. <target>: the path with query, `*`, or
 * empty for a plain CONNECT. PP_ELIMIT: the peer allows no further stream now (see can_open). */
int pp_http2_codec_send_request(struct pp_http2_codec *h, struct pp_http2_stream *s,
                                const struct pp_http_msg *m, struct pp_span scheme,
                                struct pp_span authority, struct pp_span target,
                                const struct pp_http1_framing *fr, bool end) PP_MUST_USE;
/* Server: a response, or with m->status below 200 an interim one (<end> is false then). */
int pp_http2_codec_send_response(struct pp_http2_stream *s, const struct pp_http_msg *m,
                                 const struct pp_http1_framing *fr, bool end) PP_MUST_USE;
/* The next piece of the body, and with <end> its end. *taken bytes were taken; when that is less
 * than data.n (or an end could not be taken with it), `writable` will come, and the rest is to be
 * offered again, with <end>. */
int pp_http2_codec_send_data(struct pp_http2_stream *s, struct pp_span data, bool end,
                             size_t *taken) PP_MUST_USE;
/* The end of the body as trailers. All data was taken before. NULL or without live fields: an empty
 * DATA frame ends it. */
int pp_http2_codec_send_trailers(struct pp_http2_stream *s, const struct pp_http_msg *m)
    PP_MUST_USE;
/* How many body bytes send_data would take now. */
size_t pp_http2_codec_room(const struct pp_http2_stream *s);

/* ---- ending ---- */

/* The owner is done with <s>: detaches it. When both directions have ended nothing is sent; else
 * the stream is reset: a server that has answered in full says NO_ERROR, everybody else CANCEL. */
void pp_http2_codec_release(struct pp_http2_stream *s);
/* Reset the stream (RST_STREAM with <code>) and detach it. */
void pp_http2_codec_reset(struct pp_http2_stream *s, uint32_t code);

/* Go away, in two steps (RFC 9113 section 6.8): <notice> tells the peer to open no more streams but
 * accepts those on their way; without it the last stream seen is named, later ones are ignored, and
 * <code> says why. Streams in progress go on. */
void pp_http2_codec_goaway(struct pp_http2_codec *h, bool notice, uint32_t code);

/* ---- questions ---- */

/* Ask for a `pong`; <tag> comes back. For round-trip times and to see whether the peer is alive. */
void pp_http2_codec_ping(struct pp_http2_codec *h, uint64_t tag);
/* Client: may send_request open a stream now? */
bool pp_http2_codec_can_open(const struct pp_http2_codec *h);
/* Client: most streams that the peer allows at once (100 before its SETTINGS came). */
uint32_t pp_http2_codec_max_streams(const struct pp_http2_codec *h);
/* Client: has the server said that extended CONNECT (RFC 8441) is welcome? */
bool pp_http2_codec_has_connect_protocol(const struct pp_http2_codec *h);
/* Is the connection over: an error, a flood, or everything said after GOAWAY? */
bool pp_http2_codec_is_over(const struct pp_http2_codec *h);
/* The error code of our own GOAWAY, NO_ERROR when there was none. */
uint32_t pp_http2_codec_error(const struct pp_http2_codec *h);
/* The flood that ended the connection, or NONE; its word is pp_http2_flood_name. */
enum pp_http2_flood pp_http2_codec_flood(const struct pp_http2_codec *h);

#endif
