#include "proxy/hook.h"

#include "proxy/client_tls.h"

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    return x->core->hook->run(x->core->hook_owner, x, self, phase);
}

static int body(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out)
{
    return x->core->hook->body(x->core->hook_owner, x, self, phase, piece, last, out);
}

const struct pp_filter_ops pp_hook_filter_ops = {.name = "python", .run = run, .body = body};

void pp_hook_end(struct pp_exchange *x)
{
    for (int which = 0; which < PP_PARK_COUNT; which++)
        pp_phase_cancel(x, (enum pp_park)which);
    if (x->view != NULL)
        x->core->hook->end(x->core->hook_owner, x);
    x->view = NULL;
}

int pp_hook_name_client(struct pp_core *core, struct pp_client_tls *ct)
{
    const struct pp_hook_ops *hook = core->hook;
    return ct->der.n > 0 && hook != NULL && hook->client != NULL
               ? hook->client(core->hook_owner, ct)
               : PP_OK;
}
