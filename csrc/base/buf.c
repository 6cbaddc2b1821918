#include "base/buf.h"

#include "base/check.h"
#include "base/err.h"

/*   bytes [ sent ....... | waiting ........ | free ....... ]
 *         0              start              end            PP_BUF_CHUNK_BYTES  */
struct pp_buf_chunk {
    struct pp_buf_chunk *next;
    uint32_t start, end;
    char bytes[PP_BUF_CHUNK_BYTES];
};

void pp_buf_slab_init(struct pp_slab *slab, uint32_t keep)
{
    pp_slab_init(slab, sizeof(struct pp_buf_chunk), keep);
}

static struct pp_buf_chunk *new_chunk(struct pp_slab *slab)
{
    struct pp_buf_chunk *c = pp_slab_get(slab);
    if (!c)
        return NULL;
    c->next = NULL;
    c->start = c->end = 0;
    return c;
}

static void put_chain(struct pp_slab *slab, struct pp_buf_chunk *c)
{
    while (c) {
        struct pp_buf_chunk *next = c->next;
        pp_slab_put(slab, c);
        c = next;
    }
}

/* A chain with room for <n> > 0 bytes, or NULL with nothing taken. */
static struct pp_buf_chunk *get_chain(struct pp_slab *slab, size_t n)
{
    struct pp_buf_chunk *first = NULL;

    for (size_t got = 0; got < n; got += PP_BUF_CHUNK_BYTES) {
        struct pp_buf_chunk *c = new_chunk(slab);
        if (!c) {
            put_chain(slab, first);
            return NULL;
        }
        c->next = first;
        first = c;
    }
    return first;
}

static inline size_t fill(struct pp_buf_chunk *c, const char *p, size_t n)
{
    size_t part = PP_MIN(n, (size_t)(PP_BUF_CHUNK_BYTES - c->end));
    memcpy(c->bytes + c->end, p, part);
    c->end += (uint32_t)part;
    return part;
}

int pp_buf_write(struct pp_buf *b, struct pp_slab *slab, const void *p, size_t n, size_t limit)
{
    const char *from = p;
    size_t room = b->tail ? PP_BUF_CHUNK_BYTES - b->tail->end : 0;

    if (n > limit || b->n > limit - n)
        return PP_ELIMIT;
    if (n == 0)
        return PP_OK;

    /* All chunks are taken before the first byte moves, so that a failure changes nothing. */
    struct pp_buf_chunk *more = NULL;
    if (n > room && !(more = get_chain(slab, n - room)))
        return PP_ENOMEM;
    b->n += n;
    if (room) {
        size_t part = fill(b->tail, from, n);
        from += part;
        n -= part;
    }
    if (!more)
        return PP_OK;
    if (b->tail)
        b->tail->next = more;
    else
        b->head = more;
    for (;;) {
        size_t part = fill(more, from, n);
        from += part;
        n -= part;
        if (!more->next)
            break;
        more = more->next;
    }
    b->tail = more;
    return PP_OK;
}

int pp_buf_peek(const struct pp_buf *b, struct iovec *iov, int max)
{
    int n = 0;

    for (struct pp_buf_chunk *c = b->head; c && n < max; c = c->next, n++) {
        iov[n].iov_base = c->bytes + c->start;
        iov[n].iov_len = c->end - c->start;
    }
    return n;
}

void pp_buf_skip(struct pp_buf *b, struct pp_slab *slab, size_t n)
{
    if (!PP_EXPECT(n <= b->n))
        n = b->n;
    b->n -= n;
    while (b->head) {
        struct pp_buf_chunk *c = b->head;
        size_t waiting = c->end - c->start;
        if (n < waiting) {
            c->start += (uint32_t)n;
            return;
        }
        n -= waiting;
        b->head = c->next;
        pp_slab_put(slab, c);
    }
    b->tail = NULL;
}

void pp_buf_fini(struct pp_buf *b, struct pp_slab *slab)
{
    put_chain(slab, b->head);
    b->head = b->tail = NULL;
    b->n = 0;
}
