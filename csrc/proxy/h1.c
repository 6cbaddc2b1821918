#include "proxy/h1.h"

#include "base/check.h"
#include "base/mem.h"
#include "wire/http1_body.h"

/* Longer pieces are not copied to join their neighbours. */
#define JOIN_BYTES 1024

static void free_mem(struct pp_h1 *h)
{
    if (h->home != NULL)
        pp_slab_put(h->home, h->mem);
    else
        pp_mem_free(h->mem);
    h->mem = NULL;
    h->cap = h->rd = h->wr = 0;
}

/* Double the buffer; only heads larger than the first one come here. */
static int grow(struct pp_h1 *h, uint32_t most)
{
    uint32_t cap = PP_MIN(PP_MAX(h->cap * 2, PP_CORE_INPUT_BYTES), most);
    if (cap <= h->cap)
        return PP_ELIMIT;
    char *p = pp_mem_alloc(cap);
    if (p == NULL)
        return PP_ENOMEM;
    uint32_t rd = h->rd, wr = h->wr;
    memcpy(p, h->mem, wr);
    free_mem(h);
    h->mem = p;
    h->home = NULL;
    h->cap = cap;
    h->rd = rd;
    h->wr = wr;
    return PP_OK;
}

int pp_h1_fill(struct pp_h1 *h, uint32_t most, size_t *n)
{
    if (h->mem == NULL) {
        h->mem = pp_slab_get(h->first);
        if (h->mem == NULL)
            return PP_ENOMEM;
        h->cap = h->first->size;
        h->home = h->first;
        h->rd = h->wr = 0;
    }
    if (h->wr == h->cap) {
        int rc = grow(h, most);
        if (rc != PP_OK)
            return rc;
    }
    int rc = pp_chan_read(&h->ch, h->mem + h->wr, h->cap - h->wr, n);
    if (rc == PP_OK)
        h->wr += (uint32_t)*n;
    return rc;
}

void pp_h1_compact(struct pp_h1 *h)
{
    if (h->rd == 0)
        return;
    memmove(h->mem, h->mem + h->rd, h->wr - h->rd);
    h->wr -= h->rd;
    h->rd = 0;
}

int pp_h1_save_spill(struct pp_h1 *h, const char *p, size_t n)
{
    if (n == 0)
        return PP_OK;
    PP_ASSERT(h->spill == NULL);
    h->spill = pp_mem_dup(p, n);
    if (h->spill == NULL)
        return PP_ENOMEM;
    h->spill_n = (uint32_t)n;
    return PP_OK;
}

void pp_h1_end_message(struct pp_h1 *h)
{
    if (h->spill != NULL) {
        /* Bytes in scratch came after everything in the buffer, so the buffer has been read to its
         * end. */
        PP_ASSERT(h->rd == h->wr);
        if (h->mem != NULL)
            free_mem(h);
        h->mem = h->spill;
        h->cap = h->wr = h->spill_n;
        h->home = NULL;
        h->spill = NULL;
        h->spill_n = 0;
        return;
    }
    if (h->mem == NULL)
        return;
    if (h->rd == h->wr)
        free_mem(h);
    else
        pp_h1_compact(h);
}

static void reset_gather(struct pp_gather *g)
{
    g->owner = NULL;
    g->n = 0;
    g->bytes = 0;
    g->used = 0;
}

/* Lengthen the last iovec when it ends in scratch memory and <p> lies there behind it, or is short
 * enough to be copied there: one piece of memory leaves by send(), which costs less than sendmsg().
 */
static bool joins_last(struct pp_core *core, const char *p, size_t n)
{
    struct pp_gather *g = &core->gather;
    char *end = core->scratch + g->used;
    if (g->n == 0 || (char *)g->iov[g->n - 1].iov_base + g->iov[g->n - 1].iov_len != end)
        return false;
    if (p != end) {
        if (n > JOIN_BYTES || n > PP_CORE_SCRATCH_BYTES - g->used)
            return false;
        memcpy(end, p, n);
        g->used += (uint32_t)n;
    }
    g->iov[g->n - 1].iov_len += n;
    return true;
}

int pp_h1_add(struct pp_h1 *h, const void *p, size_t n)
{
    struct pp_gather *g = &h->core->gather;
    if (n == 0)
        return PP_OK;
    /* Bytes of another connection: somebody forgot to flush. Better they are lost than sent to the
     * wrong one. */
    if (!PP_EXPECT(g->owner == NULL || g->owner == h))
        reset_gather(g);
    g->owner = h;
    if (g->n == PP_CORE_GATHER) {
        size_t sent;
        int rc = pp_h1_flush(h, &sent);
        if (rc != PP_OK)
            return rc;
        g->owner = h;
    }
    if (!joins_last(h->core, p, n)) {
        g->iov[g->n].iov_base = (void *)(uintptr_t)p;
        g->iov[g->n].iov_len = n;
        g->n++;
    }
    g->bytes += n;
    return PP_OK;
}

char *pp_h1_room(struct pp_h1 *h, size_t n, size_t *cap)
{
    struct pp_gather *g = &h->core->gather;
    if (PP_CORE_SCRATCH_BYTES - g->used < n)
        return NULL;
    *cap = PP_CORE_SCRATCH_BYTES - g->used;
    return h->core->scratch + g->used;
}

int pp_h1_add_room(struct pp_h1 *h, char *p, size_t n)
{
    /* A flush inside pp_h1_add resets the scratch mark, while these bytes are still to be sent:
     * count them after it. */
    int rc = pp_h1_add(h, p, n);
    h->core->gather.used = (uint32_t)(p - h->core->scratch + (ptrdiff_t)n);
    return rc;
}

/* Memory for a few bytes of framing; a flush makes room when the gather is full. */
static int room_for(struct pp_h1 *h, int iovs, size_t n, char **p)
{
    struct pp_gather *g = &h->core->gather;
    size_t cap;
    *p = g->n + iovs > PP_CORE_GATHER ? NULL : pp_h1_room(h, n, &cap);
    if (*p != NULL)
        return PP_OK;
    size_t sent;
    int rc = pp_h1_flush(h, &sent);
    if (rc == PP_OK)
        *p = pp_h1_room(h, n, &cap);
    return rc != PP_OK ? rc : *p == NULL ? PP_ELIMIT : PP_OK;
}

int pp_h1_add_request(struct pp_h1 *h, const struct pp_http_msg *m, struct pp_span target,
                      struct pp_span host, const struct pp_http1_framing *fr)
{
    size_t cap, n;
    char *p = pp_h1_room(h, 1, &cap);
    int rc = p == NULL ? PP_ELIMIT : pp_http1_emit_request(p, cap, m, target, host, fr, &n);
    return rc == PP_OK ? pp_h1_add_room(h, p, n) : rc;
}

int pp_h1_add_response(struct pp_h1 *h, const struct pp_http_msg *m,
                       const struct pp_http1_framing *fr)
{
    size_t cap, n;
    char *p = pp_h1_room(h, 1, &cap);
    int rc = p == NULL ? PP_ELIMIT : pp_http1_emit_response(p, cap, m, fr, &n);
    return rc == PP_OK ? pp_h1_add_room(h, p, n) : rc;
}

int pp_h1_add_piece(struct pp_h1 *h, struct pp_span piece, bool chunked)
{
    if (!chunked)
        return pp_h1_add(h, piece.p, piece.n);
    char *p;
    int rc = room_for(h, 3, PP_HTTP1_CHUNK_HEAD, &p);
    if (rc == PP_OK)
        rc = pp_h1_add_room(h, p, pp_http1_emit_chunk_head(p, piece.n));
    if (rc == PP_OK)
        rc = pp_h1_add(h, piece.p, piece.n);
    if (rc == PP_OK)
        rc = pp_h1_add(h, PP_HTTP1_CHUNK_TAIL, sizeof(PP_HTTP1_CHUNK_TAIL) - 1);
    return rc;
}

int pp_h1_add_last_chunk(struct pp_h1 *h, const struct pp_http_msg *trailers)
{
    if (trailers == NULL || trailers->n_field == 0)
        return pp_h1_add(h, PP_HTTP1_LAST_CHUNK, sizeof(PP_HTTP1_LAST_CHUNK) - 1);
    char *p;
    size_t n, most = PP_HTTP1_TRAILER_BYTES * 2;
    int rc = room_for(h, 1, most, &p);
    if (rc == PP_OK)
        rc =
            pp_http1_emit_last_chunk(p, PP_CORE_SCRATCH_BYTES - h->core->gather.used, trailers, &n);
    return rc == PP_OK ? pp_h1_add_room(h, p, n) : rc;
}

/* Queue what is left of the gathered bytes after the first <skip>. */
static int queue_rest(struct pp_h1 *h, size_t skip)
{
    struct pp_gather *g = &h->core->gather;
    for (int i = 0; i < g->n; i++) {
        size_t n = g->iov[i].iov_len, drop = PP_MIN(skip, n);
        skip -= drop;
        if (n == drop)
            continue;
        /* Bounded by the callers: one read (PP_CORE_BULK_BYTES) and a head, or memory that a filter
         * already holds. */
        int rc = pp_buf_write(&h->out, &h->core->chunk_slab, (char *)g->iov[i].iov_base + drop,
                              n - drop, SIZE_MAX);
        if (rc != PP_OK)
            return rc;
    }
    return PP_OK;
}

/* Send from the queue until it is empty or the socket is full. */
static int write_queue(struct pp_h1 *h, size_t *sent)
{
    struct iovec iov[16];
    while (!pp_buf_is_empty(&h->out) && h->ch.writable) {
        size_t n;
        int count = pp_buf_peek(&h->out, iov, PP_COUNT_OF(iov));
        int rc = pp_chan_writev(&h->ch, iov, count, &n);
        if (rc != PP_OK)
            return rc;
        pp_buf_skip(&h->out, &h->core->chunk_slab, n);
        *sent += n;
    }
    return PP_OK;
}

int pp_h1_flush(struct pp_h1 *h, size_t *sent)
{
    struct pp_gather *g = &h->core->gather;
    int rc = PP_OK;
    size_t n = 0;
    *sent = 0;
    if (PP_UNLIKELY(!pp_buf_is_empty(&h->out)))
        rc = write_queue(h, sent);
    if (g->owner != h) /* nothing was gathered for this connection */
        return rc;
    if (rc == PP_OK && g->n > 0 && pp_buf_is_empty(&h->out) && h->ch.writable) {
        rc = pp_chan_writev(&h->ch, g->iov, g->n, &n);
        *sent += n;
    }
    if (rc == PP_OK && n < g->bytes)
        rc = queue_rest(h, n);
    reset_gather(g);
    return rc;
}

int pp_h1_give(struct pp_h1 *h, const struct pp_heir *to)
{
    PP_ASSERT(pp_h1_is_flushed(h) && h->core->gather.owner != h && h->spill == NULL);
    int rc = pp_chan_move(&h->ch, to->ch, to->fn);
    if (rc == PP_OK && pp_h1_unread(h) > 0 &&
        pp_buf_write(to->unread, &h->core->chunk_slab, h->mem + h->rd, pp_h1_unread(h),
                     to->limit) != PP_OK)
        rc = PP_EIO;
    pp_h1_close(h, true);
    return rc;
}

void pp_h1_close(struct pp_h1 *h, bool abort)
{
    if (h->core->gather.owner == h)
        reset_gather(&h->core->gather);
    if (h->ch.ops != NULL)
        h->ch.ops->close(&h->ch, abort);
    if (h->mem != NULL)
        free_mem(h);
    pp_mem_free(h->spill);
    h->spill = NULL;
    pp_buf_fini(&h->out, &h->core->chunk_slab);
}
