/* The steps of the response, an answer of our own too, and the end of the exchange. */
#include "proxy/accesslog.h"
#include "proxy/affinity.h"
#include "proxy/filter_gate.h"
#include "proxy/forward.h"
#include "proxy/hook.h"
#include "proxy/reply.h"
#include "proxy/step.h"
#include "proxy/tunnel.h"

bool pp_step_upstream_response(struct pp_exchange *x)
{
    return pp_step_phase(x, PP_PHASE_UPSTREAM_RESPONSE, PP_EXCHANGE_RESPONSE);
}

/* How the response goes out: by what came, what filters do to it, and what the client understands.
 */
static void frame_response(struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->response;
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    struct pp_http1_framing *fr = &flow->framing;
    memset(fr, 0, sizeof(*fr));
    if (m->body == PP_HTTP_BODY_NONE) {
        if (x->declared_length) {
            fr->body = PP_HTTP_BODY_LENGTH;
            fr->content_length = m->content_length;
        }
    } else if (flow->hold > 0) {
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = x->held.n;
    } else if (m->body == PP_HTTP_BODY_LENGTH &&
               (!flow->altered || (m->content_length == 0 && !m->end_follows))) {
        /* An empty body is not shown to filters: over HTTP/2 its head is all (Trailers-Only). */
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = m->content_length;
    } else if (pp_http_msg_is_1_0(&x->request)) {
        fr->body = PP_HTTP_BODY_CLOSE;
        x->close_down = true;
    } else {
        fr->body = PP_HTTP_BODY_CHUNKED;
    }
}

/* The client has gone while its response began; a filter that works on it is no more wanted. */
static bool begin_failed(struct pp_exchange *x, bool parked, int rc)
{
    if (parked)
        pp_phase_cancel(x, PP_PARK_PHASE);
    x->parked = false;
    return pp_step_to_abort(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
}

/* The response head, and with it what is there of the body, in one call. */
static bool begin_response(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    const struct pp_side_ops *down = x->ops[PP_SIDE_DOWN];
    frame_response(x);
    int rc = down->send_head(x);
    if (rc == PP_ELIMIT)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_HEAD_TOO_LARGE, rc));
    bool ends_here = flow->hold > 0 || flow->source_ended;
    if (rc == PP_OK && ends_here)
        rc = pp_body_deliver(x, PP_DIR_RESPONSE, flow->hold > 0 ? x->held : PP_SPAN_NONE, true);
    bool parked = rc == PP_EAGAIN; /* by a trailer filter: the rest is there, and leaves */
    if (rc == PP_EINVAL) {         /* one has refused what has begun */
        flow->head_sent = true;
        return pp_step_to_abort(x, x->fault);
    }
    if (parked)
        rc = PP_OK;
    if (rc == PP_OK && (ends_here || flow->filtered || !x->ops[PP_SIDE_UP]->has_buffered(x)))
        rc = down->flush(x);
    flow->head_sent = true;
    if (rc != PP_OK)
        return begin_failed(x, parked, rc);
    if (parked)
        return false;
    if (ends_here) {
        pp_exchange_enter(x, PP_EXCHANGE_LOG);
    } else {
        x->ops[PP_SIDE_UP]->pump(x);
        pp_step_flush_head(x, PP_DIR_RESPONSE);
    }
    return x->state != PP_EXCHANGE_BODY;
}

/* The head that opens a tunnel; the connections follow it when it is written. */
static bool begin_tunnel(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    const struct pp_side_ops *down = x->ops[PP_SIDE_DOWN];
    bool connect = x->request.method_id == PP_HTTP_CONNECT || x->extended;
    memset(&flow->framing, 0, sizeof(flow->framing));
    x->response.status = connect ? 200 : 101; /* no filter's business any more */
    flow->framing.upgrade = !connect;
    int rc = down->send_head(x);
    if (rc == PP_ELIMIT)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_HEAD_TOO_LARGE, rc));
    if (rc == PP_OK)
        rc = down->flush(x);
    flow->head_sent = true;
    if (rc != PP_OK)
        return pp_step_to_abort(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
    pp_exchange_enter(x, PP_EXCHANGE_TUNNEL);
    return true;
}

bool pp_step_response(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_RESPONSE);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return pp_step_to_reply(x);
    const struct pp_http_msg *m = &x->response;
    if (pp_affinity_answer(x) != PP_OK || pp_forward_response(x) != PP_OK)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    if (x->opens_tunnel)
        return begin_tunnel(x);
    if (pp_filter_gate_settle(x, PP_DIR_RESPONSE) != PP_OK)
        return pp_step_to_error(x, x->fault);
    pp_body_begin(x, PP_DIR_RESPONSE, (enum pp_http_body)m->body, m->content_length, UINT64_MAX,
                  m->body == PP_HTTP_BODY_NONE ? 0 : x->route->chain.buffer_response);
    pp_exchange_enter(x, PP_EXCHANGE_BODY);
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    if (flow->hold == 0)
        return begin_response(x);
    if (!flow->source_ended)
        x->ops[PP_SIDE_UP]->pump(x);
    return true;
}

/* A held response body is complete: filter it, then send everything. Otherwise the pump does the
 * work. */
bool pp_step_body(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    if (flow->hold == 0 || !flow->source_ended || flow->parked || flow->head_sent)
        return false;
    if (!x->held_filtered) {
        x->held = pp_span(flow->held, flow->held_n);
        int verdict = pp_phase_run_body(x, PP_DIR_RESPONSE, &x->held, true);
        if (verdict == PP_PARK)
            return false;
        if (verdict == PP_REPLY)
            return pp_step_to_reply(x);
    }
    return begin_response(x);
}

bool pp_step_proxy_error(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_PROXY_ERROR);
    if (verdict == PP_PARK)
        return false;
    if (!x->replied && pp_reply_fault(x, x->allowed) != PP_OK)
        return pp_step_to_abort(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    pp_exchange_enter(x, PP_EXCHANGE_REPLY);
    return true;
}

bool pp_step_reply(struct pp_exchange *x)
{
    /* Filters see our own answers as they see those of endpoints; one that raises here changes
     * nothing but the answer. */
    int verdict;
    while ((verdict = pp_phase_run(x, PP_PHASE_RESPONSE)) == PP_REPLY && x->replied)
        x->cursor++; /* another answer: the later filters see that one */
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY && pp_reply_fault(x, x->allowed) != PP_OK)
        return pp_step_to_abort(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    pp_step_drop_request(x);
    int rc = pp_reply_send(x);
    if (rc != PP_OK)
        return pp_step_to_abort(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
    pp_exchange_enter(x, PP_EXCHANGE_LOG);
    return true;
}

/* The request has had its answer: at its end, or when it becomes a tunnel, which may last for days.
 */
static void count_answer(struct pp_exchange *x)
{
    struct pp_metrics *m = &x->core->metrics;
    uint32_t record = x->route->record;
    unsigned cls = x->status / 100;
    if (cls >= 1 && cls <= 5)
        m->words[record + PP_METRIC_WORD(ROUTE, STATUS_1XX) + cls - 1]++;
    if (x->arm != NULL && cls >= 1 && cls <= 5)
        m->words[x->arm->record + PP_METRIC_WORD(ARM, STATUS_1XX) + cls - 1]++;
    if (x->routed)
        PP_COUNT(m, record, ROUTE, ACTIVE, -1);
    pp_metrics_observe(m, PP_METRIC_ROUTE, record, x->core->loop.now_us - x->t.start);
}

static void count_end(struct pp_exchange *x)
{
    if (x->shadow)
        return;
    if (x->fault.code == PP_FAULT_CLIENT_ABORT || x->fault.code == PP_FAULT_SEND_TIMEOUT)
        PP_COUNT(&x->core->metrics, x->route->record, ROUTE, ABORTED, 1);
    if (!x->tunnelled)
        count_answer(x);
}

bool pp_step_tunnel(struct pp_exchange *x)
{
    if (x->tunnelled || x->ops[PP_SIDE_DOWN]->room(x) == 0 || x->ops[PP_SIDE_UP]->room(x) == 0)
        return false; /* `drained` will tell */
    if (pp_tunnel_begin(x) != PP_OK)
        return pp_step_to_abort(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    x->tunnelled = true;
    count_answer(x);
    return x->state != PP_EXCHANGE_TUNNEL; /* it may have ended at once */
}

/* Is there nothing left over on the endpoint's connection? */
static bool up_is_reusable(const struct pp_exchange *x)
{
    const struct pp_flow *request = &x->flow[PP_DIR_REQUEST], *response = &x->flow[PP_DIR_RESPONSE];
    return !x->aborted && x->upstream_keep_alive && request->sink_ended && !request->sink_broken &&
           response->source_ended;
}

bool pp_step_log(struct pp_exchange *x)
{
    if (x->restored)
        x->cursor = UINT8_MAX;
    int verdict = pp_phase_run(x, PP_PHASE_LOG);
    if (verdict == PP_PARK)
        return false;
    count_end(x);
    if (!x->moved)
        pp_accesslog_write(x);
    bool whole = !x->aborted && !x->close_down;
    if (x->request.body != PP_HTTP_BODY_NONE && !x->flow[PP_DIR_REQUEST].source_ended)
        whole = false;
    pp_step_detach_up(x, up_is_reusable(x));
    pp_exchange_enter(x, PP_EXCHANGE_DONE);
    pp_hook_end(x);
    x->ops[PP_SIDE_DOWN]->finish(x, whole);
    pp_exchange_free(x);
    return false;
}
