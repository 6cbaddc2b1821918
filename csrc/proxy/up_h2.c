#include "proxy/up_h2.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/chan_tls.h"
#include "proxy/extended.h"
#include "proxy/up_stream.h"

/* One connection sends for so many rounds in a turn, and reads as often. */
#define ROUNDS 16
/* Body bytes that may wait in the output of a connection: one read of a source. */
#define OUTPUT_BYTES PP_CORE_BULK_BYTES
/* A connection that was heard of so lately is believed to be alive. */
#define FRESH_MS 1000

static struct pp_up_h2 *of_link(struct pp_list *link)
{
    return PP_CONTAINER_OF(link, struct pp_up_h2, link);
}

static const struct pp_cluster_conf *conf_of(const struct pp_up_h2 *h2)
{
    return &h2->up->ep->cluster->conf;
}

static uint64_t now_ms(const struct pp_up_h2 *h2)
{
    return h2->up->h.core->loop.now_ms;
}

static bool is_closed(const struct pp_up_h2 *h2)
{
    return h2->up->state == PP_UP_CLOSED;
}

void pp_up_h2_stop(struct pp_up_h2 *h2)
{
    pp_list_detach(&h2->link);
}

/* Too old, used up, or told to go: no further streams. */
static bool is_spent(const struct pp_up_h2 *h2)
{
    const struct pp_cluster_conf *conf = conf_of(h2);
    const struct pp_pooled *p = &h2->up->pooled;
    return (conf->max_requests > 0 && p->uses >= conf->max_requests) ||
           (conf->max_age_ms > 0 && now_ms(h2) - p->born_ms >= conf->max_age_ms) ||
           h2->up->h.ch.rdhup || (h2->codec != NULL && pp_http2_codec_is_over(h2->codec));
}

static bool has_room(const struct pp_up_h2 *h2)
{
    uint32_t most = conf_of(h2)->http2.max_streams;
    if (h2->codec != NULL)
        most = PP_MIN(most, pp_http2_codec_max_streams(h2->codec));
    return h2->n < most && (h2->codec == NULL || pp_http2_codec_can_open(h2->codec));
}

/* No stream is on it: it waits for the next one, or is of no more use. */
static void rest(struct pp_up_h2 *h2)
{
    struct pp_up *up = h2->up;
    const struct pp_cluster_conf *conf = conf_of(h2);
    bool stopped = pp_list_is_empty(&h2->link);
    if (h2->codec == NULL || stopped || is_spent(h2) || up->ep->n_idle >= conf->max_idle) {
        pp_up_close(up);
        return;
    }
    uint64_t ms = conf->idle_timeout_ms;
    if (conf->max_age_ms > 0) { /* it is not spent, so something is left */
        uint64_t left = up->pooled.born_ms + conf->max_age_ms - now_ms(h2);
        ms = ms == 0 ? left : PP_MIN(ms, left);
    }
    up->state = PP_UP_IDLE;
    pp_pool_count_idle(up->ep, 1);
    pp_up_expect(up, PP_FAULT_NONE, ms);
    pp_up_h2_write_soon(h2);
}

/* ---- the beginning ---- */

static struct pp_http2_kind *kind_of(struct pp_cluster *cl)
{
    const struct pp_cluster_conf *conf = &cl->conf;
    if (cl->http2 != NULL)
        return cl->http2;
    /* The connection's window is never the narrower one: a client that does not take its response
     * must not stop those of others. */
    uint64_t all = (uint64_t)conf->http2.window_bytes * conf->http2.max_streams;
    struct pp_http2_limits limits = {.stream_window = conf->http2.window_bytes,
                                     .connection_window = (uint32_t)PP_MIN(all, INT32_MAX),
                                     .head_bytes = conf->limits.head_bytes,
                                     .fields = conf->limits.fields,
                                     .output_bytes = OUTPUT_BYTES};
    cl->http2 = pp_http2_codec_kind_new(PP_HTTP2_CLIENT, &limits, &pp_up_stream_events,
                                        &cl->core->chunk_slab);
    return cl->http2;
}

/* Connected: it speaks HTTP/2 from now on. False: memory is out. */
static bool start(struct pp_up_h2 *h2)
{
    const struct pp_http2_kind *kind = kind_of(h2->up->ep->cluster);
    h2->codec = kind == NULL ? NULL : pp_http2_codec_new(kind, h2);
    h2->heard_ms = now_ms(h2);
    h2->up->ep->speaks = PP_CLUSTER_H2;
    return h2->codec != NULL;
}

/* ---- taking exchanges ---- */

bool pp_up_h2_is_undecided(const struct pp_up_h2 *h2, const struct pp_exchange *x)
{
    return x->wants_tunnel && !h2->settled;
}

int pp_up_h2_decide(const struct pp_up_h2 *h2, struct pp_exchange *x)
{
    if (!x->wants_tunnel ||
        (pp_http2_codec_has_connect_protocol(h2->codec) && pp_extended_can_ask(x)))
        return PP_OK;
    return pp_extended_decline(x);
}

static int add(struct pp_up_h2 *h2, struct pp_exchange *x, bool reused)
{
    struct pp_up *up = h2->up;
    bool waits = h2->codec == NULL || pp_up_h2_is_undecided(h2, x);
    int rc = waits ? PP_OK : pp_up_h2_decide(h2, x);
    if (rc != PP_OK)
        return rc;
    if (pp_up_stream_new(h2, x, waits, reused) == NULL)
        return PP_ENOMEM;
    up->pooled.uses++;
    if (up->state == PP_UP_IDLE) {
        up->state = PP_UP_BUSY;
        pp_pool_count_idle(up->ep, -1);
        pp_up_expect(up, PP_FAULT_NONE, 0);
    }
    return waits ? PP_EAGAIN : PP_OK;
}

/* A tunnel that has another way does not go onto a connection that takes none: endpoints behind one
 * address may differ. */
static bool is_useless(const struct pp_up_h2 *h2, const struct pp_exchange *x)
{
    return x->wants_tunnel && h2->settled && pp_up_can_tunnel(h2->up->ep->cluster) &&
           !pp_http2_codec_has_connect_protocol(h2->codec);
}

int pp_up_h2_join(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh)
{
    struct pp_list *next;
    for (struct pp_list *l = ep->multi.next; l != &ep->multi; l = next) {
        struct pp_up_h2 *h2 = of_link(l);
        next = l->next;
        if (is_spent(h2)) {
            pp_up_h2_stop(h2);
            if (h2->n == 0)
                pp_up_close(h2->up);
        } else if (has_room(h2) && !is_useless(h2, x) &&
                   !(fresh && h2->codec != NULL && now_ms(h2) - h2->heard_ms > FRESH_MS)) {
            return add(h2, x, h2->codec != NULL);
        }
    }
    return PP_ENOENT;
}

int pp_up_h2_begin(struct pp_up *up, struct pp_exchange *x)
{
    struct pp_up_h2 *h2 = pp_mem_zalloc(sizeof(*h2));
    if (h2 == NULL)
        return PP_ENOMEM;
    h2->up = up;
    h2->last_seen = UINT32_MAX;
    pp_list_init(&h2->link);
    pp_list_init(&h2->streams);
    pp_list_init(&h2->ready);
    pp_list_init(&h2->unsent);
    up->h2 = h2;
    up->proto = &pp_up_h2_proto;
    /* Where HTTP/1 is to be expected each exchange gets its own connection from the start. */
    h2->apart = up->ep->speaks == PP_CLUSTER_H1;
    if ((up->state == PP_UP_BUSY && !start(h2)) || (x != NULL && add(h2, x, false) == PP_ENOMEM))
        return PP_ENOMEM;
    if (!h2->apart)
        pp_list_attach(&up->ep->multi, &h2->link);
    if (x == NULL && up->state == PP_UP_BUSY)
        rest(h2);
    return PP_OK;
}

void pp_up_h2_retire(struct pp_endpoint *ep)
{
    while (!pp_list_is_empty(&ep->multi)) {
        struct pp_up_h2 *h2 = of_link(ep->multi.next);
        pp_up_h2_stop(h2);
        if (h2->n == 0)
            pp_up_close(h2->up);
    }
}

struct pp_up *pp_up_h2_idle(const struct pp_endpoint *ep)
{
    for (const struct pp_list *l = ep->multi.prev; l != &ep->multi; l = l->prev)
        if (of_link((struct pp_list *)(uintptr_t)l)->up->state == PP_UP_IDLE)
            return of_link((struct pp_list *)(uintptr_t)l)->up;
    return NULL;
}

bool pp_up_h2_give_way(struct pp_up_h2 *h2)
{
    struct pp_endpoint *ep = h2->up->ep;
    if (conf_of(h2)->http2.protocol != PP_CLUSTER_AUTO)
        return false;
    ep->wants_h1 = true;
    pp_up_h2_retire(ep); /* what runs goes on */
    return true;
}

/* ---- the end ---- */

/* Every stream leaves for the list <gone>. */
static void orphan_all(struct pp_up_h2 *h2, struct pp_list *gone)
{
    pp_list_init(gone);
    while (!pp_list_is_empty(&h2->streams))
        pp_up_stream_orphan(PP_CONTAINER_OF(h2->streams.next, struct pp_up_stream, link), gone);
    h2->n = 0;
}

/* Every exchange hears of it only when the connection has gone: those that are tried again must not
 * find it. */
static void break_off(struct pp_up_h2 *h2, struct pp_fault f)
{
    struct pp_list gone;
    pp_up_h2_settle(h2);
    if (is_closed(h2))
        return;
    orphan_all(h2, &gone);
    pp_up_close(h2->up);
    while (!pp_list_is_empty(&gone)) {
        struct pp_up_stream *s = PP_CONTAINER_OF(gone.next, struct pp_up_stream, link);
        pp_list_detach(&s->link);
        pp_up_stream_fail(s, f);
    }
}

void pp_up_h2_left(struct pp_up_h2 *h2, const struct pp_up_stream *s)
{
    if (h2->pushing == s)
        h2->pushing = NULL;
    h2->n--;
    if (!is_closed(h2))
        pp_up_h2_write_soon(h2);
    if (h2->n == 0 && !is_closed(h2))
        rest(h2);
}

/* The last words of a connection on which nothing runs: as much of them as the socket takes. */
static void say_goodbye(struct pp_up_h2 *h2)
{
    struct iovec iov[4];
    size_t sent;
    if (h2->codec == NULL || h2->n > 0 || !h2->up->h.ch.writable)
        return;
    pp_http2_codec_goaway(h2->codec, false, PP_HTTP2_NO_ERROR);
    int n = pp_http2_codec_peek(h2->codec, iov, PP_COUNT_OF(iov));
    if (n > 0)
        (void)!pp_chan_writev(&h2->up->h.ch, iov, n, &sent);
}

static void on_close(struct pp_up *up)
{
    pp_up_h2_stop(up->h2);
    if (up->state == PP_UP_IDLE)
        pp_pool_count_idle(up->ep, -1);
    say_goodbye(up->h2);
}

static void on_free(struct pp_up *up)
{
    pp_http2_codec_free(up->h2->codec);
    pp_mem_free(up->h2);
    up->h2 = NULL;
}

/* ---- writing ---- */

static struct pp_fault read_fault(struct pp_up_h2 *h2, int rc)
{
    if (h2->n == 0) /* nobody has lost anything */
        return pp_fault_make(PP_FAULT_UPSTREAM_RESET, PP_SIDE_UP, false, rc);
    return pp_up_reset_fault(h2->up, rc);
}

/* Why the codec has ended the connection. */
static struct pp_fault over_fault(struct pp_up_h2 *h2)
{
    if (pp_http2_codec_error(h2->codec) == PP_HTTP2_NO_ERROR) /* it went away */
        return read_fault(h2, PP_EEOF);
    return pp_fault_make(PP_FAULT_UPSTREAM_BAD_RESPONSE, PP_SIDE_UP, false, PP_EIO);
}

/* What the codec has, until it has no more or the socket is full. PP_OK or the channel's error. */
static int write_output(struct pp_up_h2 *h2)
{
    struct pp_chan *ch = &h2->up->h.ch;
    struct iovec iov[16];
    int n;
    while (ch->writable && (n = pp_http2_codec_peek(h2->codec, iov, PP_COUNT_OF(iov))) > 0) {
        size_t sent;
        int rc = pp_chan_writev(ch, iov, n, &sent);
        if (rc != PP_OK)
            return rc;
        pp_http2_codec_sent(h2->codec, sent);
        pp_http2_codec_wake(h2->codec);
        if (is_closed(h2))
            break;
    }
    return PP_OK;
}

static void run_ready(struct pp_up_h2 *h2)
{
    while (!pp_list_is_empty(&h2->ready))
        pp_up_stream_attend(PP_CONTAINER_OF(h2->ready.next, struct pp_up_stream, ready));
}

static void send_unsent(struct pp_up_h2 *h2)
{
    while (!pp_list_is_empty(&h2->unsent))
        pp_up_stream_send(PP_CONTAINER_OF(h2->unsent.next, struct pp_up_stream, unsent));
}

/* The connection must take what is to be sent, if there is anything. */
static void settle_deadline(struct pp_up_h2 *h2)
{
    struct pp_up *up = h2->up;
    bool stuck = !up->h.ch.writable && pp_http2_codec_pending(h2->codec) > 0;
    if (stuck)
        pp_up_expect(up, PP_FAULT_UPSTREAM_SEND_TIMEOUT, conf_of(h2)->send_timeout_ms);
    else if (up->state == PP_UP_BUSY && up->deadline_ms != UINT64_MAX)
        pp_up_expect(up, PP_FAULT_NONE, 0);
}

static void write_all(struct pp_up_h2 *h2)
{
    struct pp_up *up = h2->up;
    for (int round = 0; !is_closed(h2); round++) {
        send_unsent(h2);
        if (!is_closed(h2))
            pp_http2_codec_wake(h2->codec);
        if (is_closed(h2))
            return;
        int rc = write_output(h2);
        if (rc != PP_OK) {
            break_off(h2, pp_up_reset_fault(up, rc));
            return;
        }
        if (!up->h.ch.writable || pp_list_is_empty(&h2->unsent))
            break;
        if (round == ROUNDS) {
            pp_up_again(up);
            break;
        }
    }
    run_ready(h2);
    if (is_closed(h2))
        return;
    if (pp_http2_codec_is_over(h2->codec)) {
        break_off(h2, over_fault(h2));
        return;
    }
    settle_deadline(h2);
    if (h2->deaf && pp_http2_codec_wants_input(h2->codec)) {
        h2->deaf = false;
        pp_up_again(up);
    }
}

static void on_turn_end(struct pp_deferred *deferred)
{
    struct pp_up_h2 *h2 = PP_CONTAINER_OF(deferred, struct pp_up_h2, flush);
    h2->flush_waits = false;
    if (!is_closed(h2) && h2->codec != NULL)
        write_all(h2);
}

void pp_up_h2_write_soon(struct pp_up_h2 *h2)
{
    if (h2->flush_waits || is_closed(h2) || h2->codec == NULL)
        return;
    h2->flush_waits = true;
    h2->flush.fn = on_turn_end;
    pp_loop_defer_free(&h2->up->h.core->loop, &h2->flush);
}

static void on_writable(struct pp_up *up)
{
    pp_up_h2_write_soon(up->h2);
}

/* ---- reading ---- */

void pp_up_h2_settle(struct pp_up_h2 *h2)
{
    struct pp_up_stream *s = h2->pushing;
    h2->pushing = NULL;
    if (s == NULL || s->x == NULL || !pp_exchange_is_attached(s->x, PP_SIDE_DOWN))
        return;
    int rc = s->x->ops[PP_SIDE_DOWN]->flush(s->x);
    if (rc != PP_OK)
        s->x->events->failed(s->x, pp_body_sink_fault(PP_DIR_RESPONSE, rc));
}

static void on_readable(struct pp_up *up)
{
    struct pp_up_h2 *h2 = up->h2;
    struct pp_core *core = up->h.core;
    for (int round = 0; !is_closed(h2) && up->h.ch.readable; round++) {
        size_t n;
        if (!pp_http2_codec_wants_input(h2->codec)) {
            h2->deaf = true;
            break;
        }
        if (round == ROUNDS) {
            pp_up_again(up);
            break;
        }
        int rc = pp_chan_read(&up->h.ch, core->feed, PP_CORE_FEED_BYTES, &n);
        if (rc == PP_EAGAIN)
            break;
        if (rc != PP_OK) {
            break_off(h2, read_fault(h2, rc));
            return;
        }
        h2->heard_ms = core->loop.now_ms;
        rc = pp_http2_codec_feed(h2->codec, core->feed, n, core->loop.now_ms);
        pp_up_h2_settle(h2);
        run_ready(h2);
        if (rc != PP_OK && !is_closed(h2)) {
            (void)!write_output(h2);
            break_off(h2, over_fault(h2));
        }
    }
    if (is_closed(h2))
        return;
    if (h2->n == 0 && pp_list_is_empty(&h2->link)) /* it was told to go */
        pp_up_close(up);
    else
        pp_up_h2_write_soon(h2);
}

/* ---- connecting ---- */

/* The endpoint has chosen HTTP/1: the first exchange gets the connection, and the others get
 * connections of their own. */
static void go_on_with_h1(struct pp_up *up)
{
    struct pp_up_h2 *h2 = up->h2;
    struct pp_endpoint *ep = up->ep;
    struct pp_list gone;
    struct pp_exchange *first = NULL;
    ep->speaks = PP_CLUSTER_H1;
    pp_up_h2_stop(h2);
    orphan_all(h2, &gone);
    pp_mem_free(h2);
    up->h2 = NULL;
    up->proto = &pp_up_h1_proto;
    up->pooled.uses = 0;
    while (!pp_list_is_empty(&gone)) {
        struct pp_up_stream *s = PP_CONTAINER_OF(gone.next, struct pp_up_stream, link);
        struct pp_exchange *x = pp_up_stream_take(s);
        if (first == NULL) {
            first = x;
            pp_up_h1_lend(up, x, false);
            continue;
        }
        int rc = pp_up_acquire_another(x, ep, x->wants_tunnel);
        if (rc == PP_OK)
            x->events->connected(x);
        else if (rc != PP_EAGAIN)
            x->events->failed(x, pp_fault_make(PP_FAULT_CONNECT_FAILED, PP_SIDE_UP, true, rc));
    }
    if (first != NULL)
        first->events->connected(first);
    else
        pp_up_rest(up);
}

/* Is what was agreed HTTP/2? Without TLS nothing was said: it is. */
static bool speaks_h2(const struct pp_up *up)
{
    return !pp_chan_is_tls(&up->h.ch) || pp_span_eq(pp_chan_tls_alpn(&up->h.ch), PP_SPAN("h2"));
}

static void on_connected(struct pp_up *up)
{
    struct pp_up_h2 *h2 = up->h2;
    if (!speaks_h2(up)) {
        if (conf_of(h2)->http2.protocol == PP_CLUSTER_AUTO)
            go_on_with_h1(up);
        else
            break_off(h2, pp_fault_make(PP_FAULT_UPSTREAM_TLS, PP_SIDE_UP, true, PP_EINVAL));
        return;
    }
    if (h2->apart)
        pp_list_attach(&up->ep->multi, &h2->link);
    h2->apart = false;
    if (!start(h2)) {
        break_off(h2, pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_UP, false, PP_ENOMEM));
        return;
    }
    for (struct pp_list *l = h2->streams.next; l != &h2->streams; l = l->next)
        pp_list_attach_back(&h2->ready, &PP_CONTAINER_OF(l, struct pp_up_stream, link)->ready);
    run_ready(h2);
    pp_up_h2_write_soon(h2);
    if (h2->n == 0 && up->state == PP_UP_BUSY)
        rest(h2);
}

static void on_failed(struct pp_up *up, struct pp_fault f)
{
    if (up->h2->n == 0 && up->h2->codec == NULL) /* nobody else counts it */
        PP_COUNT(&up->h.core->metrics, up->ep->cluster->record, UPSTREAM, CONNECT_FAILURES, 1);
    break_off(up->h2, f);
}

const struct pp_up_proto pp_up_h2_proto = {
    .on_connected = on_connected,
    .on_failed = on_failed,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_late = on_failed,
    .on_close = on_close,
    .on_free = on_free,
};
