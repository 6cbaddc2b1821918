/* Datagram sockets: batches of datagrams in and out, each with one system call.
 *
 * A batch is memory for PP_DGRAM_BATCH datagrams of any size, used for one thing at a time:
 *
 *   listening socket --receive--> [slots, each with its path] --forward--> connected sockets
 *   connected sockets --append--> [slots, each with its path] --reply--> listening socket
 *
 * Only the pages are resident that datagrams have filled. Slots lie a little more than 64 KiB
 * apart, so that the first lines of all of them do not fall into the same set of the cache. */
#ifndef PP_IO_DGRAM_H
#define PP_IO_DGRAM_H

#include <sys/socket.h>

#include "io/sock.h"

#define PP_DGRAM_BATCH 32
#define PP_DGRAM_BYTES 65536 /* above the largest UDP payload: 65507 over IPv4, 65527 over IPv6 */
#define PP_DGRAM_STRIDE (PP_DGRAM_BYTES + 576)

/* The two ends of a datagram that came in at a listening socket; what is not used is zero, and
 * there is no padding: equal paths have equal bytes. */
struct pp_dgram_path {
    uint8_t peer[16];  /* where it came from; IPv4 in the first 4 bytes */
    uint8_t local[16]; /* where it came to, of a socket that is bound to all addresses; else zero */
    uint32_t scope;    /* IPv6 scope id of the peer */
    uint16_t port;     /* of the peer, host order */
    uint16_t family;   /* AF_INET or AF_INET6 */
};

struct pp_dgram_slot {
    struct pp_dgram_path path;
    uint32_t n;     /* bytes */
    bool truncated; /* longer than the slot: not whole */
};

struct pp_dgram_batch; /* two megabytes of addresses */

/* An empty batch, or NULL when memory is out. */
struct pp_dgram_batch *pp_dgram_batch_new(void) PP_MUST_USE;
/* NULL is fine. */
void pp_dgram_batch_free(struct pp_dgram_batch *b);
/* Datagrams in the batch. */
unsigned pp_dgram_count(const struct pp_dgram_batch *b);
struct pp_dgram_slot *pp_dgram_slot(struct pp_dgram_batch *b, unsigned i);
const char *pp_dgram_bytes(const struct pp_dgram_batch *b, unsigned i);

/* What pp_dgram_listen finds out about a bound socket, and what receiving goes on counting. */
struct pp_dgram_socket {
    int fd;
    bool any;       /* bound to all addresses: each datagram says which one it came to */
    uint32_t drops; /* datagrams for which the kernel had no room, as last told */
};

/* Prepare the bound <fd> for receiving: non-blocking, with what receiving has to be told about each
 * datagram. <fd> stays the caller's. PP_OK or PP_EIO (no datagram socket of the internet). */
int pp_dgram_listen(struct pp_dgram_socket *s, int fd) PP_MUST_USE;
/* A non-blocking socket that speaks with <dest> only. PP_OK, or PP_EMFILE, PP_ENOMEM, PP_EUNREACH,
 * PP_EIO with *fd = -1. A unix address is PP_EIO. */
int pp_dgram_connect(const struct pp_sock_dest *dest, int *fd) PP_MUST_USE;

/* Fill the batch with what waits in the listening socket <s>. *lost gets the datagrams that the
 * kernel has dropped since the last call. PP_OK (a full batch: there may be more) or PP_EAGAIN. */
int pp_dgram_receive(struct pp_dgram_batch *b, struct pp_dgram_socket *s, uint32_t *lost)
    PP_MUST_USE;
/* Append to the batch, which is not full, what waits in the connected <fd>; the caller fills the
 * paths of slots from the old count on. PP_OK; PP_EAGAIN: nothing; PP_EREFUSED, PP_EUNREACH: the
 * far end, or somebody on the way, has said so; PP_EIO. */
int pp_dgram_append(struct pp_dgram_batch *b, int fd) PP_MUST_USE;

/* Send the datagrams [from, to) to where <fd> is connected. *n is how many the kernel took; PP_OK
 * when it was all of them, else what the next one failed with: PP_EAGAIN (no room), PP_EREFUSED or
 * PP_EUNREACH (an earlier datagram came back), PP_EIO (this one cannot be sent). */
int pp_dgram_forward(struct pp_dgram_batch *b, int fd, unsigned from, unsigned to, unsigned *n)
    PP_MUST_USE;
/* Send one datagram to where <fd> is connected; results as above. */
int pp_dgram_send(int fd, const void *p, size_t n) PP_MUST_USE;
/* Send every datagram from <s> back along its path, and empty the batch. Returns how many the
 * kernel did not take. */
unsigned pp_dgram_reply(struct pp_dgram_batch *b, const struct pp_dgram_socket *s);
/* Forget all of them. */
void pp_dgram_clear(struct pp_dgram_batch *b);

/* The peer of <path> as an address. */
void pp_dgram_peer(const struct pp_dgram_path *path, struct pp_sock_addr *out);
static inline bool pp_dgram_path_eq(const struct pp_dgram_path *a, const struct pp_dgram_path *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

#endif
