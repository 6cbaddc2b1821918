#include "proxy/filter_concurrency_limit.h"

#include "proxy/filter_limit.h"

struct concurrency_limit {
    struct pp_filter_limit common;
    uint32_t most;
    const struct pp_filter_text *key;
    uint64_t space;
};

/* What one exchange holds. */
struct state {
    struct pp_leases *leases;
    struct pp_holding *held;
};

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct concurrency_limit *c = pp_arena_alloc(m->arena, sizeof(*c));
    struct pp_span place = PP_SPAN_NONE, key = PP_SPAN_NONE;
    int64_t most = 1;
    if (c == NULL)
        return PP_ENOMEM;
    pp_filter_limit_read(m, o, &c->common);
    pp_options_get_int(o, "max", 1, PP_LEASE_MAX - 1, &most, &m->fault);
    pp_options_get_text(o, "key", &key, &m->fault);
    pp_options_get_text(o, "place", &place, &m->fault);
    c->most = (uint32_t)most;
    c->space = pp_filter_limit_space("concurrency_limit", place, m->name);
    *self = c;
    return pp_filter_text_new(m, key, &c->key);
}

static void on_end(void *arg)
{
    struct state *s = arg;
    if (s->held != NULL)
        pp_leases_give_back(s->leases, s->held);
    s->held = NULL;
}

#define COUNT(x, word) PP_COUNT(&(x)->core->metrics, (x)->route->record, ROUTE, word, 1)

static int on_refused(const struct concurrency_limit *c, struct pp_exchange *x)
{
    if (c->common.dry_run) {
        COUNT(x, CONCURRENCY_DRY_RUN);
        return PP_NEXT;
    }
    COUNT(x, CONCURRENCY_LIMITED);
    return pp_filter_limit_refuse(&c->common, x, 0);
}

static int take(const struct concurrency_limit *c, struct pp_exchange *x)
{
    struct pp_core *core = x->core;
    const struct pp_shtable *t = pp_shared_table(&core->shared, &core->seed);
    struct state *s = pp_filter_state(x, c, sizeof(*s));
    struct pp_shtable_key key;
    uint32_t count;
    if (t == NULL || s == NULL)
        return PP_ENOMEM;
    int rc = pp_filter_limit_key(t, c->key, c->space, x, &key);
    if (rc == PP_ENOENT && !c->common.refuse_missing)
        return PP_OK;
    if (rc != PP_OK)
        return rc;
    s->leases = &core->leases;
    rc = pp_arena_on_reset(&x->arena, on_end, s);
    return rc == PP_OK ? pp_leases_take(&core->leases, &key, c->most, &s->held, &count) : rc;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct concurrency_limit *c = self;
    (void)phase;
    int rc = take(c, x);
    switch (rc) {
    case PP_OK:
        return PP_NEXT;
    case PP_ELIMIT:
    case PP_ENOENT:
        return on_refused(c, x);
    case PP_ENOMEM:
    case PP_EAGAIN:
        COUNT(x, LIMIT_FAILURES);
        return c->common.refuse_on_error ? on_refused(c, x) : PP_NEXT;
    default:
        return pp_filter_failed(x, rc); /* the request itself is wrong */
    }
}

static const struct pp_filter_ops ops = {.name = "concurrency_limit", .run = run};

const struct pp_filter_kind pp_filter_concurrency_limit_kind = {
    .name = "concurrency_limit",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
