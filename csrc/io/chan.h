/* Byte channel: one ops table hides plain TCP, unix sockets and TLS (io/chan_tls.h).
 *
 * Readiness contract (edge-triggered): <readable> and <writable> are what is known, not a promise.
 * The event handler sets them from epoll; read and write clear them. The owner goes on reading
 * while <readable> and it has room, and writing while <writable> and it has bytes; when it stops
 * for lack of room (back-pressure) the flag stays set, and it must look at it again when room
 * comes, because no new edge will. A read that returns less than it was offered means drained,
 * unless the peer is known to have closed (<rdhup>): then the end is still to be read.
 *
 *   read                      writev
 *   full   -> readable stays  all sent -> writable stays
 *   short  -> readable off    short    -> writable off
 *             (rdhup: stays)
 *   EAGAIN -> readable off    EAGAIN   -> writable off, PP_OK with *n = 0 */
#ifndef PP_IO_CHAN_H
#define PP_IO_CHAN_H

#include <sys/uio.h>

#include "io/loop.h"

struct pp_chan;

struct pp_chan_ops {
    const char *name;
    /* Up to <cap> (> 0) bytes to <dst>. PP_OK with *n > 0; PP_EAGAIN; PP_EEOF (and again at every
     * further call); PP_ERESET, PP_EIO. */
    int (*read)(struct pp_chan *ch, void *dst, size_t cap, size_t *n);
    /* Send <count> iovecs in order (1 <= count <= IOV_MAX, not all empty). PP_OK with *n >= 0 sent
     * (short: <writable> is now false); PP_ERESET, PP_EIO. */
    int (*writev)(struct pp_chan *ch, const struct iovec *iov, int count, size_t *n);
    /* Polite end of sending. */
    void (*shutdown)(struct pp_chan *ch);
    /* Is what `shutdown` says on its way, so that closing does not lose it? NULL: at once. */
    bool (*is_told)(const struct pp_chan *ch);
    /* Release now; idempotent. <abort>: with RST. */
    void (*close)(struct pp_chan *ch, bool abort);
    /* After an event was noted; NULL unless <tls>. */
    void (*note)(struct pp_chan *ch, uint32_t events);
};

struct pp_tls;

struct pp_chan {
    struct pp_io io; /* io.fn is the owner's handler; it calls pp_chan_note first */
    const struct pp_chan_ops *ops;
    struct pp_tls *tls; /* owned; NULL: plain */
    void *stream;       /* a stream of HTTP/2 in place of a descriptor (its own ops); NULL: none */
    struct pp_loop *loop;
    bool readable, writable;
    bool rdhup;  /* the peer ended its sending side or the connection broke: keep reading to see */
    bool broken; /* EPOLLERR or EPOLLHUP was reported */
    bool shared; /* another process has the descriptor, and uses it when this one has closed it */
};

/* Plain socket channel over the non-blocking <fd>, which it owns from PP_OK on; on failure <fd> is
 * closed (and ch->io.fd is -1). Registers <fn> with the loop.
 *
 * <readable>: connected, bytes may be there already: read and write at once. Otherwise <fd> may be
 * connecting still, both flags are off and the first event tells (pp_sock_connect_result). After
 * a connect that succeeded at once the owner may set <writable>. PP_OK, PP_ENOMEM or PP_EIO. */
int pp_chan_tcp_open(struct pp_chan *ch, struct pp_loop *lp, int fd, pp_io_fn fn, bool readable)
    PP_MUST_USE;
extern const struct pp_chan_ops pp_chan_tcp_ops;

/* Let <to> be what <from> was, with the handler <fn> of its new owner: descriptor, operations, and
 * all that is known of it, <readable> and <writable> set (events of the running turn may have been
 * meant for <from>). <from> is closed from then on, without a word to the peer. PP_OK, or PP_EIO
 * with nothing changed. */
int pp_chan_move(struct pp_chan *from, struct pp_chan *to, pp_io_fn fn) PP_MUST_USE;

/* Take over what <events> says. */
static inline void pp_chan_note(struct pp_chan *ch, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ch->readable = true;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        ch->writable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        ch->rdhup = true;
    if (events & (EPOLLHUP | EPOLLERR))
        ch->broken = true;
    if (PP_UNLIKELY(ch->tls != NULL))
        ch->ops->note(ch, events);
}

static inline bool pp_chan_is_open(const struct pp_chan *ch)
{
    return ch->io.fd >= 0;
}
static inline int pp_chan_read(struct pp_chan *ch, void *dst, size_t cap, size_t *n)
{
    return ch->ops->read(ch, dst, cap, n);
}
static inline int pp_chan_writev(struct pp_chan *ch, const struct iovec *iov, int count, size_t *n)
{
    return ch->ops->writev(ch, iov, count, n);
}

#endif
