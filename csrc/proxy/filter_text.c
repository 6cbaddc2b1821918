#include "proxy/filter_text.h"

#include "proxy/template.h"
#include "proxy/variable.h"

struct part {
    struct pp_span text; /* literal */
    struct pp_variable variable;
    bool is_variable;
};

struct pp_filter_text {
    uint32_t n;
    bool constant; /* then part[0] is all of it, or n is 0 */
    struct part part[];
};

/* How many parts, at most <most>. PP_OK, PP_ELIMIT or PP_EINVAL. */
static int count_parts(struct pp_span text, uint32_t most, uint32_t *n, bool *constant)
{
    struct pp_span part;
    bool is_name;
    int rc;
    *n = 0;
    *constant = true;
    while ((rc = pp_template_next(&text, &part, &is_name)) == PP_OK) {
        if (++*n > most)
            return PP_ELIMIT;
        *constant = *constant && !is_name;
    }
    return rc == PP_EEND ? PP_OK : rc;
}

/* All parts of a text without variables as one. */
static int join(struct pp_filter_make *m, struct pp_span text, struct pp_span *out)
{
    char *p = pp_arena_alloc(m->arena, text.n + 1);
    size_t n = 0;
    struct pp_span part;
    bool is_name;
    if (p == NULL)
        return PP_ENOMEM;
    while (pp_template_next(&text, &part, &is_name) == PP_OK) {
        memcpy(p + n, part.p, part.n);
        n += part.n;
    }
    *out = pp_span(p, n);
    return PP_OK;
}

int pp_filter_text_new(struct pp_filter_make *m, struct pp_span text,
                       const struct pp_filter_text **out)
{
    uint32_t n;
    bool constant;
    int rc = count_parts(text, PP_FILTER_TEXT_PARTS, &n, &constant);
    if (rc != PP_OK)
        return pp_filter_refuse(
            m, rc == PP_ELIMIT ? "too many variables in" : "unbalanced braces in", text);
    struct pp_filter_text *t = pp_arena_alloc(m->arena, sizeof(*t) + n * sizeof(t->part[0]));
    if (t == NULL)
        return PP_ENOMEM;
    *t = (struct pp_filter_text){.n = constant && n > 1 ? 1 : n, .constant = constant};
    if (constant && n > 0) {
        t->part[0] = (struct part){.is_variable = false};
        rc = join(m, text, &t->part[0].text);
        if (rc != PP_OK)
            return rc;
    }
    for (uint32_t i = 0; !constant && i < n; i++) {
        struct part *p = &t->part[i];
        *p = (struct part){.is_variable = false};
        if (pp_template_next(&text, &p->text, &p->is_variable) != PP_OK)
            return PP_EINVAL;
        if (p->is_variable && pp_variable_compile(p->text, &p->variable) != PP_OK)
            return pp_filter_refuse(m, "there is no variable", p->text);
    }
    *out = t;
    return PP_OK;
}

bool pp_filter_text_is_constant(const struct pp_filter_text *t)
{
    return t->constant;
}

static int value_of(const struct part *p, struct pp_exchange *x, struct pp_span *out)
{
    *out = p->text;
    if (!p->is_variable)
        return PP_OK;
    int rc = pp_variable_get(x, &p->variable, out);
    if (rc != PP_ENOENT)
        return rc;
    *out = PP_SPAN("");
    return PP_OK;
}

int pp_filter_text_render(const struct pp_filter_text *t, struct pp_exchange *x,
                          struct pp_span *out)
{
    struct pp_span value[PP_FILTER_TEXT_PARTS];
    size_t n = 0;
    if (t->n == 1) { /* nearly always */
        int rc = value_of(&t->part[0], x, out);
        if (rc != PP_OK || out->n == 0)
            *out = PP_SPAN("");
        return rc;
    }
    *out = PP_SPAN("");
    for (uint32_t i = 0; i < t->n; i++) {
        int rc = value_of(&t->part[i], x, &value[i]);
        if (rc != PP_OK)
            return rc;
        n += value[i].n;
    }
    if (n == 0)
        return PP_OK;
    char *p = pp_arena_alloc(&x->arena, n), *at = p;
    if (p == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < t->n; i++) {
        if (value[i].n > 0)
            memcpy(at, value[i].p, value[i].n);
        at += value[i].n;
    }
    *out = pp_span(p, n);
    return PP_OK;
}

int pp_filter_text_value(const struct pp_filter_text *t, struct pp_exchange *x, struct pp_span *out)
{
    int rc = pp_filter_text_render(t, x, out);
    if (rc != PP_OK || t->constant)
        return rc;
    *out = pp_span_trim(*out);
    /* What came percent-decoded out of a path or query could end the field and begin another. */
    if (!pp_http_tok_is_value(*out))
        *out = PP_SPAN("");
    return PP_OK;
}
