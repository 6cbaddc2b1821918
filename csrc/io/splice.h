/* Bytes from one plain socket to another inside the kernel, through a pipe from a pool (splice(2)).
 *
 *   fd --pp_splice_in--> [ pipe: held bytes ] --pp_splice_out--> fd
 *
 * Worth it for long bodies only: a pair costs two descriptors and two calls per move, but no copy.
 * SIGPIPE must be ignored in the process (splice knows no MSG_NOSIGNAL). */
#ifndef PP_IO_SPLICE_H
#define PP_IO_SPLICE_H

#include "io/loop.h"

#define PP_SPLICE_PIPE_BYTES (256 * 1024) /* asked of the kernel; what it gave is in <cap> */
#define PP_SPLICE_KEEP 64                 /* idle pipes kept per worker */

struct pp_splice_pipe {
    struct pp_splice_pipe *next;
    int rd, wr;
    size_t cap;
    size_t held; /* bytes in the pipe */
};

struct pp_splice_pool {
    struct pp_splice_pipe *idle;
    unsigned n_idle, n_live; /* n_live: acquired and not released */
};

/* An empty pool. */
void pp_splice_pool_init(struct pp_splice_pool *pool);
/* Closes the idle pipes. All pipes must have been released (checked with PP_EXPECT). Accepts zeroed
 * storage. */
void pp_splice_pool_fini(struct pp_splice_pool *pool);
/* An empty pipe, or NULL (no descriptors or memory: the caller copies instead). */
struct pp_splice_pipe *pp_splice_acquire(struct pp_splice_pool *pool);
/* Give <p> back; a pipe that still holds bytes is closed. NULL is fine. */
void pp_splice_release(struct pp_splice_pool *pool, struct pp_splice_pipe *p);

/* Up to <max> (> 0) bytes from <fd> into the pipe. PP_OK with *n > 0 (a short count means nothing:
 * ask again), PP_EAGAIN (<fd> is drained, an edge will tell), PP_ELIMIT (the pipe has no room: take
 * something out first; a pipe may be full below <cap>, as every piece of memory takes a slot),
 * PP_EEOF, PP_ERESET, PP_EIO. */
int pp_splice_in(struct pp_splice_pipe *p, int fd, size_t max, size_t *n) PP_MUST_USE;
/* What the pipe holds to <fd>; <more>: further bytes will follow at once (as MSG_MORE: the kernel
 * may wait with a partial segment). PP_OK with *n >= 0 (p->held > 0 after it: the socket is full,
 * an edge will tell), PP_ERESET, PP_EIO. */
int pp_splice_out(struct pp_splice_pipe *p, int fd, bool more, size_t *n) PP_MUST_USE;
/* Up to <cap> (> 0) bytes of what the pipe holds, which must be some, into memory: for an owner who
 * must have them. PP_OK with *n > 0, or PP_EIO. */
int pp_splice_take(struct pp_splice_pipe *p, void *dst, size_t cap, size_t *n) PP_MUST_USE;

#endif
