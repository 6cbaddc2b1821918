/* Which requests are refused by a worker that has too much to do. */
#include "proxy/condition.h"
#include "proxy/step.h"

/* When to come again: about as long as pressure takes to fall. */
#define RETRY_AFTER_S 1

/* Does its route stay open in any case? Only for this is it routed; no filter has run. */
static bool is_exempt(struct pp_exchange *x)
{
    const struct pp_snapshot *sn = x->snapshot;
    struct pp_predicate_input input;
    struct pp_router_hit hit;
    pp_router_methods allowed;
    if (!sn->overload.exempts || pp_step_target(x) != PP_OK)
        return false;
    struct pp_router_query q = {
        .host = x->host, .path = x->path, .method = x->request.method_id, .input = &input};
    pp_condition_input(x, &input);
    return pp_router_find(sn->router, &q, &hit, &allowed) == PP_OK && sn->route[hit.route]->exempt;
}

bool pp_step_shed(struct pp_exchange *x)
{
    if (is_exempt(x))
        return false;
    PP_COUNT(&x->core->metrics, x->listener->record, LISTENER, REQUESTS_SHED, 1);
    x->retry_after_s = RETRY_AFTER_S;
    return pp_step_to_error(x, pp_step_fault(PP_FAULT_OVERLOAD, PP_OK));
}
