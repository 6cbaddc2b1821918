#include "wire/http_msg.h"

#include "base/check.h"

void pp_http_msg_init(struct pp_http_msg *m, struct pp_arena *arena)
{
    /* One by one: for this size compilers make of memset an instruction that is slow to start. */
    m->arena = arena;
    m->field = m->inline_field;
    m->n_field = 0;
    m->cap_field = PP_HTTP_MSG_INLINE;
    m->seen = m->twice = 0;
    m->method = m->target = m->scheme = m->authority = PP_SPAN_NONE;
    m->path = m->query = m->protocol = m->reason = PP_SPAN_NONE;
    m->status = 0;
    m->method_id = PP_HTTP_OTHER;
    m->major = 1;
    m->minor = 0;
    m->body = PP_HTTP_BODY_NONE;
    m->keep_alive = m->expect_continue = m->upgrade = m->te_trailers = m->end_follows = false;
    m->content_length = 0;
}

int pp_http_msg_grow(struct pp_http_msg *m)
{
    /* The old array stays in the arena: doubling wastes at most as much as is used. */
    uint32_t cap = m->cap_field * 2;
    struct pp_http_field *field;

    if (cap < m->cap_field) {
        return PP_ENOMEM;
    }
    field = pp_arena_alloc(m->arena, (size_t)cap * sizeof(*field));
    if (!field) {
        return PP_ENOMEM;
    }
    memcpy(field, m->field, m->n_field * sizeof(*field));
    m->field = field;
    m->cap_field = cap;
    return PP_OK;
}

static void append(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id,
                   struct pp_span value)
{
    struct pp_http_field *f = &m->field[m->n_field++];

    f->name = name.p;
    f->name_n = (uint16_t)name.n;
    f->value = value.p;
    f->value_n = (uint32_t)value.n;
    f->id = (uint8_t)id;
    f->flags = 0;
    m->twice |= m->seen & UINT64_C(1) << id;
    m->seen |= UINT64_C(1) << id;
}

/* Apart, so that the usual way keeps nothing for after a call. */
PP_COLD static int grow_and_append(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id,
                                   struct pp_span value)
{
    int rc = pp_http_msg_grow(m);

    if (rc == PP_OK) {
        append(m, name, id, value);
    }
    return rc;
}

int pp_http_msg_add(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id,
                    struct pp_span value)
{
    PP_ASSERT(name.n <= UINT16_MAX && value.n <= UINT32_MAX);
    if (PP_UNLIKELY(m->n_field == m->cap_field)) {
        return grow_and_append(m, name, id, value);
    }
    append(m, name, id, value);
    return PP_OK;
}

static struct pp_http_field *find_from(const struct pp_http_msg *m, uint32_t i, struct pp_span name,
                                       unsigned id)
{
    for (; i < m->n_field; i++) {
        struct pp_http_field *f = &m->field[i];
        if (f->id != id || !pp_http_field_is_live(f)) {
            continue;
        }
        if (id != PP_NAME_OTHER ||
            (f->name_n == name.n && pp_span_eq_fold(pp_http_field_name(f), name))) {
            return f;
        }
    }
    return NULL;
}

struct pp_http_field *pp_http_msg_find_id(const struct pp_http_msg *m, enum pp_http_name id)
{
    if (id == PP_NAME_OTHER || !(m->seen >> id & 1)) {
        return NULL;
    }
    for (struct pp_http_field *f = m->field, *end = f + m->n_field; f < end; f++) {
        if (f->id == id && pp_http_field_is_live(f)) {
            return f;
        }
    }
    return NULL;
}

struct pp_http_field *pp_http_msg_find(const struct pp_http_msg *m, struct pp_span name)
{
    enum pp_http_name id = pp_http_tok_name(name.p, name.n);

    return (m->seen >> id & 1) ? find_from(m, 0, name, id) : NULL;
}

struct pp_http_field *pp_http_msg_find_next(const struct pp_http_msg *m,
                                            const struct pp_http_field *f)
{
    if (!(m->twice >> f->id & 1)) {
        return NULL;
    }
    return find_from(m, (uint32_t)(f - m->field) + 1, pp_http_field_name(f), f->id);
}

/* Marks from field <i> on; the presence bit of a listed name is left alone, it only says "may be".
 */
static unsigned remove_from(struct pp_http_msg *m, uint32_t i, struct pp_span name, unsigned id)
{
    unsigned n = 0;
    struct pp_http_field *f;

    while ((f = find_from(m, i, name, id)) != NULL) {
        f->flags |= PP_HTTP_FIELD_REMOVED;
        i = (uint32_t)(f - m->field) + 1;
        n++;
    }
    return n;
}

int pp_http_msg_set(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id,
                    struct pp_span value)
{
    struct pp_http_field *f = NULL;

    PP_ASSERT(name.n <= UINT16_MAX && value.n <= UINT32_MAX);
    if (m->seen >> id & 1) {
        f = find_from(m, 0, name, id);
    }
    if (!f) {
        return pp_http_msg_add(m, name, id, value);
    }
    f->value = value.p;
    f->value_n = (uint32_t)value.n;
    f->flags = 0; /* what the sender meant for one hop is gone: this value is ours */
    remove_from(m, (uint32_t)(f - m->field) + 1, name, id);
    return PP_OK;
}

unsigned pp_http_msg_remove(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id)
{
    return (m->seen >> id & 1) ? remove_from(m, 0, name, id) : 0;
}

/* <at> moved along when it points into [old, old + n). Compared as integers: the old memory may be
 * gone. */
static const char *moved(const char *at, uintptr_t old, size_t n, const char *to)
{
    uintptr_t off = (uintptr_t)at - old;

    return at && off < n ? to + off : at;
}

void pp_http_msg_rebase(struct pp_http_msg *m, const char *old, size_t n, const char *to)
{
    uintptr_t from = (uintptr_t)old;
    struct pp_span *spans[] = {&m->method, &m->target, &m->scheme, &m->authority,
                               &m->path,   &m->query,  &m->reason};

    for (size_t i = 0; i < PP_COUNT_OF(spans); i++) {
        spans[i]->p = moved(spans[i]->p, from, n, to);
    }
    for (uint32_t i = 0; i < m->n_field; i++) {
        struct pp_http_field *f = &m->field[i];
        f->name = moved(f->name, from, n, to);
        f->value = moved(f->value, from, n, to);
    }
}
