#include "base/mem.h"
#include "wire/compress_impl.h"

/* Memory that is kept for the next stream beside the library's state. */
#define SPARE_BYTES ((size_t)512 << 10)

/* ---- blocks of the heap ---- */

static void drop_spare(struct pp_compress *c)
{
    while (c->spare != NULL) {
        struct pp_compress_block *b = c->spare;
        c->spare = b->next;
        c->spare_bytes -= b->n + sizeof(*b);
        pp_mem_free(b);
    }
}

/* A block that was given back and has just this size: a library asks for the same every time. */
static struct pp_compress_block *take_spare(struct pp_compress *c, size_t n)
{
    for (struct pp_compress_block **at = &c->spare; *at != NULL; at = &(*at)->next) {
        struct pp_compress_block *b = *at;
        if (b->n == n) {
            *at = b->next;
            c->spare_bytes -= n + sizeof(*b);
            return b;
        }
    }
    return NULL;
}

static struct pp_compress_block *take_heap(struct pp_compress *c, size_t n)
{
    size_t size = n + sizeof(struct pp_compress_block);
    if (n > PP_COMPRESS_BYTES || size > PP_COMPRESS_BYTES - c->used)
        return NULL;
    if (size > PP_COMPRESS_BYTES - c->used - c->spare_bytes)
        drop_spare(c);
    struct pp_compress_block *b = pp_mem_alloc(size);
    if (b != NULL)
        b->n = n;
    return b;
}

static void *alloc_heap(struct pp_compress *c, size_t n)
{
    struct pp_compress_block *b = take_spare(c, n);
    if (b == NULL)
        b = take_heap(c, n);
    if (b == NULL)
        return NULL;
    c->used += n + sizeof(*b);
    return b + 1;
}

static void release_heap(struct pp_compress *c, struct pp_compress_block *b)
{
    c->used -= b->n + sizeof(*b);
    c->spare_bytes += b->n + sizeof(*b);
    b->next = c->spare;
    c->spare = b;
}

/* ---- blocks of the reserve: cells side by side, the first that fits is taken ----
 *
 *   [ head | taken ... ][ head | free ..... ][ head | taken ][ head | free ............ ]
 *
 * A free cell has itself as <next>. There are some dozens of them at most. */

static struct pp_compress_block *cell_behind(const struct pp_compress *c,
                                             struct pp_compress_block *b)
{
    char *at = (char *)(b + 1) + b->n;
    return at == c->reserve + c->reserve_n ? NULL : (struct pp_compress_block *)at;
}

int pp_compress_reserve(struct pp_compress *c, size_t n)
{
    PP_ASSERT(n % 16 == 0 && c->used == 0);
    if (c->reserve == NULL) {
        c->reserve = pp_mem_alloc(n);
        c->reserve_n = n;
    }
    if (c->reserve == NULL)
        return PP_ENOMEM;
    struct pp_compress_block *b = (struct pp_compress_block *)c->reserve;
    *b = (struct pp_compress_block){.next = b, .n = c->reserve_n - sizeof(*b)};
    return PP_OK;
}

/* Cut what is not needed of the free cell <b> off, and take it. */
static void *take_cell(struct pp_compress *c, struct pp_compress_block *b, size_t n)
{
    if (b->n >= n + 2 * sizeof(*b)) {
        struct pp_compress_block *rest = (struct pp_compress_block *)((char *)(b + 1) + n);
        *rest = (struct pp_compress_block){.next = rest, .n = b->n - n - sizeof(*b)};
        b->n = n;
    }
    b->next = NULL;
    c->used += b->n + sizeof(*b);
    c->peak = PP_MAX(c->peak, (size_t)((char *)(b + 1) + b->n - c->reserve));
    return b + 1;
}

static void *alloc_cell(struct pp_compress *c, size_t n)
{
    struct pp_compress_block *b = (struct pp_compress_block *)c->reserve, *behind;
    if (n > c->reserve_n)
        return NULL;
    n = (n + 15) & ~(size_t)15;
    for (; b != NULL; b = cell_behind(c, b)) {
        if (b->next != b)
            continue;
        while ((behind = cell_behind(c, b)) != NULL && behind->next == behind)
            b->n += behind->n + sizeof(*behind);
        if (b->n >= n)
            return take_cell(c, b, n);
    }
    return NULL;
}

/* ---- what libraries call ---- */

void *pp_compress_alloc(void *stream, size_t n)
{
    struct pp_compress *c = stream;
    void *p = c->reserve != NULL ? alloc_cell(c, n) : alloc_heap(c, n);
    c->refused = c->refused || p == NULL;
    return p;
}

void pp_compress_release(void *stream, void *p)
{
    struct pp_compress *c = stream;
    if (p == NULL)
        return;
    struct pp_compress_block *b = (struct pp_compress_block *)p - 1;
    if (c->reserve == NULL) {
        release_heap(c, b);
    } else {
        c->used -= b->n + sizeof(*b);
        b->next = b;
    }
}

/* ---- streams ---- */

static const struct pp_compress_ops *ops_of(const struct pp_compress_conf *conf)
{
    static const struct pp_compress_ops *const all[PP_HTTP_CODING_COUNT][2] = {
        [PP_HTTP_CODING_GZIP] = {&pp_compress_gzip_encoder, &pp_compress_gzip_decoder},
        [PP_HTTP_CODING_BROTLI] = {&pp_compress_brotli_encoder, &pp_compress_brotli_decoder},
        [PP_HTTP_CODING_ZSTD] = {&pp_compress_zstd_encoder, &pp_compress_zstd_decoder},
        [PP_HTTP_CODING_DEFLATE] = {&pp_compress_gzip_encoder, &pp_compress_gzip_decoder},
    };
    return conf->coding < PP_HTTP_CODING_COUNT ? all[conf->coding][conf->decodes] : NULL;
}

struct pp_compress *pp_compress_new(const struct pp_compress_conf *conf)
{
    const struct pp_compress_ops *ops = ops_of(conf);
    struct pp_compress *c = ops == NULL ? NULL : pp_mem_zalloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    c->ops = ops;
    c->conf = *conf;
    if (ops->open(c) != PP_OK) {
        pp_compress_free(c);
        return NULL;
    }
    return c;
}

void pp_compress_free(struct pp_compress *c)
{
    if (c == NULL)
        return;
    if (c->state != NULL)
        c->ops->close(c);
    drop_spare(c);
    pp_mem_free(c->reserve);
    pp_mem_free(c);
}

int pp_compress_reset(struct pp_compress *c)
{
    c->refused = c->ended = false;
    if (c->state != NULL && c->ops->reset != NULL)
        return c->ops->reset(c);
    if (c->state != NULL)
        c->ops->close(c);
    c->state = NULL;
    if (c->spare_bytes > SPARE_BYTES)
        drop_spare(c);
    return c->ops->open(c);
}

int pp_compress_run(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
{
    return c->ops->run(c, io, how);
}

size_t pp_compress_memory(const struct pp_compress *c)
{
    return PP_MAX(c->used + c->spare_bytes, c->peak);
}
