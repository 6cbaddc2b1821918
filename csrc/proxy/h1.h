/* What both sides of the proxy need of an HTTP/1 connection: an input buffer for heads, and an
 * output that writes first and queues only what the socket did not take.
 *
 *   input   [ parsed | unread .... | free ]   rd, wr; one buffer of the worker's slab, larger ones
 * from the heap spill   bytes read past the end of a message into scratch memory; they become the
 * input when the message is done output  gather (scratch, this turn)  ->  socket  ->  rest into
 * <out>
 */
#ifndef PP_PROXY_H1_H
#define PP_PROXY_H1_H

#include "io/chan.h"
#include "proxy/core.h"
#include "wire/http1_emit.h"

struct pp_h1 {
    struct pp_chan ch;
    struct pp_core *core;
    char *mem; /* NULL: no input buffer now */
    uint32_t cap, rd, wr;
    struct pp_slab *first; /* where the first buffer of a message comes from, set by the owner */
    struct pp_slab *home;  /* where <mem> goes back to, NULL: the heap */
    uint32_t spill_n;
    char *spill;
    struct pp_buf out;
};

/* Where a connection goes that leaves its owner for a tunnel: the channel with its new handler, and
 * what was read and not used. */
struct pp_heir {
    struct pp_chan *ch;
    pp_io_fn fn;
    struct pp_buf *unread; /* of chunks of core->chunk_slab, at most <limit> bytes */
    size_t limit;
};

static inline size_t pp_h1_unread(const struct pp_h1 *h)
{
    return h->wr - h->rd;
}

/* Read once into the input buffer (acquired when there is none). <most>: the buffer grows up to so
 * many bytes in all. PP_OK and *n > 0, PP_EAGAIN, PP_ELIMIT (buffer full at its largest),
 * PP_ENOMEM, PP_EEOF, PP_ERESET, PP_EIO. The buffer may move: spans into it must be rebased by
 * whoever holds them. */
int pp_h1_fill(struct pp_h1 *h, uint32_t most, size_t *n) PP_MUST_USE;
/* Move unread bytes to the front of the buffer; nothing may point into it. */
void pp_h1_compact(struct pp_h1 *h);
/* Keep <n> bytes at <p> for the next message. PP_OK or PP_ENOMEM. */
int pp_h1_save_spill(struct pp_h1 *h, const char *p, size_t n) PP_MUST_USE;
/* The message is done: unread bytes (from buffer or spill) stay for the next one; without any, the
 * buffer goes back. */
void pp_h1_end_message(struct pp_h1 *h);

/* Collect <n> bytes at <p> for the next flush; borrowed until then. PP_OK, or the result of a flush
 * that was needed in between. */
int pp_h1_add(struct pp_h1 *h, const void *p, size_t n) PP_MUST_USE;
/* Scratch memory for a head or chunk framing: at least <n> bytes, or NULL when a head is too large
 * for it. */
char *pp_h1_room(struct pp_h1 *h, size_t n, size_t *cap);
/* Collect the first <n> bytes of what pp_h1_room gave. */
int pp_h1_add_room(struct pp_h1 *h, char *p, size_t n) PP_MUST_USE;
/* Collect a message head. PP_OK; PP_ELIMIT: it is larger than what can be sent; or the result of a
 * flush that was needed in between. */
int pp_h1_add_request(struct pp_h1 *h, const struct pp_http_msg *m, struct pp_span target,
                      struct pp_span host, const struct pp_http1_framing *fr) PP_MUST_USE;
int pp_h1_add_response(struct pp_h1 *h, const struct pp_http_msg *m,
                       const struct pp_http1_framing *fr) PP_MUST_USE;
/* Collect a body piece, as a chunk when <chunked>; and the last chunk with its trailers (NULL:
 * none). */
int pp_h1_add_piece(struct pp_h1 *h, struct pp_span piece, bool chunked) PP_MUST_USE;
int pp_h1_add_last_chunk(struct pp_h1 *h, const struct pp_http_msg *trailers) PP_MUST_USE;
/* Write what was collected, after what is queued; queue the rest. PP_OK, PP_ENOMEM, PP_ERESET,
 * PP_EIO. *sent gets the bytes that the socket took. */
int pp_h1_flush(struct pp_h1 *h, size_t *sent) PP_MUST_USE;
/* Is everything written? */
static inline bool pp_h1_is_flushed(const struct pp_h1 *h)
{
    return pp_buf_is_empty(&h->out);
}
/* May more be sent without queueing behind what the peer has not read? */
static inline bool pp_h1_can_take(const struct pp_h1 *h)
{
    return pp_h1_is_flushed(h) && h->ch.writable;
}
/* The channel, when it is a plain socket with nothing queued; else NULL. */
static inline struct pp_chan *pp_h1_plain_channel(struct pp_h1 *h)
{
    return h->ch.ops == &pp_chan_tcp_ops && pp_h1_is_flushed(h) ? &h->ch : NULL;
}

/* Leave the channel and the unread bytes to <to>, and give all memory back; everything must be
 * written. PP_OK, or PP_EIO: closed, or with <to> and the bytes are lost. */
int pp_h1_give(struct pp_h1 *h, const struct pp_heir *to) PP_MUST_USE;

/* Close the channel and give all memory back. Idempotent. */
void pp_h1_close(struct pp_h1 *h, bool abort);

#endif
