#include "proxy/filter_error_pages.h"

#include "proxy/filter_body.h"
#include "proxy/filter_page.h"
#include "proxy/grpc.h"
#include "wire/http_accept.h"

#define FIRST 400
#define LAST 599
#define MOST_PAGES 255

struct choice {
    const struct pp_filter_page *form[PP_PAGE_FORMS]; /* NULL: not in this form */
    uint8_t forms;                                    /* how many there are */
};

struct error_pages {
    bool upstream;
    uint8_t of[LAST - FIRST + 1]; /* number of the page of a status, counted from 1; 0: none */
    struct choice page[];
};

/* ---- making ---- */

static int make_page(struct pp_filter_make *m, struct error_pages *e, uint32_t i,
                     const struct pp_options *o)
{
    static const char *const keys[PP_PAGE_FORMS] = {"html", "json", "text"};
    struct choice *c = &e->page[i];
    *c = (struct choice){.forms = 0};
    for (unsigned form = 0; form < PP_PAGE_FORMS; form++) {
        struct pp_span text = PP_SPAN_NONE;
        pp_options_get_text(o, keys[form], &text, &m->fault);
        if (text.p == NULL)
            continue;
        int rc = pp_filter_page_new(m, (enum pp_filter_page_form)form, text, &c->form[form]);
        if (rc != PP_OK)
            return rc;
        c->forms++;
    }
    if (c->forms == 0)
        return pp_filter_refuse(m, "a page without a body in", m->name);
    const struct pp_options *status = pp_options_get_list(o, "status", &m->fault);
    for (uint32_t k = 0; k + 1 < status->n; k += 2) {
        int64_t first = status->as.item[k].as.number, last = status->as.item[k + 1].as.number;
        if (status->as.item[k].kind != PP_OPTIONS_INT ||
            status->as.item[k + 1].kind != PP_OPTIONS_INT || first < FIRST || last > LAST)
            return pp_filter_refuse(m, "a status that is no error in", m->name);
        for (int64_t s = first; s <= last; s++) {
            uint8_t *of = &e->of[s - FIRST];
            *of = *of == 0 ? (uint8_t)(i + 1) : *of;
        }
    }
    return PP_OK;
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    const struct pp_options *pages = pp_options_get_list(o, "pages", &m->fault);
    if (pages->n > MOST_PAGES)
        return pp_filter_refuse(m, "too many pages in", m->name);
    struct error_pages *e = pp_arena_alloc(m->arena, sizeof(*e) + pages->n * sizeof(struct choice));
    if (e == NULL)
        return PP_ENOMEM;
    *e = (struct error_pages){.upstream = false};
    pp_options_get_bool(o, "upstream", &e->upstream, &m->fault);
    int rc = PP_OK;
    for (uint32_t i = 0; i < pages->n && rc == PP_OK; i++)
        rc = make_page(m, e, i, &pages->as.item[i]);
    *self = e;
    return rc;
}

/* ---- running ---- */

/* The form that the client would rather have. One that accepts none of them gets the first: an
 * error is better than none (RFC 9110 section 12.5.1). */
static enum pp_filter_page_form choose(const struct choice *c, const struct pp_http_msg *request)
{
    unsigned best = PP_PAGE_FORMS, weight = 0;
    for (unsigned form = 0; form < PP_PAGE_FORMS; form++) {
        if (c->form[form] == NULL)
            continue;
        unsigned w = c->forms == 1 ? PP_HTTP_ACCEPT_FULL
                                   : pp_http_accept_media(request, pp_filter_page_media(form));
        if (best == PP_PAGE_FORMS || w > weight) {
            best = form;
            weight = w;
        }
    }
    return (enum pp_filter_page_form)best;
}

/* What a `respond` route says is what it shall say. */
static bool is_respond(const struct pp_exchange *x)
{
    return x->route->body.n > 0 && x->reply_body.p == x->route->body.p;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    (void)phase;
    const struct error_pages *e = self;
    unsigned status = x->response.status;
    if (status < FIRST || status > LAST || e->of[status - FIRST] == 0)
        return PP_NEXT;
    if (pp_filter_is_own(x) ? is_respond(x) : !e->upstream)
        return PP_NEXT;
    if (pp_grpc_is_call(&x->request) || pp_grpc_is_web_call(&x->request))
        return PP_NEXT;
    const struct choice *c = &e->page[e->of[status - FIRST] - 1];
    enum pp_filter_page_form form = choose(c, &x->request);
    struct pp_span body;
    int rc = pp_filter_page_render(c->form[form], x, &body);
    if (rc == PP_OK && c->forms > 1)
        rc = pp_http_msg_add(&x->response, PP_SPAN("Vary"), PP_NAME_VARY, PP_SPAN("Accept"));
    return rc == PP_OK ? pp_filter_body_replace(x, pp_filter_page_type(form), body)
                       : pp_filter_failed(x, rc);
}

static const struct pp_filter_ops ops = {.name = "error_pages", .run = run};

const struct pp_filter_kind pp_filter_error_pages_kind = {
    .name = "error_pages",
    .phases = PP_PHASE_BIT(RESPONSE),
    .ops = &ops,
    .make = make,
};
