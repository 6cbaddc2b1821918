#include "proxy/down.h"

#include "base/check.h"
#include "io/fd.h"
#include "proxy/move.h"

/* Lingering close: how long and how much is read and dropped for a client that still sends. */
#define LINGER_MS 2000
#define LINGER_BYTES (1024 * 1024)

static void count(struct pp_down *d, unsigned word, int n)
{
    struct pp_metrics *m = &d->h.core->metrics;
    m->words[d->door->conf->record + word] += (uint64_t)(int64_t)n;
}

static void free_now(struct pp_deferred *deferred)
{
    struct pp_down *d = PP_CONTAINER_OF(deferred, struct pp_down, deferred);
    pp_announced_unref(d->announced);
    pp_client_tls_unref(d->tls);
    pp_slab_put(&d->h.core->down_slab, d);
}

static bool is_full(const struct pp_door *door)
{
    return door->conf->max_connections > 0 && door->n_open >= door->conf->max_connections;
}

void pp_down_enter_door(struct pp_door *door)
{
    door->n_open++;
    if (is_full(door) && !door->closing)
        pp_listener_hold(&door->l);
}

void pp_down_leave_door(struct pp_door *door)
{
    door->n_open--;
    if (door->l.paused && !door->core->draining && !is_full(door))
        pp_listener_resume(&door->l);
    if (door->n_open == 0 && door->l.fd < 0)
        door->on_empty(door);
}

void pp_down_close(struct pp_down *d, bool abort)
{
    struct pp_core *core = d->h.core;
    if (d->state == PP_DOWN_CLOSED)
        return;
    d->gone = true;
    /* The end of the last exchange comes back here through its finish(). */
    if (d->proto->fail(d, pp_fault_make(PP_FAULT_CLIENT_ABORT, PP_SIDE_DOWN, false, PP_ERESET)))
        return;
    d->state = PP_DOWN_CLOSED;
    pp_list_detach(&d->link);
    core->n_down--;
    count(d, PP_METRIC_WORD(LISTENER, ACTIVE), -1);
    pp_loop_stop(&core->loop, &d->timer);
    if (d->proto->release != NULL)
        d->proto->release(d);
    pp_h1_close(&d->h, abort);
    d->deferred.fn = free_now;
    pp_loop_defer_free(&core->loop, &d->deferred);
    pp_down_leave_door(d->door); /* freed at the end of the turn too, if it was the last */
}

struct pp_exchange *pp_down_exchange(struct pp_down *d, const struct pp_side_ops *ops, void *side)
{
    struct pp_exchange *x = pp_exchange_new(d->h.core, d->door->conf, &pp_drive_events);
    if (x == NULL)
        return NULL;
    x->side[PP_SIDE_DOWN] = side;
    x->ops[PP_SIDE_DOWN] = ops;
    x->client = d->client;
    x->announced = pp_announced_ref(d->announced);
    x->client_fd = d->h.ch.io.fd;
    x->tls = pp_client_tls_ref(d->tls);
    if (d->door->home != NULL)
        x->home = pp_snapshot_acquire(d->door->home);
    return x;
}

void pp_down_expect(struct pp_down *d, enum pp_down_wait wait, uint64_t ms)
{
    struct pp_loop *lp = &d->h.core->loop;
    d->wait = (uint8_t)wait;
    d->deadline_ms = ms == 0 ? UINT64_MAX : lp->now_ms + ms;
    if (ms != 0)
        pp_loop_no_later(lp, &d->timer, d->deadline_ms);
}

void pp_down_again(struct pp_down *d)
{
    d->again = true;
    pp_loop_start(&d->h.core->loop, &d->timer, d->h.core->loop.now_ms);
}

/* Drop what the client sends until it ends, or has had its time. */
static void read_linger(struct pp_down *d)
{
    size_t n;
    while (d->h.ch.readable) {
        int rc = pp_chan_read(&d->h.ch, d->h.core->bulk, PP_CORE_BULK_BYTES, &n);
        if (rc == PP_EAGAIN)
            return;
        d->lingered += (uint32_t)n;
        if (rc != PP_OK || d->lingered > LINGER_BYTES) {
            pp_down_close(d, false);
            return;
        }
    }
}

static void linger(struct pp_down *d)
{
    d->state = PP_DOWN_LINGER;
    d->h.ch.ops->shutdown(&d->h.ch);
    pp_down_expect(d, PP_DOWN_WAIT_LINGER, LINGER_MS);
    read_linger(d); /* what has come already raises no further event */
}

void pp_down_end(struct pp_down *d)
{
    PP_ASSERT(d->x == NULL);
    if (!pp_h1_is_flushed(&d->h)) {
        d->state = PP_DOWN_FLUSH;
        pp_down_expect(d, PP_DOWN_WAIT_SEND, d->door->conf->send_timeout_ms);
    } else if (d->unread) {
        linger(d);
    } else {
        pp_down_close(d, false);
    }
}

/* The last bytes, before the end. */
static void go_on_flushing(struct pp_down *d)
{
    size_t sent;
    int rc = pp_h1_flush(&d->h, &sent);
    count(d, PP_METRIC_WORD(LISTENER, BYTES_OUT), (int)sent);
    if (rc != PP_OK)
        pp_down_close(d, false);
    else if (sent > 0)
        pp_down_end(d);
}

bool pp_down_is_body_late(const struct pp_listener_conf *conf, const struct pp_down_clock *clock,
                          uint64_t now_ms)
{
    if (conf->body_timeout_ms > 0 && now_ms - clock->seen_ms >= conf->body_timeout_ms)
        return true;
    uint64_t ms = now_ms - clock->from_ms;
    return conf->body_min_rate > 0 && ms >= PP_DOWN_RATE_CHECK_MS &&
           clock->bytes * 1000 < conf->body_min_rate * ms;
}

uint64_t pp_down_body_check_ms(const struct pp_listener_conf *conf)
{
    uint64_t ms = conf->body_timeout_ms;
    if (conf->body_min_rate > 0 && (ms == 0 || ms > PP_DOWN_RATE_CHECK_MS))
        ms = PP_DOWN_RATE_CHECK_MS;
    return ms;
}

void pp_down_expect_body(struct pp_down *d, bool fresh)
{
    if (fresh) {
        d->body.from_ms = d->body.seen_ms = d->h.core->loop.now_ms;
        d->body.bytes = 0;
    }
    pp_down_expect(d, PP_DOWN_WAIT_BODY, pp_down_body_check_ms(d->door->conf));
}

static void on_deadline(struct pp_down *d)
{
    if (d->wait == PP_DOWN_WAIT_BODY &&
        !pp_down_is_body_late(d->door->conf, &d->body, d->h.core->loop.now_ms)) {
        pp_down_expect_body(d, false);
        return;
    }
    if (d->wait == PP_DOWN_WAIT_GOODBYE) {
        pp_move_goodbye(d);
        return;
    }
    d->deadline_ms = UINT64_MAX;
    if (d->wait != PP_DOWN_WAIT_IDLE && d->wait != PP_DOWN_WAIT_LINGER)
        count(d, PP_METRIC_WORD(LISTENER, TIMEOUTS), 1);
    if (d->state < PP_DOWN_FLUSH)
        d->proto->on_late(d);
    else
        pp_down_close(d, d->wait == PP_DOWN_WAIT_SEND);
}

static void on_timer(struct pp_timer *t)
{
    struct pp_down *d = PP_CONTAINER_OF(t, struct pp_down, timer);
    struct pp_loop *lp = &d->h.core->loop;
    if (d->again) {
        d->again = false;
        if (d->deadline_ms != UINT64_MAX)
            pp_loop_start(lp, t, d->deadline_ms);
        if (d->state < PP_DOWN_FLUSH)
            d->proto->on_readable(d);
    } else if (d->deadline_ms == UINT64_MAX) {
        return;
    } else if (lp->now_ms < d->deadline_ms) {
        pp_loop_start(lp, t, d->deadline_ms);
    } else {
        on_deadline(d);
    }
}

static void on_event(struct pp_io *io, uint32_t events)
{
    struct pp_down *d =
        PP_CONTAINER_OF(PP_CONTAINER_OF(io, struct pp_chan, io), struct pp_down, h.ch);
    bool was_full = !d->h.ch.writable;
    pp_chan_note(&d->h.ch, events);
    if (d->h.ch.rdhup && d->ended_ms == 0)
        d->ended_ms = d->h.core->loop.now_ms;
    if (d->state == PP_DOWN_LINGER) {
        read_linger(d);
        return;
    }
    if (d->h.ch.rdhup && d->proto->is_left(d)) {
        pp_down_close(d, false);
        return;
    }
    if (was_full && d->h.ch.writable) {
        if (d->state == PP_DOWN_FLUSH)
            go_on_flushing(d);
        else
            d->proto->on_writable(d);
    }
    if (d->h.ch.readable && d->state < PP_DOWN_FLUSH)
        d->proto->on_readable(d);
}

int pp_down_open(struct pp_door *door, int fd, bool fresh, struct pp_down **out)
{
    struct pp_core *core = door->core;
    struct pp_down *d = pp_slab_get(&core->down_slab);
    int rc = PP_ENOMEM;
    if (d == NULL) {
        pp_fd_close(&fd);
    } else {
        memset(d, 0, sizeof(*d));
        rc = pp_chan_tcp_open(&d->h.ch, &core->loop, fd, on_event, true);
    }
    if (rc != PP_OK) {
        pp_slab_put(&core->down_slab, d);
        PP_COUNT(&core->metrics, door->conf->record, LISTENER, REJECTED, 1);
        return rc;
    }
    d->h.core = core;
    d->h.first = &core->head_slab;
    d->h.ch.writable = true;
    d->proto = &pp_down_h1_proto;
    d->door = door;
    rc = fresh ? pp_down_tls_open(d) : PP_OK;
    if (rc != PP_OK) {
        pp_h1_close(&d->h, true);
        pp_slab_put(&core->down_slab, d);
        PP_COUNT(&core->metrics, door->conf->record, LISTENER, REJECTED, 1);
        return rc;
    }
    d->born_ms = core->loop.now_ms;
    d->deadline_ms = UINT64_MAX;
    pp_timer_init(&d->timer, on_timer);
    pp_list_attach_back(&core->downs, &d->link);
    core->n_down++;
    count(d, PP_METRIC_WORD(LISTENER, ACTIVE), 1);
    pp_down_enter_door(door);
    *out = d;
    return PP_OK;
}

static void admit(struct pp_down *d, const struct pp_arrival *arrival)
{
    uint64_t ms = d->door->conf->header_timeout_ms;
    d->client = arrival->client;
    d->announced = arrival->announced;
    d->born_ms -= arrival->waited_ms;
    if (ms > 0)
        ms = ms > arrival->waited_ms ? ms - arrival->waited_ms : 1;
    pp_down_expect(d, PP_DOWN_WAIT_HEAD, ms);
    pp_move_new(d);
}

void pp_down_admit(struct pp_door *door, int fd, const struct pp_arrival *arrival)
{
    struct pp_down *d;
    if (pp_down_open(door, fd, true, &d) == PP_OK)
        admit(d, arrival);
    else
        pp_announced_unref(arrival->announced);
}

void pp_down_accept(struct pp_listener *l, int fd, const struct sockaddr_storage *from)
{
    struct pp_arrival arrival = {.announced = NULL};
    struct pp_down *d;
    if (pp_down_open(l->owner, fd, true, &d) != PP_OK)
        return;
    pp_sock_addr_from(&arrival.client, from);
    count(d, PP_METRIC_WORD(LISTENER, CONNECTIONS), 1);
    admit(d, &arrival);
}

/* Close it now; a log filter may hold it a little longer. */
static void cut_off(struct pp_down *d)
{
    d->gone = true;
    if (!d->proto->fail(d, pp_fault_make(PP_FAULT_SHUTDOWN, PP_SIDE_DOWN, false, PP_OK)))
        pp_down_close(d, true);
}

void pp_down_cut_all(struct pp_core *core)
{
    pp_move_stop(core);
    for (uint32_t n = core->n_down; n > 0 && !pp_list_is_empty(&core->downs); n--) {
        struct pp_down *d = PP_CONTAINER_OF(core->downs.next, struct pp_down, link);
        pp_list_detach(&d->link);
        pp_list_attach_back(&core->downs, &d->link);
        cut_off(d);
    }
}

void pp_down_close_all(struct pp_core *core)
{
    pp_move_stop(core);
    while (!pp_list_is_empty(&core->downs))
        cut_off(PP_CONTAINER_OF(core->downs.next, struct pp_down, link));
}
