#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* recvmmsg, sendmmsg, struct in6_pktinfo */
#endif
#include "io/dgram.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/fd.h"

PP_STATIC_ASSERT(sizeof(struct pp_dgram_path) == 40, "no padding: compared and hashed as bytes");

/* Room for the address a datagram came to (in6_pktinfo is the larger) and the drop counter. */
#define CONTROL_BYTES (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint32_t)))

union name {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

union control {
    struct cmsghdr align;
    char bytes[CONTROL_BYTES];
};

struct pp_dgram_batch {
    unsigned n;
    struct pp_dgram_slot slot[PP_DGRAM_BATCH];
    struct mmsghdr msg[PP_DGRAM_BATCH];
    struct iovec iov[PP_DGRAM_BATCH];
    union name name[PP_DGRAM_BATCH];
    union control control[PP_DGRAM_BATCH];
    char mem[PP_DGRAM_BATCH][PP_DGRAM_STRIDE];
};

struct pp_dgram_batch *pp_dgram_batch_new(void)
{
    struct pp_dgram_batch *b = pp_mem_alloc(sizeof(*b));
    if (b == NULL)
        return NULL;
    /* Not the memory of the datagrams: it stays unmapped until it is used. */
    memset(b, 0, offsetof(struct pp_dgram_batch, mem));
    for (unsigned i = 0; i < PP_DGRAM_BATCH; i++) {
        b->iov[i].iov_base = b->mem[i];
        b->msg[i].msg_hdr.msg_iov = &b->iov[i];
        b->msg[i].msg_hdr.msg_iovlen = 1;
    }
    return b;
}

void pp_dgram_batch_free(struct pp_dgram_batch *b)
{
    pp_mem_free(b);
}

unsigned pp_dgram_count(const struct pp_dgram_batch *b)
{
    return b->n;
}

struct pp_dgram_slot *pp_dgram_slot(struct pp_dgram_batch *b, unsigned i)
{
    return &b->slot[i];
}

const char *pp_dgram_bytes(const struct pp_dgram_batch *b, unsigned i)
{
    return b->mem[i];
}

void pp_dgram_clear(struct pp_dgram_batch *b)
{
    b->n = 0;
}

/* ---- sockets ---- */

static bool is_any(const union name *name)
{
    return name->sa.sa_family == AF_INET ? name->in.sin_addr.s_addr == htonl(INADDR_ANY)
                                         : IN6_IS_ADDR_UNSPECIFIED(&name->in6.sin6_addr);
}

static int tell_local(int fd, int family)
{
    int one = 1;
    if (family == AF_INET)
        return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &one, sizeof(one));
    return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
}

int pp_dgram_listen(struct pp_dgram_socket *s, int fd)
{
    uint32_t memory[9] = {0}; /* SK_MEMINFO_VARS of linux/sock_diag.h; the last is the drops */
    union name name = {.sa = {.sa_family = 0}};
    socklen_t len = sizeof(name), type_len = sizeof(int), memory_len = sizeof(memory);
    int type = 0, one = 1;

    *s = (struct pp_dgram_socket){.fd = fd};
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 || type != SOCK_DGRAM ||
        getsockname(fd, &name.sa, &len) < 0 || pp_fd_prepare(fd) != PP_OK)
        return PP_EIO;
    if (name.sa.sa_family != AF_INET && name.sa.sa_family != AF_INET6)
        return PP_EIO;
    s->any = is_any(&name);
    if (s->any && tell_local(fd, name.sa.sa_family) < 0)
        return PP_EIO;
    /* Who read from the socket before us has counted what was dropped then. Old kernels do not
     * tell, and nothing else depends on it. */
    if (setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof(one)) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &memory_len) == 0)
        s->drops = memory[8];
    return PP_OK;
}

int pp_dgram_connect(const struct pp_sock_dest *dest, int *fd)
{
    int family = dest->ss.ss_family;

    *fd = -1;
    if (family == AF_UNIX)
        return PP_EIO;
    *fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return pp_fd_error(errno);
    if (connect(*fd, (const struct sockaddr *)&dest->ss, dest->len) == 0)
        return PP_OK;
    int rc = errno == EAGAIN ? PP_EUNREACH : pp_fd_error(errno); /* EAGAIN: no free local port */
    pp_fd_close(fd);
    return rc;
}

/* ---- receiving ---- */

static void note_peer(const union name *name, struct pp_dgram_path *path)
{
    path->family = name->sa.sa_family;
    if (path->family == AF_INET) {
        memcpy(path->peer, &name->in.sin_addr, 4);
        path->port = ntohs(name->in.sin_port);
    } else {
        memcpy(path->peer, &name->in6.sin6_addr, 16);
        path->port = ntohs(name->in6.sin6_port);
        path->scope = name->in6.sin6_scope_id;
    }
}

/* Where it came to: an address of ours, never that of a group, from which nobody can send. */
static void note_control(struct msghdr *hdr, struct pp_dgram_path *path, uint32_t *drops)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c != NULL; c = CMSG_NXTHDR(hdr, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo packet;
            memcpy(&packet, CMSG_DATA(c), sizeof(packet));
            memcpy(path->local, &packet.ipi_spec_dst, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo packet;
            memcpy(&packet, CMSG_DATA(c), sizeof(packet));
            if (!IN6_IS_ADDR_MULTICAST(&packet.ipi6_addr))
                memcpy(path->local, &packet.ipi6_addr, 16);
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(drops, CMSG_DATA(c), sizeof(*drops));
        }
    }
}

static void note_size(struct pp_dgram_batch *b, unsigned i)
{
    b->slot[i].n = b->msg[i].msg_len;
    b->slot[i].truncated = (b->msg[i].msg_hdr.msg_flags & MSG_TRUNC) != 0;
}

int pp_dgram_receive(struct pp_dgram_batch *b, struct pp_dgram_socket *s, uint32_t *lost)
{
    uint32_t drops = s->drops;
    *lost = 0;
    b->n = 0;
    for (unsigned i = 0; i < PP_DGRAM_BATCH; i++) {
        struct msghdr *hdr = &b->msg[i].msg_hdr;
        hdr->msg_name = &b->name[i];
        hdr->msg_namelen = sizeof(b->name[i]);
        hdr->msg_control = &b->control[i];
        hdr->msg_controllen = sizeof(b->control[i]);
        b->iov[i].iov_len = PP_DGRAM_BYTES;
    }
    int n = recvmmsg(s->fd, b->msg, PP_DGRAM_BATCH, 0, NULL);
    if (n <= 0)
        return PP_EAGAIN; /* a socket without peer has no other error that would stay */
    for (unsigned i = 0; i < (unsigned)n; i++) {
        struct pp_dgram_path *path = &b->slot[i].path;
        memset(path, 0, sizeof(*path));
        note_peer(&b->name[i], path);
        note_control(&b->msg[i].msg_hdr, path, &drops);
        note_size(b, i);
    }
    b->n = (unsigned)n;
    *lost = drops - s->drops;
    s->drops = drops;
    return PP_OK;
}

int pp_dgram_append(struct pp_dgram_batch *b, int fd)
{
    for (unsigned i = b->n; i < PP_DGRAM_BATCH; i++) {
        struct msghdr *hdr = &b->msg[i].msg_hdr;
        hdr->msg_name = hdr->msg_control = NULL;
        hdr->msg_namelen = 0;
        hdr->msg_controllen = 0;
        b->iov[i].iov_len = PP_DGRAM_BYTES;
    }
    int n = recvmmsg(fd, b->msg + b->n, PP_DGRAM_BATCH - b->n, 0, NULL);
    if (n < 0)
        return pp_fd_error(errno);
    for (unsigned end = b->n + (unsigned)n; b->n < end; b->n++)
        note_size(b, b->n);
    return PP_OK;
}

/* ---- sending ---- */

int pp_dgram_send(int fd, const void *p, size_t n)
{
    return send(fd, p, n, MSG_NOSIGNAL) >= 0 ? PP_OK : pp_fd_error(errno);
}

int pp_dgram_forward(struct pp_dgram_batch *b, int fd, unsigned from, unsigned to, unsigned *n)
{
    *n = 0;
    if (to - from == 1) { /* nearly always, and the shorter way through the kernel */
        int rc = pp_dgram_send(fd, b->mem[from], b->slot[from].n);
        *n = rc == PP_OK;
        return rc;
    }
    for (unsigned i = from; i < to; i++) {
        struct msghdr *hdr = &b->msg[i].msg_hdr;
        hdr->msg_name = hdr->msg_control = NULL;
        hdr->msg_namelen = 0;
        hdr->msg_controllen = 0;
        b->iov[i].iov_len = b->slot[i].n;
    }
    /* After an error in the middle the count is short, and the next call tells the error. */
    while (from + *n < to) {
        int k = sendmmsg(fd, b->msg + from + *n, to - from - *n, MSG_NOSIGNAL);
        if (k < 0)
            return pp_fd_error(errno);
        *n += (unsigned)k;
    }
    return PP_OK;
}

static socklen_t put_peer(const struct pp_dgram_path *path, union name *name)
{
    if (path->family == AF_INET) {
        name->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(path->port)};
        memcpy(&name->in.sin_addr, path->peer, 4);
        return sizeof(name->in);
    }
    name->in6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(path->port), .sin6_scope_id = path->scope};
    memcpy(&name->in6.sin6_addr, path->peer, 16);
    return sizeof(name->in6);
}

/* Let the datagram leave from the address that the client has sent to: it would not take an answer
 * from another one. Which way it leaves is the kernel's choice, but for link-local addresses. */
static void put_local(const struct pp_dgram_path *path, struct msghdr *hdr, union control *control)
{
    size_t n = path->family == AF_INET ? sizeof(struct in_pktinfo) : sizeof(struct in6_pktinfo);
    memset(control, 0, CMSG_SPACE(n));
    hdr->msg_control = control;
    hdr->msg_controllen = CMSG_SPACE(n);
    struct cmsghdr *c = CMSG_FIRSTHDR(hdr);
    c->cmsg_len = CMSG_LEN(n);
    if (path->family == AF_INET) {
        struct in_pktinfo packet = {.ipi_ifindex = 0};
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        memcpy(&packet.ipi_spec_dst, path->local, 4);
        memcpy(CMSG_DATA(c), &packet, sizeof(packet));
    } else {
        struct in6_pktinfo packet = {.ipi6_ifindex = 0};
        c->cmsg_level = IPPROTO_IPV6;
        c->cmsg_type = IPV6_PKTINFO;
        memcpy(&packet.ipi6_addr, path->local, 16);
        if (IN6_IS_ADDR_LINKLOCAL(&packet.ipi6_addr))
            packet.ipi6_ifindex = path->scope;
        memcpy(CMSG_DATA(c), &packet, sizeof(packet));
    }
}

unsigned pp_dgram_reply(struct pp_dgram_batch *b, const struct pp_dgram_socket *s)
{
    unsigned lost = 0;
    for (unsigned i = 0; i < b->n; i++) {
        struct msghdr *hdr = &b->msg[i].msg_hdr;
        hdr->msg_name = &b->name[i];
        hdr->msg_namelen = put_peer(&b->slot[i].path, &b->name[i]);
        hdr->msg_control = NULL;
        hdr->msg_controllen = 0;
        if (s->any)
            put_local(&b->slot[i].path, hdr, &b->control[i]);
        b->iov[i].iov_len = b->slot[i].n;
    }
    for (unsigned i = 0; i < b->n;) {
        int k = sendmmsg(s->fd, b->msg + i, b->n - i, MSG_NOSIGNAL);
        if (k < 0 && pp_fd_error(errno) == PP_EAGAIN) { /* no room for this one, nor for others */
            lost += b->n - i;
            break;
        }
        lost += k < 0;
        i += k < 0 ? 1 : (unsigned)k;
    }
    b->n = 0;
    return lost;
}

void pp_dgram_peer(const struct pp_dgram_path *path, struct pp_sock_addr *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->ip, path->peer, sizeof(out->ip));
    out->port = path->port;
    out->scope = path->scope;
    out->family = (uint8_t)path->family;
}
