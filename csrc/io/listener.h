/* A listening socket that somebody else bound: accept in batches, pause and resume.
 *
 * At EMFILE accepting pauses (clients wait in the kernel's queue, nothing is lost) and is tried
 * again after PP_LISTENER_PAUSE_MS. The owner may pause it too, or hold it while its connection
 * limit is reached: then only its resume ends that.
 *
 *   open --> accepting --(EMFILE, pause, hold)--> paused --(close)--> closed
 *             |   ^--------(timer, resume)---------|                    ^
 *             |_______________________(close)___________________________| */
#ifndef PP_IO_LISTENER_H
#define PP_IO_LISTENER_H

#include "io/loop.h"
#include "io/sock.h"

#define PP_LISTENER_BATCH 64 /* most connections taken in one turn */
#define PP_LISTENER_PAUSE_MS 100

struct pp_listener;
/* A new connection: <fd> is non-blocking, close-on-exec and now the callee's. May pause or close
 * the listener. */
typedef void (*pp_listener_fn)(struct pp_listener *l, int fd, const struct sockaddr_storage *from);

struct pp_listener {
    struct pp_io io; /* io.fd is -1 while paused */
    int fd;          /* -1: closed */
    struct pp_loop *loop;
    pp_listener_fn fn;
    void *owner;
    uint32_t id; /* listener id of the configuration */
    bool paused;
    struct pp_timer resume;
    uint32_t streak; /* turns in a row in which everything tried was accepted */
    uint64_t last_turn;
    uint64_t accepted, pauses;
};

/* Adopt the listening <fd>: sets it non-blocking and, for TCP, TCP_NODELAY (inherited by what it
 * accepts), and calls <fn> for every connection. <id> and <owner> are kept for the owner. PP_OK,
 * PP_ENOMEM or PP_EIO; on failure the caller still owns <fd>. */
int pp_listener_open(struct pp_listener *l, struct pp_loop *lp, int fd, uint32_t id,
                     pp_listener_fn fn, void *owner) PP_MUST_USE;
/* Stop accepting for PP_LISTENER_PAUSE_MS from now, also when paused. Fine when closed. */
void pp_listener_pause(struct pp_listener *l);
/* As pause, but until the owner resumes (its connection limit is reached). Turns a pause that runs
 * into such a one. */
void pp_listener_hold(struct pp_listener *l);
/* Accept everything that waits in the queue now, whatever the turn's share; before a close that
 * must not lose connections. Returns how many. */
unsigned pp_listener_drain(struct pp_listener *l);
/* Accept again now. Fine when not paused, and when closed. */
void pp_listener_resume(struct pp_listener *l);
/* Stop accepting and close our copy of the descriptor (other holders keep the socket listening).
 * Idempotent. */
void pp_listener_close(struct pp_listener *l);

#endif
