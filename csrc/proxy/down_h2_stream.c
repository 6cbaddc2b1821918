/* A stream of HTTP/2 as the client's side of its exchange. */
#include "base/check.h"
#include "base/mem.h"
#include "proxy/down_h2.h"
#include "proxy/extended.h"
#include "proxy/pace.h"

static struct pp_down_stream *stream_of(const struct pp_exchange *x)
{
    return x->side[PP_SIDE_DOWN];
}

static struct pp_down_stream *owner_of(struct pp_http2_stream *s)
{
    return PP_CONTAINER_OF(s, struct pp_down_stream, s);
}

static void count(struct pp_down *d, unsigned word)
{
    d->h.core->metrics.words[d->door->conf->record + word]++;
}

/* ---- deadlines ---- */

static void expect(struct pp_down_stream *st, enum pp_down_wait wait, uint64_t ms)
{
    struct pp_loop *lp = &st->d->h.core->loop;
    st->wait = (uint8_t)wait;
    st->deadline_ms = ms == 0 ? UINT64_MAX : lp->now_ms + ms;
    if (ms != 0)
        pp_loop_no_later(lp, &st->timer, st->deadline_ms);
}

/* The client must take what waits for it; while it owes a body, it must send it. */
static void settle_send(struct pp_down_stream *st, bool progress)
{
    bool waits = !pp_buf_is_empty(&st->out) || (st->out_ended && !st->s.sent_end);
    if (waits && (progress || st->wait != PP_DOWN_WAIT_SEND))
        expect(st, PP_DOWN_WAIT_SEND, st->d->door->conf->send_timeout_ms);
    else if (!waits && st->wait == PP_DOWN_WAIT_SEND)
        expect(st, PP_DOWN_WAIT_NONE, 0);
}

static void settle_body(struct pp_down_stream *st, uint64_t came)
{
    struct pp_exchange *x = st->x;
    const struct pp_listener_conf *conf = st->d->door->conf;
    if (st->wait == PP_DOWN_WAIT_SEND)
        return;
    /* Bytes that wait here wait for the sink: that is not the client's fault. */
    if (!pp_body_is_awaited(x) || !pp_buf_is_empty(&st->in) || st->in_ended ||
        x->flow[PP_DIR_REQUEST].parked || pp_pace_holds(x, PP_DIR_REQUEST)) {
        if (st->wait == PP_DOWN_WAIT_BODY)
            expect(st, PP_DOWN_WAIT_NONE, 0);
        return;
    }
    uint64_t now = x->core->loop.now_ms;
    if (st->wait != PP_DOWN_WAIT_BODY) {
        st->body = (struct pp_down_clock){.from_ms = now, .seen_ms = now};
        expect(st, PP_DOWN_WAIT_BODY, pp_down_body_check_ms(conf));
    } else if (came > 0) {
        st->body.seen_ms = now;
        st->body.bytes += came;
    }
}

static void drop(struct pp_down_stream *st, uint32_t code)
{
    if (st->s.codec != NULL)
        pp_http2_codec_reset(&st->s, code);
    count(st->d, PP_METRIC_WORD(LISTENER, HTTP2_RESETS_OUT));
    pp_down_h2_plan(st->d);
    pp_down_h2_stream_free(st);
}

static void on_late(struct pp_down_stream *st)
{
    struct pp_down *d = st->d;
    bool body = st->wait == PP_DOWN_WAIT_BODY;
    if (body && !pp_down_is_body_late(d->door->conf, &st->body, d->h.core->loop.now_ms)) {
        expect(st, PP_DOWN_WAIT_BODY, pp_down_body_check_ms(d->door->conf));
        return;
    }
    st->deadline_ms = UINT64_MAX;
    count(d, PP_METRIC_WORD(LISTENER, TIMEOUTS));
    if (st->x != NULL) {
        st->x->events->failed(st->x,
                              pp_fault_make(body ? PP_FAULT_BODY_TIMEOUT : PP_FAULT_SEND_TIMEOUT,
                                            PP_SIDE_DOWN, false, PP_ETIMEDOUT));
        pp_down_h2_plan(d);
    } else {
        drop(st, PP_HTTP2_CANCEL);
    }
}

static void on_timer(struct pp_timer *t)
{
    struct pp_down_stream *st = PP_CONTAINER_OF(t, struct pp_down_stream, timer);
    struct pp_loop *lp = &st->d->h.core->loop;
    if (st->deadline_ms == UINT64_MAX)
        return;
    if (lp->now_ms < st->deadline_ms)
        pp_loop_start(lp, t, st->deadline_ms);
    else
        on_late(st);
}

/* ---- life ---- */

static void free_now(struct pp_deferred *deferred)
{
    struct pp_down_stream *st = PP_CONTAINER_OF(deferred, struct pp_down_stream, deferred);
    pp_slab_put(&st->d->h.core->stream_slab, st);
}

void pp_down_h2_stream_free(struct pp_down_stream *st)
{
    struct pp_down_h2 *h2 = st->d->h2;
    struct pp_core *core = st->d->h.core;
    PP_ASSERT(st->x == NULL && st->s.codec == NULL);
    pp_list_detach(&st->link);
    h2->n_stream--;
    if (h2->opening == st)
        h2->opening = NULL;
    if (h2->pushing == st)
        h2->pushing = NULL;
    pp_loop_stop(&core->loop, &st->timer);
    pp_buf_fini(&st->in, &core->chunk_slab);
    pp_buf_fini(&st->out, &core->chunk_slab);
    if (st->own != NULL) {
        pp_arena_fini(st->own);
        pp_mem_free(st->own);
    }
    st->deferred.fn = free_now;
    pp_loop_defer_free(&core->loop, &st->deferred);
}

struct pp_http2_stream *pp_down_h2_stream_open(void *owner)
{
    struct pp_down *d = owner;
    struct pp_down_h2 *h2 = d->h2;
    struct pp_core *core = d->h.core;
    if (d->gone || h2->over)
        return NULL;
    struct pp_down_stream *st = pp_slab_get(&core->stream_slab);
    if (st == NULL)
        return NULL;
    struct pp_exchange *x = pp_down_exchange(d, &pp_down_h2_ops, st);
    if (x == NULL) {
        pp_slab_put(&core->stream_slab, st);
        return NULL;
    }
    memset(st, 0, sizeof(*st));
    st->d = d;
    st->x = x;
    st->deadline_ms = UINT64_MAX;
    pp_timer_init(&st->timer, on_timer);
    pp_list_attach_back(&h2->streams, &st->link);
    h2->n_stream++;
    h2->n_open++;
    h2->opening = st;
    d->n_request++;
    d->state = PP_DOWN_EXCHANGE;
    count(d, PP_METRIC_WORD(LISTENER, HTTP2_STREAMS));
    return &st->s;
}

/* The trailers wait for the client: what they point to goes with the exchange. Without memory they
 * are not sent. */
static void keep_trailers(struct pp_down_stream *st)
{
    const struct pp_http_msg *from = st->leave;
    struct pp_arena *a = pp_mem_alloc(sizeof(*a));
    st->leave = NULL;
    if (a == NULL)
        return;
    pp_arena_init(a, NULL, 0, PP_EXCHANGE_ARENA_BYTES);
    st->own = a;
    struct pp_http_msg *m = pp_arena_alloc(a, sizeof(*m));
    if (m == NULL)
        return;
    pp_http_msg_init(m, a);
    for (uint32_t i = 0; i < from->n_field; i++) {
        const struct pp_http_field *f = &from->field[i];
        struct pp_span name, value;
        if (!pp_http_field_is_live(f))
            continue;
        if (pp_arena_dup(a, pp_http_field_name(f), &name) != PP_OK ||
            pp_arena_dup(a, pp_http_field_value(f), &value) != PP_OK ||
            pp_http_msg_add(m, name, (enum pp_http_name)f->id, value) != PP_OK)
            return;
    }
    st->leave = m;
}

void pp_down_h2_stream_leave(struct pp_down_stream *st, bool whole, uint32_t code)
{
    struct pp_down *d = st->d;
    d->h2->n_open--;
    if (st->s.codec == NULL) {
        pp_down_h2_stream_free(st);
    } else if (!whole) {
        drop(st, code);
    } else if (st->s.sent_end) {
        pp_http2_codec_release(&st->s);
        pp_down_h2_stream_free(st);
    } else {
        pp_http2_codec_forget_trailers(&st->s); /* theirs is the exchange's memory */
        pp_http2_codec_consume(&st->s, st->in.n);
        pp_buf_fini(&st->in, &d->h.core->chunk_slab);
        if (st->leave != NULL)
            keep_trailers(st);
        settle_send(st, false);
    }
    pp_down_h2_ended(d);
}

static void finish(struct pp_exchange *x, bool reusable)
{
    struct pp_down_stream *st = stream_of(x);
    bool whole = !x->aborted && (st->s.sent_end || st->out_ended);
    (void)reusable; /* of a connection that has just one exchange */
    st->x = NULL;
    x->side[PP_SIDE_DOWN] = NULL;
    x->ops[PP_SIDE_DOWN] = NULL;
    pp_down_h2_stream_leave(
        st, whole, x->fault.side == PP_SIDE_UP ? PP_HTTP2_INTERNAL_ERROR : PP_HTTP2_CANCEL);
}

/* ---- events ---- */

struct pp_http_msg *pp_down_h2_stream_message(struct pp_http2_stream *s, enum pp_http2_part part)
{
    struct pp_exchange *x = owner_of(s)->x;
    if (x == NULL)
        return NULL;
    if (part == PP_HTTP2_HEAD)
        return &x->request;
    struct pp_http_msg *m = pp_arena_alloc(&x->arena, sizeof(*m));
    if (m != NULL)
        pp_http_msg_init(m, &x->arena);
    owner_of(s)->came = m;
    return m;
}

/* Is the head still wanted? When it was too late, or the connection fails, a filter may yet be at
 * work on the exchange. */
static bool is_awaited(const struct pp_down_stream *st)
{
    return st->x != NULL && st->x->state == PP_EXCHANGE_HEAD;
}

void pp_down_h2_stream_head(struct pp_http2_stream *s, bool end)
{
    struct pp_down_stream *st = owner_of(s);
    pp_down_h2_settle(st->d->h2);
    st->d->h2->opening = NULL;
    st->in_ended = end;
    if (!is_awaited(st))
        return;
    if (st->x->request.protocol.n > 0 && pp_extended_begin(st->x) != PP_OK)
        st->x->events->failed(st->x,
                              pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_DOWN, false, PP_ENOMEM));
    else
        st->x->events->request(st->x);
    pp_down_h2_plan(st->d);
}

static void refuse(struct pp_down_stream *st, int verdict)
{
    pp_down_h2_settle(st->d->h2);
    count(st->d, PP_METRIC_WORD(LISTENER, BAD_REQUESTS));
    st->d->h2->opening = NULL;
    st->x->events->bad_request(st->x,
                               pp_fault_make(PP_FAULT_BAD_REQUEST, PP_SIDE_DOWN, false, verdict));
    pp_down_h2_plan(st->d);
}

void pp_down_h2_stream_bad_head(struct pp_http2_stream *s, int verdict)
{
    if (is_awaited(owner_of(s)))
        refuse(owner_of(s), verdict);
}

/* Give the end of the body to its exchange. */
static int push_end(struct pp_down_stream *st, struct pp_span piece)
{
    /* Trailers belong to the exchange from here on: a filter, or the endpoint. */
    st->x->flow[PP_DIR_REQUEST].trailers = (struct pp_http_msg *)(uintptr_t)st->came;
    return pp_body_push(st->x, PP_DIR_REQUEST, piece, true, false);
}

/* What waits in <in>, as far as the sink takes it. */
static void push_waiting(struct pp_down_stream *st)
{
    struct pp_exchange *x = st->x;
    struct pp_slab *slab = &x->core->chunk_slab;
    struct iovec iov;
    int rc = PP_OK;
    pp_down_h2_plan(st->d); /* windows that open here are told */
    while (rc == PP_OK && pp_body_is_awaited(x) && pp_buf_peek(&st->in, &iov, 1) > 0) {
        struct pp_span piece =
            pp_span(iov.iov_base, PP_MIN(iov.iov_len, pp_pace_room(x, PP_DIR_REQUEST)));
        if (piece.n == 0)
            return;
        bool last = st->in_ended && st->in.n == piece.n;
        rc = last ? push_end(st, piece) : pp_body_push(x, PP_DIR_REQUEST, piece, false, false);
        if (st->x != x) /* over, and <in> with it */
            return;
        if (rc == PP_EAGAIN)
            return;
        pp_buf_skip(&st->in, slab, piece.n);
        if (st->s.codec != NULL)
            pp_http2_codec_consume(&st->s, piece.n);
    }
    if (rc == PP_OK && st->in_ended && pp_buf_is_empty(&st->in) && pp_body_is_awaited(x))
        (void)push_end(st, PP_SPAN_NONE); /* EAGAIN: pump comes again */
}

/* Keep a piece that nobody takes yet. */
static void keep_piece(struct pp_down_stream *st, struct pp_span data)
{
    struct pp_exchange *x = st->x;
    /* The client's window bounds it: what waits here was not given back. */
    if (pp_buf_write(&st->in, &x->core->chunk_slab, data.p, data.n, SIZE_MAX) == PP_OK)
        return;
    PP_COUNT(&x->core->metrics, x->core->metrics.fallback[PP_METRIC_WORKER], WORKER, NO_MEMORY, 1);
    x->events->failed(x, pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_DOWN, false, PP_ENOMEM));
}

void pp_down_h2_stream_data(struct pp_http2_stream *s, struct pp_span data, bool end)
{
    struct pp_down_stream *st = owner_of(s);
    struct pp_down_h2 *h2 = st->d->h2;
    if (h2->pushing != st)
        pp_down_h2_settle(h2);
    struct pp_exchange *x = st->x;
    st->in_ended = st->in_ended || end;
    pp_down_h2_plan(st->d);
    if (st->ch != NULL) {
        pp_down_h2_tunnel_data(st, data);
        return;
    }
    if (x == NULL || x->flow[PP_DIR_REQUEST].sink_broken || x->state >= PP_EXCHANGE_PROXY_ERROR) {
        pp_http2_codec_consume(s, data.n); /* nobody will read it */
        return;
    }
    if (pp_buf_is_empty(&st->in) && pp_body_is_awaited(x)) {
        int rc = end ? push_end(st, data) : pp_body_push(x, PP_DIR_REQUEST, data, false, true);
        if (rc != PP_EAGAIN) {
            h2->pushing = rc == PP_OK && st->x == x ? st : NULL;
            if (s->codec != NULL)
                pp_http2_codec_consume(s, data.n);
            if (st->x == x)
                settle_body(st, data.n);
            return;
        }
    }
    if (data.n > 0)
        keep_piece(st, data);
    if (st->x == x && x->flow[PP_DIR_REQUEST].pace != NULL)
        push_waiting(st); /* as much as may pass now */
    if (st->x == x)
        settle_body(st, data.n);
}

void pp_down_h2_stream_trailers(struct pp_http2_stream *s)
{
    struct pp_down_stream *st = owner_of(s);
    pp_down_h2_settle(st->d->h2);
    st->in_ended = true;
    pp_down_h2_plan(st->d);
    if (st->ch != NULL)
        pp_down_h2_tunnel_data(st, PP_SPAN_NONE);
    else if (st->x != NULL)
        push_waiting(st);
}

void pp_down_h2_stream_reset(struct pp_http2_stream *s, uint32_t code, bool by_peer)
{
    struct pp_down_stream *st = owner_of(s);
    struct pp_down *d = st->d;
    (void)code;
    if (d->h2->pushing != st) /* else its end sees to that */
        pp_down_h2_settle(d->h2);
    count(d, by_peer ? PP_METRIC_WORD(LISTENER, HTTP2_RESETS_IN)
                     : PP_METRIC_WORD(LISTENER, HTTP2_RESETS_OUT));
    pp_down_h2_plan(d);
    if (st->ch != NULL)
        pp_down_h2_tunnel_broke(st);
    else if (st->x == NULL)
        pp_down_h2_stream_free(st);
    else if (s->verdict != PP_OK && is_awaited(st))
        refuse(st, s->verdict);
    else
        st->x->events->failed(st->x,
                              pp_fault_make(PP_FAULT_CLIENT_ABORT, PP_SIDE_DOWN, false, PP_ERESET));
}

/* ---- sending ---- */

/* A result of the codec as that of a connection. */
static int result(struct pp_down_stream *st, int rc)
{
    pp_down_h2_plan(st->d);
    return rc == PP_EINVAL ? PP_ERESET : rc;
}

/* Frame <piece>, and with <end> the end behind it; keep what the client does not allow yet. */
static int send_piece(struct pp_down_stream *st, struct pp_span piece, bool end)
{
    size_t taken = 0;
    st->out_ended = st->out_ended || end;
    if (pp_buf_is_empty(&st->out)) {
        int rc = pp_http2_codec_send_data(&st->s, piece, end, &taken);
        if (rc != PP_OK)
            return result(st, rc);
        pp_down_h2_plan(st->d);
    }
    if (taken == piece.n) {
        if (end)
            settle_send(st, true);
        return PP_OK;
    }
    int rc = pp_buf_write(&st->out, &st->d->h.core->chunk_slab, piece.p + taken, piece.n - taken,
                          SIZE_MAX);
    settle_send(st, taken > 0);
    return rc;
}

void pp_down_h2_stream_writable(struct pp_http2_stream *s)
{
    struct pp_down_stream *st = owner_of(s);
    struct iovec iov;
    bool progress = false;
    if (st->ch != NULL) {
        pp_down_h2_tunnel_writable(st);
        return;
    }
    while (s->codec != NULL && pp_buf_peek(&st->out, &iov, 1) > 0) {
        bool last = st->out_ended && st->leave == NULL && st->out.n == iov.iov_len;
        size_t taken;
        if (pp_http2_codec_send_data(s, pp_span(iov.iov_base, iov.iov_len), last, &taken) != PP_OK)
            return;
        pp_buf_skip(&st->out, &st->d->h.core->chunk_slab, taken);
        progress = progress || taken > 0;
        if (taken < iov.iov_len) {
            settle_send(st, progress);
            return;
        }
    }
    if (s->codec != NULL && st->out_ended && !s->sent_end) {
        size_t taken;
        if ((st->leave != NULL ? pp_http2_codec_send_trailers(s, st->leave)
                               : pp_http2_codec_send_data(s, PP_SPAN_NONE, true, &taken)) != PP_OK)
            return;
    }
    settle_send(st, progress);
    pp_down_h2_plan(st->d);
    if (st->x != NULL) {
        st->x->events->drained(st->x, PP_DIR_RESPONSE);
    } else if (s->codec != NULL && s->sent_end) {
        pp_http2_codec_release(s);
        pp_down_h2_stream_free(st);
    }
}

static bool has_live(const struct pp_http_msg *m)
{
    for (uint32_t i = 0; m != NULL && i < m->n_field; i++) {
        if (pp_http_field_is_live(&m->field[i]))
            return true;
    }
    return false;
}

/* Does nothing follow this head? */
static bool is_all(const struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    const struct pp_http1_framing *fr = &flow->framing;
    unsigned status = x->response.status;
    bool empty = fr->body == PP_HTTP_BODY_LENGTH && fr->content_length == 0 &&
                 !x->response.end_follows && !has_live(flow->trailers);
    return status >= 200 && !x->opens_tunnel &&
           (x->request.method_id == PP_HTTP_HEAD || status == 204 || status == 304 ||
            fr->body == PP_HTTP_BODY_NONE || empty);
}

static int send_head(struct pp_exchange *x)
{
    struct pp_down_stream *st = stream_of(x);
    if (st->s.codec == NULL)
        return PP_ERESET;
    /* A client that does not read gets no interim responses: they would pile up. */
    if (x->response.status < 200 && !pp_http2_codec_wants_input(st->d->h2->codec))
        return PP_OK;
    bool end = is_all(x);
    int rc =
        pp_http2_codec_send_response(&st->s, &x->response, &x->flow[PP_DIR_RESPONSE].framing, end);
    if (rc == PP_OK && x->response.status >= 200)
        x->status = x->response.status;
    st->out_ended = st->out_ended || end;
    return result(st, rc);
}

static int send_body(struct pp_exchange *x, struct pp_span piece)
{
    struct pp_down_stream *st = stream_of(x);
    const struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    if (st->s.codec == NULL)
        return PP_ERESET;
    /* The last byte that was announced: its frame ends the stream, too, when that is known to be
     * all. */
    bool end = flow->framing.body == PP_HTTP_BODY_LENGTH &&
               flow->bytes == flow->framing.content_length && x->response.major == 1 &&
               !has_live(flow->trailers);
    return send_piece(st, piece, end);
}

static int send_end(struct pp_exchange *x)
{
    struct pp_down_stream *st = stream_of(x);
    const struct pp_http_msg *trailers = x->flow[PP_DIR_RESPONSE].trailers;
    if (st->s.sent_end || st->out_ended)
        return PP_OK;
    if (st->s.codec == NULL)
        return PP_ERESET;
    if (!has_live(trailers))
        return send_piece(st, PP_SPAN_NONE, true);
    st->out_ended = true;
    if (pp_buf_is_empty(&st->out))
        return result(st, pp_http2_codec_send_trailers(&st->s, trailers));
    st->leave = trailers;
    return PP_OK;
}

/* All of it leaves at the end of the turn. */
static int flush(struct pp_exchange *x)
{
    return stream_of(x)->s.codec != NULL ? PP_OK : PP_ERESET;
}

static size_t room(const struct pp_exchange *x)
{
    const struct pp_down_stream *st = stream_of(x);
    if (st->s.codec == NULL || !pp_buf_is_empty(&st->out))
        return 0;
    /* A little more than the client allows: what it does not take asks for its turn. */
    return PP_MAX(pp_http2_codec_room(&st->s), (size_t)PP_DOWN_H2_AHEAD);
}

/* ---- receiving ---- */

/* Leave to send the body (RFC 9110 section 10.1.1), once somebody wants to read it. */
static int send_continue(struct pp_down_stream *st)
{
    struct pp_exchange *x = st->x;
    struct pp_http1_framing none = {0};
    struct pp_http_msg m;
    x->continue_sent = true;
    if (!x->request.expect_continue || !pp_buf_is_empty(&st->in) || st->in_ended ||
        x->flow[PP_DIR_RESPONSE].head_sent || st->s.codec == NULL)
        return PP_OK;
    pp_http_msg_init(&m, &x->arena);
    m.status = 100;
    return result(st, pp_http2_codec_send_response(&st->s, &m, &none, false));
}

static void pump(struct pp_exchange *x)
{
    struct pp_down_stream *st = stream_of(x);
    if (!pp_body_is_awaited(x))
        return;
    if (!x->continue_sent) {
        int rc = send_continue(st);
        if (rc != PP_OK) {
            x->events->failed(x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
            return;
        }
    }
    push_waiting(st);
    if (st->x == x)
        settle_body(st, 0);
}

/* Pushing needs no turns: a window bounds what there is to push. */
static void yield(struct pp_exchange *x)
{
    (void)x;
}

static void moved(struct pp_exchange *x, size_t n, bool read)
{
    (void)x;
    (void)n;
    (void)read;
}

static bool has_buffered(const struct pp_exchange *x)
{
    const struct pp_down_stream *st = stream_of(x);
    return !pp_buf_is_empty(&st->in) || st->in_ended;
}

static struct pp_chan *plain_channel(const struct pp_exchange *x)
{
    (void)x;
    return NULL;
}

static bool discard(struct pp_exchange *x)
{
    struct pp_down_stream *st = stream_of(x);
    if (st->s.codec != NULL)
        pp_http2_codec_consume(&st->s, st->in.n);
    pp_buf_fini(&st->in, &x->core->chunk_slab);
    x->flow[PP_DIR_REQUEST].source_ended = st->in_ended;
    return st->in_ended;
}

const struct pp_side_ops pp_down_h2_ops = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .flush = flush,
    .room = room,
    .pump = pump,
    .probe = pump,
    .yield = yield,
    .moved = moved,
    .is_readable = has_buffered,
    .has_buffered = has_buffered,
    .plain_channel = plain_channel,
    .discard = discard,
    .give = pp_down_h2_give,
    .finish = finish,
};
