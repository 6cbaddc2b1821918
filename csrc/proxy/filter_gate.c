#include "proxy/filter_gate.h"

/* What was found out for one exchange. */
struct answer {
    bool asked, open;
};

/* PP_OK and *open; or the fault is set. */
static int ask(const struct pp_filter_gate *g, struct pp_exchange *x, bool *open)
{
    struct answer *a = pp_filter_state(x, g->when, sizeof(*a));
    int rc = a == NULL ? PP_ENOMEM : PP_OK;
    if (rc == PP_OK && !a->asked) {
        rc = pp_condition_holds(x, g->when, &a->open);
        a->asked = rc == PP_OK;
    }
    if (rc == PP_OK) {
        *open = a->open;
        return PP_OK;
    }
    x->replied = false;
    pp_exchange_fault(x, pp_condition_fault(rc));
    return rc;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct pp_filter_gate *g = self;
    bool open;
    if (ask(g, x, &open) != PP_OK)
        return PP_REPLY;
    return open ? g->behind.ops->run(g->behind.self, x, phase) : PP_NEXT;
}

static int body(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out)
{
    const struct pp_filter_gate *g = self;
    bool open;
    *out = piece;
    if (ask(g, x, &open) != PP_OK)
        return PP_REPLY;
    return open ? g->behind.ops->body(g->behind.self, x, phase, piece, last, out) : PP_NEXT;
}

const struct pp_filter_ops pp_filter_gate_ops = {.name = "gate", .run = run, .body = body};

int pp_filter_gate_settle(struct pp_exchange *x, enum pp_dir dir)
{
    enum pp_phase phase = dir == PP_DIR_REQUEST ? PP_PHASE_REQUEST_BODY : PP_PHASE_RESPONSE_BODY;
    const struct pp_chain *chain = &x->route->chain;
    for (uint8_t i = 0; i < chain->n[phase]; i++) {
        const struct pp_filter *f = &chain->filter[phase][i];
        bool open = true;
        int rc = f->ops == &pp_filter_gate_ops ? ask(f->self, x, &open) : PP_OK;
        if (rc != PP_OK)
            return rc;
        if (!open)
            pp_filter_stand_by(x, dir);
    }
    return PP_OK;
}
