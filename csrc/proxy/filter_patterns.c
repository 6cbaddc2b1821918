#include "proxy/filter_patterns.h"

static void free_regex(void *regex)
{
    pp_regex_free(regex);
}

int pp_filter_regex_make(struct pp_filter_make *m, struct pp_span text, struct pp_regex **out)
{
    char why[PP_REGEX_WHY_BYTES];
    int rc = pp_regex_new(text, out, why);
    if (rc == PP_EINVAL || rc == PP_ELIMIT)
        return pp_filter_refuse(m, why, text);
    if (rc != PP_OK)
        return rc;
    rc = pp_arena_on_reset(m->arena, free_regex, *out);
    if (rc != PP_OK)
        pp_regex_free(*out);
    return rc;
}

int pp_filter_patterns_make(struct pp_filter_make *m, const struct pp_options *o, const char *key,
                            struct pp_filter_patterns *out)
{
    const struct pp_options *list = pp_options_get_list(o, key, &m->fault);
    *out = (struct pp_filter_patterns){
        .regex = pp_arena_alloc(m->arena, list->n * sizeof(struct pp_regex *))};
    if (out->regex == NULL)
        return PP_ENOMEM;
    int rc = PP_OK;
    for (uint32_t i = 0; i < list->n && rc == PP_OK; i++) {
        struct pp_span text = pp_options_text(&list->as.item[i], key, &m->fault);
        rc = pp_filter_regex_make(m, text, &out->regex[out->n]);
        out->n += rc == PP_OK;
    }
    return rc;
}

int pp_filter_patterns_search(const struct pp_filter_patterns *p, struct pp_span text)
{
    int rc = PP_ENOENT;
    for (uint32_t i = 0; i < p->n && rc == PP_ENOENT; i++)
        rc = pp_regex_search(p->regex[i], text, NULL, 0);
    return rc;
}
