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

/* Is all that has been read of the request's body still there? A collected one is; of a streamed
 * one what was sent may have been kept. (What filters have made of it counts, not what they got.)
 */
static bool has_body(const struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    return flow->received == 0 || flow->hold > 0 || (flow->held_n == flow->bytes && !flow->torn);
}

bool pp_retry_is_replay(const struct pp_fault *f)
{
    return f->retryable &&
           (f->code == PP_FAULT_UPSTREAM_REFUSED || f->code == PP_FAULT_UPSTREAM_WANTS_H1);
}

bool pp_retry_may(const struct pp_exchange *x, const struct pp_fault *f)
{
    if (x->cluster == NULL || x->flow[PP_DIR_RESPONSE].head_sent || !has_body(x))
        return false;
    if (pp_retry_is_replay(f))
        return x->replays < PP_RETRY_REPLAYS;
    if ((uint32_t)(x->attempts - x->replays) > x->cluster->conf.retries)
        return false;
    if (f->retryable)
        return true;
    return f->code == PP_FAULT_UPSTREAM_RESET && x->reused && x->silent &&
           is_idempotent(x->request.method_id);
}
