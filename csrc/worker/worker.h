/* One process's data plane: its core, the doors that connections come in by, and the life of
 * snapshots.
 *
 * Single-threaded. Nested in another loop: watch pp_worker_fd for reading and call
 * pp_worker_run_ready. */
#ifndef PP_WORKER_WORKER_H
#define PP_WORKER_WORKER_H

#include "proxy/move.h"
#include "proxy/hook.h"
#include "proxy/tunnel.h"
#include "proxy/udp.h"

struct pp_worker {
    struct pp_core core;
    struct pp_door *doors;
    struct pp_tunnel_offer offer; /* of tunnels, to other workers */
};

/* <stats>, <slot>: see pp_metrics_init. <seed> feeds hashes and balancing. PP_OK or the error with
 * nothing left behind. */
int pp_worker_init(struct pp_worker *w, void *stats, size_t stats_size, uint32_t slot,
                   uint64_t seed) PP_MUST_USE;
/* Count in the table at <mem> (proxy/shared.h), which other workers share. Before the first
 * exchange. PP_OK or PP_EINVAL: it is none. */
int pp_worker_share(struct pp_worker *w, void *mem, size_t size) PP_MUST_USE;
/* Abort every connection and free everything. Idempotent. */
void pp_worker_fini(struct pp_worker *w);

/* Where Python filters are called. */
void pp_worker_set_hook(struct pp_worker *w, const struct pp_hook_ops *ops, void *owner);

/* A Python filter raised, or (<timed_out>) passed its deadline. */
void pp_worker_count_filter(struct pp_worker *w, bool timed_out);

static inline int pp_worker_fd(const struct pp_worker *w)
{
    return pp_loop_fd(&w->core.loop);
}
/* Handle what is ready, bounded (pp_loop_run_ready); returns the number of events. */
int pp_worker_run_ready(struct pp_worker *w);
/* One turn, waiting at most so long: without another loop. */
int pp_worker_turn(struct pp_worker *w, int wait_ms);

/* New exchanges use <sn> (one more reference is taken) from now on. Opens its access logs. A door
 * whose listener it does not know goes on with the one it has (that snapshot, and its logs, stay):
 * its exchanges are routed by <sn>, but obey the old listener's limits and write to its log.
 * PP_OK; PP_EIO when a log cannot be opened: then nothing has changed. */
int pp_worker_install(struct pp_worker *w, struct pp_snapshot *sn) PP_MUST_USE;

/* Accept, or take datagrams, on <fd> (adopted on PP_OK) as the named listener of the installed
 * snapshot; a listener may have several sockets. PP_OK, PP_ENOENT, PP_ENOMEM, PP_EIO. */
int pp_worker_listen(struct pp_worker *w, int fd, struct pp_span listener) PP_MUST_USE;
/* Take what the accept queue of <fd> (as given to pp_worker_listen) holds, then close it. Its
 * connections go on. PP_OK, or PP_ENOENT when there is no such door. */
int pp_worker_unlisten(struct pp_worker *w, int fd) PP_MUST_USE;
/* The same for all. */
void pp_worker_stop_listening(struct pp_worker *w);
/* Answers say `Connection: close`, idle connections are closed within <spread_ms>
 * (pp_move_drain). Tunnels go on. */
void pp_worker_drain(struct pp_worker *w, uint64_t spread_ms);

/* Offer connections at rest to another process (pp_move_hand_over); before a drain, which would
 * close them. */
void pp_worker_hand_over(struct pp_worker *w, pp_move_fn fn, void *arg);
/* Adopt what another process has handed over (pp_move_take). Owns m->fd from the call on, and
 * closes it unless PP_OK; PP_ENOENT (the installed snapshot does not know its listener; no
 * socket of it needs to be open here), PP_ENOMEM, PP_EIO. It goes on in the clear, as with a
 * reload, where its listener speaks TLS now. */
int pp_worker_take(struct pp_worker *w, const struct pp_moved *m) PP_MUST_USE;

/* Offer every tunnel to <fn> (pp_tunnel_offer). */
void pp_worker_hand_over_tunnels(struct pp_worker *w, pp_tunnel_move_fn fn, void *arg);
/* Go on with a tunnel that another worker has handed over: <fd> by enum pp_side, owned from now on
 * in every case. PP_OK; PP_EINVAL: <packed> is malformed or of another version; PP_ENOENT: the
 * snapshot does not know its listener; PP_ENOMEM, PP_EIO. */
int pp_worker_take_tunnel(struct pp_worker *w, const int fd[2], struct pp_span packed) PP_MUST_USE;
/* Abort every exchange, and close every connection that is no tunnel. */
void pp_worker_close_connections(struct pp_worker *w);
/* Abort every tunnel. */
void pp_worker_close_tunnels(struct pp_worker *w);
/* End every UDP session. */
void pp_worker_close_flows(struct pp_worker *w);

/* New connections of the named listener of the installed snapshot speak <tls> (takes a reference);
 * those that are open go on as they are. PP_OK; PP_ENOENT: no such listener, or it is a plain one.
 */
int pp_worker_replace_tls(struct pp_worker *w, struct pp_span listener, struct pp_tls_conf *tls)
    PP_MUST_USE;

/* Open log files again. PP_OK, or PP_EIO when one could not be (it goes on with the old file). */
int pp_worker_reopen_logs(struct pp_worker *w);
void pp_worker_flush_logs(struct pp_worker *w);

#endif
