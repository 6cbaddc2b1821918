/* A connection from a client.
 *
 *   IDLE -> HEAD -> EXCHANGE -> IDLE ...
 *              \________________-> FLUSH -> [LINGER] -> CLOSED
 *
 * IDLE      nothing read of the next request: no buffer, no exchange
 * HEAD      a request head is arriving
 * EXCHANGE  an exchange is running; its request body may still be arriving
 * FLUSH     the last response waits for the socket; then the connection closes
 * LINGER    our side is shut; what the client still sends is read and dropped for a short time, so
 * that it gets to see the answer instead of a reset (RFC 9112 section 9.6)
 *
 * down.c keeps the connection, its door and its deadlines, and knows no protocol; down_h1.c speaks
 * HTTP/1 on it, down_h2.c HTTP/2: then any number of exchanges run in the state EXCHANGE. */
#ifndef PP_PROXY_DOWN_H
#define PP_PROXY_DOWN_H

#include "io/listener.h"
#include "proxy/announced.h"
#include "proxy/body.h"
#include "proxy/drive.h"
#include "proxy/h1.h"

/* Where connections come in: an adopted listening socket and the configuration that now belongs to
 * it. Closed, or made for connections that moved here, it has no socket (l.fd < 0), and goes with
 * its last connection. */
struct pp_door {
    struct pp_listener l;
    struct pp_core *core;
    const struct pp_listener_conf *conf; /* of the installed snapshot, or of <home> */
    struct pp_snapshot *home; /* that knew the listener last; NULL: the installed one does */
    struct pp_span name;
    uint32_t n_open; /* connections */
    bool closing;    /* what still waits is taken, over the limit too */
    /* The last connection of a door without socket has gone. */
    void (*on_empty)(struct pp_door *door);
    struct pp_udp *udp; /* not NULL: it takes datagrams (udp.h), and <l> is only its number */
    struct pp_door *next;
    struct pp_deferred deferred;
};

enum pp_down_state {
    PP_DOWN_IDLE = 0,
    PP_DOWN_HEAD = 1,
    PP_DOWN_EXCHANGE = 2,
    PP_DOWN_FLUSH = 3,
    PP_DOWN_LINGER = 4,
    PP_DOWN_CLOSED = 5
};

/* What passes when the deadline does. */
enum pp_down_wait {
    PP_DOWN_WAIT_NONE = 0,
    PP_DOWN_WAIT_IDLE = 1,
    PP_DOWN_WAIT_HEAD = 2,
    PP_DOWN_WAIT_BODY = 3,
    PP_DOWN_WAIT_SEND = 4,
    PP_DOWN_WAIT_LINGER = 5,
    PP_DOWN_WAIT_AGAIN = 6,  /* not a deadline: the connection gave way to others and goes on now */
    PP_DOWN_WAIT_GOODBYE = 7 /* idle in a worker that drains: until its turn to be closed */
};

struct pp_down;

/* How a protocol speaks on a connection; one constant table each. */
struct pp_down_proto {
    const char *name;
    /* Bytes may have come, or reading may go on: in the states IDLE, HEAD and EXCHANGE. */
    void (*on_readable)(struct pp_down *d);
    /* The socket takes bytes again, in the same states. */
    void (*on_writable)(struct pp_down *d);
    /* What d->wait names has not come in time, in the same states. */
    void (*on_late)(struct pp_down *d);
    /* The client will send nothing more (ch.rdhup) and maybe read nothing more (ch.broken). True:
     * nothing is left to do for it. */
    bool (*is_left)(const struct pp_down *d);
    /* End the exchanges that run, because of <f>; d->gone is set, so the end of the last one closes
     * the connection. False: there are none. */
    bool (*fail)(struct pp_down *d, struct pp_fault f);
    /* The connection is closed, without exchanges: give back what the protocol keeps. NULL:
     * nothing.
     */
    void (*release)(struct pp_down *d);
    /* The connection shall end as soon as it can in order: asked once, when the worker drains.
     * NULL: every answer that begins looks by itself, and an idle connection is just closed. */
    void (*drain)(struct pp_down *d);
    bool moves; /* between two requests it can go to another process (proxy/move.h) */
};

/* How fast a body comes in. */
struct pp_down_clock {
    uint64_t from_ms, seen_ms; /* since when it is awaited, and when it last came */
    uint64_t bytes;
};

struct pp_down {
    struct pp_h1 h;
    const struct pp_down_proto *proto;
    struct pp_exchange *x; /* HTTP/1: the exchange that is read or runs */
    struct pp_down_h2 *h2; /* HTTP/2 (down_h2.h) */
    struct pp_door *door;
    struct pp_list link; /* in core->downs or core->leaving.queue */
    struct pp_http1_head head;
    struct pp_timer timer;
    uint64_t deadline_ms;
    uint64_t born_ms;
    struct pp_down_clock body;
    uint64_t whole_ms; /* HTTP/1: when the request's body had come; 0: not yet, or it has none */
    uint64_t ended_ms; /* when the client ended its side (ch.rdhup); 0: it has not */
    struct pp_sock_addr client;
    struct pp_announced *announced; /* what came before its first byte; NULL: nothing */
    struct pp_client_tls *tls;      /* once its handshake is done; NULL: plain */
    uint32_t n_request;
    uint32_t lingered; /* bytes dropped */
    uint8_t state;     /* enum pp_down_state */
    uint8_t wait;      /* enum pp_down_wait */
    bool again;        /* the timer goes on with reading */
    bool in_read;      /* reading is on the stack: it goes on with the next request by itself */
    bool gone;         /* close as soon as the exchange is over */
    bool unread;       /* close with lingering: the client may still be sending */
    bool stays;        /* nobody takes it over (proxy/move.h) */
    struct pp_deferred deferred;
};

/* How often a body in progress is held against the minimum rate, and the time it has to get going.
 */
#define PP_DOWN_RATE_CHECK_MS 5000
/* A client of HTTP/1 that ends its side no later than so long after the last byte of a request's
 * body has said that this was all, and waits for the answer; one that ends it later has left. The
 * two look alike on the wire. */
#define PP_DOWN_HALF_CLOSE_MS 1000

/* Listener callback: a connection of <l>->owner, a struct pp_door. */
void pp_down_accept(struct pp_listener *l, int fd, const struct sockaddr_storage *from);

/* Begin to serve the connection <fd> (owned from now on), which was accepted and counted before. */
void pp_down_admit(struct pp_door *door, int fd, const struct pp_arrival *arrival);

/* A connection of <door> over <fd>, which it owns now, idle and without deadline; counted as open.
 * <fresh>: nothing has been said on it, so it speaks TLS where the listener does. PP_OK, or
 * PP_ENOMEM or PP_EIO with <fd> closed. */
int pp_down_open(struct pp_door *door, int fd, bool fresh, struct pp_down **out) PP_MUST_USE;
/* A connection of <door> (a struct pp_down or not) is there, and gone. */
void pp_down_enter_door(struct pp_door *door);
void pp_down_leave_door(struct pp_door *door);

/* A new exchange of <d>, in state HEAD, which knows what is known of the client; its side is <side>
 * with <ops>. NULL when memory is out. */
struct pp_exchange *pp_down_exchange(struct pp_down *d, const struct pp_side_ops *ops, void *side)
    PP_MUST_USE;

/* Deadline in <ms> from now; 0: none. */
void pp_down_expect(struct pp_down *d, enum pp_down_wait wait, uint64_t ms);
/* The client owes a body: wait for it. <fresh>: the clock starts now. */
void pp_down_expect_body(struct pp_down *d, bool fresh);
/* Is a body late: silent for too long, or slower than the minimum on average? */
bool pp_down_is_body_late(const struct pp_listener_conf *conf, const struct pp_down_clock *clock,
                          uint64_t now_ms);
/* After how long to ask that; 0: never. */
uint64_t pp_down_body_check_ms(const struct pp_listener_conf *conf);
/* Go on reading in the next turn: others first. */
void pp_down_again(struct pp_down *d);
/* Say goodbye: flush, then linger or close. No exchange is attached any more. */
void pp_down_end(struct pp_down *d);
/* Close now and free at the end of the turn. Aborts the exchange, if there is one. */
void pp_down_close(struct pp_down *d, bool abort);

/* Abort every exchange and close every connection; those that a log filter holds go when it is
 * done, those with tunnels on streams go with their last tunnel. */
void pp_down_cut_all(struct pp_core *core);
/* Close everything; there are no tunnels any more (pp_tunnel_close_all). */
void pp_down_close_all(struct pp_core *core);

/* Speak TLS on a new connection, if its listener does (down_tls.c). PP_OK or PP_ENOMEM. */
int pp_down_tls_open(struct pp_down *d) PP_MUST_USE;

/* HTTP/1 (down_h1.c): as a side of its exchange, and as the protocol of a connection. Every
 * connection begins with it. */
extern const struct pp_side_ops pp_down_h1_ops;
extern const struct pp_down_proto pp_down_h1_proto;

#endif
