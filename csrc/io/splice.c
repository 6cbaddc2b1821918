#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* splice, pipe2, F_SETPIPE_SZ */
#endif
#include "io/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/fd.h"

/* ---- pool ---- */

void pp_splice_pool_init(struct pp_splice_pool *pool)
{
    pool->idle = NULL;
    pool->n_idle = pool->n_live = 0;
}

static void free_pipe(struct pp_splice_pipe *p)
{
    pp_fd_close(&p->rd);
    pp_fd_close(&p->wr);
    pp_mem_free(p);
}

void pp_splice_pool_fini(struct pp_splice_pool *pool)
{
    struct pp_splice_pipe *p;

    (void)PP_EXPECT(pool->n_live == 0);
    while ((p = pool->idle) != NULL) {
        pool->idle = p->next;
        free_pipe(p);
    }
    pool->n_idle = 0;
}

static struct pp_splice_pipe *new_pipe(void)
{
    struct pp_splice_pipe *p = pp_mem_alloc(sizeof *p);
    int fds[2];

    if (p == NULL)
        return NULL;
    if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0) {
        pp_mem_free(p);
        return NULL;
    }
    p->next = NULL;
    p->rd = fds[0];
    p->wr = fds[1];
    p->held = 0;
    /* Refused beyond the user's share of pipe memory (pipe(7)): then it is as large as it is. */
    int cap = fcntl(p->wr, F_SETPIPE_SZ, PP_SPLICE_PIPE_BYTES);
    if (cap <= 0)
        cap = fcntl(p->wr, F_GETPIPE_SZ);
    p->cap = cap > 0 ? (size_t)cap : 4096;
    return p;
}

struct pp_splice_pipe *pp_splice_acquire(struct pp_splice_pool *pool)
{
    struct pp_splice_pipe *p = pool->idle;

    if (p != NULL) {
        pool->idle = p->next;
        pool->n_idle--;
    } else {
        p = new_pipe();
        if (p == NULL)
            return NULL;
    }
    pool->n_live++;
    return p;
}

void pp_splice_release(struct pp_splice_pool *pool, struct pp_splice_pipe *p)
{
    if (p == NULL)
        return;
    pool->n_live--;
    /* Emptying a pipe that holds bytes would cost a copy: a new one is cheaper. */
    if (p->held > 0 || pool->n_idle >= PP_SPLICE_KEEP) {
        free_pipe(p);
        return;
    }
    p->next = pool->idle;
    pool->idle = p;
    pool->n_idle++;
}

/* ---- moving ---- */

static int failure(int err)
{
    switch (pp_fd_error(err)) {
    case PP_ERESET:
    case PP_EREFUSED:
    case PP_EUNREACH:
    case PP_ETIMEDOUT:
        return PP_ERESET;
    default:
        return PP_EIO;
    }
}

static bool has_input(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

int pp_splice_in(struct pp_splice_pipe *p, int fd, size_t max, size_t *n)
{
    PP_ASSERT(max > 0); /* 0 would look like the end */
    *n = 0;
    if (p->held >= p->cap)
        return PP_ELIMIT;
    ssize_t r = splice(fd, NULL, p->wr, NULL, max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (r > 0) {
        p->held += (size_t)r;
        *n = (size_t)r;
        return PP_OK;
    }
    if (r == 0)
        return PP_EEOF;
    if (errno != EAGAIN)
        return failure(errno);
    /* Either end may be meant, unless the pipe is empty. Taking a full pipe for a drained socket
     * would wait for an edge that has passed. */
    return p->held > 0 && has_input(fd) ? PP_ELIMIT : PP_EAGAIN;
}

int pp_splice_out(struct pp_splice_pipe *p, int fd, bool more, size_t *n)
{
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);

    *n = 0;
    /* A short count does not prove that the socket is full (the kernel moves a few slots at a time
     * on some paths), so go on until it says so. Bounded by what the pipe holds. */
    while (p->held > 0) {
        ssize_t r = splice(p->rd, NULL, fd, NULL, p->held, flags);
        if (r > 0) {
            p->held -= (size_t)r;
            *n += (size_t)r;
            continue;
        }
        if (r < 0 && errno == EAGAIN)
            break;
        return r < 0 ? failure(errno) : PP_EIO; /* 0: the pipe does not hold what we think */
    }
    return PP_OK;
}

int pp_splice_take(struct pp_splice_pipe *p, void *dst, size_t cap, size_t *n)
{
    ssize_t r = read(p->rd, dst, PP_MIN(cap, p->held));

    *n = r > 0 ? (size_t)r : 0;
    p->held -= *n;
    return r > 0 ? PP_OK : PP_EIO; /* the pipe does not hold what we think */
}
