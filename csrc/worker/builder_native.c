/* Native filters of a snapshot: their options become what their kind makes of them. And what any
 * filter may have, its condition. */
#include <stdio.h>

#include "proxy/filter_gate.h"
#include "proxy/filters.h"
#include "worker/builder.h"

/* What make() has left of <m> when something was wrong. */
static int tell(struct pp_builder *b, const struct pp_filter_make *m, int rc)
{
    if (rc == PP_OK || rc == PP_EINVAL) {
        char why[PP_FILTER_WHY];
        const struct pp_options_fault *f = &m->fault;
        if (f->key.p != NULL) {
            (void)snprintf(why, sizeof why, "the option %.*s is not %s", (int)f->key.n, f->key.p,
                           f->wanted);
            return pp_builder_refuse(b, why, m->name);
        }
        if (rc == PP_EINVAL)
            return pp_builder_refuse(b, m->why, PP_SPAN_NONE);
    }
    return rc;
}

int pp_builder_add_native(struct pp_builder *b, struct pp_span kind, struct pp_span name,
                          const struct pp_options *o, uint32_t *id)
{
    const struct pp_filter_kind *k = pp_filters_find(kind);
    if (k == NULL)
        return pp_builder_refuse(b, "no native filter of the kind", kind);
    struct pp_filter_make m = {
        .arena = pp_builder_arena(b), .name = name, .phases = k->phases, .why = ""};
    void *self = NULL;
    int rc = tell(b, &m, k->make(&m, o, &self));
    if (rc == PP_OK && m.cluster != NULL)
        rc = pp_builder_wish(b, m.upstream, m.cluster);
    if (rc == PP_OK)
        rc = pp_builder_add_filter(b, name, 0, m.buffer_request, m.buffer_response, id);
    for (int phase = 0; phase < PP_PHASE_COUNT && rc == PP_OK; phase++) {
        if (m.phases >> phase & 1)
            *pp_builder_bound(b, *id, (enum pp_phase)phase) =
                (struct pp_filter){.ops = k->ops, .self = self};
    }
    return rc;
}

int pp_builder_set_when(struct pp_builder *b, uint32_t filter, const struct pp_predicate *when)
{
    for (int phase = 0; phase < PP_PHASE_COUNT; phase++) {
        struct pp_filter *bound = pp_builder_bound(b, filter, (enum pp_phase)phase);
        if (bound->ops == NULL)
            continue;
        struct pp_filter_gate *gate = pp_arena_alloc(pp_builder_arena(b), sizeof(*gate));
        if (gate == NULL)
            return PP_ENOMEM;
        *gate = (struct pp_filter_gate){.when = when, .behind = *bound};
        *bound = (struct pp_filter){.ops = &pp_filter_gate_ops, .self = gate};
    }
    return PP_OK;
}
