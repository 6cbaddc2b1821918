#include "proxy/filter_refusal.h"

void pp_filter_refusal_make(struct pp_filter_make *m, const struct pp_options *o, uint16_t status,
                            struct pp_span message, struct pp_filter_refusal *out)
{
    int64_t n = status;
    out->message = message;
    pp_options_get_int(o, "status", 200, 599, &n, &m->fault);
    pp_options_get_text(o, "message", &out->message, &m->fault);
    out->status = (uint16_t)n;
}

int pp_filter_refusal_send(const struct pp_filter_refusal *r, struct pp_exchange *x)
{
    return pp_filter_reply(x, r->status, PP_SPAN("text/plain; charset=utf-8"), r->message);
}
