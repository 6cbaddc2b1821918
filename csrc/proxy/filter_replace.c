#include "proxy/filter_replace.h"

#include <string.h>

#include "base/mem.h"
#include "base/regex.h"

/* A piece of what is put in: a page in each form, or what a group took. */
struct put {
    const struct pp_filter_page *page[PP_PAGE_FORMS]; /* NULL: <group> */
    unsigned group;
};

struct rule {
    struct pp_span find;
    struct pp_regex *re; /* NULL: <find> is literal */
    uint32_t n;
    struct put *put;
};

struct pp_filter_replace {
    size_t limit;
    uint32_t n;
    struct rule rule[];
};

/* ---- making ---- */

static int make_page(struct pp_filter_make *m, struct rule *rule, struct pp_span text)
{
    struct put *put = &rule->put[rule->n++];
    int rc = PP_OK;
    *put = (struct put){.group = 0};
    for (unsigned form = 0; form < PP_PAGE_FORMS && rc == PP_OK; form++)
        rc = pp_filter_page_new(m, (enum pp_filter_page_form)form, text, &put->page[form]);
    return rc;
}

/* Split <with> at its backslashes. */
static int make_puts(struct pp_filter_make *m, struct rule *rule, struct pp_span with)
{
    size_t most = 1, from = 0;
    for (size_t i = 0; i < with.n; i++)
        most += with.p[i] == '\\' ? 2 : 0;
    rule->put = pp_arena_alloc(m->arena, most * sizeof(rule->put[0]));
    if (rule->put == NULL)
        return PP_ENOMEM;
    for (size_t i = 0; rule->re != NULL && i < with.n; i++) {
        if (with.p[i] != '\\')
            continue;
        bool doubled = i + 1 < with.n && with.p[i + 1] == '\\';
        unsigned group = i + 1 < with.n ? (unsigned)(with.p[i + 1] - '0') : 10;
        if (!doubled && (group > 9 || group > pp_regex_groups(rule->re)))
            return pp_filter_refuse(m, "no group of the expression is meant in", with);
        int rc = make_page(m, rule, pp_span(with.p + from, i - from + doubled));
        if (rc != PP_OK)
            return rc;
        if (!doubled)
            rule->put[rule->n++] = (struct put){.group = group};
        from = ++i + 1;
    }
    return make_page(m, rule, pp_span(with.p + from, with.n - from));
}

static void free_regex(void *arg)
{
    pp_regex_free(arg);
}

static int make_regex(struct pp_filter_make *m, struct rule *rule, struct pp_span text)
{
    char why[PP_REGEX_WHY_BYTES];
    int rc = pp_regex_new(text, &rule->re, why);
    if (rc == PP_EINVAL || rc == PP_ELIMIT)
        return pp_filter_refuse(m, why, text);
    if (rc != PP_OK)
        return rc;
    rc = pp_arena_on_reset(m->arena, free_regex, rule->re);
    if (rc != PP_OK)
        pp_regex_free(rule->re);
    return rc;
}

static int make_rule(struct pp_filter_make *m, struct rule *rule, const struct pp_options *o)
{
    struct pp_span with = PP_SPAN(""), regex = PP_SPAN_NONE;
    *rule = (struct rule){.re = NULL};
    pp_options_get_text(o, "text", &rule->find, &m->fault);
    pp_options_get_text(o, "regex", &regex, &m->fault);
    pp_options_get_text(o, "with", &with, &m->fault);
    int rc = regex.p != NULL ? make_regex(m, rule, regex) : PP_OK;
    if (rc == PP_OK && regex.p == NULL && (rule->find.n == 0 || rule->find.n > PP_REPLACE_FIND))
        rc = pp_filter_refuse(m, "not a text that can be looked for:", rule->find);
    return rc == PP_OK ? make_puts(m, rule, with) : rc;
}

int pp_filter_replace_new(struct pp_filter_make *m, const struct pp_options *rules, size_t limit,
                          const struct pp_filter_replace **out)
{
    struct pp_filter_replace *r =
        pp_arena_alloc(m->arena, sizeof(*r) + rules->n * sizeof(struct rule));
    if (r == NULL)
        return PP_ENOMEM;
    *r = (struct pp_filter_replace){.limit = SIZE_MAX, .n = rules->n};
    int rc = PP_OK;
    for (uint32_t i = 0; i < rules->n && rc == PP_OK; i++) {
        rc = make_rule(m, &r->rule[i], &rules->as.item[i]);
        if (rc == PP_OK && r->rule[i].re != NULL)
            r->limit = limit;
    }
    *out = r;
    return rc;
}

size_t pp_filter_replace_limit(const struct pp_filter_replace *r)
{
    return r->limit;
}

/* ---- running ---- */

struct bytes {
    char *p;
    size_t n, cap;
};

/* What one rule keeps between pieces, and what it gives on: its own, since rules that find nothing
 * give on what they got. */
struct stage {
    struct pp_span *put;        /* what is put in, by struct put; NULL: not made yet */
    struct bytes joined;        /* what was kept, and the piece behind it */
    struct bytes out;           /* what was made of that */
    char kept[PP_REPLACE_FIND]; /* the end of what came: a beginning of its text */
    size_t n;
};

struct pp_filter_replace_state {
    const struct pp_filter_replace *rules;
    enum pp_filter_page_form form;
    struct bytes whole; /* of the body so far, where expressions are waiting for it */
    struct stage stage[];
};

static void release(void *arg)
{
    struct pp_filter_replace_state *s = arg;
    pp_mem_free(s->whole.p);
    for (uint32_t i = 0; i < s->rules->n; i++) {
        pp_mem_free(s->stage[i].joined.p);
        pp_mem_free(s->stage[i].out.p);
    }
}

struct pp_filter_replace_state *pp_filter_replace_begin(const struct pp_filter_replace *r,
                                                        struct pp_exchange *x,
                                                        enum pp_filter_page_form form)
{
    size_t n = sizeof(struct pp_filter_replace_state) + r->n * sizeof(struct stage);
    struct pp_filter_replace_state *s = pp_arena_alloc(&x->arena, n);
    if (s == NULL)
        return NULL;
    memset(s, 0, n);
    s->rules = r;
    s->form = form;
    return pp_arena_on_reset(&x->arena, release, s) == PP_OK ? s : NULL;
}

static int append(struct bytes *b, struct pp_span more)
{
    if (more.n > PP_REPLACE_MOST - b->n)
        return PP_ELIMIT;
    if (more.n > b->cap - b->n) {
        size_t cap = PP_MIN(PP_MAX(b->cap * 2, PP_MAX(b->n + more.n, 4096)), PP_REPLACE_MOST);
        char *p = pp_mem_resize(b->p, cap);
        if (p == NULL)
            return PP_ENOMEM;
        b->p = p;
        b->cap = cap;
    }
    if (more.n > 0)
        memcpy(b->p + b->n, more.p, more.n);
    b->n += more.n;
    return PP_OK;
}

/* Make what is put in, unless that was done: it is the same each time. */
static int prepare(const struct rule *rule, const struct pp_filter_replace_state *s,
                   struct stage *st, struct pp_exchange *x)
{
    if (st->put != NULL)
        return PP_OK;
    struct pp_span *put = pp_arena_alloc(&x->arena, rule->n * sizeof(put[0]));
    int rc = put == NULL ? PP_ENOMEM : PP_OK;
    for (uint32_t i = 0; i < rule->n && rc == PP_OK; i++) {
        if (rule->put[i].page[s->form] != NULL)
            rc = pp_filter_page_render(rule->put[i].page[s->form], x, &put[i]);
    }
    st->put = rc == PP_OK ? put : NULL;
    return rc;
}

/* Append what is put in the place of a match. */
static int put_in(const struct rule *rule, const struct stage *st, const struct pp_span *group,
                  struct bytes *to)
{
    int rc = PP_OK;
    for (uint32_t i = 0; i < rule->n && rc == PP_OK; i++) {
        const struct put *put = &rule->put[i];
        rc = append(to, put->page[0] == NULL ? group[put->group] : st->put[i]);
    }
    return rc;
}

/* How long is the longest end of <in> that is a beginning of <find>, but not all of it? */
static size_t overlap(struct pp_span in, struct pp_span find)
{
    size_t n = PP_MIN(in.n, find.n - 1);
    while (n > 0 && memcmp(in.p + in.n - n, find.p, n) != 0)
        n--;
    return n;
}

/* What was kept and <piece>, as one. */
static int join(struct stage *st, struct pp_span *piece)
{
    if (st->n == 0)
        return PP_OK;
    st->joined.n = 0;
    int rc = append(&st->joined, pp_span(st->kept, st->n));
    if (rc == PP_OK)
        rc = append(&st->joined, *piece);
    *piece = pp_span(st->joined.p, st->joined.n);
    return rc;
}

static int replace_text(const struct rule *rule, const struct pp_filter_replace_state *s,
                        struct stage *st, struct pp_exchange *x, struct pp_span *piece, bool last)
{
    bool found = false;
    int rc = join(st, piece);
    if (rc != PP_OK)
        return rc;
    struct pp_span in = *piece;
    const char *at;
    struct bytes *to = &st->out;
    to->n = 0;
    while ((at = memmem(in.p, in.n, rule->find.p, rule->find.n)) != NULL) {
        size_t before = (size_t)(at - in.p), skip = before + rule->find.n;
        rc = prepare(rule, s, st, x);
        if (rc == PP_OK)
            rc = append(to, pp_span(in.p, before));
        if (rc == PP_OK)
            rc = put_in(rule, st, NULL, to);
        if (rc != PP_OK)
            return rc;
        in = pp_span(in.p + skip, in.n - skip);
        found = true;
    }
    size_t keep = last ? 0 : overlap(in, rule->find);
    in.n -= keep;
    memcpy(st->kept, in.p + in.n, keep);
    st->n = keep;
    *piece = in;
    if (!found) /* it passes as it is */
        return PP_OK;
    rc = append(to, in);
    *piece = pp_span(to->p, to->n);
    return rc;
}

static int replace_matches(const struct rule *rule, const struct pp_filter_replace_state *s,
                           struct stage *st, struct pp_exchange *x, struct pp_span *piece)
{
    struct pp_span in = *piece, group[10];
    size_t at = 0;
    int rc = prepare(rule, s, st, x);
    struct bytes *to = &st->out;
    to->n = 0;
    while (rc == PP_OK && at <= in.n) {
        rc = pp_regex_search_from(rule->re, in, at, group, PP_COUNT_OF(group));
        if (rc != PP_OK)
            break;
        size_t first = (size_t)(group[0].p - in.p), end = first + group[0].n;
        rc = append(to, pp_span(in.p + at, first - at));
        if (rc == PP_OK)
            rc = put_in(rule, st, group, to);
        /* Past an empty match, with the byte that is there. */
        if (rc == PP_OK && group[0].n == 0 && end < in.n)
            rc = append(to, pp_span(in.p + end, 1));
        at = group[0].n == 0 ? end + 1 : end;
    }
    if (rc == PP_ENOENT)
        rc = append(to, pp_span(in.p + at, in.n - at));
    *piece = pp_span(to->p, to->n);
    return rc;
}

int pp_filter_replace_piece(struct pp_filter_replace_state *s, struct pp_exchange *x,
                            struct pp_span piece, bool last, struct pp_span *out)
{
    const struct pp_filter_replace *r = s->rules;
    int rc = PP_OK;
    *out = PP_SPAN_NONE;
    if (r->limit < SIZE_MAX) {
        rc = piece.n > r->limit - s->whole.n ? PP_ELIMIT : append(&s->whole, piece);
        if (rc != PP_OK || !last)
            return rc;
        piece = pp_span(s->whole.p, s->whole.n);
    }
    for (uint32_t i = 0; i < r->n && rc == PP_OK; i++) {
        const struct rule *rule = &r->rule[i];

        if (piece.p == NULL)
            piece = PP_SPAN("");
        rc = rule->re != NULL ? replace_matches(rule, s, &s->stage[i], x, &piece)
                              : replace_text(rule, s, &s->stage[i], x, &piece, last);
    }
    *out = piece;
    return rc;
}
