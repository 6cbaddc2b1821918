#include "proxy/filter_rewrite_path.h"

#include "proxy/filter_patterns.h"
#include "proxy/template.h"
#include "proxy/variable.h"
#include "wire/uri.h"

/* Most parts of one template. */
#define PARTS 32

enum part_kind { PART_TEXT, PART_GROUP, PART_PATH, PART_VALUE };

struct part {
    uint8_t kind;  /* enum part_kind; PATH: a variable that is a path, VALUE: any other */
    uint8_t group; /* of PART_GROUP */
    struct pp_span text;
    struct pp_variable variable;
};

struct template
{
    uint32_t n;
    struct part *part;
};

struct pattern {
    struct pp_regex *regex;
    unsigned groups; /* that are asked for, the whole match included */
    struct template to;
};

struct pp_filter_rewrite_path {
    bool whole; /* <path> is the new one */
    struct template path;
    struct pp_span strip, add;
    uint32_t n_pattern;
    struct pattern *pattern;
};

/* ---- making ---- */

/* The group that <name> stands for, by number or name; 0: none. */
static unsigned find_group(const struct pp_regex *regex, struct pp_span name)
{
    unsigned n = 0;
    if (regex == NULL)
        return 0;
    for (size_t i = 0; i < name.n; i++) {
        unsigned digit = (unsigned)(name.p[i] - '0');
        if (digit > 9 || n > PP_REGEX_GROUPS_MAX)
            return pp_regex_group_find(regex, name);
        n = n * 10 + digit;
    }
    return n <= pp_regex_groups(regex) ? n : 0;
}

static int make_part(struct pp_filter_make *m, const struct pp_regex *regex, struct pp_span text,
                     bool is_name, struct part *p)
{
    *p = (struct part){.kind = PART_TEXT, .text = text};
    if (!is_name)
        return PP_OK;
    p->group = (uint8_t)find_group(regex, text);
    if (p->group > 0 || (regex != NULL && pp_span_eq(text, PP_SPAN("0")))) {
        p->kind = PART_GROUP;
        return PP_OK;
    }
    if (pp_variable_compile(text, &p->variable) != PP_OK)
        return pp_filter_refuse(m, "there is no variable", text);
    bool is_path = p->variable.kind == PP_VARIABLE_PATH || p->variable.kind == PP_VARIABLE_PARAM;
    p->kind = is_path ? PART_PATH : PART_VALUE;
    return PP_OK;
}

static int make_template(struct pp_filter_make *m, struct pp_span text,
                         const struct pp_regex *regex, struct template *out)
{
    struct pp_span rest = text, part;
    bool is_name;
    int rc;
    *out = (struct template){.n = 0};
    while ((rc = pp_template_next(&rest, &part, &is_name)) == PP_OK)
        out->n++;
    if (rc != PP_EEND)
        return pp_filter_refuse(m, "unbalanced braces in", text);
    if (out->n > PARTS)
        return pp_filter_refuse(m, "too many variables in", text);
    out->part = pp_arena_alloc(m->arena, out->n * sizeof(*out->part));
    rc = out->part == NULL ? PP_ENOMEM : PP_OK;
    rest = text;
    for (uint32_t i = 0; i < out->n && rc == PP_OK; i++) {
        rc = pp_template_next(&rest, &part, &is_name);
        if (rc == PP_OK)
            rc = make_part(m, regex, part, is_name, &out->part[i]);
    }
    return rc;
}

static unsigned count_groups(const struct template *t)
{
    unsigned n = 1;
    for (uint32_t i = 0; i < t->n; i++)
        n = PP_MAX(n, t->part[i].group + 1u);
    return n;
}

static int make_pattern(struct pp_filter_make *m, const struct pp_options *o, struct pattern *p)
{
    struct pp_span match = PP_SPAN_NONE, to = PP_SPAN_NONE;
    pp_options_get_text(o, "match", &match, &m->fault);
    pp_options_get_text(o, "to", &to, &m->fault);
    int rc = pp_filter_regex_make(m, match, &p->regex);
    if (rc == PP_OK)
        rc = make_template(m, to, p->regex, &p->to);
    if (rc == PP_OK)
        p->groups = count_groups(&p->to);
    return rc;
}

static int check_prefix(struct pp_filter_make *m, struct pp_span text)
{
    bool fits = text.n == 0 || (pp_uri_is_plain_path(text) && text.p[text.n - 1] != '/');
    return fits ? PP_OK : pp_filter_refuse(m, "not a prefix of a path:", text);
}

int pp_filter_rewrite_path_make(struct pp_filter_make *m, const struct pp_options *o,
                                const struct pp_filter_rewrite_path **out)
{
    struct pp_filter_rewrite_path *r = pp_arena_alloc(m->arena, sizeof(*r));
    const struct pp_options *patterns = pp_options_get_list(o, "patterns", &m->fault);
    struct pp_span path = PP_SPAN_NONE;
    if (r == NULL)
        return PP_ENOMEM;
    *r = (struct pp_filter_rewrite_path){.n_pattern = patterns->n};
    pp_options_get_text(o, "path", &path, &m->fault);
    pp_options_get_text(o, "strip_prefix", &r->strip, &m->fault);
    pp_options_get_text(o, "add_prefix", &r->add, &m->fault);
    r->whole = path.p != NULL;
    int rc = check_prefix(m, r->strip);
    if (rc == PP_OK)
        rc = check_prefix(m, r->add);
    if (rc == PP_OK && r->whole)
        rc = make_template(m, path, NULL, &r->path);
    if (rc != PP_OK)
        return rc;
    r->pattern = pp_arena_alloc(m->arena, r->n_pattern * sizeof(*r->pattern));
    if (r->pattern == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < r->n_pattern && rc == PP_OK; i++)
        rc = make_pattern(m, &patterns->as.item[i], &r->pattern[i]);
    bool none = !r->whole && r->strip.n == 0 && r->add.n == 0 && r->n_pattern == 0;
    *out = none ? NULL : r;
    return rc;
}

/* ---- rendering ---- */

/* What <p> stands for, as it goes into the path. */
static int value_of(const struct part *p, struct pp_exchange *x, const struct pp_span *group,
                    struct pp_span *out)
{
    *out = p->kind == PART_GROUP ? group[p->group] : p->text;
    if (p->kind == PART_TEXT || p->kind == PART_GROUP)
        return PP_OK;
    int rc = pp_variable_get(x, &p->variable, out);
    if (rc == PP_ENOENT)
        *out = PP_SPAN_NONE;
    if (rc != PP_OK || p->kind == PART_PATH)
        return rc == PP_ENOENT ? PP_OK : rc;
    char *to = pp_arena_alloc(&x->arena, 3 * out->n + 1);
    if (to == NULL)
        return PP_ENOMEM;
    *out = pp_span(to, pp_uri_encode(*out, to));
    return PP_OK;
}

static char *put(char *at, struct pp_span s)
{
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

/* <front>, the template, <back>. */
static int render(const struct template *t, struct pp_exchange *x, const struct pp_span *group,
                  struct pp_span front, struct pp_span back, struct pp_span *out)
{
    struct pp_span value[PARTS];
    size_t n = front.n + back.n;
    for (uint32_t i = 0; i < t->n; i++) {
        int rc = value_of(&t->part[i], x, group, &value[i]);
        if (rc != PP_OK)
            return rc;
        n += value[i].n;
    }
    char *p = pp_arena_alloc(&x->arena, n + 1), *at = p;
    if (p == NULL)
        return PP_ENOMEM;
    at = put(at, front);
    for (uint32_t i = 0; i < t->n; i++)
        at = put(at, value[i]);
    put(at, back);
    *out = pp_span(p, n);
    return PP_OK;
}

static int replace_prefix(const struct pp_filter_rewrite_path *r, struct pp_exchange *x,
                          struct pp_span *out)
{
    struct pp_span rest = x->path;
    if (r->strip.n > 0) {
        size_t n = r->strip.n;
        bool has =
            rest.n >= n && memcmp(rest.p, r->strip.p, n) == 0 && (rest.n == n || rest.p[n] == '/');
        if (!has)
            return PP_ENOENT;
        rest = pp_span(rest.p + n, rest.n - n);
    }
    if (r->add.n == 0) {
        *out = rest.n > 0 ? rest : PP_SPAN("/");
        return PP_OK;
    }
    static const struct template nothing = {.n = 0};
    /* "/" alone, in front of which something is put, adds nothing. */
    if (rest.n == 1 && r->strip.n == 0)
        rest.n = 0;
    return render(&nothing, x, NULL, r->add, rest, out);
}

static int replace_match(const struct pp_filter_rewrite_path *r, struct pp_exchange *x,
                         struct pp_span *out)
{
    struct pp_span group[PP_REGEX_GROUPS_MAX + 1], path = x->path;
    for (uint32_t i = 0; i < r->n_pattern; i++) {
        const struct pattern *p = &r->pattern[i];
        int rc = pp_regex_search(p->regex, path, group, p->groups);
        if (rc == PP_ENOENT)
            continue;
        if (rc != PP_OK)
            return rc;
        size_t from = (size_t)(group[0].p - path.p), to = from + group[0].n;
        return render(&p->to, x, group, pp_span(path.p, from), pp_span(path.p + to, path.n - to),
                      out);
    }
    return PP_ENOENT;
}

/* Is one of its segments "." or ".."? The normal form has none, but a template and its values may
 * make one together. */
static bool has_dots(struct pp_span path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] != '/')
            continue;
        size_t dots = 0;
        while (i + 1 + dots < path.n && path.p[i + 1 + dots] == '.')
            dots++;
        bool ends = i + 1 + dots == path.n || path.p[i + 1 + dots] == '/';
        if (ends && (dots == 1 || dots == 2))
            return true;
    }
    return false;
}

int pp_filter_rewrite_path_render(const struct pp_filter_rewrite_path *r, struct pp_exchange *x,
                                  struct pp_span *out)
{
    int rc;
    if (r->whole)
        rc = render(&r->path, x, NULL, PP_SPAN_NONE, PP_SPAN_NONE, out);
    else if (r->n_pattern > 0)
        rc = replace_match(r, x, out);
    else
        rc = replace_prefix(r, x, out);
    return rc == PP_OK && has_dots(*out) ? PP_EURI_DOTS : rc;
}
