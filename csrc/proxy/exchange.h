/* One request and its response: the object that both connections, the filters, the log and the
 * counters meet at.
 *
 * LIFE   born by the client side when the first byte of a request arrives; driven by proxy/drive.c
 * through its states; freed at the end of the turn in which the log phase ended. Its arena holds
 * everything that lives as long.
 *
 * STATE  one enum, changed by pp_exchange_enter only, always forward except for a retry:
 *
 *   HEAD -> EARLY -> ROUTE -> REQUEST -> [COLLECT] -> PEER -> CONNECT -> SEND -> AWAIT -> RESPONSE
 * -> BODY -> LOG -> DONE ^            |                 |                                 ^ |
 * failed, retry              | failed before the response      |
 *                                           +------------+-----------------+ | any state before
 * BODY -> REPLY (an answer of our own) -------------------------------------------------->+ any
 * state -> LOG with a fault, when no answer is possible any more
 *
 *   RESPONSE -> TUNNEL -> LOG   after a 101, or for CONNECT (which goes from UPSTREAM_REQUEST to
 *                               RESPONSE): both connections leave for a tunnel, whose end is the
 *                               exchange's (proxy/tunnel.h)
 *
 *   a retry may wait in PAUSE before it begins anew with PEER, and any attempt in QUEUE between
 * PEER and CONNECT
 *
 * SIDES  the exchange reaches its two connections through two tables of the same shape (struct
 * pp_side_ops). For each direction one side is the source and the other the sink:
 *
 *   request body:   source DOWN (client)   -> sink UP (endpoint)
 *   response body:  source UP (endpoint)   -> sink DOWN (client)
 *
 *        and they tell it about events through struct pp_exchange_events, filled by the driver. So
 * no connection file knows the order of things, and the driver knows no protocol. */
#ifndef PP_PROXY_EXCHANGE_H
#define PP_PROXY_EXCHANGE_H

#include "io/chan.h"
#include "io/sock.h"
#include "proxy/announced.h"
#include "proxy/client_tls.h"
#include "proxy/core.h"
#include "proxy/fault.h"
#include "wire/http1_body.h"
#include "wire/http1_emit.h"

enum pp_exchange_state {
    PP_EXCHANGE_HEAD = 0,  /* the client side is reading the request head */
    PP_EXCHANGE_EARLY = 1, /* early_request */
    PP_EXCHANGE_ROUTE = 2,
    PP_EXCHANGE_REQUEST = 3,   /* request */
    PP_EXCHANGE_COLLECT = 4,   /* collecting the request body for a buffering filter */
    PP_EXCHANGE_PEER = 5,      /* upstream_peer, and choosing the endpoint */
    PP_EXCHANGE_PAUSE = 6,     /* waiting until the next attempt */
    PP_EXCHANGE_QUEUE = 7,     /* waiting until a limit of the upstream lets it go on */
    PP_EXCHANGE_CONNECT = 8,   /* waiting for the connection */
    PP_EXCHANGE_CONNECTED = 9, /* connected */
    PP_EXCHANGE_UPSTREAM_REQUEST = 10,
    PP_EXCHANGE_SEND = 11,  /* the head goes out */
    PP_EXCHANGE_AWAIT = 12, /* the request body streams; waiting for the response head */
    PP_EXCHANGE_UPSTREAM_RESPONSE = 13,
    PP_EXCHANGE_RESPONSE = 14,
    PP_EXCHANGE_BODY = 15,   /* the response has begun */
    PP_EXCHANGE_TUNNEL = 16, /* the head that opens a tunnel was sent; bytes pass until it ends */
    PP_EXCHANGE_CONNECT_FAILED = 17,
    PP_EXCHANGE_PROXY_ERROR = 18,
    PP_EXCHANGE_REPLY = 19, /* an answer of our own is being sent */
    PP_EXCHANGE_LOG = 20,
    PP_EXCHANGE_DONE = 21
};

enum pp_dir { PP_DIR_REQUEST = 0, PP_DIR_RESPONSE = 1 };

/* What an async filter holds up. */
enum pp_park {
    PP_PARK_PHASE = 0,
    PP_PARK_REQUEST_BODY = 1,
    PP_PARK_RESPONSE_BODY = 2,
    PP_PARK_COUNT = 3
};

struct pp_exchange;
struct pp_filter_state; /* proxy/filter.h */
struct pp_pace;         /* proxy/pace.h */
struct pp_retrying;     /* proxy/retry.c */
struct pp_admitted;     /* proxy/admission.h */
struct pp_grpc_web;

struct pp_args;   /* wire/args.h */
struct pp_joined; /* proxy/variable.c */
struct pp_heir;   /* proxy/h1.h */

/* What an exchange waits for while it is parked; part of whatever does the work. */
struct pp_task {
    /* The exchange goes on without it: it must not resume any more. Called once at most, after it
     * was taken out of x->task. */
    void (*cancel)(struct pp_task *t, struct pp_exchange *x, enum pp_park which);
};

/* One side of an exchange. All calls with the side attached; results are PP_OK or the code that
 * broke the connection (the caller makes it a fault). As a sink: */
struct pp_side_ops {
    /* Collect the head for the next flush: the request (UP) or the response (DOWN), framed as
     * x->flow[].framing says. */
    int (*send_head)(struct pp_exchange *x);
    /* Collect a body piece; <data> is borrowed until flush. */
    int (*send_body)(struct pp_exchange *x, struct pp_span data);
    /* Collect the end of the body, with trailers where the framing can carry them. */
    int (*send_end)(struct pp_exchange *x);
    int (*flush)(struct pp_exchange *x);
    /* How many bytes may be sent without queueing behind what the peer has not read? 0: none now,
     * SIZE_MAX: any number. More than that is taken, but has to be kept. */
    size_t (*room)(const struct pp_exchange *x);
    /* As a source: go on reading body (the sink has room again, a filter has finished). */
    void (*pump)(struct pp_exchange *x);
    /* As a source: pump, although no event has told that there is anything to read. What a peer
     * said before its connection broke is found this way. */
    void (*probe)(struct pp_exchange *x);
    /* As a source: give way to others and pump again in the next turn. */
    void (*yield)(struct pp_exchange *x);
    /* <n> bytes were read (or written) past the side's own functions: count them, and note the
     * progress. */
    void (*moved)(struct pp_exchange *x, size_t n, bool read);
    /* As a source: may there be something to read? */
    bool (*is_readable)(const struct pp_exchange *x);
    /* As a source: are body bytes in memory already? */
    bool (*has_buffered)(const struct pp_exchange *x);
    /* The channel to splice to, when it is a plain socket with nothing queued; NULL: bytes must be
     * copied. */
    struct pp_chan *(*plain_channel)(const struct pp_exchange *x);
    /* Take what is buffered of a body nobody wants: true when it is complete by now, so the
     * connection can go on. */
    bool (*discard)(struct pp_exchange *x);
    /* Leave the connection to <to>, with everything written (room), after what the exchange
     * needs of its buffer was kept. Detaches, but for PP_ENOMEM, which changes nothing. PP_OK, or
     * PP_EIO: the connection is closed, or with <to> and its bytes are lost. */
    int (*give)(struct pp_exchange *x, const struct pp_heir *to);
    /* The exchange is over for this side. <reusable>: both directions ended in order. Detaches. */
    void (*finish)(struct pp_exchange *x, bool reusable);
    /* UP: the endpoint may say that it has not looked at a request that was sent to it, so what it
     * gets of a body is kept for another attempt (pp_body_deliver), whatever a retry policy says.
     */
    bool may_refuse;
};

/* What the sides tell the exchange; one table, filled by proxy/drive.c. */
struct pp_exchange_events {
    /* DOWN: the request head is complete and valid. */
    void (*request)(struct pp_exchange *x);
    /* DOWN: no valid request; <f> says why. The connection will close after the answer. */
    void (*bad_request)(struct pp_exchange *x, struct pp_fault f);
    /* UP: connected. */
    void (*connected)(struct pp_exchange *x);
    /* UP: x->response holds a complete, valid head (1xx included). */
    void (*response)(struct pp_exchange *x);
    /* A source: the body of <dir> has ended in order and was given to the sink. */
    void (*source_ended)(struct pp_exchange *x, enum pp_dir dir);
    /* A sink: everything written, more may be sent; or a limit: more may be read. */
    void (*drained)(struct pp_exchange *x, enum pp_dir dir);
    /* Any side: broken or too slow. The side is still attached. */
    void (*failed)(struct pp_exchange *x, struct pp_fault f);
    /* A filter of a body or of trailers has ended it with PP_REPLY: with an answer (x->replied), or
     * because of x->fault. */
    void (*replied)(struct pp_exchange *x);
    /* An async filter has finished: <verdict> is PP_NEXT or PP_REPLY; <piece> replaces the body
     * piece it was given. */
    void (*resumed)(struct pp_exchange *x, enum pp_park which, int verdict, struct pp_span piece);
};

/* Body of one direction. */
struct pp_flow {
    struct pp_http1_body decoder;    /* an HTTP/1 source's framing */
    struct pp_http1_framing framing; /* what the sink writes */
    struct pp_http_msg *trailers;    /* NULL until the source has some */
    uint64_t received;               /* body bytes decoded */
    uint64_t bytes;                  /* body bytes given to the sink, after filters */
    uint8_t cursor;                  /* filter that is working on the piece in hand */
    bool filtered;                   /* a body phase is bound, and not by bystanders only */
    bool withheld;      /* a filter holds bytes back: it is called with nothing at a pause */
    uint8_t bystanders; /* body filters that leave this body alone (pp_filter_stand_by) */
    uint8_t watchers;   /* those that only look at it (pp_filter_look_on) */
    bool altered;       /* <filtered>, and not by watchers only: its length may change */
    bool parked;        /* an async body filter holds the piece */
    bool last;          /* the piece in hand is the last */
    bool head_sent;
    bool source_ended;           /* all of the body was read and given on */
    bool sink_ended;             /* the end was given to the sink */
    bool sink_broken;            /* it takes no more, but may have answered before */
    bool torn;                   /* a piece is lost: the filter that had it was cancelled */
    struct pp_splice_pipe *pipe; /* bytes on their way inside the kernel */
    struct pp_pace *pace;        /* limits of bytes per second (proxy/pace.h); NULL: none */
    /* buffering filters: the body so far; streaming: what an endpoint that may refuse the request
     * was sent of it, all of it if these are as many as <bytes> */
    char *held;
    uint32_t held_n, held_cap, hold; /* <hold>: most bytes, 0: streaming */
};

/* Times of the worker's monotonic clock in microseconds, 0: not reached. */
struct pp_exchange_times {
    uint64_t start;   /* first byte of the request */
    uint64_t head;    /* request head complete */
    uint64_t connect; /* connecting began */
    uint64_t connected;
    uint64_t sent;       /* request head written */
    uint64_t first_byte; /* response head complete */
};

/* Bytes of an open file that are the body of an answer of our own (pp_reply_file). */
struct pp_exchange_file {
    int fd;           /* closed when the exchange ends, at the latest */
    uint64_t at, end; /* yet to be sent */
    struct pp_exchange *x;
    struct pp_timer timer; /* to go on in the next turn (proxy/up_file.h) */
};

struct pp_exchange {
    struct pp_core *core;
    struct pp_snapshot *snapshot;
    struct pp_snapshot *home; /* of <listener>, when that is not <snapshot>: else NULL */
    const struct pp_listener_conf *listener;
    const struct pp_route *route; /* the fallback route until routed */
    const struct pp_exchange_events *events;
    const struct pp_side_ops *ops[2]; /* by enum pp_side; NULL: detached */
    void *side[2];                    /* the sides' own: struct pp_down *, struct pp_up * */
    struct pp_exchange_file *file;    /* the answer's body, instead of <reply_body>; or NULL */

    uint8_t state;      /* enum pp_exchange_state */
    uint8_t cursor;     /* filter of the current phase */
    bool parked;        /* an async filter of the current phase runs */
    bool replied;       /* a filter has filled <response> with an answer of its own */
    bool in_drive;      /* the driver is on the stack: events only mark, it goes on by itself */
    bool upstream_head; /* the response came from an endpoint */
    bool continue_sent; /* 100 was sent to the client */
    bool close_down;    /* the client connection must close after this exchange */
    bool upstream_keep_alive; /* the endpoint's connection can be used again */
    bool reused;              /* this attempt's connection has served others before */
    bool silent;              /* no byte of a response has come on this attempt */
    bool aborted;             /* ended without a whole response */
    bool routed;
    bool path_set;        /* a filter has chosen <path> */
    bool held_filtered;   /* an async filter has been through the held body */
    bool declared_length; /* a response without a body came with Content-Length (HEAD, 304) */
    bool wants_tunnel;   /* CONNECT, or <offer>: needs a fresh HTTP/1 connection to the endpoint, or
                          * an extended CONNECT to it */
    bool extended;       /* it came as extended CONNECT (proxy/extended.h) */
    bool opens_tunnel;   /* <response> is the head that opens it */
    bool tunnelled;      /* it was opened, and counted as answered */
    bool restored;       /* it came from another worker, whose log filters have seen it */
    bool moved;          /* it goes on in another worker, which writes the log line */
    bool shadow;         /* it has no client, and is no request (proxy/shadow.h) */
    bool body_first;     /* the body is being collected, and the request phase is still to come */
    uint64_t body_limit; /* most bytes of the request's body, besides the route's limit */
    uint8_t attempts;
    uint8_t replays;          /* of them, those that an endpoint had sent back unread */
    uint16_t n_interim;       /* interim responses of the endpoint */
    uint16_t status;          /* final status that the client got, 0: none */
    uint16_t upstream_status; /* as the endpoint sent it, 0: none */

    uint64_t id;
    struct pp_fault fault;      /* what the exchange ended with */
    struct pp_fault last_fault; /* of the last attempt; a retry may still mend it */
    struct pp_exchange_times t;
    struct pp_flow flow[2]; /* by enum pp_dir */
    struct pp_timer timer;  /* total timeout */
    struct pp_deferred deferred;

    struct pp_sock_addr client;
    const struct pp_sock_addr *nearest; /* whose connection it is, when a filter has found <client>
                                           behind it; else NULL */
    struct pp_announced *announced;     /* of the client's connection; NULL: nothing. A reference */
    int client_fd; /* of that connection, while its side is attached: for its addresses; or -1 */
    struct pp_client_tls *tls; /* what was agreed with the client; NULL: plain (client_tls.h) */
    struct pp_span host;       /* lower case, without port */
    struct pp_span path;       /* normal form: what is routed, shown to filters and sent on */
    struct pp_span
        target; /* request target for the endpoint: path and query, rewritten where configured */
    struct pp_span up_host;    /* Host for the endpoint */
    struct pp_span offer;      /* Upgrade protocols that go on to the endpoint, empty: none */
    struct pp_span reply_body; /* body of an answer of our own */
    struct pp_span held;       /* a collected body after its filters */
    struct pp_router_hit hit;
    pp_router_methods allowed; /* for 405 */
    uint32_t retry_after_s;    /* for a 503 of our own: when to come again */
    bool forwarded;            /* forwarding fields are in the request */

    struct pp_cluster *cluster;   /* in use, NULL before */
    const struct pp_arm *arm;     /* of the route's split; NULL: it has none */
    struct pp_endpoint *endpoint; /* of the last attempt */
    uint64_t tried;               /* bit per endpoint index below 64 that has failed */
    struct pp_span peer;          /* address that upstream_peer gave, empty: choose */
    struct pp_span request_id;    /* what a filter has called it; empty: <id> is its only name */
    const struct pp_args *query;  /* the query's arguments once they were asked for (variable.h) */
    const struct pp_args *cookies;
    struct pp_joined *joined; /* fields that came several times, as variables show them */
    struct pp_grpc_web *web;  /* of a call that came as gRPC-Web (proxy/grpc.h), else NULL */
    void *view;               /* the Python view, owned by the hook */
    struct pp_filter_state *filter_states; /* what native filters keep, newest first */
    struct pp_retrying *retrying;          /* once it was tried again, or an attempt was timed */
    struct pp_admitted *admitted;          /* once it came to limits of an upstream */
    struct pp_task *task[PP_PARK_COUNT];   /* what is waited for, by enum pp_park; borrowed */

    struct pp_http_msg request, response;
    struct pp_arena arena;
    char arena_mem[3072]; /* first block: enough for nearly every exchange */
};

/* Most that filters and trailers may allocate for one exchange beyond its first block. */
#define PP_EXCHANGE_ARENA_BYTES ((size_t)64 << 20)

/* A new exchange of <listener> in state HEAD, or NULL when memory is out. */
struct pp_exchange *pp_exchange_new(struct pp_core *core, const struct pp_listener_conf *listener,
                                    const struct pp_exchange_events *events) PP_MUST_USE;
/* Give it back at the end of the turn. Both sides must be detached. */
void pp_exchange_free(struct pp_exchange *x);

/* Most interim responses of one exchange, against an origin that floods (1xx flood): two hours of a
 * 102 every 20 seconds. */
#define PP_EXCHANGE_INTERIM_MAX 360

/* The <n> bytes at <mem>, into which the messages and what was derived from them may point, are
 * about to go: keep a copy, and point there. PP_OK or PP_ENOMEM. */
int pp_exchange_keep(struct pp_exchange *x, const char *mem, size_t n) PP_MUST_USE;

/* The only way to change the state. */
void pp_exchange_enter(struct pp_exchange *x, enum pp_exchange_state state);

static inline bool pp_exchange_is_attached(const struct pp_exchange *x, enum pp_side side)
{
    return x->ops[side] != NULL;
}

/* Record a fault; the first one stays. */
void pp_exchange_fault(struct pp_exchange *x, struct pp_fault f);

/* Make <response> an empty answer of our own with that status and, with <body>, its content; the
 * bytes are copied into the arena. Fields can be added afterwards. PP_OK or PP_ENOMEM. */
int pp_exchange_reply(struct pp_exchange *x, unsigned status, struct pp_span body) PP_MUST_USE;

/* May a filter write this field? Framing and connection fields are the proxy's alone: two opinions
 * about them are how requests get smuggled. */
bool pp_exchange_may_write(enum pp_http_name id);

/* Append to or set a field of <m> with copies of the bytes. Setting Host of the request says what
 * the endpoint is sent. PP_OK, PP_ENOMEM or PP_EINVAL (not a valid field, or one that may not be
 * written). */
int pp_exchange_add_field(struct pp_exchange *x, struct pp_http_msg *m, struct pp_span name,
                          struct pp_span value) PP_MUST_USE;
int pp_exchange_set_field(struct pp_exchange *x, struct pp_http_msg *m, struct pp_span name,
                          struct pp_span value) PP_MUST_USE;

/* Send on another path (origin-form, without query): validated and brought to normal form. PP_OK,
 * PP_ENOMEM, PP_EINVAL or a PP_EURI_* verdict. */
int pp_exchange_set_path(struct pp_exchange *x, struct pp_span path) PP_MUST_USE;

/* Send on another query, without its question mark; .p NULL: none. It is copied. PP_OK, PP_ENOMEM,
 * or PP_EINVAL: a byte that no query holds (controls, blanks, '#', bytes beyond ASCII). */
int pp_exchange_set_query(struct pp_exchange *x, struct pp_span query) PP_MUST_USE;

/* "http" or "https": how the client reached us. */
struct pp_span pp_exchange_scheme(const struct pp_exchange *x);

#endif
