#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4 */
#endif
#include "io/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/check.h"
#include "io/fd.h"

/* How many accepts this turn tries. An accept that finds the queue empty is not cheap (the kernel
 * makes the file before it looks: 2 us measured, ten times an idle epoll_wait), and the listener is
 * level-triggered: so begin with one, and double while the queue outlasts four turns in a row. */
static unsigned tries(struct pp_listener *l)
{
    if (l->last_turn + 1 != l->loop->turns)
        l->streak = 0;
    l->last_turn = l->loop->turns;
    unsigned shift = l->streak / 4;
    return shift >= 6 ? PP_LISTENER_BATCH : 1u << shift;
}

/* After accept4 failed with <err>: go on trying? */
static bool survives(struct pp_listener *l, int err)
{
    switch (err) {
    case EAGAIN:
        l->streak = 0;
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EINVAL: /* somebody has shut the socket down: keep asking, slowly */
        pp_listener_pause(l);
        return false;
    default:
        /* ECONNABORTED, EINTR, and the network errors of the new connection, which Linux passes
         * through accept (accept(2), "Error handling"): that one is gone, the next is not. */
        return true;
    }
}

/* Up to <most> accepts. True: the queue may hold more. */
static bool accept_some(struct pp_listener *l, unsigned most)
{
    struct sockaddr_storage from;

    for (unsigned n = most; n > 0; n--) {
        socklen_t len = sizeof from;
        from.ss_family = AF_UNSPEC;
        int fd = accept4(l->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (PP_UNLIKELY(fd < 0)) {
            if (!survives(l, errno))
                return false;
            continue;
        }
        l->accepted++;
        l->fn(l, fd, &from);
        if (l->paused || l->fd < 0)
            return false;
    }
    return true;
}

static void on_ready(struct pp_io *io, uint32_t events)
{
    struct pp_listener *l = PP_CONTAINER_OF(io, struct pp_listener, io);

    (void)events;
    if (accept_some(l, tries(l)))
        l->streak++;
}

unsigned pp_listener_drain(struct pp_listener *l)
{
    uint64_t before = l->accepted;

    /* No queue is longer than 65536; whoever goes on connecting does not hold us up for ever. */
    for (unsigned n = 65536 / PP_LISTENER_BATCH; n > 0 && l->fd >= 0 && !l->paused; n--) {
        if (!accept_some(l, PP_LISTENER_BATCH))
            break;
    }
    return (unsigned)(l->accepted - before);
}

static void on_resume(struct pp_timer *t)
{
    pp_listener_resume(PP_CONTAINER_OF(t, struct pp_listener, resume));
}

int pp_listener_open(struct pp_listener *l, struct pp_loop *lp, int fd, uint32_t id,
                     pp_listener_fn fn, void *owner)
{
    int one = 1, family = 0;
    socklen_t len = sizeof family;

    memset(l, 0, sizeof *l);
    l->fd = l->io.fd = -1;
    l->loop = lp;
    l->fn = fn;
    l->owner = owner;
    l->id = id;
    pp_timer_init(&l->resume, on_resume);

    if (pp_fd_prepare(fd) != PP_OK || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
        return PP_EIO;
    if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        return PP_EIO;
    int rc = pp_loop_add_level(lp, &l->io, fd, on_ready);
    if (rc == PP_OK)
        l->fd = fd;
    return rc;
}

void pp_listener_hold(struct pp_listener *l)
{
    if (l->fd < 0)
        return;
    pp_loop_stop(l->loop, &l->resume);
    if (l->paused)
        return;
    l->paused = true;
    l->pauses++;
    pp_loop_remove(l->loop, &l->io, false);
}

void pp_listener_pause(struct pp_listener *l)
{
    if (l->fd < 0)
        return;
    pp_listener_hold(l);
    pp_loop_start(l->loop, &l->resume, l->loop->now_ms + PP_LISTENER_PAUSE_MS);
}

void pp_listener_resume(struct pp_listener *l)
{
    if (l->fd < 0 || !l->paused)
        return;
    pp_loop_stop(l->loop, &l->resume);
    if (pp_loop_add_level(l->loop, &l->io, l->fd, on_ready) == PP_OK)
        l->paused = false;
    else /* no memory in the kernel: later, then */
        pp_loop_start(l->loop, &l->resume, l->loop->now_ms + PP_LISTENER_PAUSE_MS);
}

void pp_listener_close(struct pp_listener *l)
{
    if (l->fd < 0)
        return;
    pp_loop_stop(l->loop, &l->resume);
    /* Not <closing>: the socket is shared with the supervisor and with our successor. */
    pp_loop_remove(l->loop, &l->io, false);
    pp_fd_close(&l->fd);
    l->paused = false;
}
