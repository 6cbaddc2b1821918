#include "base/options.h"

static const struct pp_options empty_list = {.kind = PP_OPTIONS_LIST};
static const struct pp_options empty_map = {.kind = PP_OPTIONS_MAP};

void pp_options_set_bool(struct pp_options *o, bool value)
{
    o->kind = PP_OPTIONS_BOOL;
    o->as.flag = value;
}

void pp_options_set_int(struct pp_options *o, int64_t value)
{
    o->kind = PP_OPTIONS_INT;
    o->as.number = value;
}

void pp_options_set_real(struct pp_options *o, double value)
{
    o->kind = PP_OPTIONS_REAL;
    o->as.real = value;
}

int pp_options_set_text(struct pp_options *o, struct pp_arena *a, struct pp_span text)
{
    struct pp_span copy;
    int rc = pp_arena_dup(a, text, &copy);
    if (rc != PP_OK)
        return rc;
    o->kind = PP_OPTIONS_TEXT;
    o->as.text = copy;
    return PP_OK;
}

static void *zeroed(struct pp_arena *a, size_t n)
{
    void *p = pp_arena_alloc(a, n);
    if (p != NULL)
        memset(p, 0, n);
    return p;
}

int pp_options_set_list(struct pp_options *o, struct pp_arena *a, uint32_t n)
{
    struct pp_options *item = zeroed(a, n * sizeof(*item));
    if (item == NULL)
        return PP_ENOMEM;
    *o = (struct pp_options){.kind = PP_OPTIONS_LIST, .n = n, .as.item = item};
    return PP_OK;
}

int pp_options_set_map(struct pp_options *o, struct pp_arena *a, uint32_t n)
{
    struct pp_options_entry *entry = zeroed(a, n * sizeof(*entry));
    if (entry == NULL)
        return PP_ENOMEM;
    *o = (struct pp_options){.kind = PP_OPTIONS_MAP, .n = n, .as.entry = entry};
    return PP_OK;
}

int pp_options_set_key(struct pp_options *map, struct pp_arena *a, uint32_t i, struct pp_span key)
{
    return pp_arena_dup(a, key, &map->as.entry[i].key);
}

struct pp_options *pp_options_at(struct pp_options *o, uint32_t i)
{
    return o->kind == PP_OPTIONS_LIST ? &o->as.item[i] : &o->as.entry[i].value;
}

const struct pp_options *pp_options_find(const struct pp_options *o, const char *key)
{
    if (o == NULL || o->kind != PP_OPTIONS_MAP)
        return NULL;
    struct pp_span wanted = pp_span(key, strlen(key));
    for (uint32_t i = 0; i < o->n; i++) {
        if (pp_span_eq(o->as.entry[i].key, wanted))
            return o->as.entry[i].value.kind == PP_OPTIONS_NONE ? NULL : &o->as.entry[i].value;
    }
    return NULL;
}

/* Note what <key> should have been, if it is the first. */
static void blame(struct pp_options_fault *fault, const char *key, const char *wanted)
{
    if (fault->key.p != NULL)
        return;
    fault->key = pp_span(key, strlen(key));
    fault->wanted = wanted;
}

/* The value of <key> when it is of <kind>; else NULL, with the mistake noted if there is a value.
 */
static const struct pp_options *typed(const struct pp_options *o, const char *key,
                                      enum pp_options_kind kind, const char *wanted,
                                      struct pp_options_fault *fault)
{
    const struct pp_options *found = pp_options_find(o, key);
    if (found == NULL || found->kind == kind)
        return found;
    blame(fault, key, wanted);
    return NULL;
}

void pp_options_get_bool(const struct pp_options *o, const char *key, bool *out,
                         struct pp_options_fault *fault)
{
    const struct pp_options *found = typed(o, key, PP_OPTIONS_BOOL, "true or false", fault);
    if (found != NULL)
        *out = found->as.flag;
}

void pp_options_get_int(const struct pp_options *o, const char *key, int64_t least, int64_t most,
                        int64_t *out, struct pp_options_fault *fault)
{
    const struct pp_options *found = typed(o, key, PP_OPTIONS_INT, "a whole number", fault);
    if (found == NULL)
        return;
    if (found->as.number < least || found->as.number > most)
        blame(fault, key, "a number within its bounds");
    else
        *out = found->as.number;
}

void pp_options_get_real(const struct pp_options *o, const char *key, double *out,
                         struct pp_options_fault *fault)
{
    const struct pp_options *found = pp_options_find(o, key);
    if (found == NULL)
        return;
    if (found->kind == PP_OPTIONS_INT)
        *out = (double)found->as.number;
    else if (found->kind == PP_OPTIONS_REAL)
        *out = found->as.real;
    else
        blame(fault, key, "a number");
}

void pp_options_get_text(const struct pp_options *o, const char *key, struct pp_span *out,
                         struct pp_options_fault *fault)
{
    const struct pp_options *found = typed(o, key, PP_OPTIONS_TEXT, "text", fault);
    if (found != NULL)
        *out = found->as.text;
}

const struct pp_options *pp_options_get_list(const struct pp_options *o, const char *key,
                                             struct pp_options_fault *fault)
{
    const struct pp_options *found = typed(o, key, PP_OPTIONS_LIST, "a list", fault);
    return found != NULL ? found : &empty_list;
}

const struct pp_options *pp_options_get_map(const struct pp_options *o, const char *key,
                                            struct pp_options_fault *fault)
{
    const struct pp_options *found = typed(o, key, PP_OPTIONS_MAP, "a mapping", fault);
    return found != NULL ? found : &empty_map;
}

struct pp_span pp_options_text(const struct pp_options *o, const char *name,
                               struct pp_options_fault *fault)
{
    if (o->kind == PP_OPTIONS_TEXT)
        return o->as.text;
    blame(fault, name, "text");
    return PP_SPAN("");
}
