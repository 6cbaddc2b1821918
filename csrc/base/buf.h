/* Bounded queue of bytes that wait to be sent: a list of chunks from a slab.
 *
 *   head -> [ sent | waiting .... ] -> [ waiting ........ ] -> [ waiting .. | free ] <- tail
 *
 * A zeroed pp_buf is a valid empty queue and owns nothing, so an idle connection pays 24 bytes.
 * Refuses bytes over <limit> (given per call): what is in the queue is what one connection may
 * cost. */
#ifndef PP_BASE_BUF_H
#define PP_BASE_BUF_H

#include <sys/uio.h>

#include "base/slab.h"
#include "base/span.h"

struct pp_buf_chunk;

struct pp_buf {
    struct pp_buf_chunk *head, *tail;
    size_t n; /* bytes waiting */
};

/* Payload of one chunk; slabs given to these functions must have been made by pp_buf_slab_init. */
#define PP_BUF_CHUNK_BYTES 16384

/* Prepare <slab> for chunks; at most <keep> idle ones are kept. */
void pp_buf_slab_init(struct pp_slab *slab, uint32_t keep);

static inline bool pp_buf_is_empty(const struct pp_buf *b)
{
    return b->n == 0;
}

/* Append <n> bytes at <p>. All or nothing: PP_ELIMIT when the queue would pass <limit>, PP_ENOMEM.
 */
int pp_buf_write(struct pp_buf *b, struct pp_slab *slab, const void *p, size_t n, size_t limit)
    PP_MUST_USE;

/* Fill at most <max> iovecs with the waiting bytes, oldest first; returns how many. Borrowed until
 * the next non-const call. */
int pp_buf_peek(const struct pp_buf *b, struct iovec *iov, int max);

/* Drop the oldest <n> bytes (n <= b->n); emptied chunks go back to <slab>. */
void pp_buf_skip(struct pp_buf *b, struct pp_slab *slab, size_t n);

/* Drop everything. */
void pp_buf_fini(struct pp_buf *b, struct pp_slab *slab);

#endif
