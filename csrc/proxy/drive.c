#include "proxy/drive.h"

#include "proxy/adaptive.h"
#include "proxy/circuit.h"
#include "proxy/cluster_outlier.h"
#include "proxy/extended.h"
#include "proxy/reply.h"
#include "proxy/retry.h"
#include "proxy/step.h"
#include "proxy/upgrade.h"

static void on_request(struct pp_exchange *x)
{
    x->t.head = x->core->loop.now_us;
    if (PP_UNLIKELY(x->core->overload.level == PP_PRESSURE_SHED) && pp_step_shed(x)) {
        pp_step_run(x);
        return;
    }
    pp_exchange_enter(x, x->snapshot->early.n[PP_PHASE_EARLY_REQUEST] > 0 ? PP_EXCHANGE_EARLY
                                                                          : PP_EXCHANGE_ROUTE);
    pp_step_run(x);
}

static void on_bad_request(struct pp_exchange *x, struct pp_fault f)
{
    x->close_down = true;
    pp_step_to_error(x, f);
    pp_step_run(x);
}

static void on_connected(struct pp_exchange *x)
{
    if (x->state != PP_EXCHANGE_CONNECT) /* aborted meanwhile: its log filter is at work */
        return;
    x->t.connected = x->core->loop.now_us;
    pp_exchange_enter(x, PP_EXCHANGE_CONNECTED);
    pp_step_run(x);
}

/* 1xx other than 101: relayed to clients that know them; 100 is our own business (RFC 9110
 * section 10.1.1). */
static void relay_interim(struct pp_exchange *x)
{
    int rc = PP_OK;
    if (x->n_interim++ == PP_EXCHANGE_INTERIM_MAX) {
        x->events->failed(
            x, pp_fault_make(PP_FAULT_UPSTREAM_BAD_RESPONSE, PP_SIDE_UP, false, PP_EHTTP_INTERIM));
        return;
    }
    /* A client that does not read gets none: they would pile up here. */
    if (x->response.status != 100 && !pp_http_msg_is_1_0(&x->request) &&
        x->ops[PP_SIDE_DOWN]->room(x) > 0) {
        struct pp_http1_framing none = {0};
        x->flow[PP_DIR_RESPONSE].framing = none;
        rc = x->ops[PP_SIDE_DOWN]->send_head(x);
        if (rc == PP_OK)
            rc = x->ops[PP_SIDE_DOWN]->flush(x);
    }
    pp_http_msg_init(&x->response, &x->arena);
    if (rc != PP_OK)
        x->events->failed(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
}

static void on_response(struct pp_exchange *x)
{
    struct pp_core *core = x->core;
    const struct pp_http_msg *m = &x->response;
    if ((m->status == 101 && !pp_upgrade_is_answered(x)) ||
        (x->extended && !pp_extended_is_answered(x))) {
        x->events->failed(
            x, pp_fault_make(PP_FAULT_UPSTREAM_BAD_RESPONSE, PP_SIDE_UP, false, PP_EHTTP_SWITCH));
        return;
    }
    if (m->status == 101) {
        x->opens_tunnel = true;
    } else if (m->status < 200) {
        relay_interim(x);
        return;
    }
    x->t.first_byte = core->loop.now_us;
    if (pp_cluster_is_timed(x->endpoint->cluster))
        pp_cluster_observe(x->endpoint, x->t.first_byte - x->t.connect, false);
    pp_cluster_outlier_answer(x->endpoint, m->status);
    x->upstream_head = true;
    x->upstream_status = m->status;
    x->upstream_keep_alive = m->keep_alive && m->body != PP_HTTP_BODY_CLOSE && !x->opens_tunnel;
    if (m->status < 600)
        core->metrics.words[x->cluster->record + PP_METRIC_WORD(UPSTREAM, STATUS_1XX) +
                            m->status / 100 - 1]++;
    pp_metrics_observe(&core->metrics, PP_METRIC_UPSTREAM, x->cluster->record,
                       x->t.first_byte - x->t.sent);
    pp_circuit_note(x->cluster, m->status >= 500);
    pp_adaptive_note(x->cluster, x->t.connect, m->status);
    if (PP_UNLIKELY(pp_retry_heeds_answers(x)) && pp_step_retry_answer(x))
        return; /* it waits for its next attempt */
    pp_retry_untime(x);
    pp_body_forget_sent(x);
    pp_exchange_enter(x, PP_EXCHANGE_UPSTREAM_RESPONSE);
    pp_step_run(x);
}

static void on_source_ended(struct pp_exchange *x, enum pp_dir dir)
{
    const struct pp_flow *flow = &x->flow[dir];
    /* A body that is held ends twice: here, and when a filter of its trailers lets it go. */
    if (dir == PP_DIR_RESPONSE && x->state == PP_EXCHANGE_BODY &&
        (flow->hold == 0 || flow->head_sent))
        pp_exchange_enter(x, PP_EXCHANGE_LOG);
    pp_step_run(x);
}

static void on_drained(struct pp_exchange *x, enum pp_dir dir)
{
    if (x->state == PP_EXCHANGE_TUNNEL) { /* it waits for both sides to have sent their heads */
        pp_step_run(x);
        return;
    }
    enum pp_side source = pp_body_source(dir);
    bool flows = dir == PP_DIR_REQUEST ? x->flow[dir].head_sent || x->state == PP_EXCHANGE_COLLECT
                                       : x->state == PP_EXCHANGE_BODY;
    if (flows && pp_exchange_is_attached(x, source) && !x->flow[dir].source_ended)
        x->ops[source]->pump(x);
}

/* An endpoint that stopped reading the request's body may have answered before: that comes first,
 * and a failure after it is the last word. True: the exchange has gone on. */
static bool hear_out(struct pp_exchange *x, const struct pp_fault *f)
{
    struct pp_flow *request = &x->flow[PP_DIR_REQUEST];
    bool may_answer = x->state == PP_EXCHANGE_AWAIT || x->state == PP_EXCHANGE_UPSTREAM_RESPONSE ||
                      x->state == PP_EXCHANGE_RESPONSE || x->state == PP_EXCHANGE_BODY;
    if (f->code != PP_FAULT_UPSTREAM_RESET || !may_answer || !request->head_sent ||
        request->sink_ended || request->sink_broken || !pp_exchange_is_attached(x, PP_SIDE_UP))
        return false;
    request->sink_broken = true;
    x->ops[PP_SIDE_UP]->probe(x);
    return true;
}

/* Something broke. Where the exchange stands decides what can still be done. */
static void on_failed(struct pp_exchange *x, struct pp_fault f)
{
    bool client_gone = f.code == PP_FAULT_CLIENT_ABORT || f.code == PP_FAULT_SEND_TIMEOUT ||
                       f.code == PP_FAULT_SHUTDOWN;
    /* The log phase is let to end, except by a worker that stops now. */
    if (x->state >= PP_EXCHANGE_LOG && !(x->parked && f.code == PP_FAULT_SHUTDOWN))
        return;
    if (hear_out(x, &f))
        return;
    pp_phase_cancel(x, PP_PARK_PHASE);
    x->parked = false;
    if (x->state == PP_EXCHANGE_LOG) {
        x->cursor = UINT8_MAX;
        pp_step_run(x);
        return;
    }
    bool connecting = x->state == PP_EXCHANGE_CONNECT;
    if (f.side == PP_SIDE_DOWN && !client_gone)
        x->close_down = true; /* the rest of the request cannot be trusted */
    if (client_gone || x->flow[PP_DIR_RESPONSE].head_sent || x->state == PP_EXCHANGE_REPLY) {
        if (f.side == PP_SIDE_UP && x->state == PP_EXCHANGE_BODY && x->endpoint != NULL &&
            f.code != PP_FAULT_TOTAL_TIMEOUT) /* half an answer */
            pp_cluster_outlier_fault(x->endpoint, &f);
        pp_step_to_abort(x, f);
    } else if (f.side == PP_SIDE_DOWN || !pp_exchange_is_attached(x, PP_SIDE_UP)) {
        pp_step_to_error(x, f);
    } else {
        pp_step_detach_up(x, false);
        x->last_fault = f;
        if (connecting) {
            PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
            pp_exchange_enter(x, PP_EXCHANGE_CONNECT_FAILED);
        } else {
            pp_step_retry(x);
        }
    }
    pp_step_run(x);
}

static void on_replied(struct pp_exchange *x)
{
    if (!x->replied || x->flow[PP_DIR_RESPONSE].head_sent) {
        on_failed(x, x->fault);
        return;
    }
    /* A filter may be at work on the endpoint's answer, which is no longer wanted. */
    pp_phase_cancel(x, PP_PARK_PHASE);
    x->parked = false;
    pp_step_to_reply(x);
    x->cursor = 0; /* the answer comes from no response phase: all filters of that one see it */
    pp_step_run(x);
}

/* Give the sink a piece that filters are done with, and go on. */
static void deliver(struct pp_exchange *x, enum pp_dir dir, struct pp_span piece, bool last)
{
    int rc = pp_body_deliver(x, dir, piece, last);
    bool parked = rc == PP_EAGAIN;
    if (rc == PP_EINVAL) {
        on_replied(x);
        return;
    }
    if (rc == PP_OK || parked)
        rc = x->ops[pp_body_sink(dir)]->flush(x);
    if (rc != PP_OK)
        on_failed(x, pp_body_sink_fault(dir, rc));
    else if (last && !parked)
        on_source_ended(x, dir);
    else if (!parked)
        x->ops[pp_body_source(dir)]->pump(x);
}

/* An async body filter has finished with its piece: the later filters, then the sink. */
static void resume_body(struct pp_exchange *x, enum pp_dir dir, int verdict, struct pp_span piece)
{
    struct pp_flow *flow = &x->flow[dir];
    flow->parked = false;
    if (verdict == PP_NEXT) {
        flow->cursor++;
        verdict = pp_phase_run_body(x, dir, &piece, flow->last);
        if (verdict == PP_PARK)
            return;
    }
    if (verdict == PP_REPLY) {
        on_replied(x);
        return;
    }
    if (flow->hold > 0) {
        x->held = piece;
        x->held_filtered = dir == PP_DIR_RESPONSE; /* the request's state tells by itself */
        if (dir == PP_DIR_REQUEST)
            pp_exchange_enter(x, PP_EXCHANGE_PEER);
        pp_step_run(x);
        return;
    }
    deliver(x, dir, piece, flow->last);
}

static void on_resumed(struct pp_exchange *x, enum pp_park which, int verdict, struct pp_span piece)
{
    if (which != PP_PARK_PHASE) {
        resume_body(x, which == PP_PARK_REQUEST_BODY ? PP_DIR_REQUEST : PP_DIR_RESPONSE, verdict,
                    piece);
        return;
    }
    x->parked = false;
    if (x->state == PP_EXCHANGE_BODY) { /* a trailer filter: the body's end was waiting for it */
        x->flow[PP_DIR_RESPONSE].parked = false;
        x->cursor++;
        if (verdict == PP_NEXT)
            deliver(x, PP_DIR_RESPONSE, PP_SPAN_NONE, true);
        else
            on_replied(x);
        return;
    }
    bool replies = x->state == PP_EXCHANGE_REPLY;
    if (verdict == PP_NEXT || (replies && x->replied)) {
        x->cursor++;
    } else if (x->state >= PP_EXCHANGE_PROXY_ERROR) {
        x->cursor = UINT8_MAX; /* an answer is on its way or gone: the phase is over, that is all */
        if (replies && pp_reply_fault(x, x->allowed) != PP_OK)
            pp_step_to_abort(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    } else {
        pp_step_to_reply(x);
    }
    pp_step_run(x);
}

const struct pp_exchange_events pp_drive_events = {
    .request = on_request,
    .bad_request = on_bad_request,
    .connected = on_connected,
    .response = on_response,
    .source_ended = on_source_ended,
    .drained = on_drained,
    .failed = on_failed,
    .replied = on_replied,
    .resumed = on_resumed,
};
