/* What the small servers of this folder begin with: a listening socket in an epoll set. */
#ifndef MACRO_SERVE_H
#define MACRO_SERVE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 256, BACKLOG = 4096 };

/* End the program with what errno says about <what>. */
static inline void fatal(const char *what)
{
    perror(what);
    exit(1);
}

/* A socket that listens on <port> of loopback (0: a free one; it is printed), as a member of
 * <epoll_fd> with <tag>. Accepted sockets have TCP_NODELAY. */
static inline int listen_at(int epoll_fd, uint16_t port, void *tag)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = tag};
    socklen_t len = sizeof at;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fatal("socket");
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* accepted ones inherit it */
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        fatal("bind");
    if (listen(fd, BACKLOG) < 0 || getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        fatal("listen");
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        fatal("epoll_ctl");
    printf("%u\n", ntohs(at.sin_port));
    fflush(stdout);
    return fd;
}

static inline int new_epoll(void)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    if (epoll_fd < 0)
        fatal("epoll_create1");
    return epoll_fd;
}

/* A new epoll set, whose only member is such a socket, with tag NULL. */
static inline int serve_on(uint16_t port, int *listen_fd)
{
    int epoll_fd = new_epoll();

    *listen_fd = listen_at(epoll_fd, port, NULL);
    return epoll_fd;
}

#endif
