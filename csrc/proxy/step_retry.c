/* From an attempt that failed, or an answer that is not wanted, to the next attempt or to the end.
 */
#include "proxy/admission.h"
#include "proxy/circuit.h"
#include "proxy/cluster_outlier.h"
#include "proxy/retry.h"
#include "proxy/step.h"

static void leave_out(struct pp_exchange *x)
{
    if (x->endpoint->index < 64)
        x->tried |= UINT64_C(1) << x->endpoint->index;
}

static void begin_anew(struct pp_exchange *x)
{
    struct pp_flow *request = &x->flow[PP_DIR_REQUEST];
    request->head_sent = request->sink_ended = request->sink_broken = false;
    PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, RETRIES, 1);
}

/* Wait for the next attempt; without a connection. */
static void pause_until(struct pp_exchange *x, uint64_t due_ms)
{
    begin_anew(x);
    pp_admission_release(x);
    pp_exchange_enter(x, PP_EXCHANGE_PAUSE);
    pp_retry_pause(x, due_ms);
}

/* What an endpoint sends back unread, and a connection that was dead before, say nothing about how
 * the endpoint fares. */
static bool pauses_after(const struct pp_exchange *x, const struct pp_fault *f)
{
    return x->cluster != NULL && pp_retry_policy_of(x)->on != 0 && !pp_retry_is_replay(f) &&
           !(f->code == PP_FAULT_UPSTREAM_RESET && x->reused && x->silent);
}

bool pp_step_retry(struct pp_exchange *x)
{
    struct pp_fault f = x->last_fault;
    if (x->endpoint != NULL) {
        PP_COUNT(&x->core->metrics, x->endpoint->record, ENDPOINT, FAILURES, 1);
        pp_cluster_observe(x->endpoint, x->core->loop.now_us - x->t.connect, true);
        pp_cluster_outlier_fault(x->endpoint, &f);
        leave_out(x);
        if (!pp_retry_is_replay(&f))
            pp_circuit_note(x->endpoint->cluster, true);
    }
    uint64_t due_ms = 0;
    bool pauses = pauses_after(x, &f);
    if (!pp_retry_may(x, &f) || (pauses && pp_retry_plan(x, 0, &due_ms) != PP_OK) ||
        (!pauses && !pp_retry_is_replay(&f) && pp_retry_count(x) != PP_OK))
        return pp_step_to_error(x, f);
    x->replays += pp_retry_is_replay(&f);
    if (pauses) {
        pause_until(x, due_ms);
    } else {
        begin_anew(x);
        pp_exchange_enter(x, PP_EXCHANGE_PEER);
    }
    return true;
}

/* Let go of the answer: with its connection, unless all of it is here already. */
static void drop_answer(struct pp_exchange *x)
{
    struct pp_flow *request = &x->flow[PP_DIR_REQUEST], *response = &x->flow[PP_DIR_RESPONSE];
    const struct pp_http_msg *m = &x->response;
    pp_body_begin(x, PP_DIR_RESPONSE, (enum pp_http_body)m->body, m->content_length, UINT64_MAX, 0);
    bool whole = response->source_ended || x->ops[PP_SIDE_UP]->discard(x);
    pp_step_detach_up(x, whole && x->upstream_keep_alive && request->sink_ended &&
                             !request->sink_broken);
    pp_http_msg_init(&x->response, &x->arena);
    memset(response, 0, sizeof(*response)); /* nothing of it was held or passed on */
    x->upstream_head = x->declared_length = false;
    x->upstream_status = 0;
    x->t.first_byte = 0;
}

bool pp_step_retry_answer(struct pp_exchange *x)
{
    uint64_t after_ms, due_ms;
    if (!pp_retry_wants(x, &after_ms) || pp_retry_plan(x, after_ms, &due_ms) != PP_OK)
        return false;
    leave_out(x);
    drop_answer(x);
    pause_until(x, due_ms);
    return true;
}

/* The pause is over. */
bool pp_step_pause(struct pp_exchange *x)
{
    pp_exchange_enter(x, PP_EXCHANGE_PEER);
    return true;
}
