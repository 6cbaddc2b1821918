#include "proxy/filter_edits.h"

#include "proxy/filter_text.h"

enum edit_what { EDIT_REMOVE, EDIT_SET, EDIT_ADD, EDIT_DEFAULT };

struct pp_filter_edit {
    uint8_t what; /* enum edit_what */
    uint8_t id;   /* enum pp_http_name */
    struct pp_span name;
    const struct pp_filter_text *value; /* not of EDIT_REMOVE */
};

/* ---- making ---- */

static int check_name(struct pp_filter_make *m, const struct pp_filter_edit *e)
{
    if (!pp_http_tok_is_token(e->name) || e->name.n > UINT16_MAX)
        return pp_filter_refuse(m, "not the name of a header:", e->name);
    if (!pp_exchange_may_write((enum pp_http_name)e->id))
        return pp_filter_refuse(m, "the proxy's own header cannot be changed:", e->name);
    /* A request has exactly one (RFC 9112 section 3.2). */
    if (e->id == PP_NAME_HOST && e->what != EDIT_SET)
        return pp_filter_refuse(m, "a header that can only be set:", e->name);
    return PP_OK;
}

static int add_edit(struct pp_filter_make *m, struct pp_filter_edits *all, enum edit_what what,
                    struct pp_span name, const struct pp_options *value)
{
    struct pp_filter_edit *e = &all->edit[all->n++];
    *e = (struct pp_filter_edit){.what = (uint8_t)what, .name = name};
    e->id = (uint8_t)pp_http_tok_name(name.p, name.n);
    int rc = check_name(m, e);
    if (rc != PP_OK || what == EDIT_REMOVE)
        return rc;
    struct pp_span text = pp_options_text(value, "headers", &m->fault);
    rc = pp_filter_text_new(m, text, &e->value);
    if (rc == PP_OK && !pp_http_tok_is_value(text))
        rc = pp_filter_refuse(m, "a header cannot hold this value:", text);
    return rc;
}

/* The fields of one mapping: a text each, or a list of texts. */
static int add_map(struct pp_filter_make *m, struct pp_filter_edits *all, enum edit_what what,
                   const struct pp_options *map)
{
    int rc = PP_OK;
    for (uint32_t i = 0; i < map->n && rc == PP_OK; i++) {
        const struct pp_options_entry *e = &map->as.entry[i];
        if (e->value.kind != PP_OPTIONS_LIST) {
            rc = add_edit(m, all, what, e->key, &e->value);
            continue;
        }
        for (uint32_t k = 0; k < e->value.n && rc == PP_OK; k++)
            rc = add_edit(m, all, what, e->key, &e->value.as.item[k]);
    }
    return rc;
}

/* How many edits a mapping stands for. */
static uint32_t count(const struct pp_options *map)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < map->n; i++) {
        const struct pp_options *value = &map->as.entry[i].value;
        n += value->kind == PP_OPTIONS_LIST ? value->n : 1;
    }
    return n;
}

int pp_filter_edits_make(struct pp_filter_make *m, const struct pp_options *o,
                         struct pp_filter_edits *all)
{
    const struct pp_options *remove = pp_options_get_list(o, "remove", &m->fault);
    const struct pp_options *set = pp_options_get_map(o, "set", &m->fault);
    const struct pp_options *add = pp_options_get_map(o, "add", &m->fault);
    const struct pp_options *missing = pp_options_get_map(o, "default", &m->fault);
    uint32_t n = remove->n + count(set) + count(add) + count(missing);
    *all = (struct pp_filter_edits){
        .edit = pp_arena_alloc(m->arena, n * sizeof(struct pp_filter_edit))};
    if (all->edit == NULL)
        return PP_ENOMEM;
    int rc = PP_OK;
    for (uint32_t i = 0; i < remove->n && rc == PP_OK; i++) {
        struct pp_span name = pp_options_text(&remove->as.item[i], "remove", &m->fault);
        rc = add_edit(m, all, EDIT_REMOVE, name, NULL);
    }
    if (rc == PP_OK)
        rc = add_map(m, all, EDIT_SET, set);
    if (rc == PP_OK)
        rc = add_map(m, all, EDIT_ADD, add);
    return rc == PP_OK ? add_map(m, all, EDIT_DEFAULT, missing) : rc;
}

/* ---- running ---- */

static bool is_there(const struct pp_http_msg *m, const struct pp_filter_edit *e)
{
    return e->id != PP_NAME_OTHER ? pp_http_msg_find_id(m, (enum pp_http_name)e->id) != NULL
                                  : pp_http_msg_find(m, e->name) != NULL;
}

static int apply(const struct pp_filter_edit *e, struct pp_exchange *x, struct pp_http_msg *m)
{
    enum pp_http_name id = (enum pp_http_name)e->id;
    struct pp_span value;
    if (e->what == EDIT_REMOVE) {
        pp_http_msg_remove(m, e->name, id);
        return PP_OK;
    }
    if (e->what == EDIT_DEFAULT && is_there(m, e))
        return PP_OK;
    int rc = pp_filter_text_value(e->value, x, &value);
    if (rc != PP_OK)
        return rc;
    if (value.n == 0) {
        if (e->what == EDIT_SET && id != PP_NAME_HOST)
            pp_http_msg_remove(m, e->name, id);
        return PP_OK;
    }
    if (id == PP_NAME_HOST && m == &x->request)
        x->up_host = value;
    return e->what == EDIT_SET ? pp_http_msg_set(m, e->name, id, value)
                               : pp_http_msg_add(m, e->name, id, value);
}

int pp_filter_edits_apply(const struct pp_filter_edits *all, struct pp_exchange *x,
                          struct pp_http_msg *m)
{
    int rc = PP_OK;
    for (uint32_t i = 0; i < all->n && rc == PP_OK; i++)
        rc = apply(&all->edit[i], x, m);
    return rc;
}
