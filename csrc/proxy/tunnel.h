/* A tunnel: two channels, and bytes moving both ways until both sides have ended. TCP listeners are
 * made of tunnels, and an exchange becomes one after a 101 or for CONNECT.
 *
 *   client  <- ch[DOWN] -- flow[REQUEST]  -> [ held ] -> ch[UP] ->  endpoint
 *           <- ch[DOWN] <- [ held ] <- flow[RESPONSE] -- ch[UP] <-
 *
 *   CONNECTING -> OPEN -> CLOSED
 *
 * A side may be a stream of HTTP/2 in place of a connection (h2_chan.h), when its exchange was one.
 *
 * A side that speaks TLS has done so before OPEN: the client's handshake comes before the endpoint
 * is connected to, the endpoint's is part of connecting, with its deadline and its further attempts
 * (tunnel_tls.c). Ends are passed on as close_notify then; one that comes without it is an end all
 * the same, because many close that way.
 *
 * A flow reads only while it holds nothing: what one read brought and the sink did not take is held
 * (in <out>, or in one pipe; PP_TUNNEL_RECORD_HELD bytes at most), and the source waits in its
 * kernel meanwhile. So the memory of a tunnel is bounded, and one that is idle owns no buffer.
 *
 * Small reads go through the worker's scratch memory; a flow whose reads bring PP_TUNNEL_SPLICE or
 * more is moved inside the kernel, until it gets thin again.
 *
 * Half-close: the end of one side's stream is passed on after all of its bytes, and the other
 * direction goes on. A reset is passed on as a reset, after what its sender had sent before, as far
 * as that is taken at once: a broken connection must not look like the end of a stream.
 *
 * tunnel.c moves the bytes; tunnel_door.c is TCP listeners: it accepts, connects and writes the
 * log; tunnel_tls.c has their handshakes; tunnel_http.c is exchanges that become tunnels;
 * tunnel_move.c hands tunnels to another worker. */
#ifndef PP_PROXY_TUNNEL_H
#define PP_PROXY_TUNNEL_H

#include "io/chan.h"
#include "io/listener.h"
#include "proxy/announced.h"
#include "proxy/cluster.h"
#include "proxy/exchange.h"
#include "proxy/h1.h"
#include "proxy/moved.h"
#include "wire/tunnel_record.h"

#define PP_TUNNEL_SPLICE 65536 /* bytes of one read from which on the kernel moves them itself */
#define PP_TUNNEL_ROUNDS 16    /* reads of one direction in a row: then others have their turn */
#define PP_TUNNEL_HELD_IOV 9   /* pieces that one direction can hold: PP_BUF_CHUNK_BYTES each */
#define PP_TUNNEL_OFFERS 64    /* offered in one turn (pp_tunnel_offer) */
#define PP_TUNNEL_WATCH_MS 100 /* between looks for new ones to offer */
#define PP_TUNNEL_LATER_MS 10  /* then those are offered again that could not go */

enum pp_tunnel_state { PP_TUNNEL_CONNECTING = 0, PP_TUNNEL_OPEN = 1, PP_TUNNEL_CLOSED = 2 };

/* One direction. */
struct pp_tunnel_flow {
    struct pp_buf out;           /* held in memory; sent before what the pipe holds */
    struct pp_splice_pipe *pipe; /* held in the kernel; NULL: none now */
    uint64_t received, sent;     /* bytes; the difference is held */
    uint64_t burst;              /* spliced since the source was last dry */
    bool thick;                  /* reads bring so much that splicing pays */
    bool source_ended;           /* FIN has been read */
    bool shut;                   /* and passed on */
};

struct pp_tunnel;
struct pp_door;       /* proxy/down.h */
struct pp_client_tls; /* proxy/client_tls.h */

/* What the owner of tunnels is told. */
struct pp_tunnel_ops {
    /* CONNECTING: the endpoint's channel has news, or the client's while <next> is there; or the
     * deadline has passed. */
    void (*connecting)(struct pp_tunnel *t);
    void (*expired)(struct pp_tunnel *t);
    /* Everything is closed, t->fault says why; the memory lives until the end of the turn. With an
     * exchange it lives, and is counted, until pp_tunnel_free. */
    void (*ended)(struct pp_tunnel *t);
};

struct pp_tunnel {
    struct pp_chan ch[2];          /* by enum pp_side */
    struct pp_tunnel_flow flow[2]; /* by enum pp_dir */
    struct pp_core *core;
    const struct pp_tunnel_ops *ops;
    struct pp_list link;     /* in core->tunnels */
    struct pp_door *door;    /* where the client came in */
    uint32_t record;         /* the listener's counters, for bytes */
    struct pp_endpoint *ep;  /* holds a reference to its cluster; NULL: none chosen yet */
    struct pp_cluster *next; /* to go to after the client's handshake; a reference; NULL: done */
    struct pp_span head[2];  /* of <x>, written for another worker; empty before */
    struct pp_exchange *x;   /* that it is the end of, in state TUNNEL or LOG; NULL: none */
    struct pp_sock_addr client;
    struct pp_announced *announced; /* what came before its first byte; NULL: nothing */
    struct pp_client_tls *tls;      /* what was agreed with the client; NULL: plain, or of <x> */
    struct pp_timer timer;
    uint64_t deadline_ms; /* of the connect; UINT64_MAX: none */
    uint64_t idle_ms;     /* without a byte either way it ends; 0: never */
    uint64_t last_ms;     /* when the last byte passed */
    uint64_t tried;       /* bit per endpoint that could not be connected to */
    uint64_t id;
    uint64_t start_us, connect_us, connected_us; /* accepted, connecting, connected; 0: not yet */
    struct pp_fault fault;                       /* why it ended; none: both sides were done */
    uint8_t state;                               /* enum pp_tunnel_state */
    uint8_t attempts;
    bool reached;     /* CONNECTING: the endpoint is there, and has been told who comes */
    bool ticket_kept; /* its TLS session is remembered */
    bool again;       /* the timer goes on with moving bytes */
    bool broken;      /* a side was reset; what it had sent is being passed on */
    bool refused;     /* nobody wants to take it over */
    bool is_stream;   /* its client's side is a stream of a connection, which is counted already */
    bool moved;       /* another worker has taken it over */
    struct pp_deferred deferred;
};

/* ---- any tunnel (tunnel.c) ---- */

/* A tunnel in CONNECTING without channels, or NULL when memory is out. The caller sets <door>,
 * <record>, <client>, <idle_ms> and, before it is opened, <last_ms>. */
struct pp_tunnel *pp_tunnel_new(struct pp_core *core, const struct pp_tunnel_ops *ops) PP_MUST_USE;
/* Put <fd> at <side>: owned from now on in every case. <connected>: it can be read and written at
 * once. On failure the tunnel is to be ended. PP_OK, PP_ENOMEM or PP_EIO. */
int pp_tunnel_attach(struct pp_tunnel *t, enum pp_side side, int fd, bool connected) PP_MUST_USE;
/* Where the connection of <side> goes that an exchange leaves to the tunnel. */
struct pp_heir pp_tunnel_heir(struct pp_tunnel *t, enum pp_side side);
/* Both channels are connected: begin to move bytes. May end the tunnel at once. */
void pp_tunnel_open(struct pp_tunnel *t);
/* CONNECTING: `expired` in <ms> from now; 0: never. */
void pp_tunnel_expect(struct pp_tunnel *t, uint64_t ms);
/* Close both sides because of <fault> and free at the end of the turn; <abort>: with RST. Fine when
 * closed. */
void pp_tunnel_end(struct pp_tunnel *t, struct pp_fault fault, bool abort);
/* Close our copies of the descriptors without a word to either peer, because another worker has its
 * own; as pp_tunnel_end otherwise, but t->moved is set, and no log line is due. */
void pp_tunnel_let_go(struct pp_tunnel *t);
/* Bring what the pipes hold into <out>. PP_OK, or an error after which bytes are lost: the tunnel
 * is to be ended. */
int pp_tunnel_unpipe(struct pp_tunnel *t) PP_MUST_USE;
/* The exchange of a closed tunnel is over: free it at the end of the turn. */
void pp_tunnel_free(struct pp_tunnel *t);
/* Abort every tunnel of the worker; those that a log filter holds go when it is done. */
void pp_tunnel_cut_all(struct pp_core *core);
/* Abort every tunnel, and the log filters that hold some. */
void pp_tunnel_close_all(struct pp_core *core);

/* ---- TCP listeners (tunnel_door.c) ---- */

/* Listener callback: a connection of <l>->owner, a struct pp_door whose listener has a cluster. It
 * is tunnelled to one of its endpoints; when none can be reached, the client is reset. */
void pp_tunnel_accept(struct pp_listener *l, int fd, const struct sockaddr_storage *from);
/* The same for a connection (owned from now on) that was accepted and counted before, to <cl>. */
void pp_tunnel_admit(struct pp_door *door, int fd, const struct pp_arrival *arrival,
                     struct pp_cluster *cl);
/* Make <t> one of <door>'s; when it has ended, it leaves. */
void pp_tunnel_enter(struct pp_tunnel *t, struct pp_door *door);
void pp_tunnel_leave(struct pp_tunnel *t);
/* Probe both ends as the listener says, so that a peer that vanished is found out. */
void pp_tunnel_keep_alive(const struct pp_tunnel *t);
extern const struct pp_tunnel_ops pp_tunnel_door_ops;

/* ---- TLS of TCP listeners and of their endpoints (tunnel_tls.c) ---- */

/* The client, who was accepted <waited_ms> ago, has to do its handshake before the tunnel goes to
 * <cl>. PP_OK or PP_ENOMEM. */
int pp_tunnel_tls_accept(struct pp_tunnel *t, struct pp_cluster *cl, uint64_t waited_ms)
    PP_MUST_USE;
/* Go on with it. PP_OK: done; PP_EAGAIN; or the tunnel has been ended. */
int pp_tunnel_tls_shake(struct pp_tunnel *t) PP_MUST_USE;
/* It took too long: end the tunnel. */
void pp_tunnel_tls_expired(struct pp_tunnel *t);

/* Speak TLS on the channel to the endpoint, which was just attached, if its upstream does. The
 * protocol that was agreed with the client is offered, and no other: whoever is inside has chosen
 * it. PP_OK or PP_ENOMEM. */
int pp_tunnel_tls_connect(struct pp_tunnel *t) PP_MUST_USE;

/* ---- exchanges (tunnel_http.c) ---- */

/* <x> is in TUNNEL, and both of its sides have written everything: their connections become a
 * tunnel of the same door, with what was read of them already. It may end at once: <x> is in LOG
 * then, as it will be when it ends later. PP_OK, or PP_ENOMEM with nothing changed. */
int pp_tunnel_begin(struct pp_exchange *x) PP_MUST_USE;
extern const struct pp_tunnel_ops pp_tunnel_http_ops;

/* The exchange of <t>, for another worker that goes on with it: its route, its heads and its times.
 * Of heads over PP_TUNNEL_RECORD_HEAD bytes, or when memory is out, nothing is said. */
void pp_tunnel_describe_http(struct pp_tunnel *t, struct pp_tunnel_record *r);
/* Make the exchange of <t> again, whose endpoint is known. Its log filters have run where it came
 * from; the log line is still to be written. A route that is not there any more keeps its name.
 * PP_OK or PP_ENOMEM. */
int pp_tunnel_restore_http(struct pp_tunnel *t, const struct pp_tunnel_record *r) PP_MUST_USE;

/* ---- to another worker (tunnel_move.c) ---- */

/* A tunnel as another worker needs it. */
struct pp_tunnel_moved {
    int fd[2]; /* by enum pp_side; borrowed */
    struct pp_tunnel_record record;
    struct iovec held[2 * PP_TUNNEL_HELD_IOV]; /* its held bytes; borrowed */
    int n_held;
};

/* Describe <t>, which must be open. Nothing moves until the caller lets it go, or goes on with it;
 * *out is good until then. PP_OK; PP_EAGAIN: not connected yet; PP_EINVAL: not between two plain
 * sockets; PP_ENOMEM, PP_EIO: it has ended, because its bytes could not be kept. */
int pp_tunnel_export(struct pp_tunnel *t, struct pp_tunnel_moved *out) PP_MUST_USE;
/* Bytes of the packed form, and the packed form (wire/tunnel_record.h) itself at <dst>. */
size_t pp_tunnel_moved_size(const struct pp_tunnel_moved *m);
void pp_tunnel_moved_pack(const struct pp_tunnel_moved *m, char *dst);

/* Go on with what <record> describes, as a tunnel of <door>, between <fd> (by enum pp_side; owned
 * from now on, closed without a word on failure). Its upstream is the one of that name in the
 * installed snapshot; without it, the tunnel goes on all the same. PP_OK, PP_ENOMEM or PP_EIO. */
int pp_tunnel_adopt(struct pp_door *door, const int fd[2], const struct pp_tunnel_record *record)
    PP_MUST_USE;

/* Offer one tunnel: <m>->fd is borrowed during the call. Returns an enum pp_move_verdict: REFUSED
 * is not offered again, of TAKEN our copies of the descriptors are closed, LATER is offered again
 * in PP_TUNNEL_LATER_MS. */
typedef int (*pp_tunnel_move_fn)(void *arg, const struct pp_tunnel_moved *m);

/* The offering of all tunnels of a worker; zeroed: none. */
struct pp_tunnel_offer {
    struct pp_core *core;
    pp_tunnel_move_fn fn; /* NULL: nobody takes any */
    void *arg;
    struct pp_timer timer;
};

/* Offer every tunnel to <fn>, PP_TUNNEL_OFFERS in a turn; begins in the next turn, and goes on with
 * those that come or get connected later. Those that were refused before are offered again. <fn>
 * NULL: no more. */
void pp_tunnel_offer(struct pp_tunnel_offer *offer, struct pp_core *core, pp_tunnel_move_fn fn,
                     void *arg);

static inline enum pp_side pp_tunnel_source(enum pp_dir dir)
{
    return dir == PP_DIR_REQUEST ? PP_SIDE_DOWN : PP_SIDE_UP;
}
static inline enum pp_side pp_tunnel_sink(enum pp_dir dir)
{
    return dir == PP_DIR_REQUEST ? PP_SIDE_UP : PP_SIDE_DOWN;
}

#endif
