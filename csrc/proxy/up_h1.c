/* HTTP/1 towards an endpoint: the request goes out, the response head is parsed, its body is
 * pumped. */
#include "base/check.h"
#include "io/chan_tls.h"
#include "proxy/up.h"
#include "wire/http_rules.h"

static struct pp_up *up_of(const struct pp_exchange *x)
{
    return x->side[PP_SIDE_UP];
}

static int send_head(struct pp_exchange *x)
{
    struct pp_up *up = up_of(x);
    pp_http1_head_init(&up->head, PP_HTTP1_RESPONSE);
    return pp_h1_add_request(&up->h, &x->request, x->target, x->up_host,
                             &x->flow[PP_DIR_REQUEST].framing);
}

static int send_body(struct pp_exchange *x, struct pp_span piece)
{
    return pp_h1_add_piece(&up_of(x)->h, piece,
                           x->flow[PP_DIR_REQUEST].framing.body == PP_HTTP_BODY_CHUNKED);
}

static int send_end(struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    return flow->framing.body == PP_HTTP_BODY_CHUNKED
               ? pp_h1_add_last_chunk(&up_of(x)->h, flow->trailers)
               : PP_OK;
}

static void settle_deadline(struct pp_up *up)
{
    bool stuck = !pp_h1_is_flushed(&up->h) || pp_body_is_piped(up->x, PP_DIR_REQUEST);
    uint64_t ms;
    enum pp_fault_code why = pp_up_owes(up->x, &up->ep->cluster->conf, stuck, &ms);
    pp_up_expect(up, why, ms);
}

static int flush(struct pp_exchange *x)
{
    struct pp_up *up = up_of(x);
    size_t sent;
    int rc = pp_h1_flush(&up->h, &sent);
    if (rc == PP_OK)
        settle_deadline(up);
    return rc;
}

static size_t room(const struct pp_exchange *x)
{
    return pp_h1_can_take(&up_of(x)->h) ? SIZE_MAX : 0;
}

static struct pp_fault response_fault(int rc)
{
    return pp_fault_make(rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_UPSTREAM_BAD_RESPONSE,
                         PP_SIDE_UP, false, rc);
}

/* Parse what is buffered. PP_OK: a valid head is in x->response. */
static int parse_head(struct pp_up *up)
{
    struct pp_exchange *x = up->x;
    struct pp_h1 *h = &up->h;
    size_t used;
    int rc = pp_http1_head_feed(&up->head, h->mem + h->rd, pp_h1_unread(h),
                                &up->ep->cluster->conf.limits, &x->response, &used);
    if (rc != PP_OK)
        return rc;
    h->rd += (uint32_t)used;
    return pp_http_rules_response(&x->response, x->request.method_id, &x->declared_length);
}

/* Until a head is complete or the socket is dry. Interim responses come through here one after the
 * other. */
static void read_head(struct pp_up *up)
{
    struct pp_exchange *x = up->x;
    struct pp_h1 *h = &up->h;
    uint32_t most = up->ep->cluster->conf.limits.head_bytes + PP_CORE_INPUT_BYTES;
    while (up->x == x && x->state == PP_EXCHANGE_AWAIT) {
        int rc = PP_EMORE;
        if (pp_h1_unread(h) > 0) {
            rc = parse_head(up);
            if (rc == PP_OK) {
                x->events->response(x);
                if (up->x != x)
                    return;
                if (x->state == PP_EXCHANGE_AWAIT) /* interim: another one follows */
                    pp_http1_head_init(&up->head, PP_HTTP1_RESPONSE);
                else
                    settle_deadline(up);
                continue;
            }
        }
        if (rc == PP_EMORE) {
            if (!h->ch.readable)
                return;
            size_t n;
            if (h->wr == h->cap) /* interim responses at the front are done with */
                pp_h1_compact(h);
            rc = pp_h1_fill(h, most, &n);
            if (rc == PP_OK) {
                x->silent = false;
                continue;
            }
            if (rc == PP_EAGAIN)
                return;
            if (rc == PP_EEOF || rc == PP_ERESET || rc == PP_EIO) {
                x->events->failed(x, pp_up_reset_fault(up, rc));
                return;
            }
        }
        x->events->failed(x, response_fault(rc));
        return;
    }
}

static void pump(struct pp_exchange *x)
{
    struct pp_up *up = up_of(x);
    if (x->state == PP_EXCHANGE_AWAIT) {
        read_head(up);
        return;
    }
    if (x->state != PP_EXCHANGE_BODY)
        return;
    pp_body_pump(x, PP_DIR_RESPONSE, &up->h);
    if (up->x == x)
        settle_deadline(up);
}

static void probe(struct pp_exchange *x)
{
    up_of(x)->h.ch.readable = true;
    pump(x);
}

static void on_readable(struct pp_up *up)
{
    if (up->state == PP_UP_BUSY)
        pump(up->x);
    /* Idle, and it was closed, or something came that nobody asked for: it is of no more use. But a
     * session ticket is none of the exchange's business. */
    else if (!pp_chan_is_tls(&up->h.ch) || !pp_up_is_quiet(up))
        pp_up_close(up);
}

static void on_writable(struct pp_up *up)
{
    struct pp_exchange *x = up->x;
    size_t sent;
    if (x == NULL)
        return;
    int rc = pp_h1_flush(&up->h, &sent);
    if (rc != PP_OK) {
        /* It may have answered before it stopped reading: that answer comes first. */
        probe(x);
        if (up->x == x && x->state <= PP_EXCHANGE_AWAIT)
            x->events->failed(x, pp_up_reset_fault(up, rc));
        return;
    }
    if (!pp_h1_is_flushed(&up->h))
        return;
    settle_deadline(up);
    x->events->drained(x, PP_DIR_REQUEST);
}

static void yield(struct pp_exchange *x)
{
    pp_up_again(up_of(x));
}

static void moved(struct pp_exchange *x, size_t n, bool read)
{
    (void)n;
    if (read)
        x->silent = false;
}

static struct pp_chan *plain_channel(const struct pp_exchange *x)
{
    return pp_h1_plain_channel(&up_of(x)->h);
}

static bool is_readable(const struct pp_exchange *x)
{
    return up_of(x)->h.ch.readable;
}

static bool has_buffered(const struct pp_exchange *x)
{
    return pp_h1_unread(&up_of(x)->h) > 0;
}

static bool discard(struct pp_exchange *x)
{
    return pp_body_discard(x, PP_DIR_RESPONSE, &up_of(x)->h);
}

static void finish(struct pp_exchange *x, bool reusable)
{
    struct pp_up *up = up_of(x);
    up->x = NULL;
    pp_up_end(x, up->ep);
    if (reusable)
        pp_up_release(up);
    else
        pp_up_close(up);
}

static int give(struct pp_exchange *x, const struct pp_heir *to)
{
    struct pp_h1 *h = &up_of(x)->h;
    int rc = h->mem == NULL ? PP_OK : pp_exchange_keep(x, h->mem, h->rd);
    if (rc != PP_OK)
        return rc;
    rc = pp_h1_give(h, to);
    finish(x, false);
    return rc;
}

static const struct pp_side_ops side_ops = {
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

void pp_up_h1_lend(struct pp_up *up, struct pp_exchange *x, bool reused)
{
    up->x = x;
    x->side[PP_SIDE_UP] = up;
    x->ops[PP_SIDE_UP] = &side_ops;
    up->pooled.uses++;
    pp_up_begin(x, up->ep, reused);
}

static void on_connected(struct pp_up *up)
{
    up->x->events->connected(up->x);
}

static void on_failed(struct pp_up *up, struct pp_fault f)
{
    up->x->events->failed(up->x, f);
}

static void on_close(struct pp_up *up)
{
    if (up->state == PP_UP_IDLE)
        pp_pool_detach(up->ep, &up->pooled);
}

const struct pp_up_proto pp_up_h1_proto = {
    .on_connected = on_connected,
    .on_failed = on_failed,
    .on_readable = on_readable,
    .on_writable = on_writable,
    .on_late = on_failed,
    .on_close = on_close,
};
