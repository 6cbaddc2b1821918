#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/fd.h"

/* The kernel gives up with EAGAIN when the tree changes under a path that climbs: so often we try
 * again. */
#define TRIES 8

/* Open for reading without waiting (a pipe would) and without becoming a terminal's process. */
static int open_beneath(int root, const char *path)
{
    struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int tries = 1;; tries++) {
        int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || (errno != EINTR && errno != EAGAIN) || tries == TRIES)
            return fd;
    }
}

int pp_file_open_root(const char *path, int *fd)
{
    *fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ||
                       errno == ENAMETOOLONG
                   ? PP_ENOENT
                   : pp_fd_error(errno);
    int probe = open_beneath(*fd, ".");
    int err = probe < 0 ? errno : 0;
    pp_fd_close(&probe);
    /* A folder that may be passed through but not listed is fine. */
    if (err == 0 || err == EACCES)
        return PP_OK;
    pp_fd_close(fd);
    return err == ENOSYS || err == EPERM || err == EINVAL ? PP_EINVAL : pp_fd_error(err);
}

/* Does <err> say that there is nothing to be served, and not that we are in trouble? */
static bool is_nothing(int err)
{
    switch (err) {
    case ENOENT:
    case ENOTDIR:
    case EACCES:
    case EPERM:
    case ELOOP: /* a loop, or a link of /proc */
    case EXDEV: /* it leads out */
    case ENAMETOOLONG:
    case ENXIO: /* a socket, or a pipe or device without its other half */
    case ENODEV:
        return true;
    default:
        return false;
    }
}

int pp_file_open_beneath(int root, const char *path, int *fd, struct pp_file_stat *st)
{
    struct stat s;
    *fd = open_beneath(root, path);
    if (*fd < 0)
        return is_nothing(errno) ? PP_ENOENT : pp_fd_error(errno);
    int rc = fstat(*fd, &s) < 0 ? pp_fd_error(errno) : PP_OK;
    if (rc == PP_OK && !S_ISREG(s.st_mode) && !S_ISDIR(s.st_mode))
        rc = PP_ENOENT;
    if (rc != PP_OK) {
        pp_fd_close(fd);
        return rc;
    }
    st->size = s.st_size > 0 ? (uint64_t)s.st_size : 0;
    st->modified_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
    st->is_folder = S_ISDIR(s.st_mode);
    return PP_OK;
}

int pp_file_read(int fd, uint64_t at, char *dst, size_t n, size_t *got)
{
    ssize_t r;
    do {
        r = pread(fd, dst, n, (off_t)at);
    } while (r < 0 && errno == EINTR);
    *got = r > 0 ? (size_t)r : 0;
    return r < 0 ? pp_fd_error(errno) : r == 0 ? PP_EEOF : PP_OK;
}

int pp_file_send(int to, int fd, uint64_t at, size_t n, size_t *sent)
{
    off_t offset = (off_t)at;
    ssize_t r = sendfile(to, fd, &offset, n); /* never sleeps for the socket: EINTR means nothing */
    *sent = r > 0 ? (size_t)r : 0;
    return r < 0 ? pp_fd_error(errno) : r == 0 ? PP_EEOF : PP_OK;
}
