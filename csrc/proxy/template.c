#include "proxy/template.h"

struct part {
    struct pp_span text; /* literal text or a name */
    bool is_name;
};

struct pp_template {
    uint32_t n;
    struct part part[];
};

int pp_template_next(struct pp_span *rest, struct pp_span *text, bool *is_name)
{
    if (rest->n == 0)
        return PP_EEND;
    const char *p = rest->p;
    size_t n = rest->n, len = 1, skip = 0;
    if ((p[0] == '{' || p[0] == '}') && n > 1 && p[1] == p[0]) {
        skip = 1; /* the doubled brace stands for one */
        *is_name = false;
    } else if (p[0] == '{') {
        len = pp_span_find(pp_span(p + 1, n - 1), '}');
        if (len == n - 1 || len == 0)
            return PP_EINVAL;
        *text = pp_span(p + 1, len);
        *is_name = true;
        *rest = pp_span(p + len + 2, n - len - 2);
        return PP_OK;
    } else if (p[0] == '}') {
        return PP_EINVAL;
    } else {
        while (len < n && p[len] != '{' && p[len] != '}')
            len++;
        *is_name = false;
    }
    *text = pp_span(p, len);
    *rest = pp_span(p + len + skip, n - len - skip);
    return PP_OK;
}

int pp_template_new(struct pp_arena *arena, struct pp_span text, const struct pp_template **out)
{
    struct pp_span copy, rest;
    struct part part;
    int rc = pp_arena_dup(arena, text, &copy);
    if (rc != PP_OK)
        return rc;
    uint32_t n = 0;
    for (rest = copy; (rc = pp_template_next(&rest, &part.text, &part.is_name)) == PP_OK; n++)
        continue;
    if (rc != PP_EEND)
        return rc;
    struct pp_template *t = pp_arena_alloc(arena, sizeof(*t) + n * sizeof(t->part[0]));
    if (t == NULL)
        return PP_ENOMEM;
    t->n = n;
    rest = copy;
    for (uint32_t i = 0; i < n; i++) {
        if (pp_template_next(&rest, &t->part[i].text, &t->part[i].is_name) != PP_OK)
            return PP_EINVAL;
    }
    *out = t;
    return PP_OK;
}

int pp_template_render(const struct pp_template *t, struct pp_arena *arena,
                       pp_template_lookup_fn lookup, void *arg, struct pp_span *out)
{
    /* Two passes over few parts: first the size, then the bytes. */
    size_t n = 0;
    char *p = NULL;
    for (int pass = 0; pass < 2; pass++) {
        size_t at = 0;
        for (uint32_t i = 0; i < t->n; i++) {
            struct pp_span s = t->part[i].text;
            int rc = t->part[i].is_name ? lookup(arg, s, &s) : PP_OK;
            if (rc == PP_ENOENT)
                continue;
            if (rc != PP_OK)
                return rc;
            if (pass == 1)
                memcpy(p + at, s.p, s.n);
            at += s.n;
        }
        if (pass == 0) {
            n = at;
            p = pp_arena_alloc(arena, n + 1);
            if (p == NULL)
                return PP_ENOMEM;
        }
    }
    *out = pp_span(p, n);
    return PP_OK;
}
