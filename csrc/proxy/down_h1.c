/* HTTP/1 towards a client: request heads come in one after the other, responses go out in that
 * order. */
#include "base/check.h"
#include "io/chan_tls.h"
#include "proxy/accesslog.h"
#include "proxy/down_h2.h"
#include "proxy/move.h"
#include "proxy/pace.h"
#include "wire/http_rules.h"

/* Requests of one connection handled in a row before others get their turn. */
#define REQUESTS_IN_A_ROW 32

static struct pp_down *down_of(const struct pp_exchange *x)
{
    return x->side[PP_SIDE_DOWN];
}

static void count_bytes(struct pp_down *d, size_t n, bool in)
{
    struct pp_metrics *m = &d->h.core->metrics;
    if (in)
        PP_COUNT(m, d->door->conf->record, LISTENER, BYTES_IN, n);
    else
        PP_COUNT(m, d->door->conf->record, LISTENER, BYTES_OUT, n);
}

/* Must this connection end after the present response? */
static bool wants_close(const struct pp_down *d, const struct pp_exchange *x)
{
    const struct pp_listener_conf *conf = d->door->conf;
    const struct pp_core *core = d->h.core;
    return x->close_down || !x->request.keep_alive ||
           ((core->draining || core->leaving.on) && !pp_move_may_go(d)) ||
           (conf->max_requests > 0 && d->n_request + 1 >= conf->max_requests) ||
           (conf->max_age_ms > 0 && core->loop.now_ms - d->born_ms >= conf->max_age_ms);
}

static int send_head(struct pp_exchange *x)
{
    struct pp_down *d = down_of(x);
    struct pp_http1_framing *fr = &x->flow[PP_DIR_RESPONSE].framing;
    if (x->opens_tunnel) {
        x->status = x->response.status;
    } else if (x->response.status >= 200) {
        x->close_down = wants_close(d, x);
        if (x->close_down && d->h.core->leaving.relief && x->request.keep_alive)
            PP_COUNT(&d->h.core->metrics, d->door->conf->record, LISTENER, OVERLOAD_CLOSED, 1);
        x->status = x->response.status;
        fr->close = x->close_down;
        fr->keep_alive = !fr->close && pp_http_msg_is_1_0(&x->request);
    }
    return pp_h1_add_response(&d->h, &x->response, fr);
}

static int send_body(struct pp_exchange *x, struct pp_span piece)
{
    return pp_h1_add_piece(&down_of(x)->h, piece,
                           x->flow[PP_DIR_RESPONSE].framing.body == PP_HTTP_BODY_CHUNKED);
}

static int send_end(struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    bool none = x->request.method_id == PP_HTTP_HEAD;
    return flow->framing.body == PP_HTTP_BODY_CHUNKED && !none
               ? pp_h1_add_last_chunk(&down_of(x)->h, flow->trailers)
               : PP_OK;
}

/* Which deadline applies: the client must take what is queued; while it owes a body, it must send
 * it. */
static void settle_deadline(struct pp_down *d)
{
    const struct pp_listener_conf *conf = d->door->conf;
    if (!pp_h1_is_flushed(&d->h) || (d->x != NULL && pp_body_is_piped(d->x, PP_DIR_RESPONSE)))
        pp_down_expect(d, PP_DOWN_WAIT_SEND, conf->send_timeout_ms);
    else if (d->wait == PP_DOWN_WAIT_SEND)
        pp_down_expect(d, PP_DOWN_WAIT_NONE, 0);
}

static int flush(struct pp_exchange *x)
{
    struct pp_down *d = down_of(x);
    size_t sent;
    int rc = pp_h1_flush(&d->h, &sent);
    count_bytes(d, sent, false);
    if (rc == PP_OK && (sent == 0 || !pp_h1_is_flushed(&d->h) || d->wait == PP_DOWN_WAIT_SEND))
        settle_deadline(d);
    return rc;
}

static size_t room(const struct pp_exchange *x)
{
    return pp_h1_can_take(&down_of(x)->h) ? SIZE_MAX : 0;
}

/* The client waits for leave to send its body (RFC 9110 section 10.1.1): it gets it when somebody
 * wants to read, so a request that is refused never has its body sent. */
static int send_continue(struct pp_exchange *x)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct pp_down *d = down_of(x);
    x->continue_sent = true;
    if (!x->request.expect_continue || pp_h1_unread(&d->h) > 0 ||
        x->flow[PP_DIR_RESPONSE].head_sent)
        return PP_OK;
    int rc = pp_h1_add(&d->h, text, sizeof(text) - 1);
    return rc == PP_OK ? flush(x) : rc;
}

/* No body is awaited (any more). */
static void end_wait(struct pp_down *d)
{
    if (d->wait == PP_DOWN_WAIT_BODY)
        pp_down_expect(d, PP_DOWN_WAIT_NONE, 0);
    if (d->x->flow[PP_DIR_REQUEST].source_ended)
        d->whole_ms = d->h.core->loop.now_ms;
}

static void pump(struct pp_exchange *x)
{
    struct pp_down *d = down_of(x);
    struct pp_loop *lp = &d->h.core->loop;
    if (!pp_body_is_awaited(x))
        return;
    if (!x->continue_sent) {
        /* What waits in the gather is of the other side: it leaves first. */
        int rc = pp_exchange_is_attached(x, PP_SIDE_UP) ? x->ops[PP_SIDE_UP]->flush(x) : PP_OK;
        if (rc != PP_OK) {
            x->events->failed(x, pp_body_sink_fault(PP_DIR_REQUEST, rc));
            return;
        }
        rc = send_continue(x);
        if (rc != PP_OK) {
            x->events->failed(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
            return;
        }
    }
    uint64_t before = x->flow[PP_DIR_REQUEST].received;
    pp_body_pump(x, PP_DIR_REQUEST, &d->h);
    if (d->x != x || !pp_body_is_awaited(x)) {
        if (d->x == x)
            end_wait(d);
        return;
    }
    bool stalled = x->flow[PP_DIR_REQUEST].parked || pp_pace_holds(x, PP_DIR_REQUEST) ||
                   (x->flow[PP_DIR_REQUEST].hold == 0 && pp_exchange_is_attached(x, PP_SIDE_UP) &&
                    x->ops[PP_SIDE_UP]->room(x) == 0);
    if (stalled) { /* not the client's fault: its clock stands still */
        if (d->wait == PP_DOWN_WAIT_BODY)
            pp_down_expect(d, PP_DOWN_WAIT_NONE, 0);
        return;
    }
    if (d->wait != PP_DOWN_WAIT_BODY) {
        pp_down_expect_body(d, true);
    } else if (x->flow[PP_DIR_REQUEST].received != before) {
        d->body.seen_ms = lp->now_ms;
        d->body.bytes += x->flow[PP_DIR_REQUEST].received - before;
    }
}

static void probe(struct pp_exchange *x)
{
    down_of(x)->h.ch.readable = true;
    pump(x);
}

static void yield(struct pp_exchange *x)
{
    pp_down_again(down_of(x));
}

static void moved(struct pp_exchange *x, size_t n, bool read)
{
    struct pp_down *d = down_of(x);
    count_bytes(d, n, read);
    if (!read && d->wait == PP_DOWN_WAIT_SEND)
        pp_down_expect(d, PP_DOWN_WAIT_SEND, d->door->conf->send_timeout_ms);
}

static bool is_readable(const struct pp_exchange *x)
{
    return down_of(x)->h.ch.readable;
}

static bool has_buffered(const struct pp_exchange *x)
{
    return pp_h1_unread(&down_of(x)->h) > 0;
}

static struct pp_chan *plain_channel(const struct pp_exchange *x)
{
    return pp_h1_plain_channel(&down_of(x)->h);
}

static bool discard(struct pp_exchange *x)
{
    struct pp_down *d = down_of(x);
    bool whole = pp_body_discard(x, PP_DIR_REQUEST, &d->h);
    if (!whole)
        d->unread = true;
    return whole;
}

static int give(struct pp_exchange *x, const struct pp_heir *to)
{
    struct pp_down *d = down_of(x);
    int rc = d->h.mem == NULL ? PP_OK : pp_exchange_keep(x, d->h.mem, d->h.rd);
    if (rc != PP_OK)
        return rc;
    rc = pp_h1_give(&d->h, to);
    d->x = NULL;
    x->ops[PP_SIDE_DOWN] = NULL;
    x->side[PP_SIDE_DOWN] = NULL;
    pp_down_close(d, true);
    return rc;
}

static void finish(struct pp_exchange *x, bool reusable)
{
    struct pp_down *d = down_of(x);
    d->x = NULL;
    d->n_request++;
    x->ops[PP_SIDE_DOWN] = NULL;
    x->side[PP_SIDE_DOWN] = NULL;
    if (d->gone || x->aborted) {
        /* A response that ended early must not look whole to a client that reads until the end:
         * reset it. */
        bool cut = x->flow[PP_DIR_RESPONSE].head_sent && !x->flow[PP_DIR_RESPONSE].sink_ended;
        d->gone = true;
        pp_down_close(d, cut);
        return;
    }
    if (!reusable) {
        d->unread =
            d->unread ||
            (x->request.body != PP_HTTP_BODY_NONE && !x->flow[PP_DIR_REQUEST].source_ended) ||
            x->request.method_id == PP_HTTP_OTHER || x->request.method_id == PP_HTTP_CONNECT ||
            d->h.ch.readable;
        pp_down_end(d);
        return;
    }
    pp_h1_end_message(&d->h);
    d->state = PP_DOWN_IDLE;
    if (pp_h1_is_flushed(&d->h))
        pp_down_expect(d, PP_DOWN_WAIT_IDLE, d->door->conf->idle_timeout_ms);
    else
        pp_down_expect(d, PP_DOWN_WAIT_SEND, d->door->conf->send_timeout_ms);
    if (d->in_read)
        return;
    if (pp_h1_unread(&d->h) > 0 || d->h.ch.readable)
        pp_down_again(d);
    pp_move_rest(d);
}

const struct pp_side_ops pp_down_h1_ops = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .flush = flush,
    .room = room,
    .pump = pump,
    .probe = probe,
    .yield = yield,
    .moved = moved,
    .is_readable = is_readable,
    .has_buffered = has_buffered,
    .plain_channel = plain_channel,
    .discard = discard,
    .give = give,
    .finish = finish,
};

/* The first byte of a request is there. */
static bool begin(struct pp_down *d)
{
    struct pp_exchange *x = pp_down_exchange(d, &pp_down_h1_ops, d);
    if (x == NULL) {
        pp_down_close(d, false);
        return false;
    }
    d->x = x;
    d->whole_ms = 0;
    pp_http1_head_init(&d->head, PP_HTTP1_REQUEST);
    /* The first request has had its time since the connection was accepted. */
    if (d->n_request > 0 || d->wait == PP_DOWN_WAIT_GOODBYE)
        pp_down_expect(d, PP_DOWN_WAIT_HEAD, d->door->conf->header_timeout_ms);
    d->state = PP_DOWN_HEAD;
    return true;
}

/* Its head is as complete as it will ever be: no more is read of it, and a filter may take longer
 * over the answer than the client had for its head. */
static void give_up_head(struct pp_down *d, enum pp_fault_code code, int rc)
{
    d->state = PP_DOWN_EXCHANGE;
    d->unread = true;
    pp_down_expect(d, PP_DOWN_WAIT_NONE, 0);
    d->x->events->bad_request(d->x, pp_fault_make(code, PP_SIDE_DOWN, false, rc));
}

static void refuse(struct pp_down *d, int rc)
{
    PP_COUNT(&d->h.core->metrics, d->door->conf->record, LISTENER, BAD_REQUESTS, 1);
    give_up_head(d, rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_BAD_REQUEST, rc);
}

/* Parse what is buffered of the head. PP_OK: the exchange has begun (and may be over). PP_EMORE, or
 * a verdict. */
static int parse(struct pp_down *d)
{
    struct pp_exchange *x = d->x;
    struct pp_h1 *h = &d->h;
    size_t used;
    int rc = pp_http1_head_feed(&d->head, h->mem + h->rd, pp_h1_unread(h), &x->listener->limits,
                                &x->request, &used);
    if (rc == PP_OK) {
        h->rd += (uint32_t)used;
        rc = pp_http_rules_request(&x->request);
    }
    if (rc != PP_OK)
        return rc;
    d->state = PP_DOWN_EXCHANGE;
    d->wait = PP_DOWN_WAIT_NONE;
    d->deadline_ms = UINT64_MAX;
    x->events->request(x);
    return PP_OK;
}

/* Read once. False: nothing to do now. */
static bool fill(struct pp_down *d)
{
    size_t n;
    if (!d->h.ch.readable)
        return false;
    int rc = pp_h1_fill(&d->h, d->door->conf->limits.head_bytes + PP_CORE_INPUT_BYTES, &n);
    if (rc == PP_OK) {
        count_bytes(d, n, true);
        return true;
    }
    if (rc == PP_EAGAIN) {
        if (d->x == NULL)
            pp_h1_end_message(&d->h);
        return false;
    }
    if (rc == PP_ELIMIT && d->x != NULL) {
        refuse(d, PP_EHTTP_HEAD_BYTES);
        return false;
    }
    if (rc == PP_ENOMEM)
        PP_COUNT(&d->h.core->metrics, d->h.core->metrics.fallback[PP_METRIC_WORKER], WORKER,
                 NO_MEMORY, 1);
    pp_down_close(d, false);
    return false;
}

/* Nothing but maybe a part of the preface has come of this connection. */
static bool may_be_h2(const struct pp_down *d)
{
    return d->n_request == 0 && d->x == NULL && !d->door->conf->no_http2;
}

/* Do the first bytes of a connection speak HTTP/2? As pp_down_h2_sniff; but a client of TLS has
 * agreed on a protocol before, and then it is that one (RFC 7301 section 3.2). */
static int find_h2(const struct pp_down *d)
{
    struct pp_span agreed = pp_chan_is_tls(&d->h.ch) ? pp_chan_tls_alpn(&d->h.ch) : PP_SPAN_NONE;
    if (agreed.n > 0)
        return pp_span_eq(agreed, PP_SPAN("h2")) ? PP_OK : PP_EINVAL;
    return pp_down_h2_sniff(d->h.mem + d->h.rd, pp_h1_unread(&d->h));
}

/* Request after request, until the socket is dry or one of them takes longer. */
static void read_requests(struct pp_down *d)
{
    int done = 0;
    while (d->state == PP_DOWN_IDLE || d->state == PP_DOWN_HEAD) {
        /* A client that does not read its answers gets no further ones. */
        if (d->state == PP_DOWN_IDLE && !pp_h1_is_flushed(&d->h))
            return;
        if (pp_h1_unread(&d->h) == 0 && !fill(d))
            return;
        if (PP_UNLIKELY(may_be_h2(d))) {
            int rc = find_h2(d);
            if (rc == PP_OK) {
                pp_down_h2_begin(d);
                return;
            }
            if (rc == PP_EMORE) {
                d->state = PP_DOWN_HEAD;
                if (!fill(d))
                    return;
                continue;
            }
        }
        if (d->x == NULL) {
            if (done++ == REQUESTS_IN_A_ROW) {
                pp_down_again(d);
                return;
            }
            if (!begin(d))
                return;
        }
        int rc = parse(d);
        if (rc == PP_EMORE) {
            if (!fill(d))
                return;
        } else if (rc != PP_OK) {
            refuse(d, rc);
        }
    }
}

/* Has the client ended its side behind a request with a body, to say that this was all? */
static bool is_half_closed(const struct pp_down *d)
{
    return d->whole_ms != 0 && d->ended_ms <= d->whole_ms + PP_DOWN_HALF_CLOSE_MS;
}

/* A client that goes away while it waits for its answer: nothing is left to do for it. While it is
 * still sending, the end of its bytes is for the reader to find. A request without a body has an
 * end that nobody needs to be told: closing behind it is to leave, at any time. */
static bool is_left(const struct pp_down *d)
{
    const struct pp_exchange *x = d->x;
    if (x == NULL)
        return false;
    if (d->h.ch.broken || x->state <= PP_EXCHANGE_HEAD)
        return d->h.ch.broken;
    return x->request.body == PP_HTTP_BODY_NONE ||
           (x->flow[PP_DIR_REQUEST].source_ended && !is_half_closed(d));
}

static void on_readable(struct pp_down *d)
{
    if (d->state == PP_DOWN_EXCHANGE) {
        if (d->x != NULL)
            pump(d->x);
        return;
    }
    d->in_read = true;
    read_requests(d);
    d->in_read = false;
    /* The end of the client's bytes came together with its last request: no further event will
     * tell. */
    if (d->h.ch.rdhup && is_left(d))
        pp_down_close(d, false);
    pp_move_rest(d);
}

static void on_writable(struct pp_down *d)
{
    size_t sent;
    int rc = pp_h1_flush(&d->h, &sent);
    count_bytes(d, sent, false);
    if (rc != PP_OK) {
        pp_down_close(d, false);
        return;
    }
    if (sent > 0 && d->wait == PP_DOWN_WAIT_SEND)
        pp_down_expect(d, PP_DOWN_WAIT_SEND, d->door->conf->send_timeout_ms);
    if (!pp_h1_is_flushed(&d->h))
        return;
    if (d->x != NULL) {
        settle_deadline(d);
        d->x->events->drained(d->x, PP_DIR_RESPONSE);
    } else if (d->state == PP_DOWN_IDLE) {
        pp_down_expect(d, PP_DOWN_WAIT_IDLE, d->door->conf->idle_timeout_ms);
        if (pp_h1_unread(&d->h) > 0)
            pp_down_again(d);
        pp_move_rest(d);
    }
}

static void on_late(struct pp_down *d)
{
    struct pp_exchange *x = d->x;
    if (x == NULL) {
        pp_down_close(d, d->wait == PP_DOWN_WAIT_SEND);
        return;
    }
    if (d->wait == PP_DOWN_WAIT_HEAD) {
        give_up_head(d, PP_FAULT_HEADER_TIMEOUT, PP_ETIMEDOUT);
        return;
    }
    enum pp_fault_code code =
        d->wait == PP_DOWN_WAIT_BODY ? PP_FAULT_BODY_TIMEOUT : PP_FAULT_SEND_TIMEOUT;
    d->unread = true;
    x->events->failed(x, pp_fault_make(code, PP_SIDE_DOWN, false, PP_ETIMEDOUT));
}

static bool fail(struct pp_down *d, struct pp_fault f)
{
    if (d->x == NULL)
        return false;
    d->x->events->failed(d->x, f);
    return true;
}

const struct pp_down_proto pp_down_h1_proto = {
    .name = "http/1",
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_late = on_late,
    .is_left = is_left,
    .fail = fail,
    .moves = true,
};
