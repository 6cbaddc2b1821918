/* HTTP/2 towards a client: the connection. */
#include "proxy/down_h2.h"

#include "base/check.h"
#include "base/mem.h"
#include "proxy/move.h"

/* Reads of one connection per turn, and writes: then others get their turn. */
#define ROUNDS 16
#define WRITE_IOVS 32

static void count(struct pp_down *d, unsigned word, uint64_t n)
{
    d->h.core->metrics.words[d->door->conf->record + word] += n;
}

/* ---- ending ---- */

/* Everything is said: what waits leaves, or waits in the queue that every connection has, and the
 * connection ends as any other. */
static void end(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    struct iovec iov[WRITE_IOVS];
    int n;
    while ((n = pp_http2_codec_peek(h2->codec, iov, WRITE_IOVS)) > 0) {
        size_t bytes = 0;
        for (int i = 0; i < n; i++) {
            bytes += iov[i].iov_len;
            if (pp_buf_write(&d->h.out, &d->h.core->chunk_slab, iov[i].iov_base, iov[i].iov_len,
                             SIZE_MAX) != PP_OK) {
                pp_down_close(d, true);
                return;
            }
        }
        pp_http2_codec_sent(h2->codec, bytes);
    }
    size_t sent;
    int rc = pp_h1_flush(&d->h, &sent);
    count(d, PP_METRIC_WORD(LISTENER, BYTES_OUT), sent);
    d->unread = d->unread || d->h.ch.readable;
    if (rc != PP_OK)
        pp_down_close(d, false);
    else
        pp_down_end(d);
}

/* Streams whose exchanges are over, and that wait for nothing but their client. */
static void free_tails(struct pp_down_h2 *h2, uint32_t code)
{
    for (uint32_t n = h2->n_stream; n > 0; n--) {
        struct pp_down_stream *st = PP_CONTAINER_OF(h2->streams.next, struct pp_down_stream, link);
        pp_list_detach(&st->link);
        pp_list_attach_back(&h2->streams, &st->link);
        if (st->x != NULL || st->ch != NULL)
            continue;
        if (st->s.codec != NULL)
            pp_http2_codec_reset(&st->s, code);
        pp_down_h2_stream_free(st);
    }
}

static void leave_now(struct pp_down *d);

/* End every exchange, and with the connection every tunnel: but in a worker that stops tunnels have
 * a time of their own, and the connection stays for them. True: there were some. */
static bool fail(struct pp_down *d, struct pp_fault f)
{
    struct pp_down_h2 *h2 = d->h2;
    bool any = h2->n_open > 0, stays = false;
    for (uint32_t n = h2->n_stream; n > 0 && !pp_list_is_empty(&h2->streams); n--) {
        struct pp_down_stream *st = PP_CONTAINER_OF(h2->streams.next, struct pp_down_stream, link);
        pp_list_detach(&st->link);
        pp_list_attach_back(&h2->streams, &st->link);
        if (st->x != NULL)
            st->x->events->failed(st->x, f);
        else if (st->ch != NULL && f.code != PP_FAULT_SHUTDOWN)
            pp_down_h2_tunnel_broke(st);
        else if (st->ch != NULL)
            stays = true;
    }
    if (stays) { /* and ends in order, behind the last of them */
        d->gone = false;
        if (h2->leave != PP_DOWN_H2_LEAVES)
            leave_now(d);
    }
    return any;
}

/* The codec has given up: because of the peer, or of memory. */
static void give_up(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    if (!h2->over) {
        h2->over = true;
        d->unread = true;
        enum pp_http2_flood flood = pp_http2_codec_flood(h2->codec);
        if (flood != PP_HTTP2_FLOOD_NONE)
            count(d, PP_METRIC_WORD(LISTENER, HTTP2_FLOOD_RAPID_RESET) + (unsigned)flood - 1, 1);
        if (pp_http2_codec_error(h2->codec) != PP_HTTP2_NO_ERROR)
            count(d, PP_METRIC_WORD(LISTENER, HTTP2_ERRORS), 1);
        (void)fail(d, pp_fault_make(PP_FAULT_CLIENT_ABORT, PP_SIDE_DOWN, false, PP_ERESET));
    }
    if (d->state == PP_DOWN_CLOSED)
        return;
    free_tails(h2, PP_HTTP2_CANCEL);
    if (h2->n_open == 0)
        end(d);
}

void pp_down_h2_ended(struct pp_down *d)
{
    if (d->gone && d->h2->n_open == 0)
        pp_down_close(d, false);
    else
        pp_down_h2_plan(d);
}

/* ---- deadlines ---- */

static void settle(struct pp_down *d, bool progress)
{
    struct pp_down_h2 *h2 = d->h2;
    const struct pp_listener_conf *conf = d->door->conf;
    d->state = h2->n_stream > 0 ? PP_DOWN_EXCHANGE : PP_DOWN_IDLE;
    if (pp_http2_codec_pending(h2->codec) > 0) {
        if (d->wait != PP_DOWN_WAIT_SEND || progress)
            pp_down_expect(d, PP_DOWN_WAIT_SEND, conf->send_timeout_ms);
    } else if (h2->opening != NULL) {
        if (d->wait != PP_DOWN_WAIT_HEAD)
            pp_down_expect(d, PP_DOWN_WAIT_HEAD, conf->header_timeout_ms);
    } else if (h2->n_stream == 0) {
        if (d->wait != PP_DOWN_WAIT_IDLE)
            pp_down_expect(d, PP_DOWN_WAIT_IDLE, conf->idle_timeout_ms);
    } else if (d->wait != PP_DOWN_WAIT_NONE) {
        pp_down_expect(d, PP_DOWN_WAIT_NONE, 0);
    }
}

static void on_late(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    if (d->wait == PP_DOWN_WAIT_SEND) {
        d->gone = true;
        if (!fail(d, pp_fault_make(PP_FAULT_SEND_TIMEOUT, PP_SIDE_DOWN, false, PP_ETIMEDOUT)))
            pp_down_close(d, true);
        return;
    }
    if (d->wait == PP_DOWN_WAIT_HEAD && h2->opening != NULL) {
        struct pp_exchange *x = h2->opening->x;
        h2->opening = NULL;
        x->events->failed(
            x, pp_fault_make(PP_FAULT_HEADER_TIMEOUT, PP_SIDE_DOWN, false, PP_ETIMEDOUT));
        if (d->state == PP_DOWN_CLOSED)
            return;
    }
    count(d, PP_METRIC_WORD(LISTENER, HTTP2_GOAWAYS), 1);
    pp_http2_codec_goaway(h2->codec, false, PP_HTTP2_NO_ERROR);
    give_up(d);
}

/* ---- going away ---- */

static void leave_now(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    h2->leave = PP_DOWN_H2_LEAVES;
    pp_loop_stop(&d->h.core->loop, &h2->leave_timer);
    pp_http2_codec_goaway(h2->codec, false, PP_HTTP2_NO_ERROR);
    pp_down_h2_plan(d);
}

static void on_leave_timer(struct pp_timer *t)
{
    struct pp_down_h2 *h2 = PP_CONTAINER_OF(t, struct pp_down_h2, leave_timer);
    struct pp_down *d = h2->d;
    struct pp_loop *lp = &d->h.core->loop;
    if (d->state >= PP_DOWN_FLUSH || h2->over)
        return;
    if (h2->leave == PP_DOWN_H2_NOTICED) {
        leave_now(d);
        return;
    }
    h2->leave = PP_DOWN_H2_NOTICED;
    count(d, PP_METRIC_WORD(LISTENER, HTTP2_GOAWAYS), 1);
    pp_http2_codec_goaway(h2->codec, true, PP_HTTP2_NO_ERROR);
    pp_http2_codec_ping(h2->codec, 1);
    pp_loop_start(lp, t, lp->now_ms + PP_DOWN_H2_NOTICE_MS);
    pp_down_h2_plan(d);
}

void pp_down_h2_leave(struct pp_down *d, uint64_t spread_ms)
{
    struct pp_down_h2 *h2 = d->h2;
    struct pp_core *core = d->h.core;
    if (h2->leave != PP_DOWN_H2_STAYS)
        return;
    h2->leave = PP_DOWN_H2_PLANNED;
    pp_loop_start(&core->loop, &h2->leave_timer,
                  core->loop.now_ms + (spread_ms > 0 ? pp_rng_below(&core->rng, spread_ms) : 0));
}

static void drain(struct pp_down *d)
{
    if (d->state >= PP_DOWN_FLUSH)
        return;
    if (!d->h.core->draining && d->h2->leave == PP_DOWN_H2_STAYS)
        count(d, PP_METRIC_WORD(LISTENER, OVERLOAD_CLOSED), 1);
    pp_down_h2_leave(d, pp_move_spread_ms(d->h.core));
}

/* Has it served its share, or its time? */
static bool is_spent(const struct pp_down *d)
{
    const struct pp_listener_conf *conf = d->door->conf;
    return (conf->max_requests > 0 && d->n_request >= conf->max_requests) ||
           (conf->max_age_ms > 0 && d->h.core->loop.now_ms - d->born_ms >= conf->max_age_ms);
}

/* ---- writing ---- */

/* One call to the socket. False: nothing more can be written now. */
static bool write_once(struct pp_down *d, bool *progress)
{
    struct pp_http2_codec *codec = d->h2->codec;
    struct iovec iov[WRITE_IOVS];
    size_t sent;
    int n = pp_http2_codec_peek(codec, iov, WRITE_IOVS);
    if (n == 0 || !d->h.ch.writable)
        return false;
    if (pp_chan_writev(&d->h.ch, iov, n, &sent) != PP_OK) {
        pp_down_close(d, false);
        return false;
    }
    pp_http2_codec_sent(codec, sent);
    count(d, PP_METRIC_WORD(LISTENER, BYTES_OUT), sent);
    *progress = *progress || sent > 0;
    return true;
}

/* Write what waits, and let streams go on that waited for room. */
static void write_out(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    bool progress = false;
    h2->in_write = true;
    for (int round = 0; d->state < PP_DOWN_FLUSH; round++) {
        if (round == ROUNDS) {
            pp_down_again(d);
            break;
        }
        if (write_once(d, &progress))
            continue;
        if (d->state >= PP_DOWN_FLUSH || !d->h.ch.writable)
            break;
        (void)pp_http2_codec_wake(h2->codec);
        struct iovec iov;
        if (d->state >= PP_DOWN_FLUSH || pp_http2_codec_peek(h2->codec, &iov, 1) == 0)
            break;
    }
    h2->in_write = false;
    if (d->state >= PP_DOWN_FLUSH)
        return;
    if (pp_http2_codec_is_over(h2->codec)) {
        give_up(d);
        return;
    }
    if (is_spent(d))
        pp_down_h2_leave(d, 0);
    if (h2->leave == PP_DOWN_H2_LEAVES && h2->n_stream == 0) {
        end(d);
        return;
    }
    if (h2->thirsty && d->h.ch.readable && pp_http2_codec_wants_input(h2->codec)) {
        h2->thirsty = false;
        pp_down_again(d);
    }
    settle(d, progress);
}

static void on_turn_end(struct pp_deferred *deferred)
{
    struct pp_down_h2 *h2 = PP_CONTAINER_OF(deferred, struct pp_down_h2, flush);
    h2->flush_planned = false;
    if (h2->d->state < PP_DOWN_FLUSH)
        write_out(h2->d);
}

void pp_down_h2_plan(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    /* Once it is closed its memory goes at the end of this turn, before anything planned now. */
    if (h2->flush_planned || h2->in_write || d->state == PP_DOWN_CLOSED)
        return;
    h2->flush_planned = true;
    pp_loop_defer_free(&d->h.core->loop, &h2->flush);
}

/* ---- reading ---- */

void pp_down_h2_settle(struct pp_down_h2 *h2)
{
    struct pp_down_stream *st = h2->pushing;
    h2->pushing = NULL;
    if (st == NULL || st->x == NULL || !pp_exchange_is_attached(st->x, PP_SIDE_UP))
        return;
    int rc = st->x->ops[PP_SIDE_UP]->flush(st->x);
    if (rc != PP_OK)
        st->x->events->failed(st->x, pp_body_sink_fault(PP_DIR_REQUEST, rc));
}

/* False: the connection is on its way out. */
static bool feed(struct pp_down *d, const char *p, size_t n)
{
    struct pp_down_h2 *h2 = d->h2;
    count(d, PP_METRIC_WORD(LISTENER, BYTES_IN), n);
    int rc = pp_http2_codec_feed(h2->codec, p, n, d->h.core->loop.now_ms);
    pp_down_h2_settle(h2);
    if (d->state >= PP_DOWN_FLUSH)
        return false;
    if (rc != PP_OK) {
        give_up(d);
        return false;
    }
    pp_down_h2_plan(d);
    return true;
}

/* Into memory of all connections, for as long as the bytes are looked at: what must stay is copied
 * by then. */
static bool read_once(struct pp_down *d)
{
    struct pp_core *core = d->h.core;
    size_t n;
    int rc = pp_chan_read(&d->h.ch, core->feed, PP_CORE_FEED_BYTES, &n);
    bool more = rc == PP_OK && feed(d, core->feed, n);
    if (rc != PP_OK && rc != PP_EAGAIN)
        pp_down_close(d, false);
    return more;
}

static void on_readable(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    for (int round = 0; d->h.ch.readable; round++) {
        if (round == ROUNDS) {
            pp_down_again(d);
            return;
        }
        if (!pp_http2_codec_wants_input(h2->codec)) {
            h2->thirsty = true;
            break;
        }
        if (!read_once(d))
            return;
    }
    pp_down_h2_plan(d);
}

static void on_writable(struct pp_down *d)
{
    write_out(d);
}

static bool is_left(const struct pp_down *d)
{
    return d->h.ch.broken;
}

/* ---- events of the codec ---- */

static void on_goaway(void *owner, uint32_t code, uint32_t last)
{
    (void)owner;
    (void)code;
    (void)last; /* we open no streams: what runs goes on, and then the client closes */
}

static void on_settings(void *owner)
{
    (void)owner;
}

static void on_pong(void *owner, uint64_t tag)
{
    struct pp_down *d = owner;
    (void)tag;
    if (d->h2->leave == PP_DOWN_H2_NOTICED)
        leave_now(d);
}

static const struct pp_http2_events events = {
    .open = pp_down_h2_stream_open,
    .message = pp_down_h2_stream_message,
    .head = pp_down_h2_stream_head,
    .bad_head = pp_down_h2_stream_bad_head,
    .data = pp_down_h2_stream_data,
    .trailers = pp_down_h2_stream_trailers,
    .reset = pp_down_h2_stream_reset,
    .writable = pp_down_h2_stream_writable,
    .goaway = on_goaway,
    .settings = on_settings,
    .pong = on_pong,
};

/* ---- kinds ---- */

/* What connections with the same limits share; the configuration may change while they live. */
struct pp_down_h2_kind {
    struct pp_list link; /* in core->h2_kinds */
    struct pp_http2_limits limits;
    struct pp_http2_kind *kind;
    uint32_t users;
};

/* NULL: memory is out. */
static struct pp_down_h2_kind *kind_acquire(struct pp_core *core,
                                            const struct pp_http2_limits *limits)
{
    struct pp_down_h2_kind *k;
    for (struct pp_list *l = core->h2_kinds.next; l != &core->h2_kinds; l = l->next) {
        k = PP_CONTAINER_OF(l, struct pp_down_h2_kind, link);
        if (memcmp(&k->limits, limits, sizeof(*limits)) == 0) {
            k->users++;
            return k;
        }
    }
    k = pp_mem_zalloc(sizeof(*k));
    if (k == NULL)
        return NULL;
    k->kind = pp_http2_codec_kind_new(PP_HTTP2_SERVER, limits, &events, &core->chunk_slab);
    if (k->kind == NULL) {
        pp_mem_free(k);
        return NULL;
    }
    k->limits = *limits;
    k->users = 1;
    pp_list_attach(&core->h2_kinds, &k->link);
    return k;
}

/* The last user frees it. */
static void kind_release(struct pp_down_h2_kind *k)
{
    if (k == NULL || --k->users > 0)
        return;
    pp_list_detach(&k->link);
    pp_http2_codec_kind_free(k->kind);
    pp_mem_free(k);
}

/* ---- life ---- */

static void free_now(struct pp_deferred *deferred)
{
    struct pp_down_h2 *h2 = PP_CONTAINER_OF(deferred, struct pp_down_h2, deferred);
    pp_http2_codec_free(h2->codec);
    kind_release(h2->kind);
    pp_mem_free(h2);
}

static void release(struct pp_down *d)
{
    struct pp_down_h2 *h2 = d->h2;
    PP_ASSERT(h2->n_open == 0);
    free_tails(h2, PP_HTTP2_CANCEL);
    pp_loop_stop(&d->h.core->loop, &h2->leave_timer);
    h2->deferred.fn = free_now;
    pp_loop_defer_free(&d->h.core->loop, &h2->deferred);
}

int pp_down_h2_sniff(const char *p, size_t n)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    size_t whole = sizeof(preface) - 1;
    if (memcmp(p, preface, PP_MIN(n, whole)) != 0)
        return PP_EINVAL;
    return n < whole ? PP_EMORE : PP_OK;
}

static struct pp_down_h2 *new_connection(struct pp_down *d)
{
    struct pp_core *core = d->h.core;
    struct pp_down_h2 *h2 = pp_mem_zalloc(sizeof(*h2));
    struct pp_http2_limits limits;
    if (h2 == NULL)
        return NULL;
    h2->d = d;
    h2->flush.fn = on_turn_end;
    pp_list_init(&h2->streams);
    pp_timer_init(&h2->leave_timer, on_leave_timer);
    memcpy(&limits, &d->door->conf->http2, sizeof(limits)); /* compared byte by byte */
    limits.connect_protocol = true;
    h2->kind = kind_acquire(core, &limits);
    if (h2->kind != NULL)
        h2->codec = pp_http2_codec_new(h2->kind->kind, d);
    if (h2->codec != NULL)
        return h2;
    kind_release(h2->kind);
    pp_mem_free(h2);
    return NULL;
}

void pp_down_h2_begin(struct pp_down *d)
{
    struct pp_down_h2 *h2 = new_connection(d);
    if (h2 == NULL) {
        PP_COUNT(&d->h.core->metrics, d->h.core->metrics.fallback[PP_METRIC_WORKER], WORKER,
                 NO_MEMORY, 1);
        pp_down_close(d, false);
        return;
    }
    d->h2 = h2;
    d->proto = &pp_down_h2_proto;
    d->state = PP_DOWN_IDLE;
    count(d, PP_METRIC_WORD(LISTENER, HTTP2_CONNECTIONS), 1);
    size_t n = pp_h1_unread(&d->h);
    const char *p = d->h.mem + d->h.rd;
    d->h.rd = d->h.wr;
    bool goes_on = n == 0 || feed(d, p, n);
    pp_h1_end_message(&d->h);
    if (!goes_on)
        return;
    if (pp_move_ends_all(d->h.core))
        drain(d);
    on_readable(d);
}

const struct pp_down_proto pp_down_h2_proto = {
    .name = "http/2",
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_late = on_late,
    .is_left = is_left,
    .fail = fail,
    .release = release,
    .drain = drain,
};
