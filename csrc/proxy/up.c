#include "proxy/up.h"

#include "base/check.h"
#include "io/chan_tls.h"
#include "io/fd.h"
#include "io/sock.h"
#include "proxy/extended.h"
#include "proxy/pace.h"
#include "proxy/up_carry.h"
#include "proxy/up_h2.h"

static void free_now(struct pp_deferred *deferred)
{
    struct pp_up *up = PP_CONTAINER_OF(deferred, struct pp_up, deferred);
    struct pp_core *core = up->h.core;
    if (up->proto->on_free != NULL)
        up->proto->on_free(up);
    pp_cluster_unref(up->ep->cluster);
    pp_slab_put(&core->up_slab, up);
}

void pp_up_close(struct pp_up *up)
{
    if (up->state == PP_UP_CLOSED)
        return;
    PP_ASSERT(up->x == NULL);
    up->proto->on_close(up);
    pp_up_tls_keep_ticket(&up->h.ch, up->ep, &up->ticket_kept);
    up->state = PP_UP_CLOSED;
    pp_cluster_count_open(up->ep, -1);
    pp_loop_stop(&up->h.core->loop, &up->timer);
    pp_h1_close(&up->h, false);
    up->deferred.fn = free_now;
    pp_loop_defer_free(&up->h.core->loop, &up->deferred);
}

/* Does the response wait for somebody else: a filter, a limit, the client, or has all of it come?
 */
static bool is_held_up(const struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    const struct pp_side_ops *down = x->ops[PP_SIDE_DOWN];
    return flow->parked || flow->source_ended || (down != NULL && down->room(x) == 0) ||
           pp_pace_holds(x, PP_DIR_RESPONSE);
}

/* What an endpoint owes that takes what it is sent. */
static enum pp_fault_code owes_answer(const struct pp_exchange *x)
{
    if (x->state == PP_EXCHANGE_AWAIT && x->flow[PP_DIR_REQUEST].sink_ended)
        return PP_FAULT_FIRST_BYTE_TIMEOUT;
    return x->state == PP_EXCHANGE_BODY ? PP_FAULT_READ_TIMEOUT : PP_FAULT_NONE;
}

enum pp_fault_code pp_up_owes(const struct pp_exchange *x, const struct pp_cluster_conf *conf,
                              bool stuck, uint64_t *ms)
{
    enum pp_fault_code why = PP_FAULT_NONE;
    /* Before AWAIT, and between AWAIT and BODY, filters are at work. */
    if (x->state == PP_EXCHANGE_AWAIT || x->state == PP_EXCHANGE_TUNNEL ||
        (x->state == PP_EXCHANGE_BODY && !is_held_up(x)))
        why = stuck ? PP_FAULT_UPSTREAM_SEND_TIMEOUT : owes_answer(x);
    *ms = why == PP_FAULT_UPSTREAM_SEND_TIMEOUT ? conf->send_timeout_ms
          : why == PP_FAULT_FIRST_BYTE_TIMEOUT  ? conf->first_byte_timeout_ms
          : why == PP_FAULT_READ_TIMEOUT        ? conf->read_timeout_ms
                                                : 0;
    return why;
}

void pp_up_expect(struct pp_up *up, enum pp_fault_code why, uint64_t ms)
{
    struct pp_loop *lp = &up->h.core->loop;
    up->why = (uint8_t)why;
    up->deadline_ms = ms == 0 ? UINT64_MAX : lp->now_ms + ms;
    if (ms != 0)
        pp_loop_no_later(lp, &up->timer, up->deadline_ms);
}

static bool is_open(const struct pp_up *up)
{
    return up->state == PP_UP_BUSY || up->state == PP_UP_IDLE;
}

static void on_timer(struct pp_timer *t)
{
    struct pp_up *up = PP_CONTAINER_OF(t, struct pp_up, timer);
    struct pp_loop *lp = &up->h.core->loop;
    if (up->again) {
        up->again = false;
        if (is_open(up)) {
            if (up->deadline_ms != UINT64_MAX)
                pp_loop_start(lp, t, up->deadline_ms);
            up->proto->on_readable(up);
            return;
        }
    }
    if (up->deadline_ms == UINT64_MAX)
        return;
    if (lp->now_ms < up->deadline_ms) {
        pp_loop_start(lp, t, up->deadline_ms);
        return;
    }
    up->deadline_ms = UINT64_MAX;
    if (up->state == PP_UP_IDLE) {
        pp_up_close(up);
        return;
    }
    PP_COUNT(&up->h.core->metrics, up->ep->cluster->record, UPSTREAM, TIMEOUTS, 1);
    bool connecting = up->state == PP_UP_CONNECTING || up->state == PP_UP_HANDSHAKE;
    struct pp_fault f =
        pp_fault_make((enum pp_fault_code)up->why, PP_SIDE_UP, connecting, PP_ETIMEDOUT);
    if (connecting)
        up->proto->on_failed(up, f);
    else
        up->proto->on_late(up, f);
}

/* The endpoint is told who the client is, before the first request. PP_OK, or why it could not be.
 */
static int announce(const struct pp_exchange *x, const struct pp_endpoint *ep, int fd)
{
    struct pp_sock_addr local;
    unsigned version = ep->cluster->conf.proxy_protocol;
    if (version == 0)
        return PP_OK;
    if (x == NULL) /* one of many clients: there is nobody to announce */
        return PP_EINVAL;
    pp_sock_local(x->client_fd, &local);
    return pp_announced_send(x->announced, version, &x->client, &local, fd);
}

static void on_handshake(struct pp_up *up)
{
    int rc = pp_up_tls_handshake(&up->h.ch, up->ep);
    if (rc == PP_EAGAIN)
        return;
    if (rc != PP_OK) {
        /* No byte of the exchange has been sent: another endpoint may be tried. */
        up->proto->on_failed(up, pp_fault_make(PP_FAULT_UPSTREAM_TLS, PP_SIDE_UP, true, rc));
        return;
    }
    up->state = PP_UP_BUSY;
    pp_up_expect(up, PP_FAULT_NONE, 0);
    up->proto->on_connected(up);
}

static void on_connecting(struct pp_up *up)
{
    int rc = pp_sock_connect_result(up->h.ch.io.fd);
    if (rc == PP_EAGAIN)
        return;
    if (rc == PP_OK)
        rc = announce(up->x, up->ep, up->h.ch.io.fd);
    if (rc != PP_OK) {
        up->proto->on_failed(up, pp_fault_make(pp_fault_connect_code(rc), PP_SIDE_UP, true, rc));
        return;
    }
    up->state = PP_UP_HANDSHAKE;
    up->h.ch.writable = true;
    on_handshake(up);
}

static void on_event(struct pp_io *io, uint32_t events)
{
    struct pp_up *up = PP_CONTAINER_OF(PP_CONTAINER_OF(io, struct pp_chan, io), struct pp_up, h.ch);
    bool was_full = !up->h.ch.writable;
    pp_chan_note(&up->h.ch, events);
    if (up->state == PP_UP_CONNECTING) {
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
            on_connecting(up);
    } else if (up->state == PP_UP_HANDSHAKE) {
        on_handshake(up);
    } else if (is_open(up) && was_full && up->h.ch.writable) {
        up->proto->on_writable(up);
    }
    if (is_open(up) && up->h.ch.readable)
        up->proto->on_readable(up);
}

void pp_up_again(struct pp_up *up)
{
    /* A timer that is due fires at the end of this turn and before the next wait. */
    struct pp_loop *lp = &up->h.core->loop;
    up->again = true;
    pp_loop_start(lp, &up->timer, lp->now_ms);
}

void pp_up_begin(struct pp_exchange *x, struct pp_endpoint *ep, bool reused)
{
    x->reused = reused;
    x->silent = true;
    ep->active++;
    PP_COUNT(&x->core->metrics, ep->record, ENDPOINT, REQUESTS, 1);
    PP_COUNT(&x->core->metrics, ep->record, ENDPOINT, ACTIVE, 1);
    if (reused)
        PP_COUNT(&x->core->metrics, ep->cluster->record, UPSTREAM, REUSES, 1);
}

void pp_up_end(struct pp_exchange *x, struct pp_endpoint *ep)
{
    ep->active--;
    PP_COUNT(&x->core->metrics, ep->record, ENDPOINT, ACTIVE, -1);
    x->ops[PP_SIDE_UP] = NULL;
    x->side[PP_SIDE_UP] = NULL;
}

struct pp_fault pp_up_reset_fault(struct pp_up *up, int rc)
{
    PP_COUNT(&up->h.core->metrics, up->ep->cluster->record, UPSTREAM, RESETS, 1);
    return pp_fault_make(PP_FAULT_UPSTREAM_RESET, PP_SIDE_UP, false, rc);
}

static bool reuse(struct pp_exchange *x, struct pp_endpoint *ep)
{
    struct pp_pooled *p = pp_pool_acquire(ep);
    if (p == NULL)
        return false;
    struct pp_up *up = PP_CONTAINER_OF(p, struct pp_up, pooled);
    up->state = PP_UP_BUSY;
    pp_up_expect(up, PP_FAULT_NONE, 0); /* that of an idle connection holds no more */
    pp_up_h1_lend(up, x, true);
    return true;
}

static bool must_speak_h2(const struct pp_cluster *cl)
{
    return cl->conf.http2.protocol == PP_CLUSTER_H2 || cl->conf.http2.protocol == PP_CLUSTER_H2C;
}

bool pp_up_may_speak_h2(const struct pp_cluster *cl)
{
    if (cl->conf.proxy_protocol != 0) /* a connection is of one client */
        return false;
    return must_speak_h2(cl) ||
           (cl->conf.http2.protocol == PP_CLUSTER_AUTO && cl->conf.tls != NULL);
}

bool pp_up_can_tunnel(const struct pp_cluster *cl)
{
    return cl == NULL || !must_speak_h2(cl);
}

/* Close the connection to <ep> that has been idle longest. False: there is none. */
static bool close_one(struct pp_endpoint *ep)
{
    struct pp_up *up = pp_up_h2_idle(ep);
    if (up == NULL && !pp_list_is_empty(&ep->idle))
        up = PP_CONTAINER_OF(PP_CONTAINER_OF(ep->idle.prev, struct pp_pooled, link), struct pp_up,
                             pooled);
    if (up != NULL)
        pp_up_close(up);
    return up != NULL;
}

static bool close_any(struct pp_cluster *cl)
{
    for (uint32_t i = 0; i < cl->n; i++)
        if (close_one(&cl->endpoint[i]))
            return true;
    return false;
}

static bool has_all(const struct pp_endpoint *ep)
{
    return ep->max_connections != 0 && ep->open >= ep->max_connections;
}

static bool have_all(const struct pp_cluster *cl)
{
    uint32_t most = cl->conf.admission.connections;
    return most != 0 && cl->open >= most;
}

bool pp_up_is_full(const struct pp_endpoint *ep)
{
    return has_all(ep) || have_all(ep->cluster);
}

/* May one more connection to <ep> be opened? Those that are idle make room. */
static bool make_room(struct pp_endpoint *ep)
{
    while (has_all(ep))
        if (!close_one(ep))
            return false;
    while (have_all(ep->cluster))
        if (!close_any(ep->cluster))
            return false;
    return true;
}

int pp_up_dial(struct pp_endpoint *ep, const struct pp_exchange *x, bool only_h1,
               struct pp_up **out)
{
    struct pp_span http1 = PP_SPAN("\x08http/1.1");
    struct pp_core *core = ep->cluster->core;
    struct pp_up *up = *out = pp_slab_get(&core->up_slab);
    if (up == NULL)
        return PP_ENOMEM;
    memset(up, 0, sizeof(*up));
    int fd;
    int rc = pp_sock_connect(&ep->dest, &fd);
    bool done = rc == PP_OK;
    if (done)
        rc = announce(x, ep, fd);
    if (done && rc != PP_OK)
        pp_fd_close(&fd);
    if (rc == PP_OK || rc == PP_EAGAIN)
        rc = pp_chan_tcp_open(&up->h.ch, &core->loop, fd, on_event, false);
    if (rc != PP_OK) {
        pp_slab_put(&core->up_slab, up);
        return rc;
    }
    up->h.core = core;
    up->h.first = &core->input_slab;
    up->ep = ep;
    up->proto = &pp_up_h1_proto;
    rc = pp_up_tls_open(&up->h.ch, ep, only_h1 ? &http1 : NULL);
    if (rc != PP_OK) {
        pp_h1_close(&up->h, true);
        pp_slab_put(&core->up_slab, up);
        return rc;
    }
    up->state = !done ? PP_UP_CONNECTING : pp_chan_is_tls(&up->h.ch) ? PP_UP_HANDSHAKE : PP_UP_BUSY;
    up->h.ch.writable = done;
    done = up->state == PP_UP_BUSY;
    pp_timer_init(&up->timer, on_timer);
    pp_pool_init(&up->pooled, core->loop.now_ms);
    pp_cluster_ref(ep->cluster);
    pp_cluster_count_open(ep, 1);
    PP_COUNT(&core->metrics, ep->cluster->record, UPSTREAM, CONNECTS, 1);
    pp_up_expect(up, PP_FAULT_CONNECT_TIMEOUT, done ? 0 : ep->cluster->conf.connect_timeout_ms);
    return done ? PP_OK : PP_EAGAIN;
}

/* A tunnel shares a connection as a stream of it, where the endpoint is known to take that or
 * speaks nothing else; or it gets one that speaks HTTP/1. */
static bool may_share(const struct pp_exchange *x, const struct pp_endpoint *ep)
{
    if (!pp_up_may_speak_h2(ep->cluster) || ep->wants_h1)
        return false;
    if (!x->wants_tunnel || must_speak_h2(ep->cluster))
        return true;
    return ep->speaks != PP_CLUSTER_H1 && ep->extended && pp_extended_can_ask(x);
}

static int acquire(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh, bool limited)
{
    bool shared = may_share(x, ep);
    x->reused = false;
    if (shared) {
        /* That a tunnel is on a connection is no reason to leave it. */
        int rc = pp_up_h2_join(x, ep, fresh && !(x->wants_tunnel && x->attempts == 1));
        if (rc != PP_ENOENT)
            return rc;
    }
    if (!fresh && reuse(x, ep))
        return PP_OK;
    if (PP_UNLIKELY(limited && ep->cluster->admission != NULL) && !make_room(ep))
        return PP_ELIMIT;
    struct pp_up *up;
    int rc = pp_up_dial(ep, x, !shared, &up);
    if (rc != PP_OK && rc != PP_EAGAIN)
        return rc;
    if (!shared)
        pp_up_h1_lend(up, x, false);
    else if (pp_up_h2_begin(up, x) != PP_OK) {
        pp_up_close(up);
        return PP_ENOMEM;
    } else if (rc == PP_OK && pp_up_h2_is_undecided(up->h2, x)) {
        return PP_EAGAIN;
    }
    return rc;
}

int pp_up_acquire(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh)
{
    return acquire(x, ep, fresh, true);
}

int pp_up_acquire_another(struct pp_exchange *x, struct pp_endpoint *ep, bool fresh)
{
    return acquire(x, ep, fresh, false);
}

bool pp_up_is_quiet(struct pp_up *up)
{
    struct pp_h1 *h = &up->h;
    char byte;
    size_t n;
    return !h->ch.readable || pp_chan_read(&h->ch, &byte, 1, &n) == PP_EAGAIN;
}

void pp_up_release(struct pp_up *up)
{
    struct pp_h1 *h = &up->h;
    pp_up_tls_keep_ticket(&h->ch, up->ep, &up->ticket_kept);
    pp_h1_end_message(h);
    bool clean = up->state == PP_UP_BUSY && h->mem == NULL && pp_h1_is_flushed(h) && !h->ch.rdhup &&
                 pp_up_is_quiet(up);
    if (PP_UNLIKELY(up->ep->cluster->replaced))
        clean = clean && pp_up_carry(up);
    if (!clean || !pp_pool_release(up->ep, &up->pooled, h->core->loop.now_ms)) {
        pp_up_close(up);
        return;
    }
    const struct pp_cluster_conf *conf = &up->ep->cluster->conf;
    uint64_t ms = conf->idle_timeout_ms;
    if (conf->max_age_ms > 0) { /* the pool takes none that is older, so something is left */
        uint64_t left = up->pooled.born_ms + conf->max_age_ms - h->core->loop.now_ms;
        ms = ms == 0 ? left : PP_MIN(ms, left);
    }
    up->state = PP_UP_IDLE;
    pp_up_expect(up, PP_FAULT_NONE, ms);
}

void pp_up_rest(struct pp_up *up)
{
    up->proto = &pp_up_h1_proto;
    if (pp_chan_is_tls(&up->h.ch))
        pp_chan_tls_flush(
            &up->h.ch);     /* no request follows soon that its last words could go with */
    up->ticket_kept = true; /* with TLS 1.3 none has come yet */
    pp_up_release(up);
    up->ticket_kept = up->state == PP_UP_CLOSED;
}

void pp_up_close_idle(struct pp_cluster *cl)
{
    for (uint32_t i = 0; i < cl->n; i++) {
        struct pp_endpoint *ep = &cl->endpoint[i];
        while (!pp_list_is_empty(&ep->idle))
            pp_up_close(PP_CONTAINER_OF(PP_CONTAINER_OF(ep->idle.next, struct pp_pooled, link),
                                        struct pp_up, pooled));
        pp_up_h2_retire(ep);
    }
}
