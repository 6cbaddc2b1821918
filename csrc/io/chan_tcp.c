/* The plain socket channel (see io/chan.h): one system call a read or write, and what it tells
 * about readiness taken over at once. */
#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"
#include "io/chan.h"
#include "io/fd.h"
#include "io/sock.h"

/* A connection that exists fails in two ways only for its owner: the network took it, or we did
 * something wrong. */
static int broken_error(int err)
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

static int tcp_read(struct pp_chan *ch, void *dst, size_t cap, size_t *n)
{
    PP_ASSERT(cap > 0); /* 0 would look like the end */
    ssize_t r = recv(ch->io.fd, dst, cap, 0);

    if (PP_LIKELY(r > 0)) {
        /* Less than asked for: the queue is empty, and the next byte is a new edge. Not so the FIN
         * behind these bytes when its edge was consumed already. */
        if ((size_t)r < cap && !ch->rdhup)
            ch->readable = false;
        *n = (size_t)r;
        return PP_OK;
    }
    *n = 0;
    if (r == 0) {
        ch->rdhup = true;
        return PP_EEOF;
    }
    if (errno == EAGAIN) {
        ch->readable = false;
        return PP_EAGAIN;
    }
    return broken_error(errno);
}

static int tcp_writev(struct pp_chan *ch, const struct iovec *iov, int count, size_t *n)
{
    size_t want = iov[0].iov_len;
    ssize_t r;

    if (count == 1) {
        r = send(ch->io.fd, iov[0].iov_base, want, MSG_NOSIGNAL);
    } else {
        struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
        for (int i = 1; i < count; i++)
            want += iov[i].iov_len;
        r = sendmsg(ch->io.fd, &msg, MSG_NOSIGNAL);
    }
    if (PP_LIKELY(r >= 0)) {
        /* Short: the socket's buffer is full, and room is a new edge. */
        if ((size_t)r < want)
            ch->writable = false;
        *n = (size_t)r;
        return PP_OK;
    }
    *n = 0;
    if (errno == EAGAIN) {
        ch->writable = false;
        return PP_OK;
    }
    return broken_error(errno);
}

static void tcp_shutdown(struct pp_chan *ch)
{
    /* Fails only when the connection is gone already, which reading tells better. */
    (void)shutdown(ch->io.fd, SHUT_WR);
}

static void tcp_close(struct pp_chan *ch, bool abort)
{
    int fd = ch->io.fd;

    if (fd < 0)
        return;
    if (abort)
        pp_sock_set_abort(fd);
    pp_loop_remove(ch->loop, &ch->io, !ch->shared);
    pp_fd_close(&fd);
    ch->readable = ch->writable = false;
}

const struct pp_chan_ops pp_chan_tcp_ops = {
    .name = "tcp",
    .read = tcp_read,
    .writev = tcp_writev,
    .shutdown = tcp_shutdown,
    .close = tcp_close,
};

int pp_chan_move(struct pp_chan *from, struct pp_chan *to, pp_io_fn fn)
{
    *to = *from;
    to->io.fd = -1;
    int rc = pp_loop_move(from->loop, &from->io, &to->io, fn);
    if (rc != PP_OK) {
        to->ops = NULL;
        return rc;
    }
    from->ops = NULL;
    from->readable = from->writable = false;
    to->readable = to->writable = true;
    return PP_OK;
}

int pp_chan_tcp_open(struct pp_chan *ch, struct pp_loop *lp, int fd, pp_io_fn fn, bool readable)
{
    ch->ops = &pp_chan_tcp_ops;
    ch->tls = NULL;
    ch->loop = lp;
    ch->readable = ch->writable = readable;
    ch->rdhup = ch->broken = ch->shared = false;
    int rc = pp_loop_add(lp, &ch->io, fd, fn);
    if (rc != PP_OK)
        pp_fd_close(&fd);
    return rc;
}
