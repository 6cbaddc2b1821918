#include "io/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int pp_fd_prepare(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return PP_EIO;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return PP_EIO;
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return PP_EIO;
    return PP_OK;
}

void pp_fd_close(int *fd)
{
    if (*fd < 0)
        return;
    int old = *fd;
    *fd = -1;
    close(old);
}

int pp_fd_writev(int fd, const struct iovec *iov, int count, size_t *n)
{
    ssize_t r;
    do {
        r = writev(fd, iov, count);
    } while (r < 0 && errno == EINTR);
    *n = r < 0 ? 0 : (size_t)r;
    return r < 0 ? pp_fd_error(errno) : PP_OK;
}

int pp_fd_error(int err)
{
    switch (err) {
    case EAGAIN:
        return PP_EAGAIN;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
        return PP_ERESET;
    case ECONNREFUSED:
        return PP_EREFUSED;
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case EADDRNOTAVAIL:
        return PP_EUNREACH;
    case ETIMEDOUT:
        return PP_ETIMEDOUT;
    case EMFILE:
    case ENFILE:
        return PP_EMFILE;
    case ENOMEM:
    case ENOBUFS:
        return PP_ENOMEM;
    default:
        return PP_EIO;
    }
}
