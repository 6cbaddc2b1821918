/* One process's data plane: its core, the doors that connections come in by, and the life of
 * snapshots.
 *
 * Single-threaded. Nested in another loop: watch pp_worker_fd for reading and call
 * pp_worker_run_ready. */
#ifndef PP_WORKER_WORKER_H
#define PP_WORKER_WORKER_H

#include "proxy/down.h"
#include "proxy/hook.h"

struct pp_worker {
    struct pp_core core;
    struct pp_door *doors;
};

/* <stats>, <slot>: see pp_metrics_init. <seed> feeds hashes and balancing. PP_OK or the error with
 * nothing left behind. */
int pp_worker_init(struct pp_worker *w, void *stats, size_t stats_size, uint32_t slot,
                   uint64_t seed) PP_MUST_USE;
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

/* New exchanges use <sn> (one more reference is taken) from now on. Opens its access logs. PP_OK;
 * PP_EIO when a log cannot be opened, and PP_ENOENT when an open door's listener is missing from
 * it: then nothing has changed. */
int pp_worker_install(struct pp_worker *w, struct pp_snapshot *sn) PP_MUST_USE;

/* Accept on <fd> (adopted on PP_OK) as the named listener of the installed snapshot. PP_OK,
 * PP_ENOENT, PP_ENOMEM, PP_EIO. */
int pp_worker_listen(struct pp_worker *w, int fd, struct pp_span listener) PP_MUST_USE;
/* Take what the accept queues hold, then accept no more. */
void pp_worker_stop_listening(struct pp_worker *w);
/* Close idle connections; the others end after their exchange. */
void pp_worker_drain(struct pp_worker *w);

/* Open log files again. PP_OK, or PP_EIO when one could not be (it goes on with the old file). */
int pp_worker_reopen_logs(struct pp_worker *w);
void pp_worker_flush_logs(struct pp_worker *w);

#endif
