#include "proxy/condition.h"

#include "proxy/hook.h"
#include "proxy/variable.h"

static int get(void *arg, const struct pp_variable *v, struct pp_span *out)
{
    return pp_variable_get(arg, v, out);
}

static int call(void *arg, void *callable, bool *holds)
{
    struct pp_exchange *x = arg;
    return x->core->hook->test(x->core->hook_owner, x, callable, holds);
}

void pp_condition_input(struct pp_exchange *x, struct pp_predicate_input *in)
{
    bool ip = x->client.family == AF_INET || x->client.family == AF_INET6;
    *in = (struct pp_predicate_input){
        .get = get,
        .call = x->core->hook != NULL ? call : NULL,
        .arg = x,
        .client = ip ? x->client.ip : NULL,
        .client_v6 = x->client.family == AF_INET6,
    };
}

int pp_condition_holds(struct pp_exchange *x, const struct pp_predicate *p, bool *holds)
{
    struct pp_predicate_input in;
    *holds = true;
    if (p == NULL)
        return PP_OK;
    pp_condition_input(x, &in);
    return pp_predicate_eval(p, &in, holds);
}

struct pp_fault pp_condition_fault(int rc)
{
    enum pp_fault_code code = rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY
                              : rc == PP_EIO  ? PP_FAULT_FILTER_ERROR
                                              : PP_FAULT_BAD_REQUEST;
    return pp_fault_make(code, PP_SIDE_DOWN, false, rc);
}
