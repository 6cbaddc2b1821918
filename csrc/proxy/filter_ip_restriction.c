#include "proxy/filter_ip_restriction.h"

#include "proxy/filter_ranges.h"
#include "proxy/filter_refusal.h"

struct restriction {
    struct pp_filter_ranges allow, deny;
    bool only; /* nothing but <allow> */
    struct pp_filter_refusal refusal;
};

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct restriction *r = pp_arena_alloc(m->arena, sizeof(*r));
    if (r == NULL)
        return PP_ENOMEM;
    int rc = pp_filter_ranges_make(m, o, "allow", &r->allow);
    if (rc == PP_OK)
        rc = pp_filter_ranges_make(m, o, "deny", &r->deny);
    if (rc != PP_OK)
        return rc;
    r->only = !pp_filter_ranges_is_empty(&r->allow);
    pp_filter_refusal_make(m, o, 403, PP_SPAN("your address is not allowed here\n"), &r->refusal);
    *self = r;
    return PP_OK;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct restriction *r = self;
    (void)phase;
    if (pp_filter_ranges_has(&r->deny, &x->client) ||
        (r->only && !pp_filter_ranges_has(&r->allow, &x->client)))
        return pp_filter_refusal_send(&r->refusal, x);
    return PP_NEXT;
}

static const struct pp_filter_ops ops = {.name = "ip_restriction", .run = run};

const struct pp_filter_kind pp_filter_ip_restriction_kind = {
    .name = "ip_restriction",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
