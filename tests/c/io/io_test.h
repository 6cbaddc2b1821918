/* Sockets, pipes and descriptor counting for the tests of csrc/io. */
#ifndef PP_IO_TEST_H
#define PP_IO_TEST_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/defs.h"

/* Open descriptors of this process (the directory being read is not counted). */
PP_UNUSED static int test_fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 3; /* ".", ".." and the directory */
}

/* Let this process have no more descriptors than it has now, plus <more>; returns the old limit. */
PP_UNUSED static struct rlimit test_fd_limit(int more)
{
    struct rlimit old, tight;
    int lowest = dup(0); /* the limit is about numbers, not about how many */

    close(lowest);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)(lowest + more);
    setrlimit(RLIMIT_NOFILE, &tight);
    return old;
}

/* Connected, non-blocking unix stream sockets. */
PP_UNUSED static bool test_pair(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0;
}

/* A listening loopback socket on a free port, blocking; its address goes to *at. */
PP_UNUSED static int test_listen(struct sockaddr_in *at, int backlog)
{
    socklen_t len = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(at, 0, sizeof *at);
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)at, sizeof *at) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)at, &len) < 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

/* A blocking connection to <at>. */
PP_UNUSED static int test_dial(const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof *at) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Connected TCP sockets: fds[0] is non-blocking, fds[1] blocks. */
PP_UNUSED static bool test_tcp_pair(int fds[2])
{
    struct sockaddr_in at;
    int l = test_listen(&at, 8);

    fds[0] = fds[1] = -1;
    if (l < 0)
        return false;
    fds[1] = test_dial(&at);
    fds[0] = fds[1] < 0 ? -1 : accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    close(l);
    return fds[0] >= 0;
}

/* Wait until <fd> reports one of <events> (loopback delivers soon, but not at once). */
PP_UNUSED static bool test_wait(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, 10000) == 1;
}

#endif
