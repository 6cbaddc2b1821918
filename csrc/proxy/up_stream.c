#include "proxy/up_stream.h"

#include "base/check.h"
#include "io/chan_tls.h"
#include "proxy/extended.h"
#include "proxy/pace.h"

/* Shorter pieces of a body wait for the end of the turn: they leave in one frame, and the end of
 * the body in the same. */
#define STASH_BYTES 4096
/* A source may bring so much while the peer's window is shut or nearly so. */
#define ROOM_BYTES 16384

static struct pp_up_stream *stream_of(const struct pp_exchange *x)
{
    return x->side[PP_SIDE_UP];
}

static struct pp_up_stream *of_codec(struct pp_http2_stream *s)
{
    return PP_CONTAINER_OF(s, struct pp_up_stream, s);
}

/* ---- deadlines ---- */

static void expect(struct pp_up_stream *s, enum pp_fault_code why, uint64_t ms)
{
    struct pp_loop *lp = &s->x->core->loop;
    s->why = (uint8_t)why;
    s->since_ms = lp->now_ms;
    s->deadline_ms = ms == 0 ? UINT64_MAX : lp->now_ms + ms;
    if (ms != 0)
        pp_loop_no_later(lp, &s->timer, s->deadline_ms);
}

static void settle_deadline(struct pp_up_stream *s)
{
    uint64_t ms;
    enum pp_fault_code why = pp_up_owes(s->x, &s->ep->cluster->conf, s->blocked, &ms);
    expect(s, why, ms);
}

static void on_timer(struct pp_timer *t)
{
    struct pp_up_stream *s = PP_CONTAINER_OF(t, struct pp_up_stream, timer);
    struct pp_exchange *x = s->x;
    struct pp_loop *lp = &x->core->loop;
    if (s->deadline_ms == UINT64_MAX)
        return;
    if (lp->now_ms < s->deadline_ms) {
        pp_loop_start(lp, t, s->deadline_ms);
        return;
    }
    s->deadline_ms = UINT64_MAX;
    PP_COUNT(&x->core->metrics, s->ep->cluster->record, UPSTREAM, TIMEOUTS, 1);
    /* Nothing at all has come on the connection for most of that time: it may be as dead for
     * others. */
    if (s->h2 != NULL && lp->now_ms - s->h2->heard_ms > (lp->now_ms - s->since_ms) / 2)
        pp_up_h2_stop(s->h2);
    x->events->failed(
        x, pp_fault_make((enum pp_fault_code)s->why, PP_SIDE_UP, s->waiting, PP_ETIMEDOUT));
}

/* ---- the request ---- */

static void send_soon(struct pp_up_stream *s)
{
    if (s->h2 == NULL)
        return;
    if (pp_list_is_empty(&s->unsent))
        pp_list_attach_back(&s->h2->unsent, &s->unsent);
    pp_up_h2_write_soon(s->h2);
}

static const struct pp_http_msg *trailers_of(const struct pp_exchange *x)
{
    const struct pp_http_msg *m = x->flow[PP_DIR_REQUEST].trailers;
    return m != NULL && m->n_field > 0 ? m : NULL;
}

/* Does nothing follow the head of the request? */
static bool is_all(const struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    return flow->framing.body == PP_HTTP_BODY_NONE ||
           (flow->framing.body == PP_HTTP_BODY_LENGTH && flow->framing.content_length == 0 &&
            flow->source_ended && trailers_of(x) == NULL);
}

static int send_head(struct pp_exchange *x)
{
    struct pp_up_stream *s = stream_of(x);
    const struct pp_http1_framing *fr = &x->flow[PP_DIR_REQUEST].framing;
    const struct pp_http_msg *m = &x->request;
    struct pp_http_msg tunnel;
    if (s->h2 == NULL)
        return PP_EREFUSED;
    s->extended = x->wants_tunnel;
    if (s->extended) {
        if (pp_extended_ask(x, &tunnel) != PP_OK)
            return PP_ENOMEM;
        m = &tunnel;
    }
    bool end = !s->extended && is_all(x);
    struct pp_span scheme = pp_chan_is_tls(&s->h2->up->h.ch) ? PP_SPAN("https") : PP_SPAN("http");
    int rc =
        pp_http2_codec_send_request(s->h2->codec, &s->s, m, scheme, x->up_host, x->target, fr, end);
    pp_up_h2_write_soon(s->h2);
    /* The peer has changed its mind about how many streams it takes, or goes away. */
    return rc == PP_ELIMIT || rc == PP_EINVAL ? PP_EREFUSED : rc;
}

/* Has the stream a codec that takes the request on? */
static bool is_open(const struct pp_up_stream *s)
{
    return s->s.codec != NULL && !s->s.sent_end;
}

static int send_body(struct pp_exchange *x, struct pp_span piece)
{
    struct pp_up_stream *s = stream_of(x);
    size_t taken = 0;
    if (!is_open(s)) /* what has become of it is told apart */
        return PP_OK;
    if (pp_buf_is_empty(&s->out) && piece.n > STASH_BYTES) {
        int rc = pp_http2_codec_send_data(&s->s, piece, false, &taken);
        if (rc != PP_OK)
            return rc == PP_EINVAL ? PP_OK : rc;
        pp_up_h2_write_soon(s->h2);
        s->blocked = taken < piece.n;
    }
    if (taken == piece.n)
        return PP_OK;
    if (!s->blocked)
        send_soon(s);
    /* Bounded: a source brings no more than there is room for, and one read. */
    return pp_buf_write(&s->out, &x->core->chunk_slab, piece.p + taken, piece.n - taken, SIZE_MAX);
}

static int send_end(struct pp_exchange *x)
{
    struct pp_up_stream *s = stream_of(x);
    s->end_waits = is_open(s) && !s->extended;
    if (s->end_waits && !s->blocked)
        send_soon(s);
    return PP_OK;
}

static int flush(struct pp_exchange *x)
{
    settle_deadline(stream_of(x)); /* the bytes leave at the end of the turn */
    return PP_OK;
}

static size_t room(const struct pp_exchange *x)
{
    const struct pp_up_stream *s = stream_of(x);
    if (x->opens_tunnel) /* nothing of ours waits here */
        return ROOM_BYTES;
    if (!is_open(s) || s->blocked)
        return 0;
    size_t most = PP_MAX(pp_http2_codec_room(&s->s), (size_t)ROOM_BYTES);
    return most > s->out.n ? most - s->out.n : 0;
}

/* The end of the request, behind all of its body. */
static void offer_end(struct pp_up_stream *s)
{
    const struct pp_http_msg *trailers = trailers_of(s->x);
    size_t taken;
    int rc = trailers != NULL ? pp_http2_codec_send_trailers(&s->s, trailers)
                              : pp_http2_codec_send_data(&s->s, PP_SPAN_NONE, true, &taken);
    s->blocked = rc == PP_OK && !s->s.sent_end;
}

void pp_up_stream_send(struct pp_up_stream *s)
{
    struct iovec iov;
    pp_list_detach(&s->unsent);
    s->blocked = false;
    while (is_open(s) && pp_buf_peek(&s->out, &iov, 1) > 0) {
        bool last = s->end_waits && iov.iov_len == s->out.n && trailers_of(s->x) == NULL;
        size_t taken;
        int rc = pp_http2_codec_send_data(&s->s, pp_span(iov.iov_base, iov.iov_len), last, &taken);
        if (rc != PP_OK)
            return;
        pp_buf_skip(&s->out, &s->x->core->chunk_slab, taken);
        if (taken < iov.iov_len) {
            s->blocked = true;
            break;
        }
    }
    if (is_open(s) && !s->blocked && s->end_waits)
        offer_end(s);
    settle_deadline(s);
    if (!s->blocked && pp_buf_is_empty(&s->out))
        s->x->events->drained(s->x, PP_DIR_REQUEST);
}

/* ---- the response ---- */

static void make_ready(struct pp_up_stream *s)
{
    if (pp_list_is_empty(&s->ready))
        pp_list_attach_back(&s->h2->ready, &s->ready);
}

/* The client's side took <n> bytes of <in>. */
static void take(struct pp_up_stream *s, size_t n)
{
    pp_buf_skip(&s->in, &s->x->core->chunk_slab, n);
    if (s->s.codec != NULL && n > 0) {
        pp_http2_codec_consume(&s->s, n);
        pp_up_h2_write_soon(s->h2);
    }
}

/* What is kept of the body, and its end. */
static void give_body(struct pp_up_stream *s)
{
    struct pp_exchange *x = s->x;
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    if (s->h2 != NULL && s->h2->pushing == s)
        pp_up_h2_settle(s->h2);
    for (int rc = PP_OK; rc == PP_OK && s->x == x && !flow->source_ended;) {
        struct iovec iov;
        bool any = pp_buf_peek(&s->in, &iov, 1) > 0;
        struct pp_span piece = PP_SPAN_NONE;
        if (any)
            piece = pp_span(iov.iov_base, PP_MIN(iov.iov_len, pp_pace_room(x, PP_DIR_RESPONSE)));
        bool last = s->ended && piece.n == s->in.n;
        if (piece.n == 0 && !last)
            break;
        if (last && s->trailers != NULL)
            flow->trailers = s->trailers;
        rc = pp_body_push(x, PP_DIR_RESPONSE, piece, last, false);
        if (s->x == x && rc != PP_EAGAIN)
            take(s, piece.n);
    }
    if (s->x == x)
        settle_deadline(s);
}

/* Connected, but the endpoint takes no tunnel on a stream. */
static void go_elsewhere(struct pp_up_stream *s)
{
    struct pp_endpoint *ep = s->ep;
    if (!pp_up_can_tunnel(ep->cluster)) {
        s->x->events->failed(
            s->x, pp_fault_make(PP_FAULT_UPSTREAM_NO_UPGRADE, PP_SIDE_UP, true, PP_EHTTP_SWITCH));
        return;
    }
    struct pp_exchange *x = pp_up_stream_take(s);
    int rc = pp_up_acquire_another(x, ep, true);
    if (rc == PP_OK)
        x->events->connected(x);
    else if (rc != PP_EAGAIN)
        x->events->failed(x, pp_fault_make(PP_FAULT_CONNECT_FAILED, PP_SIDE_UP, true, rc));
}

/* Connected: the request can be sent. */
static void begin(struct pp_up_stream *s)
{
    struct pp_exchange *x = s->x;
    if (pp_up_h2_is_undecided(s->h2, x)) {
        s->waiting = true;
        expect(s, PP_FAULT_CONNECT_TIMEOUT, s->ep->cluster->conf.connect_timeout_ms);
    } else if ((x->wants_tunnel && !s->ep->extended && pp_up_can_tunnel(s->ep->cluster)) ||
               pp_up_h2_decide(s->h2, x) != PP_OK) {
        go_elsewhere(s);
    } else {
        expect(s, PP_FAULT_NONE, 0);
        x->events->connected(x);
    }
}

void pp_up_stream_attend(struct pp_up_stream *s)
{
    struct pp_exchange *x = s->x;
    pp_list_detach(&s->ready);
    if (s->ch != NULL) {
        pp_up_stream_tunnel_news(s);
        return;
    }
    if (s->waiting) {
        s->waiting = false;
        if (!pp_fault_is_set(&s->fault)) {
            begin(s);
            return;
        }
    }
    bool failed = pp_fault_is_set(&s->fault) && !s->ended;
    if (s->has_head && !failed && x->state == PP_EXCHANGE_AWAIT) {
        s->has_head = false;
        x->events->response(x);
    }
    if (s->x == x && x->state == PP_EXCHANGE_BODY)
        give_body(s);
    else if (s->x == x && x->state > PP_EXCHANGE_AWAIT)
        settle_deadline(s);
    if (s->x == x && failed)
        x->events->failed(x, s->fault);
}

static void pump(struct pp_exchange *x)
{
    pp_up_stream_attend(stream_of(x));
}

static void yield(struct pp_exchange *x)
{
    (void)x; /* what has come is in memory: it is given on at once */
}

static void moved(struct pp_exchange *x, size_t n, bool read)
{
    (void)x, (void)n, (void)read; /* bytes never pass a stream by */
}

static bool has_buffered(const struct pp_exchange *x)
{
    const struct pp_up_stream *s = stream_of(x);
    return s->ended || !pp_buf_is_empty(&s->in);
}

static bool is_readable(const struct pp_exchange *x)
{
    const struct pp_up_stream *s = stream_of(x);
    return s->has_head || has_buffered(x) || pp_fault_is_set(&s->fault);
}

static struct pp_chan *plain_channel(const struct pp_exchange *x)
{
    (void)x;
    return NULL;
}

static bool discard(struct pp_exchange *x)
{
    return stream_of(x)->ended;
}

static void finish(struct pp_exchange *x, bool reusable)
{
    struct pp_up_stream *s = stream_of(x);
    (void)reusable; /* whatever has become of the stream, the connection goes on */
    pp_up_end(x, s->ep);
    pp_up_stream_free(s);
}

static const struct pp_side_ops side_ops = {
    .send_head = send_head,
    .send_body = send_body,
    .send_end = send_end,
    .flush = flush,
    .room = room,
    .pump = pump,
    .probe = pump,
    .yield = yield,
    .moved = moved,
    .is_readable = is_readable,
    .has_buffered = has_buffered,
    .plain_channel = plain_channel,
    .discard = discard,
    .give = pp_up_stream_give,
    .finish = finish,
    .may_refuse = true,
};

/* ---- what the codec tells ---- */

static struct pp_http_msg *on_message(struct pp_http2_stream *codec_s, enum pp_http2_part part)
{
    struct pp_up_stream *s = of_codec(codec_s);
    struct pp_exchange *x = s->x;
    if (part == PP_HTTP2_HEAD)
        return x->state == PP_EXCHANGE_AWAIT && !s->has_head ? &x->response : NULL;
    s->trailers = pp_arena_alloc(&x->arena, sizeof(*s->trailers));
    if (s->trailers != NULL) /* without memory they are checked and dropped */
        pp_http_msg_init(s->trailers, &x->arena);
    return s->trailers;
}

static void on_head(struct pp_http2_stream *codec_s, bool end)
{
    struct pp_up_stream *s = of_codec(codec_s);
    struct pp_exchange *x = s->x;
    pp_up_h2_settle(s->h2);
    x->silent = false;
    if (x->response.status < 200) {
        x->events->response(x);
        return;
    }
    x->declared_length = codec_s->declared;
    if (s->extended && x->response.status < 300 && pp_extended_accept(x) != PP_OK)
        s->fault = pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_UP, false, PP_ENOMEM);
    s->has_head = true;
    s->ended = end;
    make_ready(s);
}

/* Keep it until the client takes it; at most one window of the stream. */
static void keep(struct pp_up_stream *s, struct pp_span piece)
{
    if (piece.n > 0 &&
        pp_buf_write(&s->in, &s->x->core->chunk_slab, piece.p, piece.n, SIZE_MAX) != PP_OK)
        s->fault = pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_UP, false, PP_ENOMEM);
    make_ready(s);
}

static void on_data(struct pp_http2_stream *codec_s, struct pp_span piece, bool end)
{
    struct pp_up_stream *s = of_codec(codec_s);
    struct pp_exchange *x = s->x;
    struct pp_up_h2 *h2 = s->h2;
    if (h2->pushing != s)
        pp_up_h2_settle(h2);
    if (pp_fault_is_set(&s->fault))
        return;
    s->ended = end;
    int rc = PP_EAGAIN;
    if (x->state == PP_EXCHANGE_BODY && pp_buf_is_empty(&s->in))
        rc = pp_body_push(x, PP_DIR_RESPONSE, piece, end, !end);
    if (rc == PP_EAGAIN) {
        keep(s, piece);
        return;
    }
    if (s->x != x)
        return;
    h2->pushing = rc == PP_OK ? s : NULL;
    pp_http2_codec_consume(&s->s, piece.n);
    settle_deadline(s);
}

static void on_trailers(struct pp_http2_stream *codec_s)
{
    struct pp_up_stream *s = of_codec(codec_s);
    s->ended = true;
    make_ready(s);
}

/* The endpoint has not looked at the request. */
static struct pp_fault refused_fault(struct pp_up_stream *s)
{
    PP_COUNT(&s->x->core->metrics, s->ep->cluster->record, UPSTREAM, REFUSED, 1);
    return pp_fault_make(PP_FAULT_UPSTREAM_REFUSED, PP_SIDE_UP, true, PP_EREFUSED);
}

/* The endpoint wants the request in another form (RFC 9113 section 7), so it has not acted upon
 * this one. */
static struct pp_fault wants_h1_fault(struct pp_up_stream *s)
{
    bool can = pp_up_h2_give_way(s->h2);
    PP_COUNT(&s->x->core->metrics, s->ep->cluster->record, UPSTREAM, REFUSED, 1);
    return pp_fault_make(PP_FAULT_UPSTREAM_WANTS_H1, PP_SIDE_UP, can, PP_EREFUSED);
}

static struct pp_fault reset_fault(struct pp_up_stream *s, uint32_t code, bool by_peer)
{
    if (code == PP_HTTP2_REFUSED_STREAM)
        return refused_fault(s);
    if (code == PP_HTTP2_HTTP_1_1_REQUIRED && by_peer && s->x->silent)
        return wants_h1_fault(s);
    if (!by_peer)
        return pp_fault_make(PP_FAULT_UPSTREAM_BAD_RESPONSE, PP_SIDE_UP, false, s->s.verdict);
    return pp_up_reset_fault(s->h2->up, PP_ERESET);
}

static void on_reset(struct pp_http2_stream *codec_s, uint32_t code, bool by_peer)
{
    struct pp_up_stream *s = of_codec(codec_s);
    if (!s->ended && s->ch == NULL)
        s->fault = reset_fault(s, code, by_peer);
    else if (!s->ended) /* the tunnel counts it */
        s->fault = pp_fault_make(PP_FAULT_UPSTREAM_RESET, PP_SIDE_UP, false, PP_ERESET);
    s->x->flow[PP_DIR_REQUEST].sink_broken = true; /* it takes no more, but may have answered */
    make_ready(s);
}

static void on_writable(struct pp_http2_stream *codec_s)
{
    struct pp_up_stream *s = of_codec(codec_s);
    if (s->ch != NULL)
        pp_up_stream_tunnel_writable(s);
    else
        pp_up_stream_send(s);
}

static void on_goaway(void *owner, uint32_t code, uint32_t last)
{
    struct pp_up_h2 *h2 = owner;
    h2->last_seen = last;
    pp_up_h2_stop(h2);
    if (code == PP_HTTP2_HTTP_1_1_REQUIRED)
        (void)pp_up_h2_give_way(h2);
}

/* Those that wait for it hear of it when all that has come was seen. */
static void on_settings(void *owner)
{
    struct pp_up_h2 *h2 = owner;
    h2->settled = true;
    h2->up->ep->extended = pp_http2_codec_has_connect_protocol(h2->codec);
    for (struct pp_list *l = h2->streams.next; l != &h2->streams; l = l->next) {
        struct pp_up_stream *s = PP_CONTAINER_OF(l, struct pp_up_stream, link);
        if (s->waiting)
            make_ready(s);
    }
}

static void on_pong(void *owner, uint64_t tag)
{
    (void)owner, (void)tag;
}

const struct pp_http2_events pp_up_stream_events = {
    .message = on_message,
    .head = on_head,
    .data = on_data,
    .trailers = on_trailers,
    .reset = on_reset,
    .writable = on_writable,
    .goaway = on_goaway,
    .settings = on_settings,
    .pong = on_pong,
};

/* ---- life ---- */

struct pp_up_stream *pp_up_stream_new(struct pp_up_h2 *h2, struct pp_exchange *x, bool waits,
                                      bool reused)
{
    struct pp_core *core = x->core;
    struct pp_up_stream *s = pp_slab_get(&core->up_stream_slab);
    if (s == NULL)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->h2 = h2;
    s->x = x;
    s->ep = h2->up->ep;
    s->waiting = waits;
    s->deadline_ms = UINT64_MAX;
    pp_timer_init(&s->timer, on_timer);
    pp_list_init(&s->ready);
    pp_list_init(&s->unsent);
    pp_list_attach_back(&h2->streams, &s->link);
    pp_cluster_ref(s->ep->cluster);
    h2->n++;
    x->side[PP_SIDE_UP] = s;
    x->ops[PP_SIDE_UP] = &side_ops;
    pp_up_begin(x, s->ep, reused);
    if (waits && h2->codec != NULL)
        expect(s, PP_FAULT_CONNECT_TIMEOUT, s->ep->cluster->conf.connect_timeout_ms);
    return s;
}

static void free_now(struct pp_deferred *deferred)
{
    struct pp_up_stream *s = PP_CONTAINER_OF(deferred, struct pp_up_stream, deferred);
    struct pp_core *core = s->ep->cluster->core;
    pp_cluster_unref(s->ep->cluster);
    pp_slab_put(&core->up_stream_slab, s);
}

void pp_up_stream_free(struct pp_up_stream *s)
{
    struct pp_core *core = s->x->core;
    struct pp_up_h2 *h2 = s->h2;
    s->x = NULL;
    s->h2 = NULL;
    pp_loop_stop(&core->loop, &s->timer);
    pp_list_detach(&s->link);
    pp_list_detach(&s->ready);
    pp_list_detach(&s->unsent);
    pp_buf_fini(&s->in, &core->chunk_slab);
    pp_buf_fini(&s->out, &core->chunk_slab);
    if (s->s.codec != NULL)
        pp_http2_codec_release(&s->s);
    if (h2 != NULL)
        pp_up_h2_left(h2, s);
    s->deferred.fn = free_now;
    pp_loop_defer_free(&core->loop, &s->deferred);
}

void pp_up_stream_orphan(struct pp_up_stream *s, struct pp_list *to)
{
    pp_list_detach(&s->link);
    pp_list_detach(&s->ready);
    pp_list_detach(&s->unsent);
    pp_list_attach_back(to, &s->link);
    s->unseen = s->s.id == 0 || s->s.id > s->h2->last_seen;
    s->h2 = NULL;
    s->blocked = false;
    if (s->s.codec != NULL)
        pp_http2_codec_release(&s->s);
}

void pp_up_stream_fail(struct pp_up_stream *s, struct pp_fault f)
{
    if (s->unseen && !s->waiting && s->ch == NULL)
        f = refused_fault(s);
    if (!pp_fault_is_set(&s->fault))
        s->fault = f;
    s->x->flow[PP_DIR_REQUEST].sink_broken = true;
    pp_up_stream_attend(s);
}

struct pp_exchange *pp_up_stream_take(struct pp_up_stream *s)
{
    struct pp_exchange *x = s->x;
    pp_up_end(x, s->ep);
    PP_COUNT(&x->core->metrics, s->ep->record, ENDPOINT, REQUESTS, -1); /* not yet */
    pp_up_stream_free(s);
    return x;
}
