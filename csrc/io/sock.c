#include "io/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include "base/num.h"
#include "io/fd.h"

/* ---- addresses as text ---- */

void pp_sock_addr_from(struct pp_sock_addr *a, const struct sockaddr_storage *ss)
{
    memset(a, 0, sizeof *a);
    switch (ss->ss_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)ss;
        memcpy(a->ip, &in->sin_addr, 4);
        a->port = ntohs(in->sin_port);
        break;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)ss;
        memcpy(a->ip, &in6->sin6_addr, 16);
        a->port = ntohs(in6->sin6_port);
        a->scope = in6->sin6_scope_id;
        break;
    }
    case AF_UNIX:
        break;
    default:
        return;
    }
    a->family = (uint8_t)ss->ss_family;
}

static size_t put_text(char *dst, const char *text)
{
    size_t n = strlen(text);
    memcpy(dst, text, n);
    return n;
}

/* By hand: this one is on the way of every request that gets an X-Forwarded-For. */
static size_t put_ip4(char *dst, const uint8_t *ip)
{
    char *p = dst;

    for (int i = 0; i < 4; i++) {
        unsigned v = ip[i];
        if (i > 0)
            *p++ = '.';
        if (v >= 100)
            *p++ = (char)('0' + v / 100);
        if (v >= 10)
            *p++ = (char)('0' + v / 10 % 10);
        *p++ = (char)('0' + v % 10);
    }
    return (size_t)(p - dst);
}

/* The IPv4 address in an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), or NULL. */
static const uint8_t *mapped_ip4(const struct pp_sock_addr *a)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a->ip, prefix, sizeof prefix) == 0 ? a->ip + 12 : NULL;
}

size_t pp_sock_ip_text(const struct pp_sock_addr *a, char *dst)
{
    char text[INET6_ADDRSTRLEN];
    const uint8_t *ip4;

    switch (a->family) {
    case AF_INET:
        return put_ip4(dst, a->ip);
    case AF_INET6:
        ip4 = mapped_ip4(a);
        if (ip4 != NULL)
            return put_ip4(dst, ip4);
        if (inet_ntop(AF_INET6, a->ip, text, sizeof text) == NULL)
            break;
        return put_text(dst, text);
    case AF_UNIX:
        return put_text(dst, "unix");
    }
    return put_text(dst, "unknown");
}

size_t pp_sock_addr_text(const struct pp_sock_addr *a, char *dst)
{
    bool bracket = a->family == AF_INET6 && mapped_ip4(a) == NULL;
    size_t n = 0;

    if (bracket)
        dst[n++] = '[';
    n += pp_sock_ip_text(a, dst + n);
    if (bracket)
        dst[n++] = ']';
    if (a->family == 0)
        return n;
    dst[n++] = ':';
    if (a->family != AF_UNIX)
        n += pp_num_format_u64(dst + n, a->port);
    return n;
}

/* ---- destinations ---- */

static int parse_unix(struct pp_span path, struct pp_sock_dest *out)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->ss;

    if (path.n < 2 || (path.p[0] != '/' && path.p[0] != '@') || memchr(path.p, 0, path.n) != NULL)
        return PP_EINVAL;
    /* One byte less than fits: a path keeps its NUL, and both kinds then have the same limit. */
    if (path.n >= sizeof un->sun_path)
        return PP_EINVAL;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.n);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n);
    if (path.p[0] == '@')
        un->sun_path[0] = '\0'; /* an abstract name is as long as it is, without NUL */
    else
        out->len++;
    return PP_OK;
}

static int parse_port(struct pp_span s, uint16_t *port)
{
    uint64_t v;

    if (pp_num_parse_u64(s, &v) != PP_OK || v == 0 || v > UINT16_MAX)
        return PP_EINVAL;
    *port = htons((uint16_t)v);
    return PP_OK;
}

static int parse_scope(const char *text, uint32_t *scope)
{
    uint64_t v;

    *scope = if_nametoindex(text);
    if (*scope != 0)
        return PP_OK;
    if (pp_num_parse_u64(pp_span(text, strlen(text)), &v) != PP_OK || v == 0 || v > UINT32_MAX)
        return PP_EINVAL;
    *scope = (uint32_t)v;
    return PP_OK;
}

/* <text> begins with "[". */
static int parse_ip6(struct pp_span text, struct pp_sock_dest *out)
{
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->ss;
    char ip[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    size_t close = pp_span_find(text, ']');

    if (close + 1 >= text.n || text.p[close + 1] != ':' || close - 1 >= sizeof ip)
        return PP_EINVAL;
    memcpy(ip, text.p + 1, close - 1);
    ip[close - 1] = '\0';
    if (memchr(text.p, 0, close) != NULL)
        return PP_EINVAL;
    char *percent = strchr(ip, '%');
    if (percent != NULL) {
        *percent = '\0';
        if (parse_scope(percent + 1, &in6->sin6_scope_id) != PP_OK)
            return PP_EINVAL;
    }
    if (inet_pton(AF_INET6, ip, &in6->sin6_addr) != 1)
        return PP_EINVAL;
    in6->sin6_family = AF_INET6;
    out->len = sizeof *in6;
    return parse_port(pp_span(text.p + close + 2, text.n - close - 2), &in6->sin6_port);
}

static int parse_ip4(struct pp_span text, struct pp_sock_dest *out)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&out->ss;
    char ip[INET_ADDRSTRLEN];
    size_t colon = pp_span_find(text, ':');

    if (colon >= text.n || colon >= sizeof ip || memchr(text.p, 0, colon) != NULL)
        return PP_EINVAL;
    memcpy(ip, text.p, colon);
    ip[colon] = '\0';
    if (inet_pton(AF_INET, ip, &in->sin_addr) != 1)
        return PP_EINVAL;
    in->sin_family = AF_INET;
    out->len = sizeof *in;
    return parse_port(pp_span(text.p + colon + 1, text.n - colon - 1), &in->sin_port);
}

int pp_sock_dest_parse(struct pp_span text, struct pp_sock_dest *out)
{
    memset(out, 0, sizeof *out);
    if (text.n == 0)
        return PP_EINVAL;
    if (pp_span_starts_with(text, PP_SPAN("unix:")))
        return parse_unix(pp_span(text.p + 5, text.n - 5), out);
    return text.p[0] == '[' ? parse_ip6(text, out) : parse_ip4(text, out);
}

/* ---- connect ---- */

/* What connect() to <family> failed with. */
static int connect_error(int family, int err)
{
    /* To a unix socket EAGAIN is a full queue, which no event will ever report as solved, and
     * ENOENT is what a closed port is to TCP. */
    if (family == AF_UNIX && (err == EAGAIN || err == ENOENT))
        return PP_EREFUSED;
    /* TCP: no free local port to connect from. */
    if (err == EAGAIN)
        return PP_EUNREACH;
    return pp_fd_error(err);
}

int pp_sock_connect(const struct pp_sock_dest *dest, int *fd)
{
    int family = dest->ss.ss_family;
    int one = 1;
    int rc;

    *fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return pp_fd_error(errno);
    if (family != AF_UNIX && setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0) {
        rc = PP_EIO;
        goto out;
    }
    if (connect(*fd, (const struct sockaddr *)&dest->ss, dest->len) == 0)
        return PP_OK;
    if (errno == EINPROGRESS)
        return PP_EAGAIN;
    rc = connect_error(family, errno);
out:
    pp_fd_close(fd);
    return rc;
}

int pp_sock_connect_result(int fd)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    int err = 0;

    /* First the question that success answers alone; SO_ERROR is 0 while connecting, too. */
    if (getpeername(fd, (struct sockaddr *)&ss, &len) == 0)
        return PP_OK;
    if (errno != ENOTCONN)
        return PP_EIO;
    len = sizeof err;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
        return PP_EIO;
    return err == 0 ? PP_EAGAIN : pp_fd_error(err);
}

/* ---- the first bytes ---- */

int pp_sock_peek(int fd, void *dst, size_t cap, size_t *n)
{
    ssize_t r = recv(fd, dst, cap, MSG_PEEK);

    *n = r > 0 ? (size_t)r : 0;
    if (r > 0)
        return PP_OK;
    return r == 0 ? PP_EEOF : pp_fd_error(errno);
}

int pp_sock_skip(int fd, size_t n)
{
    char dropped[4096];

    while (n > 0) {
        ssize_t r = recv(fd, dropped, n < sizeof dropped ? n : sizeof dropped, 0);
        if (r <= 0)
            return PP_EIO;
        n -= (size_t)r;
    }
    return PP_OK;
}

int pp_sock_send_first(int fd, const void *p, size_t n)
{
    ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

    if (r == (ssize_t)n)
        return PP_OK;
    return r < 0 && pp_fd_error(errno) == PP_ERESET ? PP_ERESET : PP_EIO;
}

void pp_sock_local(int fd, struct pp_sock_addr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;

    memset(&ss, 0, sizeof ss);
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        ss.ss_family = AF_UNSPEC;
    pp_sock_addr_from(a, &ss);
}

/* ---- options ---- */

int pp_sock_keepalive(int fd, int idle_s, int interval_s, int count)
{
    int one = 1;

    if (setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s) < 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) < 0)
        return PP_EIO;
    return PP_OK;
}

void pp_sock_set_abort(int fd)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    /* At worst the close is polite. */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

uint16_t pp_sock_port(int fd)
{
    struct pp_sock_addr a;

    pp_sock_local(fd, &a);
    return a.port;
}
