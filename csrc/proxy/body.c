#include "proxy/body.h"

#include "base/check.h"
#include "base/mem.h"
#include "proxy/pace.h"
#include "proxy/retry.h"

/* Shorter bodies are copied: two splices and their pipe cost more than moving so few bytes. */
#define SPLICE_MIN 65536

void pp_body_begin(struct pp_exchange *x, enum pp_dir dir, enum pp_http_body kind, uint64_t length,
                   uint64_t limit, uint32_t hold)
{
    struct pp_flow *flow = &x->flow[dir];
    enum pp_phase phase = dir == PP_DIR_REQUEST ? PP_PHASE_REQUEST_BODY : PP_PHASE_RESPONSE_BODY;
    flow->filtered = x->route->chain.n[phase] > flow->bystanders;
    flow->altered = x->route->chain.n[phase] > flow->bystanders + flow->watchers;
    flow->withheld = false;
    /* Nobody looks at it: there is nothing to wait for. */
    bool idle = x->route->chain.n[phase] > 0 && !flow->filtered;
    flow->hold = idle ? 0 : hold;
    flow->trailers = NULL;
    if (kind == PP_HTTP_BODY_CHUNKED) {
        flow->trailers = pp_arena_alloc(&x->arena, sizeof(*flow->trailers));
        if (flow->trailers != NULL) /* without memory they are checked and dropped */
            pp_http_msg_init(flow->trailers, &x->arena);
    }
    pp_http1_body_init(&flow->decoder, kind, length, limit, flow->trailers);
    const struct pp_http_msg *m = dir == PP_DIR_REQUEST ? &x->request : &x->response;
    flow->source_ended = kind == PP_HTTP_BODY_NONE ||
                         (kind == PP_HTTP_BODY_LENGTH && length == 0 && !m->end_follows);
}

/* Add to the held body, which is at most <most> bytes long. */
static int hold_piece(struct pp_flow *flow, struct pp_span piece, uint32_t most)
{
    if (piece.n > most - flow->held_n)
        return PP_EHTTP_BODY_BYTES;
    if (flow->held_cap - flow->held_n < piece.n) {
        size_t cap = PP_MAX((size_t)flow->held_cap * 2, flow->held_n + piece.n);
        cap = PP_MIN(PP_MAX(cap, 4096), (size_t)most);
        char *p = pp_mem_resize(flow->held, cap);
        if (p == NULL)
            return PP_ENOMEM;
        flow->held = p;
        flow->held_cap = (uint32_t)cap;
    }
    memcpy(flow->held + flow->held_n, piece.p, piece.n);
    flow->held_n += (uint32_t)piece.n;
    return PP_OK;
}

/* Do filters want to see the trailers before they go out? Over HTTP/1, only a chunked response
 * carries any. */
static bool has_trailer_phase(const struct pp_exchange *x, enum pp_dir dir)
{
    const struct pp_flow *flow = &x->flow[dir];
    return dir == PP_DIR_RESPONSE && pp_phase_is_bound(x, PP_PHASE_RESPONSE_TRAILERS) &&
           flow->trailers != NULL && flow->trailers->n_field > 0 &&
           (flow->framing.body == PP_HTTP_BODY_CHUNKED || x->request.major == 2);
}

void pp_body_forget_sent(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (flow->hold > 0 || flow->held == NULL)
        return;
    pp_mem_free(flow->held);
    flow->held = NULL;
    flow->held_n = flow->held_cap = 0;
}

/* The request may have to be sent again until it is answered: the endpoint gives it back unread, or
 * a retry policy says so. Without memory for that, or with too much to keep, it is not tried again.
 * (Apart: it would double the work of pp_body_deliver, which seldom needs it.) */
PP_NOINLINE static void keep_sent(struct pp_exchange *x, struct pp_span piece)
{
    struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (flow->hold > 0 || flow->held_n != flow->bytes || x->state > PP_EXCHANGE_AWAIT)
        return;
    if (hold_piece(flow, piece, PP_BODY_REPLAY_BYTES) != PP_OK)
        pp_body_forget_sent(x);
}

int pp_body_deliver(struct pp_exchange *x, enum pp_dir dir, struct pp_span piece, bool last)
{
    struct pp_flow *flow = &x->flow[dir];
    enum pp_side sink = pp_body_sink(dir);
    int rc = PP_OK;
    if (piece.n > 0) {
        if (x->ops[sink]->may_refuse || (dir == PP_DIR_REQUEST && pp_retry_keeps_body(x)))
            keep_sent(x, piece);
        flow->bytes += piece.n;
        rc = x->ops[sink]->send_body(x, piece);
    }
    if (rc == PP_OK && last && has_trailer_phase(x, dir)) {
        int verdict = pp_phase_run(x, PP_PHASE_RESPONSE_TRAILERS);
        if (verdict == PP_PARK) {
            flow->parked = true;
            flow->source_ended = true;
            return PP_EAGAIN;
        }
        rc = verdict == PP_REPLY ? PP_EINVAL : PP_OK;
    }
    if (rc == PP_OK && last) {
        rc = x->ops[sink]->send_end(x);
        flow->sink_ended = true;
    }
    return rc;
}

bool pp_body_is_awaited(const struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (x->request.body == PP_HTTP_BODY_NONE || flow->source_ended || flow->sink_broken)
        return false;
    return x->state == PP_EXCHANGE_COLLECT || (flow->head_sent && x->state <= PP_EXCHANGE_BODY) ||
           x->state == PP_EXCHANGE_AWAIT;
}

static struct pp_fault source_fault(enum pp_dir dir, int rc)
{
    enum pp_side side = pp_body_source(dir);
    if (rc == PP_ENOMEM)
        return pp_fault_make(PP_FAULT_NO_MEMORY, side, false, rc);
    if (rc == PP_EHTTP_BODY_BYTES)
        return pp_fault_make(side == PP_SIDE_DOWN ? PP_FAULT_BODY_TOO_LARGE
                                                  : PP_FAULT_UPSTREAM_BODY_TOO_LARGE,
                             side, false, rc);
    if (rc == PP_EHTTP_BODY_SHORT || rc == PP_ERESET || rc == PP_EIO)
        return pp_fault_make(side == PP_SIDE_DOWN ? PP_FAULT_CLIENT_ABORT : PP_FAULT_UPSTREAM_RESET,
                             side, false, rc);
    return pp_fault_make(side == PP_SIDE_DOWN ? PP_FAULT_BAD_REQUEST
                                              : PP_FAULT_UPSTREAM_BAD_RESPONSE,
                         side, false, rc);
}

struct pp_fault pp_body_sink_fault(enum pp_dir dir, int rc)
{
    if (rc == PP_ENOMEM)
        return pp_fault_make(PP_FAULT_NO_MEMORY, pp_body_sink(dir), false, rc);
    if (rc == PP_EREFUSED) /* nothing was sent: the endpoint takes no further stream */
        return pp_fault_make(PP_FAULT_UPSTREAM_REFUSED, pp_body_sink(dir), true, rc);
    return pp_fault_make(dir == PP_DIR_RESPONSE ? PP_FAULT_CLIENT_ABORT : PP_FAULT_UPSTREAM_RESET,
                         pp_body_sink(dir), false, rc);
}

/* Flush the sink, if there is one yet. */
static bool flush_sink(struct pp_exchange *x, enum pp_dir dir)
{
    if (x->flow[dir].hold > 0)
        return true;
    int rc = x->ops[pp_body_sink(dir)]->flush(x);
    if (rc != PP_OK)
        x->events->failed(x, pp_body_sink_fault(dir, rc));
    return rc == PP_OK;
}

static void end_source(struct pp_exchange *x, enum pp_dir dir)
{
    x->flow[dir].source_ended = true;
    x->events->source_ended(x, dir);
}

/* A piece that could not be delivered: parked by a trailer filter (then what was gathered leaves
 * now), refused by one, or the sink is broken. */
static void not_delivered(struct pp_exchange *x, enum pp_dir dir, int rc)
{
    if (rc == PP_EAGAIN)
        (void)flush_sink(x, dir);
    else if (rc == PP_EINVAL)
        x->events->replied(x);
    else
        x->events->failed(x, pp_body_sink_fault(dir, rc));
}

/* One batch of body bytes through the filters as one piece; without any, they are asked for what
 * they withhold. False: parked, or the exchange has moved on. */
static bool filter_batch(struct pp_exchange *x, enum pp_dir dir, struct pp_span piece, bool last)
{
    if (piece.n == 0 && !last && !x->flow[dir].withheld)
        return true;
    int verdict = pp_phase_run_body(x, dir, &piece, last);
    if (verdict == PP_PARK)
        return false;
    if (verdict == PP_REPLY) {
        x->flow[dir].source_ended = x->flow[dir].source_ended || last;
        x->events->replied(x);
        return false;
    }
    int rc = pp_body_deliver(x, dir, piece, last);
    if (rc != PP_OK)
        not_delivered(x, dir, rc);
    return rc == PP_OK;
}

/* Decode [p, p + n). Pieces go to the sink at once; with filters they are moved together first, so
 * that a batch is one call whatever the chunking was. *used: bytes of this message; *refused: the
 * error is that of the sink. */
static int decode(struct pp_exchange *x, enum pp_dir dir, char *p, size_t n, size_t *used,
                  struct pp_span *batch, bool *refused)
{
    struct pp_flow *flow = &x->flow[dir];
    bool together = flow->filtered && flow->hold == 0;
    char *to = p;
    size_t at = 0;
    int rc = PP_OK;
    while (at < n && rc == PP_OK) {
        struct pp_span piece = PP_SPAN_NONE;
        size_t took;
        rc = pp_http1_body_next(&flow->decoder, p + at, n - at, &took, &piece);
        at += took;
        if (piece.n == 0 || (rc != PP_OK && rc != PP_EMORE && rc != PP_EEND))
            continue;
        int err = PP_OK;
        flow->received += piece.n;
        if (flow->hold > 0) {
            err = hold_piece(flow, piece, flow->hold);
        } else if (together) {
            memmove(to, piece.p, piece.n);
            to += piece.n;
        } else {
            err = pp_body_deliver(x, dir, piece, false);
            *refused = err != PP_OK;
        }
        if (err != PP_OK)
            return err;
    }
    *used = at;
    *batch = pp_span(p, (size_t)(to - p));
    return rc == PP_EMORE ? PP_OK : rc;
}

/* The pieces of a batch are with the sink, or in <batch> for the filters; <ended>: so is the end.
 * False: parked, or the exchange has moved on. */
static bool finish_batch(struct pp_exchange *x, enum pp_dir dir, struct pp_span batch, bool ended)
{
    struct pp_flow *flow = &x->flow[dir];
    flow->last = ended;
    if (flow->filtered) {
        if (filter_batch(x, dir, batch, ended))
            return true;
        flow->source_ended = flow->source_ended || (ended && flow->parked);
        return false;
    }
    int rc = ended ? pp_body_deliver(x, dir, PP_SPAN_NONE, true) : PP_OK;
    if (rc != PP_OK)
        not_delivered(x, dir, rc);
    return rc == PP_OK;
}

/* Handle <n> fresh bytes at <p>, in the source's buffer or (<bulk>) in scratch. False: stop
 * pumping. */
static bool take(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src, char *p, size_t n,
                 bool bulk)
{
    struct pp_flow *flow = &x->flow[dir];
    struct pp_span batch;
    size_t used = 0;
    bool refused = false;
    uint64_t before = flow->received;
    int rc = decode(x, dir, p, n, &used, &batch, &refused);
    if (flow->pace != NULL)
        pp_pace_took(x, dir, (size_t)(flow->received - before));
    bool ended = rc == PP_EEND;
    if (rc == PP_OK || ended) {
        if (!bulk)
            src->rd += (uint32_t)used;
        else if (pp_h1_save_spill(src, p + used, n - used) != PP_OK)
            rc = PP_ENOMEM;
    }
    if (refused) {
        not_delivered(x, dir, rc);
        return false;
    }
    if (rc != PP_OK && rc != PP_EEND) {
        /* What was gathered points into memory that is about to go: send it before the fault is
         * told. */
        if (flush_sink(x, dir))
            x->events->failed(x, source_fault(dir, rc));
        return false;
    }
    if (flow->hold == 0 && !finish_batch(x, dir, batch, ended))
        return false;
    /* More is readable: what follows leaves in the same call. The pump sees to it that nothing
     * stays behind. */
    if (!ended && !bulk && flow->hold == 0 && !flow->filtered && src->ch.readable)
        return true;
    if (!flush_sink(x, dir))
        return false;
    if (ended)
        end_source(x, dir);
    return !ended;
}

/* The source's connection has ended in order: the end of a body of kind CLOSE, a truncation for the
 * others. */
static void take_eof(struct pp_exchange *x, enum pp_dir dir)
{
    struct pp_flow *flow = &x->flow[dir];
    int rc = pp_http1_body_eof(&flow->decoder);
    if (rc != PP_EEND) {
        x->events->failed(x, source_fault(dir, rc));
        return;
    }
    if (flow->hold == 0 && !finish_batch(x, dir, PP_SPAN_NONE, true))
        return;
    if (flush_sink(x, dir))
        end_source(x, dir);
}

/* The channel that the rest of the body can be spliced to; NULL: it is to be copied. */
static struct pp_chan *splice_target(const struct pp_exchange *x, enum pp_dir dir,
                                     const struct pp_h1 *src)
{
    const struct pp_flow *flow = &x->flow[dir];
    if (flow->pipe == NULL &&
        (flow->decoder.kind != PP_HTTP_BODY_LENGTH || flow->decoder.left < SPLICE_MIN ||
         flow->filtered || flow->pace != NULL || flow->hold > 0 ||
         flow->framing.body != PP_HTTP_BODY_LENGTH || src->ch.ops != &pp_chan_tcp_ops))
        return NULL;
    return x->ops[pp_body_sink(dir)]->plain_channel(x);
}

/* Bytes for which there is room in the sink; any number when no sink is needed. */
static size_t sink_room(const struct pp_exchange *x, enum pp_dir dir)
{
    if (x->flow[dir].hold > 0)
        return SIZE_MAX;
    const struct pp_side_ops *sink = x->ops[pp_body_sink(dir)];
    return sink != NULL ? sink->room(x) : 0;
}

/* The same, of what may be read now. */
static size_t room_for(struct pp_exchange *x, enum pp_dir dir)
{
    size_t room = sink_room(x, dir);
    return room == 0 ? 0 : PP_MIN(room, pp_pace_room(x, dir));
}

/* Move bytes inside the kernel to <out>. True: go on pumping (copying what is left); false: wait or
 * done. */
static bool splice_some(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src,
                        struct pp_chan *out)
{
    struct pp_flow *flow = &x->flow[dir];
    if (x->core->gather.owner != NULL) {
        if (!flush_sink(x, dir))
            return false;
        if (room_for(x, dir) == 0)
            return false;
    }
    if (flow->pipe == NULL)
        flow->pipe = pp_splice_acquire(&x->core->splice);
    if (flow->pipe == NULL)
        return true; /* no pipe to be had: copy */
    size_t n;
    int rc;
    if (flow->pipe->held == 0 && flow->decoder.left > 0) {
        rc = pp_splice_in(flow->pipe, src->ch.io.fd,
                          (size_t)PP_MIN(flow->decoder.left, flow->pipe->cap), &n);
        if (rc == PP_EAGAIN) {
            src->ch.readable = src->ch.rdhup;
            return false;
        }
        if (rc != PP_OK) {
            x->events->failed(x, source_fault(dir, rc == PP_EEOF ? PP_EHTTP_BODY_SHORT : rc));
            return false;
        }
        flow->decoder.left -= n;
        flow->received += n;
        x->ops[pp_body_source(dir)]->moved(x, n, true);
    }
    rc = pp_splice_out(flow->pipe, out->io.fd, flow->decoder.left > 0, &n);
    if (rc != PP_OK) {
        x->events->failed(x, pp_body_sink_fault(dir, rc));
        return false;
    }
    flow->bytes += n;
    x->ops[pp_body_sink(dir)]->moved(x, n, false);
    out->writable = flow->pipe->held == 0;
    /* Nothing is gathered: these flushes let the sink settle its deadlines. */
    if (flow->pipe->held > 0 || flow->decoder.left > 0)
        return flush_sink(x, dir) && flow->pipe->held == 0;
    pp_splice_release(&x->core->splice, flow->pipe);
    flow->pipe = NULL;
    rc = pp_body_deliver(x, dir, PP_SPAN_NONE, true);
    if (rc != PP_OK)
        x->events->failed(x, pp_body_sink_fault(dir, rc));
    else if (flush_sink(x, dir))
        end_source(x, dir);
    return false;
}

/* One read into scratch memory, of no more than the sink has <room> for. False: stop pumping. */
static bool read_bulk(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src, size_t room)
{
    struct pp_flow *flow = &x->flow[dir];
    size_t n, cap = PP_MIN(room, (size_t)PP_CORE_BULK_BYTES);
    if (dir == PP_DIR_REQUEST && flow->decoder.kind == PP_HTTP_BODY_LENGTH)
        cap = (size_t)PP_MIN(
            cap,
            flow->decoder.left); /* not into the next request; endpoints send one answer only */
    int rc = pp_chan_read(&src->ch, x->core->bulk, cap, &n);
    if (rc == PP_OK) {
        x->ops[pp_body_source(dir)]->moved(x, n, true);
        return take(x, dir, src, x->core->bulk, n, true);
    }
    if (rc == PP_EEOF)
        take_eof(x, dir);
    else if (rc == PP_EAGAIN && flow->withheld && filter_batch(x, dir, PP_SPAN_NONE, false))
        (void)flush_sink(x, dir);
    else if (rc != PP_EAGAIN)
        x->events->failed(x, source_fault(dir, rc));
    return false;
}

static void pump(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src)
{
    struct pp_flow *flow = &x->flow[dir];
    bool more = true;
    /* A fast source must not keep the worker from everybody else: after so many rounds the rest of
     * this readiness is left for the next turn. */
    for (int round = 0; more; round++) {
        struct pp_chan *out;
        size_t room;
        if (flow->source_ended || flow->parked || (room = room_for(x, dir)) == 0)
            return;
        if (round == PP_BODY_ROUNDS) {
            x->ops[pp_body_source(dir)]->yield(x);
            return;
        }
        if (pp_h1_unread(src) > 0)
            more = take(x, dir, src, src->mem + src->rd, PP_MIN(pp_h1_unread(src), room), false);
        else if (!src->ch.readable && !pp_body_is_piped(x, dir))
            return;
        else if ((out = splice_target(x, dir, src)) != NULL)
            more = splice_some(x, dir, src, out) &&
                   (flow->pipe != NULL || read_bulk(x, dir, src, room));
        else if (flow->pipe == NULL)
            more = read_bulk(x, dir, src, room);
        else
            return;
    }
}

void pp_body_pump(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src)
{
    pump(x, dir, src);
    if (x->core->gather.owner != NULL && pp_exchange_is_attached(x, pp_body_sink(dir)))
        (void)flush_sink(x, dir);
}

/* The end of what a source has pushed. */
static int push_end(struct pp_exchange *x, enum pp_dir dir, bool last, bool more)
{
    const struct pp_flow *flow = &x->flow[dir];
    /* What a filter gives on is its own until it is called again, and may not wait for that. */
    if (more && !last && !flow->filtered)
        return PP_OK;
    if (!flush_sink(x, dir))
        return PP_EEND;
    if (last)
        end_source(x, dir);
    return last ? PP_EEND : PP_OK;
}

int pp_body_push(struct pp_exchange *x, enum pp_dir dir, struct pp_span piece, bool last, bool more)
{
    struct pp_flow *flow = &x->flow[dir];
    if (flow->source_ended || flow->parked || sink_room(x, dir) == 0 ||
        (piece.n > 0 && piece.n > pp_pace_room(x, dir)))
        return PP_EAGAIN;
    int rc = piece.n > flow->decoder.limit - flow->received ? PP_EHTTP_BODY_BYTES : PP_OK;
    if (rc == PP_OK && flow->hold > 0 && piece.n > 0)
        rc = hold_piece(flow, piece, flow->hold);
    if (rc != PP_OK) {
        if (flush_sink(x, dir))
            x->events->failed(x, source_fault(dir, rc));
        return PP_EEND;
    }
    flow->received += piece.n;
    if (flow->pace != NULL)
        pp_pace_took(x, dir, piece.n);
    if (flow->hold == 0) {
        if (!flow->filtered && piece.n > 0) {
            rc = pp_body_deliver(x, dir, piece, false);
            if (rc != PP_OK) {
                not_delivered(x, dir, rc);
                return PP_EEND;
            }
        }
        if (!finish_batch(x, dir, piece, last))
            return PP_EEND;
    }
    return push_end(x, dir, last, more);
}

bool pp_body_discard(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src)
{
    struct pp_flow *flow = &x->flow[dir];
    int rc = flow->source_ended ? PP_EEND : PP_OK;
    while (rc == PP_OK && pp_h1_unread(src) > 0) {
        struct pp_span piece;
        size_t used;
        rc = pp_http1_body_next(&flow->decoder, src->mem + src->rd, pp_h1_unread(src), &used,
                                &piece);
        src->rd += (uint32_t)used;
    }
    flow->source_ended = rc == PP_EEND;
    return flow->source_ended;
}
