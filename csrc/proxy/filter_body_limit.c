#include "proxy/filter_body_limit.h"

struct body_limit {
    uint64_t max;
};

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct body_limit *b = pp_arena_alloc(m->arena, sizeof(*b));
    int64_t max = 0;
    if (b == NULL)
        return PP_ENOMEM;
    pp_options_get_int(o, "max_bytes", 0, INT64_MAX, &max, &m->fault);
    b->max = (uint64_t)max;
    *self = b;
    return PP_OK;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct body_limit *b = self;
    const struct pp_http_msg *m = &x->request;
    (void)phase;
    if (m->body == PP_HTTP_BODY_LENGTH && m->content_length > b->max)
        return pp_filter_fail(x, PP_FAULT_BODY_TOO_LARGE, PP_EHTTP_BODY_BYTES);
    x->body_limit = PP_MIN(x->body_limit, b->max);
    return PP_NEXT;
}

static const struct pp_filter_ops ops = {.name = "body_limit", .run = run};

const struct pp_filter_kind pp_filter_body_limit_kind = {
    .name = "body_limit",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
