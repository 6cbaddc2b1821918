/* A connection to an endpoint: connecting, lent to an exchange, or idle in the pool.
 *
 *   CONNECTING -> [HANDSHAKE] -> BUSY <-> IDLE (pool) -> CLOSED
 *
 * up.c keeps the connection and its deadlines; up_tls.c sees to its TLS, which is part of
 * connecting; up_h1.c speaks HTTP/1 on it. */
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

struct pp_up {
    struct pp_h1 h;
    struct pp_exchange *x; /* NULL: idle */
    struct pp_endpoint *ep;
    struct pp_http1_head head; /* parser of the response head */
    struct pp_pooled pooled;
    struct pp_timer timer;
    uint64_t deadline_ms; /* UINT64_MAX: none; the timer checks it lazily */
    uint8_t why;          /* enum pp_fault_code when the deadline passes */
    uint8_t state;        /* enum pp_up_state */
    bool reused;          /* came from the pool */
    bool silent;          /* no response byte yet */
    bool again;           /* the timer means: go on pumping, not: too late */
    bool ticket_kept;     /* its TLS session is remembered */
    struct pp_deferred deferred;
};

/* Lend a connection to <ep> to <x>: a pooled one (unless <fresh>) or a new one. PP_OK: ready;
 * PP_EAGAIN: connecting, event `connected` or `failed` follows; otherwise the connect error,
 * nothing attached. */
int pp_up_acquire(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh) PP_MUST_USE;

/* Set the deadline: in <ms> from now (0: none), and the fault it means. */
void pp_up_expect(struct pp_up *up, enum pp_fault_code why, uint64_t ms);

/* Close and free at the end of the turn. The exchange must be detached. */
void pp_up_close(struct pp_up *up);
/* Back to the pool, or closed when the pool does not want it. */
void pp_up_release(struct pp_up *up);

/* Close every idle connection of a cluster: before it is forgotten. */
void pp_up_close_idle(struct pp_cluster *cl);

/* Speak TLS on a new connection, if its cluster does. PP_OK or PP_ENOMEM. */
int pp_up_tls_open(struct pp_up *up) PP_MUST_USE;
/* Go on with the handshake; fine without TLS. PP_OK: done; PP_EAGAIN; or *f is what went wrong. */
int pp_up_tls_handshake(struct pp_up *up, struct pp_fault *f) PP_MUST_USE;
/* The connection has been of use: remember its session for the next one. */
void pp_up_tls_keep_ticket(struct pp_up *up);

/* The HTTP/1 side (up_h1.c). */
extern const struct pp_side_ops pp_up_h1_ops;
/* Bytes may have come: called by the connection's event handler when it is lent out. */
void pp_up_h1_on_readable(struct pp_up *up);
void pp_up_h1_on_writable(struct pp_up *up);

static inline struct pp_up *pp_up_of(const struct pp_exchange *x)
{
    return x->side[PP_SIDE_UP];
}

#endif
