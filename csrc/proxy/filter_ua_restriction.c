#include "proxy/filter_ua_restriction.h"

#include "proxy/filter_patterns.h"
#include "proxy/filter_refusal.h"

struct restriction {
    struct pp_filter_patterns allow, deny;
    bool missing;
    struct pp_filter_refusal refusal;
};

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct restriction *r = pp_arena_alloc(m->arena, sizeof(*r));
    if (r == NULL)
        return PP_ENOMEM;
    int rc = pp_filter_patterns_make(m, o, "allow", &r->allow);
    if (rc == PP_OK)
        rc = pp_filter_patterns_make(m, o, "deny", &r->deny);
    if (rc != PP_OK)
        return rc;
    r->missing = true;
    pp_options_get_bool(o, "missing", &r->missing, &m->fault);
    pp_filter_refusal_make(m, o, 403, PP_SPAN("your program is not allowed here\n"), &r->refusal);
    *self = r;
    return PP_OK;
}

/* PP_OK: it may; PP_ENOENT: it may not; or PP_ENOMEM. */
static int judge(const struct restriction *r, struct pp_span agent)
{
    int rc = pp_filter_patterns_search(&r->deny, agent);
    if (rc != PP_ENOENT)
        return rc == PP_OK ? PP_ENOENT : rc;
    return r->allow.n == 0 ? PP_OK : pp_filter_patterns_search(&r->allow, agent);
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct restriction *r = self;
    const struct pp_http_field *f = pp_http_msg_find_id(&x->request, PP_NAME_USER_AGENT);
    int rc = f == NULL && !r->missing ? PP_ENOENT : PP_OK;
    (void)phase;
    for (; f != NULL && rc == PP_OK; f = pp_http_msg_find_next(&x->request, f))
        rc = judge(r, pp_http_field_value(f));
    if (rc == PP_OK)
        return PP_NEXT;
    return rc == PP_ENOENT ? pp_filter_refusal_send(&r->refusal, x) : pp_filter_failed(x, rc);
}

static const struct pp_filter_ops ops = {.name = "ua_restriction", .run = run};

const struct pp_filter_kind pp_filter_ua_restriction_kind = {
    .name = "ua_restriction",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
