/* The engine's event loop: an epoll set of its own, run one *turn* at a time.
 *
 *   turn = wait (not at all when nested in uvloop) -> clock -> every ready io -> timers
 *          -> on_turn_end -> end-of-turn frees -> arm the timerfd, if it must be
 *
 * Nested use: pp_loop_fd() is added as a reader to uvloop; its callback calls pp_loop_run_ready(),
 * which repeats turns until the set is empty or the budget is spent (the set is level-triggered for
 * uvloop, so nothing is lost).
 *
 * Registration is edge-triggered for both directions, once per descriptor: no epoll_ctl after that.
 * What is readable and writable is remembered by the owners (io/chan.h).
 *
 * Stale events: the set names an io by its slot in a table and by how often that slot was used,
 * never by its address. An event of a registration that is over (of an earlier place in the same
 * batch, or of a closed descriptor of which a child process still has a copy) finds another number
 * and comes to nobody.
 *
 * One thread; nothing here may be called from a signal handler. */
#ifndef PP_IO_LOOP_H
#define PP_IO_LOOP_H

#include <sys/epoll.h>

#include "base/err.h"
#include "base/wheel.h"

struct pp_io;
/* <events>: EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR bits. */
typedef void (*pp_io_fn)(struct pp_io *io, uint32_t events);

/* A registered descriptor; embedded in its owner, who sets fd to -1 before the first use. */
struct pp_io {
    int fd; /* -1: not registered */
    uint32_t slot;
    pp_io_fn fn;
};

/* Where an io is, if it is registered. */
struct pp_loop_slot {
    struct pp_io *io;
    uint32_t use;  /* counts registrations: the other half of an event's name */
    uint32_t next; /* free slot, while this one is free */
};

/* Something to be called at the end of the turn; embedded in its owner. */
struct pp_deferred {
    struct pp_deferred *next;
    void (*fn)(struct pp_deferred *self);
};

#define PP_LOOP_BATCH 256
#define PP_LOOP_TURNS 64 /* turns of one pp_loop_run_ready: then Python gets its turn */

struct pp_loop {
    int epoll_fd, timer_fd, wake_fd;
    unsigned depth;   /* > 0: in a turn, or between enter and leave */
    uint64_t now_us;  /* monotonic, read once a turn */
    uint64_t now_ms;  /* the same in ms */
    uint64_t wall_s;  /* seconds since 1970, read once a turn (coarse clock) */
    uint32_t wall_ms; /* and the milliseconds within that second */
    char date[32];    /* IMF-fixdate of wall_s (29 characters and NUL); renewed once a second */
    struct pp_wheel wheel;
    uint64_t timer_armed_ms; /* when the timerfd fires, UINT64_MAX: not armed */
    bool timer_stale;        /* a timer was started that is due before timer_armed_ms */
    bool wake_pending;       /* the eventfd was written and not seen yet */
    struct pp_deferred *deferred, **deferred_tail; /* run at the end of this turn */
    struct pp_io timer_io, wake_io;
    struct pp_loop_slot *slot;
    uint32_t n_slot, free_slot;          /* PP_ID_NONE: all are in use */
    void (*on_wake)(struct pp_loop *lp); /* after pp_loop_wake, once per turn at most; or NULL */
    void (*on_turn_end)(struct pp_loop *lp); /* before the frees of every turn; may be NULL */
    void *owner;
    uint64_t turns, events;
    struct epoll_event batch[PP_LOOP_BATCH];
};

/* Make *lp ready, with <owner> kept for the callbacks (set on_wake and on_turn_end afterwards).
 * PP_OK, or PP_EMFILE / PP_ENOMEM / PP_EIO with everything closed again. */
int pp_loop_init(struct pp_loop *lp, void *owner) PP_MUST_USE;
/* Run what is deferred, close the loop's own descriptors. Registered ios and pending timers stay
 * their owners' and are never called again. Accepts zeroed storage. */
void pp_loop_fini(struct pp_loop *lp);

/* The epoll descriptor: readable while something is ready. Stays the loop's. */
int pp_loop_fd(const struct pp_loop *lp);

/* Register <fd> (non-blocking; stays the caller's to close, after pp_loop_remove) so that <fn> is
 * called for EPOLLIN | EPOLLOUT | EPOLLRDHUP, edge-triggered. <io> must not be registered now.
 * PP_OK, PP_ENOMEM or PP_EIO; on failure <io> stays unregistered. */
int pp_loop_add(struct pp_loop *lp, struct pp_io *io, int fd, pp_io_fn fn) PP_MUST_USE;
/* The same for EPOLLIN only, level-triggered (listeners). */
int pp_loop_add_level(struct pp_loop *lp, struct pp_io *io, int fd, pp_io_fn fn) PP_MUST_USE;
/* Take <io> out; afterwards io->fd is -1 and fn is not called again, not even for events of the
 * running batch. With <closing> the caller closes the descriptor right away, which takes it out of
 * the set without a system call. Never so for a descriptor that another process goes on using: the
 * set holds the open file description, which lives as long as anybody's copy, and every event of it
 * would wake this process for nothing. Fine when not registered. */
void pp_loop_remove(struct pp_loop *lp, struct pp_io *io, bool closing);

/* Let <to> stand in the place of <from>, which is registered by pp_loop_add: its events go to <fn>
 * from now on, and <from> is unregistered. What is ready at this moment is told (again) in the next
 * turn; events of the running batch are lost to <to>. PP_OK, or PP_EIO with nothing changed. */
int pp_loop_move(struct pp_loop *lp, struct pp_io *from, struct pp_io *to, pp_io_fn fn) PP_MUST_USE;

/* Timers, as pp_wheel_start, pp_wheel_no_later and pp_wheel_stop; due times in lp->now_ms. The
 * timerfd is armed at the end of the turn when it must be (outside a turn: at once). */
void pp_loop_start(struct pp_loop *lp, struct pp_timer *t, uint64_t due_ms);
void pp_loop_no_later(struct pp_loop *lp, struct pp_timer *t, uint64_t due_ms);
void pp_loop_stop(struct pp_loop *lp, struct pp_timer *t);

/* Call d->fn(d) at the end of this turn, first in first out; fn may defer more, which runs at the
 * same end. The only way to free what a callback can reach. <d> must not be waiting already.
 * Outside a turn: at the end of the next one, which is brought about. */
void pp_loop_defer_free(struct pp_loop *lp, struct pp_deferred *d);

/* Make the set ready (async resume, another part of the process): on_wake is called in the next
 * turn. Cheap when a wake is pending already. May be called in a turn and outside. */
void pp_loop_wake(struct pp_loop *lp);

/* One turn, waiting up to <wait_ms> (0: not at all, < 0: until something happens). Returns the
 * number of events handled; 0 also after a signal. Never from a callback. */
int pp_loop_turn(struct pp_loop *lp, int wait_ms);
/* Turns without waiting until one finds nothing, at most PP_LOOP_TURNS. Returns the events handled.
 * Never from a callback. */
int pp_loop_run_ready(struct pp_loop *lp);
/* Call work that does not come from an event (a resume called by Python) as if in a turn: refreshes
 * the clock; the caller ends it with pp_loop_leave, which runs on_turn_end and the deferred frees
 * and arms the timer. Inside a turn both do nothing; pairs may nest. */
void pp_loop_enter(struct pp_loop *lp);
void pp_loop_leave(struct pp_loop *lp);

#endif
