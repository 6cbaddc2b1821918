/* A connection to an endpoint: connecting, lent to an exchange, or idle in the pool.
 *
 *   CONNECTING -> [HANDSHAKE] -> BUSY <-> IDLE (pool) -> CLOSED
 *
 * up.c keeps the connection and its deadlines and knows no protocol: what is to be done about an
 * event is in a table of the one that is spoken. up_tls.c sees to its TLS, which is part of
 * connecting; up_h1.c speaks HTTP/1, up_h2.c HTTP/2. */
#ifndef PP_PROXY_UP_H
#define PP_PROXY_UP_H

#include "proxy/body.h"
#include "proxy/cluster.h"
#include "proxy/h1.h"
#include "proxy/pool.h"

enum pp_up_state {
    PP_UP_CONNECTING = 0,
    PP_UP_BUSY = 1,
    PP_UP_IDLE = 2,
    PP_UP_CLOSED = 3,
    PP_UP_HANDSHAKE = 4
};

struct pp_up;
struct pp_up_h2;

/* What a protocol does about what happens to its connection. Every call may end with the connection
 * closed. */
struct pp_up_proto {
    /* CONNECTING -> BUSY: requests may be sent. */
    void (*on_connected)(struct pp_up *up);
    /* Not connected, while CONNECTING. */
    void (*on_failed)(struct pp_up *up, struct pp_fault f);
    /* BUSY or IDLE: bytes may have come. */
    void (*on_readable)(struct pp_up *up);
    /* BUSY or IDLE: the socket has room again. */
    void (*on_writable)(struct pp_up *up);
    /* BUSY: the deadline has passed. */
    void (*on_late)(struct pp_up *up, struct pp_fault f);
    /* It closes now: take it out of whatever it was in. */
    void (*on_close)(struct pp_up *up);
    /* The turn in which it was closed ends: free what the protocol keeps. NULL: nothing. */
    void (*on_free)(struct pp_up *up);
};

struct pp_up {
    struct pp_h1 h;
    const struct pp_up_proto *proto;
    struct pp_endpoint *ep;
    struct pp_pooled pooled;
    struct pp_timer timer;
    uint64_t deadline_ms; /* UINT64_MAX: none; the timer checks it lazily */
    uint8_t why;          /* enum pp_fault_code when the deadline passes */
    uint8_t state;        /* enum pp_up_state */
    bool again;           /* the timer means: go on reading, not: too late */
    bool ticket_kept;     /* its TLS session is remembered */
    struct pp_deferred deferred;
    /* HTTP/1 */
    struct pp_exchange *x;     /* NULL: idle */
    struct pp_http1_head head; /* parser of the response head */
    /* HTTP/2, or a connection that may come to speak it */
    struct pp_up_h2 *h2;
};

/* Lend a connection to <ep> to <x>: a pooled one (unless <fresh>) or a new one. PP_OK: ready;
 * PP_EAGAIN: connecting, event `connected` or `failed` follows; otherwise the connect error,
 * nothing attached. PP_EHTTP_SWITCH: <x> wants a tunnel that the endpoint does not take. PP_ELIMIT:
 * as many connections are open as may be, and all are busy. */
int pp_up_acquire(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh) PP_MUST_USE;

/* The same for <x> that had waited for a connection which is not for it after all: limits on
 * connections are passed over. */
int pp_up_acquire_another(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh) PP_MUST_USE;

/* Are as many connections to <ep> open as may be, idle ones included? */
bool pp_up_is_full(const struct pp_endpoint *ep);

/* Can its endpoints' connections be had as they are, for CONNECT? Not those that must speak HTTP/2.
 */
bool pp_up_can_tunnel(const struct pp_cluster *cl);

/* What the endpoint owes <x> now, as the fault that its silence would be, and in *ms how long it
 * has for it (0: no limit): it must take the request, then answer, then go on sending. <stuck>: it
 * has not taken all that was sent to it. FAULT_NONE: we, or the client, are to act. */
enum pp_fault_code pp_up_owes(const struct pp_exchange *x, const struct pp_cluster_conf *conf,
                              bool stuck, uint64_t *ms);

/* Set the deadline: in <ms> from now (0: none), and the fault it means. */
void pp_up_expect(struct pp_up *up, enum pp_fault_code why, uint64_t ms);

/* A new connection to <ep>, for <x> or (NULL) for nobody yet. PP_OK: connected; PP_EAGAIN:
 * connecting; else the error. <only_h1>: TLS offers nothing else. */
int pp_up_dial(struct pp_endpoint *ep, const struct pp_exchange *x, bool only_h1,
               struct pp_up **out) PP_MUST_USE;
/* May connections of <cl> turn out to speak HTTP/2? */
bool pp_up_may_speak_h2(const struct pp_cluster *cl);
/* <up> is connected, speaks HTTP/1, and is of nobody: it waits in the pool. */
void pp_up_rest(struct pp_up *up);

/* Close and free at the end of the turn. The exchange must be detached. */
void pp_up_close(struct pp_up *up);
/* Back to the pool, or closed when the pool does not want it. */
void pp_up_release(struct pp_up *up);

/* Close every idle connection of a cluster, and let the others end with what runs on them: before
 * it is forgotten. */
void pp_up_close_idle(struct pp_cluster *cl);

/* Go on reading in the next turn: others first. */
void pp_up_again(struct pp_up *up);
/* Has nothing come? A read that got just what it asked for leaves the flag: the socket itself is
 * asked. (TLS tickets are nothing.) */
bool pp_up_is_quiet(struct pp_up *up);

/* <x> has begun with an attempt at <ep>, and is done with it: numbers. */
void pp_up_begin(struct pp_exchange *x, struct pp_endpoint *ep, bool reused);
void pp_up_end(struct pp_exchange *x, struct pp_endpoint *ep);
/* The connection broke with <rc> during an exchange: counted, and the fault of it. */
struct pp_fault pp_up_reset_fault(struct pp_up *up, int rc);

/* ---- TLS on a channel to an endpoint, whatever it is for (up_tls.c) ---- */

/* Speak TLS on <ch>, which was just opened towards <ep>, if its cluster does. <alpn>: offer these
 * protocols (each with its length before it; may be empty) and not those of the cluster; NULL:
 * those. PP_OK or PP_ENOMEM. */
int pp_up_tls_open(struct pp_chan *ch, const struct pp_endpoint *ep, const struct pp_span *alpn)
    PP_MUST_USE;
/* Go on with the handshake, which is counted; fine without TLS. PP_OK: done; PP_EAGAIN; or why it
 * failed, and no byte but the handshake's has been sent. */
int pp_up_tls_handshake(struct pp_chan *ch, const struct pp_endpoint *ep) PP_MUST_USE;
/* The connection has been of use: remember its session for the next one, unless *kept, which is
 * set. Fine without TLS. */
void pp_up_tls_keep_ticket(struct pp_chan *ch, struct pp_endpoint *ep, bool *kept);

/* ---- HTTP/1 (up_h1.c) ---- */

extern const struct pp_up_proto pp_up_h1_proto; /* Lend it to <x>. */
void pp_up_h1_lend(struct pp_up *up, struct pp_exchange *x, bool reused);

#endif
