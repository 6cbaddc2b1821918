#include "proxy/retry.h"

static bool is_idempotent(unsigned method)
{
    switch (method) {
    case PP_HTTP_GET:
    case PP_HTTP_HEAD:
    case PP_HTTP_OPTIONS:
    case PP_HTTP_TRACE:
    case PP_HTTP_PUT:
    case PP_HTTP_DELETE:
        return true;
    default:
        return false;
    }
}

bool pp_retry_may(const struct pp_exchange *x, const struct pp_fault *f)
{
    const struct pp_flow *request = &x->flow[PP_DIR_REQUEST];
    if (x->cluster == NULL || x->flow[PP_DIR_RESPONSE].head_sent)
        return false;
    /* A collected body is still there; a streamed one is gone once a byte of it was sent, or given
     * to a filter. */
    if (request->received > 0 && request->hold == 0)
        return false;
    if (f->code == PP_FAULT_UPSTREAM_REFUSED)
        return x->replays < PP_RETRY_REPLAYS;
    if ((uint32_t)(x->attempts - x->replays) > x->cluster->conf.retries)
        return false;
    if (f->retryable)
        return true;
    return f->code == PP_FAULT_UPSTREAM_RESET && x->reused && x->silent &&
           is_idempotent(x->request.method_id);
}
