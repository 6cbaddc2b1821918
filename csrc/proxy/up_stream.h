/* One exchange on an HTTP/2 connection to an endpoint.
 *
 *   WAITING (the connection is connecting) -> OPEN (request sent) -> ended, reset or broken
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
    struct pp_endpoint *ep;
    struct pp_list link, ready, unsent;
    struct pp_buf out, in;
    struct pp_http_msg *trailers; /* of the response */
    struct pp_fault fault;        /* what it ended with */
    struct pp_timer timer;
    uint64_t deadline_ms; /* UINT64_MAX: none; the timer checks it lazily */
    uint64_t since_ms;    /* when it was set */
    uint8_t why;          /* enum pp_fault_code when the deadline passes */
    bool waiting;         /* for the connection */
    bool unseen;          /* the endpoint has surely not looked at the request */
    bool has_head;        /* x->response is complete, and the exchange does not know */
    bool ended;           /* the response was received to its end */
    bool end_waits;       /* the request ends behind <out> */
    bool blocked;         /* the codec did not take all of <out> */
    struct pp_deferred deferred;
};

/* A stream of <h2> for <x>, attached to both. NULL when memory is out. */
struct pp_up_stream *pp_up_stream_new(struct pp_up_h2 *h2, struct pp_exchange *x, bool reused);
/* Free it at the end of the turn: it is attached to nothing any more. */
void pp_up_stream_free(struct pp_up_stream *s);

/* Tell the exchange what has come for it. */
void pp_up_stream_attend(struct pp_up_stream *s);
/* The connection turned out to speak HTTP/1: the stream, which is orphaned, ends without a word.
 * Its exchange, which is to be put on another connection. */
struct pp_exchange *pp_up_stream_take(struct pp_up_stream *s);
/* Give the codec what waits to be sent. */
void pp_up_stream_send(struct pp_up_stream *s);
/* The connection goes, or never came: move the stream to the list <to>; fail it then, because of
 * <f>. */
void pp_up_stream_orphan(struct pp_up_stream *s, struct pp_list *to);
void pp_up_stream_fail(struct pp_up_stream *s, struct pp_fault f);

/* What the codec tells the streams; and their connection. */
extern const struct pp_http2_events pp_up_stream_events;

#endif
