#include "proxy/drive.h"

#include "base/check.h"
#include "proxy/accesslog.h"
#include "proxy/body.h"
#include "proxy/forward.h"
#include "proxy/hook.h"
#include "proxy/reply.h"
#include "proxy/retry.h"
#include "proxy/up.h"
#include "wire/uri.h"

/* A step returns true to go on with the state that stands then, false to wait for an event. */
typedef bool (*step_fn)(struct pp_exchange *x);

static void run(struct pp_exchange *x);

static struct pp_fault internal(enum pp_fault_code code, int detail)
{
    return pp_fault_make(code, PP_SIDE_DOWN, false, detail);
}

/* Body filters that still work on a piece: what they give back would have nowhere to go. */
static void cancel_bodies(struct pp_exchange *x)
{
    pp_hook_cancel(x, PP_PARK_REQUEST_BODY);
    pp_hook_cancel(x, PP_PARK_RESPONSE_BODY);
    x->flow[PP_DIR_REQUEST].parked = x->flow[PP_DIR_RESPONSE].parked = false;
}

static void detach_up(struct pp_exchange *x, bool reusable)
{
    cancel_bodies(x);
    if (!pp_exchange_is_attached(x, PP_SIDE_UP))
        return;
    x->ops[PP_SIDE_UP]->finish(x, reusable);
    if (!reusable && !x->replied) /* its head was in that connection's buffer */
        pp_http_msg_init(&x->response, &x->arena);
}

/* An answer of our own for x->fault, after the filters have heard of it. */
static bool to_error(struct pp_exchange *x, struct pp_fault f)
{
    pp_exchange_fault(x, f);
    detach_up(x, false);
    pp_exchange_enter(x, PP_EXCHANGE_PROXY_ERROR);
    return true;
}

/* No answer is possible any more: the client is gone or has half a response. */
static bool to_abort(struct pp_exchange *x, struct pp_fault f)
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

/* A phase ended with PP_REPLY: by an answer, or by a fault (the filter raised). */
static bool to_reply(struct pp_exchange *x)
{
    if (!x->replied && pp_fault_is_set(&x->fault))
        return to_error(x, x->fault);
    /* An answer given in the response phase is for the filters that come later, not for its author.
     */
    uint8_t later = x->state == PP_EXCHANGE_RESPONSE ? (uint8_t)(x->cursor + 1) : 0;
    detach_up(x, false);
    pp_exchange_enter(x, PP_EXCHANGE_REPLY);
    x->cursor = later;
    return true;
}

/* Run a phase and then enter <next>. The three verdicts in one place. */
static bool phase_then(struct pp_exchange *x, enum pp_phase phase, enum pp_exchange_state next)
{
    int verdict = pp_phase_run(x, phase);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return to_reply(x);
    pp_exchange_enter(x, next);
    return true;
}

static bool step_early(struct pp_exchange *x)
{
    return phase_then(x, PP_PHASE_EARLY_REQUEST, PP_EXCHANGE_ROUTE);
}

/* Host without port in lower case; the common case is lower case without port already and needs no
 * copy. */
static int settle_host(struct pp_exchange *x)
{
    struct pp_span s = x->request.authority;
    size_t n = s.n;
    if (n > 0 && s.p[n - 1] != ']') {
        size_t i = n;
        while (i > 0 && (unsigned)(s.p[i - 1] - '0') < 10u)
            i--;
        if (i > 0 && s.p[i - 1] == ':')
            n = i - 1;
    }
    x->host = pp_span(s.p, n);
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)(s.p[i] - 'A') >= 26u)
            continue;
        char *p = pp_arena_alloc(&x->arena, n);
        if (p == NULL)
            return PP_ENOMEM;
        pp_span_copy_lower(p, x->host);
        x->host.p = p;
        break;
    }
    return PP_OK;
}

static int settle_path(struct pp_exchange *x)
{
    struct pp_span path = x->request.path;
    if (x->path_set)
        return PP_OK;
    x->path = path;
    if (pp_uri_is_plain_path(path) || x->request.method_id == PP_HTTP_CONNECT ||
        (path.n == 1 && path.p[0] == '*'))
        return PP_OK;
    bool changed;
    size_t n;
    char *p = pp_arena_alloc(&x->arena, path.n + 1);
    if (p == NULL)
        return PP_ENOMEM;
    int rc = pp_uri_normal_path(path, p, &n, &changed);
    if (rc == PP_OK && changed)
        x->path = pp_span(p, n);
    return rc;
}

static void on_total_timeout(struct pp_timer *t)
{
    struct pp_exchange *x = PP_CONTAINER_OF(t, struct pp_exchange, timer);
    pp_drive_events.failed(x,
                           pp_fault_make(PP_FAULT_TOTAL_TIMEOUT, PP_SIDE_UP, false, PP_ETIMEDOUT));
}

static void begin_route(struct pp_exchange *x)
{
    struct pp_core *core = x->core;
    x->cluster = x->route->cluster;
    PP_COUNT(&core->metrics, x->route->record, ROUTE, ACTIVE, 1);
    uint64_t total = x->route->total_timeout_ms;
    if (total == 0 && x->cluster != NULL)
        total = x->cluster->conf.total_timeout_ms;
    if (total > 0) {
        pp_timer_init(&x->timer, on_total_timeout);
        pp_loop_start(&core->loop, &x->timer, core->loop.now_ms + total);
    }
}

static bool step_route(struct pp_exchange *x)
{
    int rc = settle_path(x);
    if (rc == PP_OK)
        rc = settle_host(x);
    x->routed = true;
    if (rc != PP_OK) {
        x->close_down = true; /* malformed is malformed, wherever it is found out */
        begin_route(x);
        return to_error(x,
                        internal(rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_BAD_REQUEST, rc));
    }
    if (x->request.method_id == PP_HTTP_CONNECT) {
        /* A client that expects a tunnel may have sent what belongs into it: never read that as
         * requests. */
        x->close_down = true;
        begin_route(x);
        return to_error(x, internal(PP_FAULT_NOT_IMPLEMENTED, PP_OK));
    }
    struct pp_router_query q = {.host = x->host, .path = x->path, .method = x->request.method_id};
    rc = pp_router_find(x->snapshot->router, &q, &x->hit, &x->allowed);
    if (rc == PP_OK)
        x->route = x->snapshot->route[x->hit.route];
    begin_route(x);
    if (rc == PP_EMETHOD)
        return to_error(x, internal(PP_FAULT_METHOD_NOT_ALLOWED, rc));
    if (rc != PP_OK)
        return to_error(x, internal(PP_FAULT_NO_ROUTE, rc));
    pp_exchange_enter(x, PP_EXCHANGE_REQUEST);
    return true;
}

static bool step_request(struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->request;
    const struct pp_route *route = x->route;
    if (x->cursor == 0 && m->body == PP_HTTP_BODY_LENGTH && m->content_length > route->max_body)
        return to_error(x, internal(PP_FAULT_BODY_TOO_LARGE, PP_EHTTP_BODY_BYTES));
    int verdict = pp_phase_run(x, PP_PHASE_REQUEST);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return to_reply(x);
    if (route->action == PP_ROUTE_ACTION_RESPOND || route->action == PP_ROUTE_ACTION_REDIRECT) {
        if (pp_reply_route(x) != PP_OK)
            return to_error(x, internal(PP_FAULT_NO_MEMORY, PP_ENOMEM));
        pp_exchange_enter(x, PP_EXCHANGE_REPLY);
        return true;
    }
    pp_body_begin(x, PP_DIR_REQUEST, (enum pp_http_body)m->body, m->content_length, route->max_body,
                  route->chain.buffer_request);
    bool collect = x->flow[PP_DIR_REQUEST].hold > 0;
    pp_exchange_enter(x, collect ? PP_EXCHANGE_COLLECT : PP_EXCHANGE_PEER);
    if (collect && !x->flow[PP_DIR_REQUEST].source_ended)
        x->ops[PP_SIDE_DOWN]->pump(x);
    return true;
}

/* The whole request body is held: filters see it at once, and its new length is known before the
 * head goes out. */
static bool step_collect(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (!flow->source_ended || flow->parked)
        return false;
    if (x->request.body != PP_HTTP_BODY_NONE) {
        x->held = pp_span(flow->held, flow->held_n);
        int verdict = pp_phase_run_body(x, PP_DIR_REQUEST, &x->held, true);
        if (verdict == PP_PARK)
            return false;
        if (verdict == PP_REPLY)
            return to_reply(x);
    }
    pp_exchange_enter(x, PP_EXCHANGE_PEER);
    return true;
}

static enum pp_fault_code connect_code(int rc)
{
    return rc == PP_EREFUSED ? PP_FAULT_CONNECT_REFUSED
           : rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY
                             : PP_FAULT_CONNECT_FAILED;
}

/* Which cluster: what a filter named, else the route's. */
static int settle_cluster(struct pp_exchange *x)
{
    if (x->peer.n == 0)
        return x->cluster == NULL ? PP_ENOENT : PP_OK;
    int rc = PP_OK;
    struct pp_cluster *cl =
        pp_cluster_of_address(x->core, x->peer, x->cluster != NULL ? &x->cluster->conf : NULL, &rc);
    if (cl == NULL)
        return rc;
    x->cluster = cl;
    return PP_OK;
}

static bool step_peer(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_UPSTREAM_PEER);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return to_reply(x);
    int rc = settle_cluster(x);
    struct pp_endpoint *ep = rc == PP_OK ? pp_cluster_pick(x->cluster, x->tried, 0) : NULL;
    if (ep == NULL) {
        if (x->cluster != NULL)
            PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, NO_ENDPOINT, 1);
        return to_error(x, pp_fault_make(PP_FAULT_NO_ENDPOINT, PP_SIDE_UP, false, rc));
    }
    if (pp_forward_request(x) != PP_OK)
        return to_error(x, internal(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    x->endpoint = ep;
    x->t.connect = x->core->loop.now_us;
    x->attempts++;
    pp_exchange_enter(x, PP_EXCHANGE_CONNECT);
    /* After a failure a fresh connection is the surer way: its siblings in the pool may be as dead.
     */
    rc = pp_up_acquire(x, ep, x->attempts > 1);
    if (rc == PP_OK) {
        x->t.connected = x->core->loop.now_us;
        pp_exchange_enter(x, PP_EXCHANGE_CONNECTED);
    } else if (rc != PP_EAGAIN) {
        PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
        x->last_fault = pp_fault_make(connect_code(rc), PP_SIDE_UP, true, rc);
        pp_exchange_enter(x, PP_EXCHANGE_CONNECT_FAILED);
    }
    return rc != PP_EAGAIN;
}

static bool step_connected(struct pp_exchange *x)
{
    return phase_then(x, PP_PHASE_CONNECTED, PP_EXCHANGE_UPSTREAM_REQUEST);
}

static bool step_upstream_request(struct pp_exchange *x)
{
    return phase_then(x, PP_PHASE_UPSTREAM_REQUEST, PP_EXCHANGE_SEND);
}

/* Another attempt, or the end. x->last_fault says what happened; the connection is detached. */
static bool retry_or_error(struct pp_exchange *x, bool reused, bool silent)
{
    struct pp_fault f = x->last_fault;
    if (x->endpoint != NULL) {
        PP_COUNT(&x->core->metrics, x->endpoint->record, ENDPOINT, FAILURES, 1);
        if (x->endpoint->index < 64)
            x->tried |= UINT64_C(1) << x->endpoint->index;
    }
    if (!pp_retry_may(x, &f, reused, silent))
        return to_error(x, f);
    PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, RETRIES, 1);
    pp_exchange_enter(x, PP_EXCHANGE_PEER);
    return true;
}

static bool step_connect_failed(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_CONNECT_FAILED);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return to_reply(x);
    return retry_or_error(x, false, true);
}

static void frame_request(struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->request;
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    struct pp_http1_framing *fr = &flow->framing;
    memset(fr, 0, sizeof(*fr));
    fr->te_trailers = m->te_trailers;
    if (m->body == PP_HTTP_BODY_NONE)
        return;
    if (flow->hold > 0) {
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = x->held.n;
    } else if (m->body == PP_HTTP_BODY_LENGTH && !flow->filtered) {
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = m->content_length;
    } else {
        fr->body = PP_HTTP_BODY_CHUNKED;
    }
}

static bool upstream_broke(struct pp_exchange *x, int rc)
{
    struct pp_up *up = pp_up_of(x);
    bool reused = up->reused, silent = up->silent;
    x->last_fault = rc == PP_ELIMIT ? internal(PP_FAULT_HEAD_TOO_LARGE, rc)
                                    : pp_body_sink_fault(PP_DIR_REQUEST, rc);
    detach_up(x, false);
    return retry_or_error(x, reused, silent);
}

/* A head that was meant to leave together with body bytes, when none went: it must not wait for
 * them. */
static void flush_head(struct pp_exchange *x, enum pp_dir dir)
{
    enum pp_side sink = pp_body_sink(dir);
    if (x->core->gather.owner == NULL || !pp_exchange_is_attached(x, sink))
        return;
    int rc = x->ops[sink]->flush(x);
    if (rc != PP_OK)
        pp_drive_events.failed(x, pp_body_sink_fault(dir, rc));
}

static bool step_send(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    const struct pp_side_ops *up = x->ops[PP_SIDE_UP];
    frame_request(x);
    int rc = up->send_head(x);
    bool ends_here = flow->hold > 0 || flow->source_ended;
    if (rc == PP_OK && ends_here)
        rc = pp_body_deliver(x, PP_DIR_REQUEST, flow->hold > 0 ? x->held : PP_SPAN_NONE, true);
    pp_exchange_enter(x, PP_EXCHANGE_AWAIT);
    /* With a body still coming, what is buffered of it leaves in the same call as the head. */
    if (rc == PP_OK && (ends_here || flow->filtered || !x->ops[PP_SIDE_DOWN]->has_buffered(x)))
        rc = up->flush(x);
    x->t.sent = x->core->loop.now_us;
    if (rc != PP_OK)
        return upstream_broke(x, rc);
    flow->head_sent = true;
    if (!ends_here) {
        x->ops[PP_SIDE_DOWN]->pump(x);
        flush_head(x, PP_DIR_REQUEST);
    }
    if (x->state == PP_EXCHANGE_AWAIT && pp_exchange_is_attached(x, PP_SIDE_UP) &&
        up->is_readable(x)) /* it may have spoken before it was asked */
        up->pump(x);
    return x->state != PP_EXCHANGE_AWAIT;
}

static bool step_wait(struct pp_exchange *x)
{
    (void)x;
    return false;
}

static bool step_upstream_response(struct pp_exchange *x)
{
    return phase_then(x, PP_PHASE_UPSTREAM_RESPONSE, PP_EXCHANGE_RESPONSE);
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
    } else if (m->body == PP_HTTP_BODY_LENGTH && !flow->filtered) {
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = m->content_length;
    } else if (x->request.minor == 0) {
        fr->body = PP_HTTP_BODY_CLOSE;
        x->close_down = true;
    } else {
        fr->body = PP_HTTP_BODY_CHUNKED;
    }
}

/* The response head, and with it what is there of the body, in one call. */
static bool begin_response(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    const struct pp_side_ops *down = x->ops[PP_SIDE_DOWN];
    frame_response(x);
    int rc = down->send_head(x);
    if (rc == PP_ELIMIT)
        return to_error(x, internal(PP_FAULT_HEAD_TOO_LARGE, rc));
    bool ends_here = flow->hold > 0 || flow->source_ended;
    if (rc == PP_OK && ends_here)
        rc = pp_body_deliver(x, PP_DIR_RESPONSE, flow->hold > 0 ? x->held : PP_SPAN_NONE, true);
    if (rc == PP_OK && (ends_here || flow->filtered || !x->ops[PP_SIDE_UP]->has_buffered(x)))
        rc = down->flush(x);
    flow->head_sent = true;
    if (rc != PP_OK)
        return to_abort(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
    if (ends_here) {
        pp_exchange_enter(x, PP_EXCHANGE_LOG);
    } else {
        x->ops[PP_SIDE_UP]->pump(x);
        flush_head(x, PP_DIR_RESPONSE);
    }
    return x->state != PP_EXCHANGE_BODY;
}

static bool step_response(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_RESPONSE);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return to_reply(x);
    const struct pp_http_msg *m = &x->response;
    if (pp_forward_response(x) != PP_OK)
        return to_error(x, internal(PP_FAULT_NO_MEMORY, PP_ENOMEM));
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
static bool step_body(struct pp_exchange *x)
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
            return to_reply(x);
    }
    return begin_response(x);
}

static bool step_proxy_error(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_PROXY_ERROR);
    if (verdict == PP_PARK)
        return false;
    if (!x->replied && pp_reply_fault(x, x->allowed) != PP_OK)
        return to_abort(x, internal(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    pp_exchange_enter(x, PP_EXCHANGE_REPLY);
    return true;
}

static bool step_reply(struct pp_exchange *x)
{
    /* Filters see our own answers as they see those of endpoints; one that raises here changes
     * nothing but the answer. */
    int verdict;
    while ((verdict = pp_phase_run(x, PP_PHASE_RESPONSE)) == PP_REPLY && x->replied)
        x->cursor++; /* another answer: the later filters see that one */
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY && pp_reply_fault(x, x->allowed) != PP_OK)
        return to_abort(x, internal(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    /* A request body that nobody will read: what has come already is dropped, more means that the
     * connection cannot go on. */
    if (x->request.body != PP_HTTP_BODY_NONE && !x->flow[PP_DIR_REQUEST].source_ended) {
        if (x->flow[PP_DIR_REQUEST].decoder.kind == PP_HTTP_BODY_NONE)
            pp_body_begin(x, PP_DIR_REQUEST, (enum pp_http_body)x->request.body,
                          x->request.content_length, x->route->max_body, 0);
        if (!x->ops[PP_SIDE_DOWN]->discard(x))
            x->close_down = true;
    }
    int rc = pp_reply_send(x);
    if (rc != PP_OK)
        return to_abort(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
    pp_exchange_enter(x, PP_EXCHANGE_LOG);
    return true;
}

static void count_end(struct pp_exchange *x)
{
    struct pp_metrics *m = &x->core->metrics;
    uint32_t record = x->route->record;
    unsigned cls = x->status / 100;
    if (cls >= 1 && cls <= 5)
        m->words[record + PP_METRIC_WORD(ROUTE, STATUS_1XX) + cls - 1]++;
    if (x->fault.code == PP_FAULT_CLIENT_ABORT || x->fault.code == PP_FAULT_SEND_TIMEOUT)
        PP_COUNT(m, record, ROUTE, ABORTED, 1);
    if (x->routed)
        PP_COUNT(m, record, ROUTE, ACTIVE, -1);
    pp_metrics_observe(m, PP_METRIC_ROUTE, record, x->core->loop.now_us - x->t.start);
}

/* Is there nothing left over on the endpoint's connection? */
static bool up_is_reusable(const struct pp_exchange *x)
{
    const struct pp_flow *request = &x->flow[PP_DIR_REQUEST], *response = &x->flow[PP_DIR_RESPONSE];
    return !x->aborted && x->upstream_keep_alive && request->sink_ended && !request->sink_broken &&
           response->source_ended;
}

static bool step_log(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_LOG);
    if (verdict == PP_PARK)
        return false;
    count_end(x);
    pp_accesslog_write(x);
    bool whole = !x->aborted && !x->close_down;
    if (x->request.body != PP_HTTP_BODY_NONE && !x->flow[PP_DIR_REQUEST].source_ended)
        whole = false;
    detach_up(x, up_is_reusable(x));
    pp_exchange_enter(x, PP_EXCHANGE_DONE);
    pp_hook_end(x);
    x->ops[PP_SIDE_DOWN]->finish(x, whole);
    pp_exchange_free(x);
    return false;
}

static const step_fn steps[] = {
    [PP_EXCHANGE_HEAD] = step_wait,
    [PP_EXCHANGE_EARLY] = step_early,
    [PP_EXCHANGE_ROUTE] = step_route,
    [PP_EXCHANGE_REQUEST] = step_request,
    [PP_EXCHANGE_COLLECT] = step_collect,
    [PP_EXCHANGE_PEER] = step_peer,
    [PP_EXCHANGE_CONNECT] = step_wait,
    [PP_EXCHANGE_CONNECTED] = step_connected,
    [PP_EXCHANGE_UPSTREAM_REQUEST] = step_upstream_request,
    [PP_EXCHANGE_SEND] = step_send,
    [PP_EXCHANGE_AWAIT] = step_wait,
    [PP_EXCHANGE_UPSTREAM_RESPONSE] = step_upstream_response,
    [PP_EXCHANGE_RESPONSE] = step_response,
    [PP_EXCHANGE_BODY] = step_body,
    [PP_EXCHANGE_CONNECT_FAILED] = step_connect_failed,
    [PP_EXCHANGE_PROXY_ERROR] = step_proxy_error,
    [PP_EXCHANGE_REPLY] = step_reply,
    [PP_EXCHANGE_LOG] = step_log,
    [PP_EXCHANGE_DONE] = step_wait,
};

/* Events arrive from connections and from filters, also while a step is on the stack: then they
 * only change the state, and the loop here goes on with it. */
static void run(struct pp_exchange *x)
{
    if (x->in_drive)
        return;
    x->in_drive = true;
    while (!x->parked && steps[x->state](x))
        continue;
    x->in_drive = false;
}

static void on_request(struct pp_exchange *x)
{
    x->t.head = x->core->loop.now_us;
    pp_exchange_enter(x, x->snapshot->early.n[PP_PHASE_EARLY_REQUEST] > 0 ? PP_EXCHANGE_EARLY
                                                                          : PP_EXCHANGE_ROUTE);
    run(x);
}

static void on_bad_request(struct pp_exchange *x, struct pp_fault f)
{
    x->close_down = true;
    to_error(x, f);
    run(x);
}

static void on_connected(struct pp_exchange *x)
{
    if (x->state != PP_EXCHANGE_CONNECT) /* aborted meanwhile: its log filter is at work */
        return;
    x->t.connected = x->core->loop.now_us;
    pp_exchange_enter(x, PP_EXCHANGE_CONNECTED);
    run(x);
}

/* 1xx other than 101: relayed to clients that know them; 100 is our own business (RFC 9110
 * section 10.1.1). */
static void relay_interim(struct pp_exchange *x)
{
    int rc = PP_OK;
    if (x->response.status != 100 && x->request.minor > 0) {
        struct pp_http1_framing none = {0};
        x->flow[PP_DIR_RESPONSE].framing = none;
        rc = x->ops[PP_SIDE_DOWN]->send_head(x);
        if (rc == PP_OK)
            rc = x->ops[PP_SIDE_DOWN]->flush(x);
    }
    pp_http_msg_init(&x->response, &x->arena);
    if (rc != PP_OK)
        pp_drive_events.failed(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
}

static void on_response(struct pp_exchange *x)
{
    struct pp_core *core = x->core;
    const struct pp_http_msg *m = &x->response;
    if (m->status < 200) {
        if (m->status == 101)
            pp_drive_events.failed(x, pp_fault_make(PP_FAULT_UPSTREAM_BAD_RESPONSE, PP_SIDE_UP,
                                                    false, PP_EHTTP_UPGRADE));
        else
            relay_interim(x);
        return;
    }
    x->t.first_byte = core->loop.now_us;
    x->upstream_head = true;
    x->upstream_status = m->status;
    x->upstream_keep_alive = m->keep_alive && m->body != PP_HTTP_BODY_CLOSE;
    if (m->status < 600)
        core->metrics.words[x->cluster->record + PP_METRIC_WORD(UPSTREAM, STATUS_1XX) +
                            m->status / 100 - 1]++;
    pp_metrics_observe(&core->metrics, PP_METRIC_UPSTREAM, x->cluster->record,
                       x->t.first_byte - x->t.sent);
    pp_exchange_enter(x, PP_EXCHANGE_UPSTREAM_RESPONSE);
    run(x);
}

static void on_source_ended(struct pp_exchange *x, enum pp_dir dir)
{
    if (dir == PP_DIR_RESPONSE && x->state == PP_EXCHANGE_BODY && x->flow[dir].hold == 0)
        pp_exchange_enter(x, PP_EXCHANGE_LOG);
    run(x);
}

static void on_drained(struct pp_exchange *x, enum pp_dir dir)
{
    enum pp_side source = pp_body_source(dir);
    bool flows = dir == PP_DIR_REQUEST ? x->flow[dir].head_sent : x->state == PP_EXCHANGE_BODY;
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
    pp_hook_cancel(x, PP_PARK_PHASE);
    x->parked = false;
    if (x->state == PP_EXCHANGE_LOG) {
        x->cursor = UINT8_MAX;
        run(x);
        return;
    }
    bool connecting = x->state == PP_EXCHANGE_CONNECT;
    struct pp_up *up = pp_exchange_is_attached(x, PP_SIDE_UP) ? pp_up_of(x) : NULL;
    bool reused = up != NULL && up->reused, silent = up != NULL && up->silent;
    if (f.side == PP_SIDE_DOWN && !client_gone)
        x->close_down = true; /* the rest of the request cannot be trusted */
    if (client_gone || x->flow[PP_DIR_RESPONSE].head_sent || x->state == PP_EXCHANGE_REPLY) {
        to_abort(x, f);
    } else if (f.side == PP_SIDE_DOWN || up == NULL) {
        to_error(x, f);
    } else {
        detach_up(x, false);
        x->last_fault = f;
        if (connecting) {
            PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
            pp_exchange_enter(x, PP_EXCHANGE_CONNECT_FAILED);
        } else {
            retry_or_error(x, reused, silent);
        }
    }
    run(x);
}

/* Give the sink a piece that filters are done with, and go on. */
static void deliver(struct pp_exchange *x, enum pp_dir dir, struct pp_span piece, bool last)
{
    int rc = pp_body_deliver(x, dir, piece, last);
    bool parked = rc == PP_EAGAIN;
    if (rc == PP_EINVAL) {
        on_failed(x, x->fault);
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
        if (x->replied && !x->flow[PP_DIR_RESPONSE].head_sent) {
            to_reply(x);
            run(x);
        } else {
            on_failed(x, x->fault);
        }
        return;
    }
    if (flow->hold > 0) {
        x->held = piece;
        x->held_filtered = dir == PP_DIR_RESPONSE; /* the request's state tells by itself */
        if (dir == PP_DIR_REQUEST)
            pp_exchange_enter(x, PP_EXCHANGE_PEER);
        run(x);
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
            on_failed(x, x->fault);
        return;
    }
    bool replies = x->state == PP_EXCHANGE_REPLY;
    if (verdict == PP_NEXT || (replies && x->replied)) {
        x->cursor++;
    } else if (x->state >= PP_EXCHANGE_PROXY_ERROR) {
        x->cursor = UINT8_MAX; /* an answer is on its way or gone: the phase is over, that is all */
        if (replies && pp_reply_fault(x, x->allowed) != PP_OK)
            to_abort(x, internal(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    } else {
        to_reply(x);
    }
    run(x);
}

const struct pp_exchange_events pp_drive_events = {
    .request = on_request,
    .bad_request = on_bad_request,
    .connected = on_connected,
    .response = on_response,
    .source_ended = on_source_ended,
    .drained = on_drained,
    .failed = on_failed,
    .resumed = on_resumed,
};
