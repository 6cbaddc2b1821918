#include "proxy/filter_rewrite_query.h"

#include "proxy/filter_text.h"
#include "wire/uri.h"

enum edit_what { EDIT_REMOVE, EDIT_SET, EDIT_ADD };

struct edit {
    uint8_t what; /* enum edit_what */
    struct pp_span name;
    struct pp_span encoded;             /* the name, as it is written */
    const struct pp_filter_text *value; /* not of EDIT_REMOVE */
};

struct pp_filter_rewrite_query {
    uint32_t n;
    struct edit edit[];
};

/* ---- making ---- */

static int add_edit(struct pp_filter_make *m, struct pp_filter_rewrite_query *r,
                    enum edit_what what, struct pp_span name, const struct pp_options *value)
{
    if (name.n == 0)
        return pp_filter_refuse(m, "an argument without a name:", m->name);
    if (r->n == PP_FILTER_REWRITE_EDITS)
        return pp_filter_refuse(m, "too many arguments, from", name);
    struct edit *e = &r->edit[r->n++];
    *e = (struct edit){.what = (uint8_t)what, .name = name};
    if (what == EDIT_REMOVE)
        return PP_OK;
    char *p = pp_arena_alloc(m->arena, 3 * name.n);
    if (p == NULL)
        return PP_ENOMEM;
    e->encoded = pp_span(p, pp_uri_encode(name, p));
    return pp_filter_text_new(m, pp_options_text(value, "query", &m->fault), &e->value);
}

/* The arguments of one mapping: a text each, or a list of texts. */
static int add_map(struct pp_filter_make *m, struct pp_filter_rewrite_query *r, enum edit_what what,
                   const struct pp_options *map)
{
    int rc = PP_OK;
    for (uint32_t i = 0; i < map->n && rc == PP_OK; i++) {
        const struct pp_options_entry *e = &map->as.entry[i];
        if (e->value.kind != PP_OPTIONS_LIST) {
            rc = add_edit(m, r, what, e->key, &e->value);
            continue;
        }
        for (uint32_t k = 0; k < e->value.n && rc == PP_OK; k++)
            rc = add_edit(m, r, what, e->key, &e->value.as.item[k]);
    }
    return rc;
}

int pp_filter_rewrite_query_make(struct pp_filter_make *m, const struct pp_options *o,
                                 const struct pp_filter_rewrite_query **out)
{
    const struct pp_options *query = pp_options_get_map(o, "query", &m->fault);
    const struct pp_options *remove = pp_options_get_list(query, "remove", &m->fault);
    struct pp_filter_rewrite_query *r =
        pp_arena_alloc(m->arena, sizeof(*r) + PP_FILTER_REWRITE_EDITS * sizeof(r->edit[0]));
    if (r == NULL)
        return PP_ENOMEM;
    r->n = 0;
    int rc = PP_OK;
    for (uint32_t i = 0; i < remove->n && rc == PP_OK; i++) {
        struct pp_span name = pp_options_text(&remove->as.item[i], "remove", &m->fault);
        rc = add_edit(m, r, EDIT_REMOVE, name, NULL);
    }
    if (rc == PP_OK)
        rc = add_map(m, r, EDIT_SET, pp_options_get_map(query, "set", &m->fault));
    if (rc == PP_OK)
        rc = add_map(m, r, EDIT_ADD, pp_options_get_map(query, "add", &m->fault));
    *out = r->n > 0 ? r : NULL;
    return rc;
}

/* ---- rendering ---- */

/* Is the argument with this name, as it came, to go? <room> has as many bytes. */
static bool goes(const struct pp_filter_rewrite_query *r, struct pp_span name, char *room)
{
    size_t n;
    if (pp_uri_decode(name, true, room, &n) == PP_OK)
        name = pp_span(room, n);
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->edit[i].what != EDIT_ADD && pp_span_eq(r->edit[i].name, name))
            return true;
    }
    return false;
}

static char *put(char *at, const char *start, struct pp_span piece)
{
    if (at > start)
        *at++ = '&';
    if (piece.n > 0)
        memcpy(at, piece.p, piece.n);
    return at + piece.n;
}

int pp_filter_rewrite_query_render(const struct pp_filter_rewrite_query *r, struct pp_exchange *x,
                                   struct pp_span *out)
{
    struct pp_span value[PP_FILTER_REWRITE_EDITS], rest = x->request.query, name, given;
    size_t room = rest.n + 1, old = rest.n;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct edit *e = &r->edit[i];
        value[i] = PP_SPAN_NONE;
        int rc = e->value == NULL ? PP_OK : pp_filter_text_render(e->value, x, &value[i]);
        if (rc != PP_OK)
            return rc;
        room += e->encoded.n + 3 * value[i].n + 2;
    }
    char *p = pp_arena_alloc(&x->arena, room), *decoded = pp_arena_alloc(&x->arena, old + 1);
    if (p == NULL || decoded == NULL)
        return PP_ENOMEM;
    char *at = p;
    while (pp_uri_next_arg(&rest, &name, &given)) {
        if (!goes(r, name, decoded))
            at = put(at, p, pp_span(name.p, name.n + (given.p != NULL ? given.n + 1 : 0)));
    }
    for (uint32_t i = 0; i < r->n; i++) {
        if (value[i].n == 0)
            continue;
        at = put(at, p, r->edit[i].encoded);
        *at++ = '=';
        at += pp_uri_encode(value[i], at);
    }
    *out = at > p ? pp_span(p, (size_t)(at - p)) : PP_SPAN_NONE;
    return PP_OK;
}
