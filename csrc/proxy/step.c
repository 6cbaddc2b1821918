#include "proxy/step.h"

#include "base/check.h"
#include "proxy/admission.h"
#include "proxy/retry.h"
#include "proxy/up_file.h"

/* Body filters that still work on a piece: what they give back would have nowhere to go. */
static void cancel_bodies(struct pp_exchange *x)
{
    pp_phase_cancel(x, PP_PARK_REQUEST_BODY);
    pp_phase_cancel(x, PP_PARK_RESPONSE_BODY);
    x->flow[PP_DIR_REQUEST].torn = x->flow[PP_DIR_REQUEST].torn || x->flow[PP_DIR_REQUEST].parked;
    x->flow[PP_DIR_REQUEST].parked = x->flow[PP_DIR_RESPONSE].parked = false;
}

void pp_step_detach_up(struct pp_exchange *x, bool reusable)
{
    cancel_bodies(x);
    pp_retry_untime(x);
    pp_admission_release(x);
    if (!pp_exchange_is_attached(x, PP_SIDE_UP))
        return;
    x->ops[PP_SIDE_UP]->finish(x, reusable);
    if (!reusable && !x->replied) /* its head was in that connection's buffer */
        pp_http_msg_init(&x->response, &x->arena);
}

bool pp_step_to_error(struct pp_exchange *x, struct pp_fault f)
{
    pp_exchange_fault(x, f);
    pp_step_detach_up(x, false);
    pp_exchange_enter(x, PP_EXCHANGE_PROXY_ERROR);
    return true;
}

bool pp_step_to_abort(struct pp_exchange *x, struct pp_fault f)
{
    pp_exchange_fault(x, f);
    x->close_down = true;
    x->aborted = true;
    cancel_bodies(x);
    /* What is still gathered must leave, or be lost, before a log filter parks: its memory is about
     * to be used again. */
    for (int side = 0; side < 2; side++) {
        if (x->core->gather.owner != NULL && x->ops[side] != NULL)
            (void)x->ops[side]->flush(x);
    }
    pp_exchange_enter(x, PP_EXCHANGE_LOG);
    return true;
}

void pp_step_drop_request(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (x->request.body == PP_HTTP_BODY_NONE || flow->source_ended)
        return;
    if (flow->decoder.kind == PP_HTTP_BODY_NONE)
        pp_body_begin(x, PP_DIR_REQUEST, (enum pp_http_body)x->request.body,
                      x->request.content_length, x->route->max_body, 0);
    if (!x->ops[PP_SIDE_DOWN]->discard(x))
        x->close_down = true;
}

/* The body of the answer is a file: it comes as if from an endpoint. */
static void enter_file(struct pp_exchange *x, uint8_t cursor)
{
    pp_step_drop_request(x);
    pp_up_file_attach(x);
    x->replied = false;
    pp_exchange_enter(x, PP_EXCHANGE_RESPONSE);
    x->cursor = cursor;
}

bool pp_step_to_reply(struct pp_exchange *x)
{
    if (!x->replied && pp_fault_is_set(&x->fault))
        return pp_step_to_error(x, x->fault);
    /* An answer given in the response phase is for the filters that come later, not for its author.
     */
    uint8_t later = x->state == PP_EXCHANGE_RESPONSE ? (uint8_t)(x->cursor + 1) : 0;
    pp_step_detach_up(x, false);
    if (x->file != NULL) {
        enter_file(x, later);
        return true;
    }
    pp_exchange_enter(x, PP_EXCHANGE_REPLY);
    x->cursor = later;
    return true;
}

bool pp_step_phase(struct pp_exchange *x, enum pp_phase phase, enum pp_exchange_state next)
{
    int verdict = pp_phase_run(x, phase);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return pp_step_to_reply(x);
    pp_exchange_enter(x, next);
    return true;
}

void pp_step_flush_head(struct pp_exchange *x, enum pp_dir dir)
{
    enum pp_side sink = pp_body_sink(dir);
    if (x->core->gather.owner == NULL || !pp_exchange_is_attached(x, sink))
        return;
    int rc = x->ops[sink]->flush(x);
    if (rc != PP_OK)
        x->events->failed(x, pp_body_sink_fault(dir, rc));
}

static bool await_event(struct pp_exchange *x)
{
    (void)x;
    return false;
}

/* The step of each state. True: go on with the state that stands then, false: wait for an event. */
static bool (*const steps[])(struct pp_exchange *x) = {
    [PP_EXCHANGE_HEAD] = await_event,
    [PP_EXCHANGE_EARLY] = pp_step_early,
    [PP_EXCHANGE_ROUTE] = pp_step_route,
    [PP_EXCHANGE_REQUEST] = pp_step_request,
    [PP_EXCHANGE_COLLECT] = pp_step_collect,
    [PP_EXCHANGE_PEER] = pp_step_peer,
    [PP_EXCHANGE_PAUSE] = pp_step_pause,
    [PP_EXCHANGE_QUEUE] = pp_step_queue,
    [PP_EXCHANGE_CONNECT] = await_event,
    [PP_EXCHANGE_CONNECTED] = pp_step_connected,
    [PP_EXCHANGE_UPSTREAM_REQUEST] = pp_step_upstream_request,
    [PP_EXCHANGE_SEND] = pp_step_send,
    [PP_EXCHANGE_AWAIT] = await_event,
    [PP_EXCHANGE_UPSTREAM_RESPONSE] = pp_step_upstream_response,
    [PP_EXCHANGE_RESPONSE] = pp_step_response,
    [PP_EXCHANGE_BODY] = pp_step_body,
    [PP_EXCHANGE_TUNNEL] = pp_step_tunnel,
    [PP_EXCHANGE_CONNECT_FAILED] = pp_step_connect_failed,
    [PP_EXCHANGE_PROXY_ERROR] = pp_step_proxy_error,
    [PP_EXCHANGE_REPLY] = pp_step_reply,
    [PP_EXCHANGE_LOG] = pp_step_log,
    [PP_EXCHANGE_DONE] = await_event,
};

void pp_step_run(struct pp_exchange *x)
{
    if (x->in_drive)
        return;
    x->in_drive = true;
    while (!x->parked && steps[x->state](x))
        continue;
    x->in_drive = false;
}
