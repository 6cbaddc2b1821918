#include "proxy/filter_headers.h"

#include "proxy/filter_edits.h"

struct headers {
    struct pp_filter_edits request, response;
};

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct headers *h = pp_arena_alloc(m->arena, sizeof(*h));
    if (h == NULL)
        return PP_ENOMEM;
    int rc = pp_filter_edits_make(m, pp_options_get_map(o, "request", &m->fault), &h->request);
    if (rc == PP_OK)
        rc = pp_filter_edits_make(m, pp_options_get_map(o, "response", &m->fault), &h->response);
    if (rc != PP_OK)
        return rc;
    if (h->request.n == 0)
        m->phases &= ~PP_PHASE_BIT(REQUEST);
    if (h->response.n == 0)
        m->phases &= ~PP_PHASE_BIT(RESPONSE);
    *self = h;
    return PP_OK;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct headers *h = self;
    int rc = phase == PP_PHASE_REQUEST ? pp_filter_edits_apply(&h->request, x, &x->request)
                                       : pp_filter_edits_apply(&h->response, x, &x->response);
    return rc == PP_OK ? PP_NEXT : pp_filter_failed(x, rc);
}

static const struct pp_filter_ops ops = {.name = "headers", .run = run};

const struct pp_filter_kind pp_filter_headers_kind = {
    .name = "headers",
    .phases = PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(RESPONSE),
    .ops = &ops,
    .make = make,
};
