/* The steps of the request: from its head to its sending. */
#include "proxy/affinity.h"
#include "proxy/circuit.h"
#include "proxy/condition.h"
#include "proxy/filter_gate.h"
#include "proxy/forward.h"
#include "proxy/grpc.h"
#include "proxy/reply.h"
#include "proxy/retry.h"
#include "proxy/split.h"
#include "proxy/step.h"
#include "proxy/up.h"
#include "proxy/upgrade.h"
#include "wire/uri.h"

bool pp_step_early(struct pp_exchange *x)
{
    return pp_step_phase(x, PP_PHASE_EARLY_REQUEST, PP_EXCHANGE_ROUTE);
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

int pp_step_target(struct pp_exchange *x)
{
    int rc = settle_path(x);
    return rc == PP_OK ? settle_host(x) : rc;
}

static void on_total_timeout(struct pp_timer *t)
{
    struct pp_exchange *x = PP_CONTAINER_OF(t, struct pp_exchange, timer);
    x->events->failed(x, pp_fault_make(PP_FAULT_TOTAL_TIMEOUT, PP_SIDE_UP, false, PP_ETIMEDOUT));
}

static void begin_route(struct pp_exchange *x)
{
    struct pp_core *core = x->core;
    x->cluster = x->route->cluster;
    if (x->route->split != NULL)
        pp_split_choose(x);
    PP_COUNT(&core->metrics, x->route->record, ROUTE, ACTIVE, 1);
    uint64_t total = x->route->total_timeout_ms;
    if (total == 0 && x->cluster != NULL)
        total = x->cluster->conf.total_timeout_ms;
    if (pp_grpc_is_call(&x->request) || pp_grpc_is_web_call(&x->request)) {
        uint64_t wanted = pp_grpc_timeout_ms(&x->request);
        if (wanted > 0)
            total = total == 0 ? wanted : PP_MIN(total, wanted);
    }
    if (total > 0) {
        pp_timer_init(&x->timer, on_total_timeout);
        pp_loop_start(&core->loop, &x->timer, core->loop.now_ms + total);
    }
}

/* CONNECT goes where a route that names the method says, whatever target it asks for: this is the
 * end of a tunnel, never an open proxy. */
static bool begin_connect(struct pp_exchange *x, int rc)
{
    struct pp_http_msg *m = &x->request;
    /* A client that expects a tunnel may have sent what belongs into it: never read that as
     * requests. */
    x->close_down = true;
    if (rc != PP_OK || !x->route->takes_connect) {
        x->route = x->snapshot->route[0];
        begin_route(x);
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NOT_IMPLEMENTED, PP_OK));
    }
    begin_route(x);
    /* Content has no meaning here (RFC 9110 section 9.3.6), and would be the first bytes of the
     * tunnel to whoever does not look for it. On a stream of HTTP/2 what follows the head is the
     * tunnel's already (RFC 9113 section 8.5). */
    if ((m->body == PP_HTTP_BODY_CHUNKED && m->major == 1) || m->content_length > 0)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_BAD_REQUEST, PP_EHTTP_CONTENT));
    m->body = PP_HTTP_BODY_NONE;
    x->wants_tunnel = true;
    pp_exchange_enter(x, PP_EXCHANGE_REQUEST);
    return true;
}

bool pp_step_route(struct pp_exchange *x)
{
    int rc = pp_step_target(x);
    x->routed = true;
    if (rc != PP_OK) {
        x->close_down = true; /* malformed is malformed, wherever it is found out */
        begin_route(x);
        return pp_step_to_error(
            x, pp_step_fault(rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_BAD_REQUEST, rc));
    }
    bool connect = x->request.method_id == PP_HTTP_CONNECT;
    struct pp_predicate_input input;
    struct pp_router_query q = {
        .host = x->host, .path = x->path, .method = x->request.method_id, .input = &input};
    pp_condition_input(x, &input);
    rc = pp_router_find(x->snapshot->router, &q, &x->hit, &x->allowed);
    if (rc == PP_OK)
        x->route = x->snapshot->route[x->hit.route];
    if (connect)
        return begin_connect(x, rc);
    begin_route(x);
    if (rc == PP_EMETHOD)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_METHOD_NOT_ALLOWED, rc));
    if (rc == PP_ENOENT)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NO_ROUTE, rc));
    if (rc != PP_OK)
        return pp_step_to_error(x, pp_condition_fault(rc));
    pp_exchange_enter(x, PP_EXCHANGE_REQUEST);
    return true;
}

/* Collect the body, or let it come when it is sent on. */
static void begin_body(struct pp_exchange *x, bool first)
{
    const struct pp_http_msg *m = &x->request;
    const struct pp_route *route = x->route;
    pp_body_begin(x, PP_DIR_REQUEST, (enum pp_http_body)m->body, m->content_length,
                  PP_MIN(route->max_body, x->body_limit), route->chain.buffer_request);
    x->body_first = first;
    if (first) /* whoever stands by later */
        x->flow[PP_DIR_REQUEST].hold = route->chain.buffer_request;
    bool collect = x->flow[PP_DIR_REQUEST].hold > 0;
    pp_exchange_enter(x, collect ? PP_EXCHANGE_COLLECT : PP_EXCHANGE_PEER);
    if (collect && !x->flow[PP_DIR_REQUEST].source_ended)
        x->ops[PP_SIDE_DOWN]->pump(x);
}

bool pp_step_request(struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->request;
    const struct pp_route *route = x->route;
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (x->cursor == 0 && m->body == PP_HTTP_BODY_LENGTH && m->content_length > route->max_body)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_BODY_TOO_LARGE, PP_EHTTP_BODY_BYTES));
    if (route->chain.body_first && flow->hold == 0 && m->body != PP_HTTP_BODY_NONE) {
        begin_body(x, true);
        return true;
    }
    int verdict = pp_phase_run(x, PP_PHASE_REQUEST);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return pp_step_to_reply(x);
    bool local =
        route->action == PP_ROUTE_ACTION_RESPOND || route->action == PP_ROUTE_ACTION_REDIRECT;
    if (!local && pp_upgrade_offer(x) != PP_OK)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    if (x->extended && x->offer.n == 0) /* its client would take any 2xx for the protocol */
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NOT_IMPLEMENTED, PP_OK));
    if (local) {
        if (pp_reply_route(x) != PP_OK)
            return pp_step_to_error(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
        pp_exchange_enter(x, PP_EXCHANGE_REPLY);
        return true;
    }
    if (flow->hold > 0) {
        if (flow->held_n > x->body_limit) /* set by a filter, behind the body's back */
            return pp_step_to_error(x, pp_step_fault(PP_FAULT_BODY_TOO_LARGE, PP_EHTTP_BODY_BYTES));
        pp_exchange_enter(x, PP_EXCHANGE_COLLECT);
        return true;
    }
    if (pp_filter_gate_settle(x, PP_DIR_REQUEST) != PP_OK)
        return pp_step_to_error(x, x->fault);
    begin_body(x, false);
    return true;
}

/* The whole request body is held: filters see it at once, and its new length is known before the
 * head goes out. */
bool pp_step_collect(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (!flow->source_ended || flow->parked)
        return false;
    if (x->body_first) {
        x->body_first = false;
        pp_exchange_enter(x, PP_EXCHANGE_REQUEST);
        return true;
    }
    if (x->request.body != PP_HTTP_BODY_NONE) {
        x->held = pp_span(flow->held, flow->held_n);
        int verdict = pp_phase_run_body(x, PP_DIR_REQUEST, &x->held, true);
        if (verdict == PP_PARK)
            return false;
        if (verdict == PP_REPLY)
            return pp_step_to_reply(x);
    }
    pp_exchange_enter(x, PP_EXCHANGE_PEER);
    return true;
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

static bool begin_attempt(struct pp_exchange *x, int rc);

/* What follows from its admission. */
static bool admitted(struct pp_exchange *x, int rc)
{
    if (rc == PP_OK)
        return begin_attempt(x, PP_OK);
    if (rc == PP_EAGAIN)
        return false;
    return pp_step_to_error(
        x, rc == PP_ELIMIT ? pp_fault_make(PP_FAULT_UPSTREAM_OVERFLOW, PP_SIDE_UP, false, rc)
                           : pp_step_fault(PP_FAULT_NO_MEMORY, rc));
}

/* The endpoint of the attempt. NULL: what follows is *goes_on, as a step says it. */
static struct pp_endpoint *choose(struct pp_exchange *x, int rc, bool *goes_on)
{
    const struct pp_cluster *cl = x->cluster;
    struct pp_endpoint *ep = NULL;
    if (rc == PP_OK)
        ep = PP_UNLIKELY(cl->conf.admission.endpoints) ? pp_admission_pick(x) : pp_affinity_pick(x);
    if (PP_LIKELY(ep != NULL))
        return ep;
    if (rc == PP_OK && cl->admission != NULL && pp_admission_is_full(cl)) {
        *goes_on = admitted(x, pp_admission_again(x));
        return NULL;
    }
    if (cl != NULL)
        PP_COUNT(&x->core->metrics, cl->record, UPSTREAM, NO_ENDPOINT, 1);
    *goes_on = pp_step_to_error(x, pp_fault_make(PP_FAULT_NO_ENDPOINT, PP_SIDE_UP, false, rc));
    return NULL;
}

/* Choose an endpoint and get a connection to it. <rc>: what is known of the cluster. */
static bool begin_attempt(struct pp_exchange *x, int rc)
{
    if (rc == PP_OK && PP_UNLIKELY(pp_breaker_is_on(&x->cluster->conf.breaker)) &&
        !pp_circuit_admit(x->cluster, &x->retry_after_s))
        return pp_step_to_error(x, pp_fault_make(PP_FAULT_BREAKER_OPEN, PP_SIDE_UP, false, PP_OK));
    bool goes_on;
    struct pp_endpoint *ep = choose(x, rc, &goes_on);
    if (ep == NULL)
        return goes_on;
    if (x->request.method_id == PP_HTTP_CONNECT && !pp_up_can_tunnel(x->cluster))
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NOT_IMPLEMENTED, PP_OK));
    if (pp_forward_request(x) != PP_OK)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    x->endpoint = ep;
    x->t.connect = x->core->loop.now_us;
    x->attempts++;
    pp_exchange_enter(x, PP_EXCHANGE_CONNECT);
    /* After a failure a fresh connection is the surer way: its siblings in the pool may be as dead.
     * One that becomes a tunnel never comes back, and its request is not sent twice. */
    rc = pp_up_acquire(x, ep, x->attempts > 1 || x->wants_tunnel);
    if (PP_UNLIKELY(rc == PP_ELIMIT)) {
        x->attempts--;
        return admitted(x, pp_admission_again(x));
    }
    bool timed = pp_retry_policy_of(x)->per_try_ms > 0 && (rc == PP_OK || rc == PP_EAGAIN);
    if (PP_UNLIKELY(timed) && pp_retry_time(x) != PP_OK)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    if (rc == PP_OK) {
        x->t.connected = x->core->loop.now_us;
        pp_exchange_enter(x, PP_EXCHANGE_CONNECTED);
    } else if (rc != PP_EAGAIN) {
        PP_COUNT(&x->core->metrics, x->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
        x->last_fault = pp_fault_make(pp_fault_connect_code(rc), PP_SIDE_UP, true, rc);
        pp_exchange_enter(x, PP_EXCHANGE_CONNECT_FAILED);
    }
    return rc != PP_EAGAIN;
}

bool pp_step_peer(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_UPSTREAM_PEER);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return pp_step_to_reply(x);
    int rc = settle_cluster(x);
    if (PP_LIKELY(rc != PP_OK || x->cluster->admission == NULL) || pp_circuit_is_open(x->cluster))
        return begin_attempt(x, rc);
    return admitted(x, pp_admission_enter(x));
}

/* It has waited, and holds a place now. */
bool pp_step_queue(struct pp_exchange *x)
{
    return begin_attempt(x, PP_OK);
}

bool pp_step_connected(struct pp_exchange *x)
{
    return pp_step_phase(x, PP_PHASE_CONNECTED, PP_EXCHANGE_UPSTREAM_REQUEST);
}

bool pp_step_upstream_request(struct pp_exchange *x)
{
    return pp_step_phase(x, PP_PHASE_UPSTREAM_REQUEST, PP_EXCHANGE_SEND);
}

bool pp_step_connect_failed(struct pp_exchange *x)
{
    int verdict = pp_phase_run(x, PP_PHASE_CONNECT_FAILED);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY)
        return pp_step_to_reply(x);
    return pp_step_retry(x);
}

static void frame_request(struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->request;
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    struct pp_http1_framing *fr = &flow->framing;
    memset(fr, 0, sizeof(*fr));
    fr->te_trailers = m->te_trailers;
    fr->upgrade = x->offer.n > 0;
    if (m->body == PP_HTTP_BODY_NONE)
        return;
    if (flow->hold > 0) {
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = x->held.n;
    } else if (m->body == PP_HTTP_BODY_LENGTH && !flow->altered) {
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = m->content_length;
    } else {
        fr->body = PP_HTTP_BODY_CHUNKED;
    }
}

static bool upstream_broke(struct pp_exchange *x, int rc)
{
    x->last_fault = rc == PP_ELIMIT ? pp_step_fault(PP_FAULT_HEAD_TOO_LARGE, rc)
                                    : pp_body_sink_fault(PP_DIR_REQUEST, rc);
    pp_step_detach_up(x, false);
    return pp_step_retry(x);
}

/* CONNECT: nothing goes to the endpoint, it is connected, and that is the answer. */
static bool answer_connect(struct pp_exchange *x)
{
    if (pp_exchange_reply(x, 200, PP_SPAN_NONE) != PP_OK)
        return pp_step_to_error(x, pp_step_fault(PP_FAULT_NO_MEMORY, PP_ENOMEM));
    x->opens_tunnel = true;
    pp_exchange_enter(x, PP_EXCHANGE_RESPONSE);
    return true;
}

bool pp_step_send(struct pp_exchange *x)
{
    if (x->request.method_id == PP_HTTP_CONNECT)
        return answer_connect(x);
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    const struct pp_side_ops *up = x->ops[PP_SIDE_UP];
    frame_request(x);
    bool again = flow->hold == 0 && flow->bytes > 0; /* some of the body was sent before */
    int rc = up->send_head(x);
    if (rc == PP_OK && again)
        rc = up->send_body(x, pp_span(flow->held, flow->held_n));
    if (rc == PP_OK && again) /* what is kept may move when more comes */
        rc = up->flush(x);
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
        pp_step_flush_head(x, PP_DIR_REQUEST);
    }
    if (x->state == PP_EXCHANGE_AWAIT && pp_exchange_is_attached(x, PP_SIDE_UP) &&
        up->is_readable(x)) /* it may have spoken before it was asked */
        up->pump(x);
    return x->state != PP_EXCHANGE_AWAIT;
}
