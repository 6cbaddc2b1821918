#include "proxy/retry.h"

#include "base/num.h"
#include "proxy/grpc.h"
#include "proxy/phase.h"

/* What an exchange has that is tried again, or whose attempts are timed; in its arena. */
struct pp_retrying {
    struct pp_exchange *x;
    struct pp_cluster *cluster; /* among whose retries it counts, a reference; NULL: none */
    struct pp_task task;
    struct pp_timer timer; /* of the attempt, or of the pause before it */
};

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

/* ---- may it? ---- */

/* Is all that has been read of the request's body still there? A collected one is; of a streamed
 * one what was sent may have been kept. (What filters have made of it counts, not what they got.)
 */
static bool has_body(const struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    return flow->received == 0 || flow->hold > 0 ||
           (flow->held_n == flow->bytes && !flow->torn && !flow->parked);
}

static bool has_attempts(const struct pp_exchange *x)
{
    return (uint32_t)(x->attempts - x->replays) <= x->cluster->conf.retries;
}

bool pp_retry_is_replay(const struct pp_fault *f)
{
    return f->retryable &&
           (f->code == PP_FAULT_UPSTREAM_REFUSED || f->code == PP_FAULT_UPSTREAM_WANTS_H1);
}

/* The condition that a fault is; 0: none. Connect failures and refused streams are safe, and need
 * none. */
static unsigned condition_of(enum pp_fault_code code)
{
    switch (code) {
    case PP_FAULT_UPSTREAM_RESET:
        return PP_RETRY_ON_RESET;
    case PP_FAULT_FIRST_BYTE_TIMEOUT:
    case PP_FAULT_UPSTREAM_SEND_TIMEOUT:
    case PP_FAULT_TRY_TIMEOUT:
        return PP_RETRY_ON_TIMEOUT;
    default:
        return 0;
    }
}

/* May the request be sent again although it may have been acted upon? */
static bool may_repeat(const struct pp_exchange *x)
{
    return pp_retry_policy_of(x)->non_idempotent || is_idempotent(x->request.method_id);
}

bool pp_retry_may(const struct pp_exchange *x, const struct pp_fault *f)
{
    if (x->cluster == NULL || x->flow[PP_DIR_RESPONSE].head_sent || !has_body(x))
        return false;
    if (pp_retry_is_replay(f))
        return x->replays < PP_RETRY_REPLAYS;
    if (!has_attempts(x))
        return false;
    if (f->retryable)
        return true;
    if (f->code == PP_FAULT_UPSTREAM_RESET && x->reused && x->silent &&
        is_idempotent(x->request.method_id))
        return true;
    /* An answer that has begun, although the client has nothing of it yet, is the answer. */
    return (pp_retry_policy_of(x)->on & condition_of((enum pp_fault_code)f->code)) != 0 &&
           !x->upstream_head && may_repeat(x);
}

/* ---- answers ---- */

static bool has_grpc_code(const struct pp_exchange *x, const struct pp_retry_policy *p)
{
    uint64_t code;
    if ((p->on & PP_RETRY_ON_GRPC) == 0 || x->response.status != 200 ||
        !pp_grpc_is_call(&x->request))
        return false;
    const struct pp_http_field *f = pp_http_msg_find(&x->response, PP_SPAN("grpc-status"));
    return f != NULL && pp_num_parse_u64(pp_http_field_value(f), &code) == PP_OK && code < 32 &&
           (p->grpc >> code & 1) != 0;
}

/* Retry-After in seconds (RFC 9110 section 10.2.3). A date is left alone: it means a time that no
 * exchange waits for. */
static bool read_after(const struct pp_exchange *x, uint64_t most_ms, uint64_t *after_ms)
{
    const struct pp_http_field *f = pp_http_msg_find_id(&x->response, PP_NAME_RETRY_AFTER);
    uint64_t s;
    *after_ms = 0;
    if (f == NULL || most_ms == 0)
        return true;
    if (pp_num_parse_u64(pp_http_field_value(f), &s) != PP_OK || s > most_ms / 1000)
        return false;
    *after_ms = s * 1000;
    return true;
}

bool pp_retry_wants(const struct pp_exchange *x, uint64_t *after_ms)
{
    const struct pp_retry_policy *p = pp_retry_policy_of(x);
    if (!pp_retry_policy_has_status(p, x->response.status) && !has_grpc_code(x, p))
        return false;
    return !x->flow[PP_DIR_RESPONSE].head_sent && !x->opens_tunnel && has_body(x) &&
           has_attempts(x) && may_repeat(x) && read_after(x, p->after_ms, after_ms);
}

/* ---- waiting ---- */

static void on_time(struct pp_timer *t)
{
    struct pp_exchange *x = PP_CONTAINER_OF(t, struct pp_retrying, timer)->x;
    if (x->state == PP_EXCHANGE_PAUSE) {
        pp_phase_resume(x, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        return;
    }
    PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, TIMEOUTS, 1);
    x->events->failed(x, pp_fault_make(PP_FAULT_TRY_TIMEOUT, PP_SIDE_UP, false, PP_ETIMEDOUT));
}

static void cancel(struct pp_task *task, struct pp_exchange *x, enum pp_park which)
{
    (void)which;
    pp_loop_stop(&x->core->loop, &PP_CONTAINER_OF(task, struct pp_retrying, task)->timer);
}

static void count(struct pp_cluster *cl, int n)
{
    PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, RETRIES_ACTIVE, n);
}

/* The exchange has ended. */
static void on_end(void *arg)
{
    struct pp_retrying *r = arg;
    pp_loop_stop(&r->x->core->loop, &r->timer);
    if (r->cluster == NULL)
        return;
    count(r->cluster, -1);
    pp_cluster_unref(r->cluster);
}

static struct pp_retrying *retrying_of(struct pp_exchange *x)
{
    if (x->retrying != NULL)
        return x->retrying;
    struct pp_retrying *r = pp_arena_alloc(&x->arena, sizeof(*r));
    if (r == NULL)
        return NULL;
    *r = (struct pp_retrying){.x = x, .task.cancel = cancel};
    pp_timer_init(&r->timer, on_time);
    if (pp_arena_on_reset(&x->arena, on_end, r) != PP_OK)
        return NULL;
    return x->retrying = r;
}

/* Retries are few, so that it costs little to look at every endpoint and every worker. */
static bool has_budget(const struct pp_cluster *cl, const struct pp_retry_policy *p)
{
    const struct pp_metrics *m = &cl->core->metrics;
    uint64_t active = 0;
    for (uint32_t i = 0; i < cl->n; i++) {
        const struct pp_endpoint *ep = &cl->endpoint[i];
        bool alone = m->seg.mem == NULL || ep->record == m->fallback[PP_METRIC_ENDPOINT];
        active += ep->active;
        if (!alone)
            active += pp_metrics_elsewhere(m, ep->record, PP_METRIC_WORD(ENDPOINT, ACTIVE));
    }
    uint64_t retrying =
        m->words[cl->record + PP_METRIC_WORD(UPSTREAM, RETRIES_ACTIVE)] +
        pp_metrics_elsewhere(m, cl->record, PP_METRIC_WORD(UPSTREAM, RETRIES_ACTIVE));
    return pp_retry_policy_has_budget(p, retrying, active);
}

/* <r> counts among the retries of <cl> from now on, if that does not have too many. */
static int take_one(struct pp_retrying *r, struct pp_cluster *cl)
{
    const struct pp_metrics *m = &cl->core->metrics;
    uint32_t most = cl->conf.admission.retries;
    if (most == 0) {
        count(cl, 1);
    } else if (!pp_metrics_claim(m, cl->record, PP_METRIC_WORD(UPSTREAM, RETRIES_ACTIVE), most)) {
        PP_COUNT(m, cl->record, UPSTREAM, RETRY_OVERFLOW, 1);
        return PP_ELIMIT;
    }
    pp_cluster_ref(cl);
    r->cluster = cl;
    return PP_OK;
}

/* Count <x> among the retries of its upstream, if there is room for it. */
static int take_budget(struct pp_exchange *x, struct pp_retrying *r)
{
    struct pp_cluster *cl = x->cluster;
    if (r->cluster != NULL)
        return PP_OK;
    if (!has_budget(cl, pp_retry_policy_of(x))) {
        PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, RETRIES_REFUSED, 1);
        return PP_ELIMIT;
    }
    return take_one(r, cl);
}

int pp_retry_count(struct pp_exchange *x)
{
    if (PP_LIKELY(x->cluster->conf.admission.retries == 0))
        return PP_OK;
    struct pp_retrying *r = retrying_of(x);
    if (r == NULL)
        return PP_ENOMEM;
    return r->cluster != NULL ? PP_OK : take_one(r, x->cluster);
}

int pp_retry_plan(struct pp_exchange *x, uint64_t after_ms, uint64_t *due_ms)
{
    struct pp_retrying *r = retrying_of(x);
    if (r == NULL)
        return PP_ENOMEM;
    unsigned n = (unsigned)PP_MAX(x->attempts - x->replays, 1);
    uint64_t ms = pp_retry_policy_backoff_ms(pp_retry_policy_of(x), n, &x->core->rng);
    *due_ms = x->core->loop.now_ms + PP_MAX(ms, after_ms);
    if (pp_timer_is_pending(&x->timer) && *due_ms >= x->timer.due_ms)
        return PP_ETIMEDOUT;
    return take_budget(x, r);
}

void pp_retry_pause(struct pp_exchange *x, uint64_t due_ms)
{
    struct pp_retrying *r = x->retrying;
    pp_loop_start(&x->core->loop, &r->timer, due_ms);
    x->task[PP_PARK_PHASE] = &r->task;
    x->parked = true;
}

int pp_retry_time(struct pp_exchange *x)
{
    struct pp_retrying *r = retrying_of(x);
    if (r == NULL)
        return PP_ENOMEM;
    pp_loop_start(&x->core->loop, &r->timer,
                  x->core->loop.now_ms + pp_retry_policy_of(x)->per_try_ms);
    return PP_OK;
}

void pp_retry_untime(struct pp_exchange *x)
{
    if (x->retrying != NULL)
        pp_loop_stop(&x->core->loop, &x->retrying->timer);
}
