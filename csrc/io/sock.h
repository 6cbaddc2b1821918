/* Sockets: connect, options, addresses as text. */
#ifndef PP_IO_SOCK_H
#define PP_IO_SOCK_H

#include <sys/socket.h>

#include "base/err.h"
#include "base/span.h"

/* Compact address: family, port and 16 bytes of IP; unix: the path lives with the configuration. */
struct pp_sock_addr {
    uint8_t ip[16]; /* IPv4 in the first 4 bytes, the rest zero */
    uint16_t port;  /* host order */
    uint8_t family; /* AF_INET, AF_INET6, AF_UNIX, 0: unknown */
    uint32_t scope; /* IPv6 scope id */
};

#define PP_SOCK_TEXT 64 /* room for "[ip]:port" and NUL */

/* Fill <a> from what accept or getpeername wrote to <ss>. */
void pp_sock_addr_from(struct pp_sock_addr *a, const struct sockaddr_storage *ss);
/* IP of <a> alone ("127.0.0.1", "::1"; "unix"; "unknown") to <dst> (PP_SOCK_TEXT bytes), without
 * NUL and without scope; returns its length. IPv4-mapped IPv6 is shown as IPv4. */
size_t pp_sock_ip_text(const struct pp_sock_addr *a, char *dst);
/* The same with the port: "127.0.0.1:80", "[::1]:80", "unix:", "unknown". */
size_t pp_sock_addr_text(const struct pp_sock_addr *a, char *dst);

/* Where to connect: a numeric address, parsed once at configuration time. */
struct pp_sock_dest {
    struct sockaddr_storage ss;
    socklen_t len;
};
/* "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80" (scope as number or interface name), "unix:/path" or
 * "unix:@name" (abstract). PP_OK or PP_EINVAL (then *out is not to be used). */
int pp_sock_dest_parse(struct pp_span text, struct pp_sock_dest *out) PP_MUST_USE;

/* Start a non-blocking connect to <dest>, with TCP_NODELAY. PP_OK: connected already; PP_EAGAIN: in
 * progress (writable or error tells); *fd is then the caller's. Otherwise *fd = -1 and PP_EREFUSED
 * (also: no such unix socket, or its queue is full), PP_EUNREACH, PP_EMFILE, PP_ENOMEM,
 * PP_ETIMEDOUT or PP_EIO. */
int pp_sock_connect(const struct pp_sock_dest *dest, int *fd) PP_MUST_USE;
/* Outcome of the connect of <fd> that was in progress: PP_OK, PP_EAGAIN (still) or the error. */
int pp_sock_connect_result(int fd);
/* Copy what waits in <fd>, up to <cap> bytes, and leave it there. PP_OK with *n > 0; PP_EAGAIN;
 * PP_EEOF: nothing is there and nothing comes; PP_ERESET, PP_EIO. */
int pp_sock_peek(int fd, void *dst, size_t cap, size_t *n) PP_MUST_USE;
/* Take <n> bytes that pp_sock_peek has shown. PP_OK or PP_EIO. */
int pp_sock_skip(int fd, size_t n) PP_MUST_USE;
/* Send <n> bytes (a few hundred) as the first ones of a connection: its buffer is empty, so they
 * are taken as a whole. PP_OK; PP_ERESET, or PP_EIO when they were not. */
int pp_sock_send_first(int fd, const void *p, size_t n) PP_MUST_USE;
/* Our own address of the connection <fd>; family 0 when it has none. */
void pp_sock_local(int fd, struct pp_sock_addr *a);
/* TCP keepalive probes for <fd>: <idle_s> and <interval_s> in seconds, <count> unanswered ones end
 * the connection. PP_OK or PP_EIO (not a TCP socket, out of range). */
int pp_sock_keepalive(int fd, int idle_s, int interval_s, int count);
/* Let the close of <fd> send RST instead of FIN (SO_LINGER 0), for abort. */
void pp_sock_set_abort(int fd);
/* Port of the bound socket <fd> in host order, 0 for unix. */
uint16_t pp_sock_port(int fd);

#endif
