#include "proxy/filter_response_rewrite.h"

#include "proxy/filter_body.h"
#include "proxy/filter_edits.h"
#include "proxy/filter_replace.h"

#define STATUSES 600

struct response_rewrite {
    uint8_t of[STATUSES / 8]; /* bit per status: is it meant? */
    uint16_t status;          /* 0: it stays */
    struct pp_filter_edits edits;
    const struct pp_filter_page *body; /* NULL: it stays */
    struct pp_span type;
    const struct pp_filter_replace *replace; /* NULL: nothing is replaced */
    uint32_t n_type;
    struct pp_span *types;
};

/* ---- making ---- */

static int make_statuses(struct pp_filter_make *m, const struct pp_options *o,
                         struct response_rewrite *t)
{
    const struct pp_options *list = pp_options_get_list(o, "status", &m->fault);
    memset(t->of, list->n == 0 ? 0xff : 0, sizeof(t->of));
    for (uint32_t i = 0; i + 1 < list->n; i += 2) {
        const struct pp_options *first = &list->as.item[i], *last = &list->as.item[i + 1];
        if (first->kind != PP_OPTIONS_INT || last->kind != PP_OPTIONS_INT ||
            first->as.number < 100 || last->as.number >= STATUSES)
            return pp_filter_refuse(m, "what is no status is in", m->name);
        for (int64_t s = first->as.number; s <= last->as.number; s++)
            t->of[s / 8] |= (uint8_t)(1u << s % 8);
    }
    return PP_OK;
}

/* The form in which values can stand in a body of that media type. */
static enum pp_filter_page_form form_of(struct pp_span type)
{
    static const struct {
        const char *word;
        enum pp_filter_page_form form;
    } rows[] = {{"json", PP_PAGE_JSON},
                {"javascript", PP_PAGE_JSON},
                {"html", PP_PAGE_HTML},
                {"xml", PP_PAGE_HTML}};
    struct pp_span media = pp_span_trim(pp_span(type.p, pp_span_find(type, ';')));
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct pp_span word = pp_span(rows[i].word, strlen(rows[i].word));
        if (media.n >= word.n && pp_span_eq_fold(pp_span(media.p + media.n - word.n, word.n), word))
            return rows[i].form;
    }
    return PP_PAGE_TEXT;
}

static int make_body(struct pp_filter_make *m, const struct pp_options *o,
                     struct response_rewrite *t)
{
    struct pp_span body = PP_SPAN_NONE;
    t->type = PP_SPAN("text/plain; charset=utf-8");
    pp_options_get_text(o, "body", &body, &m->fault);
    pp_options_get_text(o, "type", &t->type, &m->fault);
    if (!pp_http_tok_is_value(t->type))
        return pp_filter_refuse(m, "not a media type:", t->type);
    return body.p == NULL ? PP_OK : pp_filter_page_new(m, form_of(t->type), body, &t->body);
}

static int make_replace(struct pp_filter_make *m, const struct pp_options *o,
                        struct response_rewrite *t)
{
    const struct pp_options *rules = pp_options_get_list(o, "replace", &m->fault);
    const struct pp_options *types = pp_options_get_list(o, "types", &m->fault);
    int64_t limit = 1 << 20;
    pp_options_get_int(o, "limit", 1, (int64_t)PP_REPLACE_MOST, &limit, &m->fault);
    if (rules->n == 0)
        return PP_OK;
    t->types = pp_arena_alloc(m->arena, types->n * sizeof(t->types[0]));
    if (t->types == NULL)
        return PP_ENOMEM;
    for (; t->n_type < types->n; t->n_type++)
        t->types[t->n_type] = pp_options_text(&types->as.item[t->n_type], "types", &m->fault);
    return pp_filter_replace_new(m, rules, (size_t)limit, &t->replace);
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct response_rewrite *t = pp_arena_alloc(m->arena, sizeof(*t));
    if (t == NULL)
        return PP_ENOMEM;
    *t = (struct response_rewrite){.status = 0};
    int64_t status = 0;
    pp_options_get_int(o, "set_status", 200, 599, &status, &m->fault);
    t->status = (uint16_t)status;
    int rc = status == 204 || status == 205 || status == 304
                 ? pp_filter_refuse(m, "a status that has no body cannot be set in", m->name)
                 : make_statuses(m, o, t);
    if (rc == PP_OK)
        rc = pp_filter_edits_make(m, pp_options_get_map(o, "headers", &m->fault), &t->edits);
    if (rc == PP_OK)
        rc = make_body(m, o, t);
    if (rc == PP_OK)
        rc = make_replace(m, o, t);
    if (t->replace == NULL)
        m->phases &= ~PP_PHASE_BIT(RESPONSE_BODY);
    *self = t;
    return rc;
}

/* ---- running ---- */

static struct pp_span media_of(const struct pp_exchange *x)
{
    const struct pp_http_field *f = pp_http_msg_find_id(&x->response, PP_NAME_CONTENT_TYPE);
    struct pp_span value = f == NULL ? PP_SPAN("") : pp_http_field_value(f);
    return pp_span_trim(pp_span(value.p, pp_span_find(value, ';')));
}

static bool is_of_types(const struct response_rewrite *t, struct pp_span media)
{
    for (uint32_t i = 0; i < t->n_type; i++) {
        struct pp_span type = t->types[i];
        bool any = type.n > 1 && type.p[type.n - 1] == '*';
        size_t n = any ? type.n - 1 : media.n;
        if (media.n >= n && pp_span_eq_fold(pp_span(media.p, n), any ? pp_span(type.p, n) : type))
            return true;
    }
    return false;
}

/* Is the body what it says it is, and all of it? */
static bool is_plain(const struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->response;
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_CONTENT_ENCODING);
    return m->status != 206 &&
           (f == NULL || pp_span_eq_fold(pp_http_field_value(f), PP_SPAN("identity")));
}

/* A body of our own is at hand. */
static int replace_own(const struct response_rewrite *t, struct pp_exchange *x,
                       enum pp_filter_page_form form)
{
    struct pp_span out;
    struct pp_filter_replace_state *s = pp_filter_replace_begin(t->replace, x, form);
    if (s == NULL)
        return PP_ENOMEM;
    int rc = pp_filter_replace_piece(s, x, x->reply_body, true, &out);
    x->reply_body = rc == PP_OK ? out : x->reply_body;
    return rc;
}

/* Over what a body may have: better no answer than one that was not looked at. */
static int too_large(struct pp_exchange *x, int rc)
{
    return rc == PP_ELIMIT ? pp_filter_fail(x, PP_FAULT_UPSTREAM_BODY_TOO_LARGE, rc)
                           : pp_filter_failed(x, rc);
}

static int begin_replace(const struct response_rewrite *t, struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->response;
    struct pp_span media = media_of(x);
    if (!is_of_types(t, media) || !is_plain(x)) {
        pp_filter_stand_by(x, PP_DIR_RESPONSE);
        return PP_NEXT;
    }
    int rc = pp_filter_body_changes(x);
    if (rc == PP_OK && pp_filter_is_own(x)) {
        rc = replace_own(t, x, form_of(media));
        return rc == PP_OK ? PP_NEXT : too_large(x, rc);
    }
    if (m->body == PP_HTTP_BODY_LENGTH && m->content_length > pp_filter_replace_limit(t->replace))
        return too_large(x, PP_ELIMIT);
    x->declared_length = false; /* of a HEAD: nobody knows */
    struct pp_filter_replace_state **s = pp_filter_state(x, t, sizeof(void *));
    if (rc == PP_OK && s != NULL)
        *s = pp_filter_replace_begin(t->replace, x, form_of(media));
    return rc == PP_OK && s != NULL && *s != NULL ? PP_NEXT : pp_filter_failed(x, PP_ENOMEM);
}

/* The status may have had no body, and the other one has: then it is empty, and says so. */
static void set_status(struct pp_exchange *x, unsigned status)
{
    struct pp_http_msg *m = &x->response;
    bool bodyless = m->status == 204 || m->status == 205 || m->status == 304;
    m->status = (uint16_t)status;
    m->reason = PP_SPAN_NONE;
    if (bodyless && m->body == PP_HTTP_BODY_NONE) {
        x->declared_length = true;
        m->content_length = 0;
    }
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    (void)phase;
    const struct response_rewrite *t = self;
    unsigned status = x->response.status;
    if (x->opens_tunnel || status >= STATUSES || !(t->of[status / 8] >> status % 8 & 1)) {
        if (t->replace != NULL)
            pp_filter_stand_by(x, PP_DIR_RESPONSE);
        return PP_NEXT;
    }
    if (t->status != 0)
        set_status(x, t->status);
    int rc = pp_filter_edits_apply(&t->edits, x, &x->response);
    if (rc != PP_OK)
        return pp_filter_failed(x, rc);
    if (t->body == NULL)
        return t->replace == NULL ? PP_NEXT : begin_replace(t, x);
    struct pp_span body;
    rc = pp_filter_page_render(t->body, x, &body);
    return rc == PP_OK ? pp_filter_body_replace(x, t->type, body) : pp_filter_failed(x, rc);
}

static int body(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out)
{
    (void)phase;
    struct pp_filter_replace_state **s = pp_filter_state_find(x, self);
    *out = piece;
    if (s == NULL)
        return PP_NEXT;
    int rc = pp_filter_replace_piece(*s, x, piece, last, out);
    return rc == PP_OK ? PP_NEXT : too_large(x, rc);
}

static const struct pp_filter_ops ops = {.name = "response_rewrite", .run = run, .body = body};

const struct pp_filter_kind pp_filter_response_rewrite_kind = {
    .name = "response_rewrite",
    .phases = PP_PHASE_BIT(RESPONSE) | PP_PHASE_BIT(RESPONSE_BODY),
    .ops = &ops,
    .make = make,
};
