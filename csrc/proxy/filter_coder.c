#include "proxy/filter_coder.h"

#include "base/mem.h"

/* Room for what a piece becomes at first; doubled until it does. */
#define RESULT_LEAST 16384

static void end(struct pp_filter_coder *c)
{
    pp_compress_free(c->stream);
    pp_mem_free(c->result);
    pp_mem_free(c);
}

static size_t weight(const struct pp_filter_coder *c)
{
    return sizeof(*c) + c->cap + pp_compress_memory(c->stream);
}

static void give_back(void *arg)
{
    struct pp_filter_coder *c = arg;
    struct pp_filter_coders *pool = c->pool;
    if (c->cap > PP_FILTER_CODER_RESULT) {
        pp_mem_free(c->result);
        c->result = NULL;
        c->cap = 0;
    }
    if (pool->idle_bytes + weight(c) > PP_FILTER_CODER_KEEP) {
        end(c);
        return;
    }
    pool->idle_bytes += weight(c);
    c->next = pool->idle;
    pool->idle = c;
}

static struct pp_filter_coder *take_idle(struct pp_filter_coders *pool)
{
    struct pp_filter_coder *c = pool->idle;
    if (c == NULL)
        return NULL;
    pool->idle = c->next;
    pool->idle_bytes -= weight(c);
    if (pp_compress_reset(c->stream) == PP_OK)
        return c;
    end(c);
    return NULL;
}

static struct pp_filter_coder *new_coder(struct pp_filter_coders *pool)
{
    struct pp_filter_coder *c = pp_mem_zalloc(sizeof(*c));
    if (c == NULL)
        return NULL;
    c->pool = pool;
    c->stream = pp_compress_new(&pool->conf);
    if (c->stream != NULL)
        return c;
    pp_mem_free(c);
    return NULL;
}

struct pp_filter_coder *pp_filter_coder_lend(struct pp_filter_coders *pool, struct pp_exchange *x)
{
    struct pp_filter_coder *c = take_idle(pool);
    if (c == NULL)
        c = new_coder(pool);
    if (c != NULL && pp_arena_on_reset(&x->arena, give_back, c) != PP_OK) {
        end(c);
        c = NULL;
    }
    return c;
}

static void end_idle(void *arg)
{
    struct pp_filter_coders *pool = arg;
    while (pool->idle != NULL) {
        struct pp_filter_coder *c = pool->idle;
        pool->idle = c->next;
        end(c);
    }
}

int pp_filter_coder_prepare(struct pp_filter_coders *pool, struct pp_arena *arena)
{
    struct pp_filter_coder *c = new_coder(pool);
    if (c == NULL)
        return PP_ENOMEM;
    if (pp_arena_on_reset(arena, end_idle, pool) != PP_OK) {
        end(c);
        return PP_ENOMEM;
    }
    give_back(c);
    return PP_OK;
}

/* Room for more, at most <most> bytes in all. */
static int grow(struct pp_filter_coder *c, size_t most)
{
    if (c->cap >= most)
        return PP_ELIMIT;
    size_t cap = PP_MIN(PP_MAX(c->cap * 2, (size_t)RESULT_LEAST), most);
    char *p = pp_mem_resize(c->result, cap);
    if (p == NULL)
        return PP_ENOMEM;
    c->result = p;
    c->cap = cap;
    return PP_OK;
}

int pp_filter_coder_run(struct pp_filter_coder *c, struct pp_span piece, enum pp_compress_how how,
                        size_t most, struct pp_span *out)
{
    size_t n = 0;
    int rc = PP_EMORE;
    struct pp_compress_io io = {.in = piece.p == NULL ? "" : piece.p, .in_n = piece.n};
    *out = PP_SPAN_NONE;
    for (;;) {
        io.out_n = PP_MIN(c->cap, most) - n;
        if (io.out_n > 0) {
            io.out = c->result + n;
            rc = pp_compress_run(c->stream, &io, how);
            n = (size_t)(io.out - c->result);
        }
        if (rc != PP_EMORE)
            break;
        int grown = grow(c, most);
        if (grown != PP_OK)
            return grown;
    }
    if (rc == PP_OK || rc == PP_EEND)
        *out = pp_span(c->result, n);
    return rc;
}

/* ---- heads ---- */

/* Is <word> in a list field? */
static bool lists(const struct pp_http_msg *m, enum pp_http_name id, struct pp_span word)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, id);
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;
        while (pp_span_next_item(&rest, &item)) {
            if (pp_span_eq_fold(item, word))
                return true;
        }
    }
    return false;
}

bool pp_filter_coder_may(const struct pp_exchange *x)
{
    unsigned status = x->response.status;
    return status >= 200 && status != 204 && status != 206 && status != 304 &&
           !lists(&x->response, PP_NAME_CACHE_CONTROL, PP_SPAN("no-transform")) &&
           !lists(&x->request, PP_NAME_CACHE_CONTROL, PP_SPAN("no-transform"));
}

/* Two texts, one after the other, in the arena. */
static int join(struct pp_exchange *x, struct pp_span a, struct pp_span b, struct pp_span *out)
{
    char *p = pp_arena_alloc(&x->arena, a.n + b.n);
    if (p == NULL)
        return PP_ENOMEM;
    memcpy(p, a.p, a.n);
    memcpy(p + a.n, b.p, b.n);
    *out = pp_span(p, a.n + b.n);
    return PP_OK;
}

int pp_filter_coder_vary(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_VARY);
    if (lists(m, PP_NAME_VARY, PP_SPAN("*")) || lists(m, PP_NAME_VARY, PP_SPAN("accept-encoding")))
        return PP_OK;
    if (f == NULL || f->value_n == 0 || pp_http_msg_find_next(m, f) != NULL)
        return pp_http_msg_add(m, PP_SPAN("Vary"), PP_NAME_VARY, PP_SPAN("Accept-Encoding"));
    struct pp_span value;
    int rc = join(x, pp_http_field_value(f), PP_SPAN(", Accept-Encoding"), &value);
    return rc == PP_OK ? pp_http_msg_set(m, PP_SPAN("Vary"), PP_NAME_VARY, value) : rc;
}

int pp_filter_coder_rewritten(struct pp_exchange *x)
{
    static const struct pp_span digests[] = {
        {"content-digest", 14}, {"repr-digest", 11}, {"digest", 6}, {"content-md5", 11}};
    struct pp_http_msg *m = &x->response;
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_ETAG);
    for (size_t i = 0; i < PP_COUNT_OF(digests); i++)
        (void)pp_http_msg_remove(m, digests[i], PP_NAME_OTHER);
    (void)pp_http_msg_remove(m, PP_SPAN("accept-ranges"), PP_NAME_ACCEPT_RANGES);
    x->declared_length = false;
    if (f == NULL || f->value_n == 0 || f->value[0] != '"')
        return PP_OK;
    struct pp_span value; /* what a strong one promises is no longer so (RFC 9110 section 8.8.1) */
    int rc = join(x, PP_SPAN("W/"), pp_http_field_value(f), &value);
    return rc == PP_OK ? pp_http_msg_set(m, PP_SPAN("ETag"), PP_NAME_ETAG, value) : rc;
}
