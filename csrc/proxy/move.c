#include "proxy/move.h"

#include "base/mem.h"
#include "io/fd.h"

/* Idle, nothing read, nothing unsent, and no more reading put off. */
static bool is_idle(const struct pp_down *d)
{
    return d->state == PP_DOWN_IDLE && pp_h1_unread(&d->h) == 0 && pp_h1_is_flushed(&d->h) &&
           !d->again;
}

static bool must_end(const struct pp_down *d)
{
    return pp_move_ends_all(d->h.core) || d->stays;
}

/* Must it end in this worker, and has no time for that yet? */
static bool ends_here(const struct pp_down *d)
{
    return must_end(d) && d->wait != PP_DOWN_WAIT_GOODBYE;
}

/* Can it be offered now? The head of <d> is not whole: nobody but the parser has seen it. */
static bool can_go(const struct pp_down *d)
{
    return is_idle(d) || (d->state == PP_DOWN_HEAD && pp_h1_is_flushed(&d->h) && !d->again &&
                          pp_h1_unread(&d->h) <= PP_MOVED_UNREAD_MAX);
}

bool pp_move_may_go(const struct pp_down *d)
{
    return d->h.core->leaving.fn != NULL && !d->stays && d->proto->moves &&
           d->h.ch.ops == &pp_chan_tcp_ops && d->door->name.n <= PP_MOVED_LISTENER_MAX;
}

/* ---- offering ---- */

/* How much of the timeout that runs is used up. */
static uint64_t waited(const struct pp_down *d, uint64_t now)
{
    const struct pp_listener_conf *conf = d->door->conf;
    uint64_t whole = d->wait == PP_DOWN_WAIT_IDLE   ? conf->idle_timeout_ms
                     : d->wait == PP_DOWN_WAIT_HEAD ? conf->header_timeout_ms
                                                    : 0;
    uint64_t left = d->deadline_ms > now ? d->deadline_ms - now : 0;
    return PP_MIN(whole > left ? whole - left : 0, now - d->born_ms);
}

static int offer(const struct pp_down *d)
{
    const struct pp_leaving *leaving = &d->h.core->leaving;
    uint64_t now = d->h.core->loop.now_ms;
    struct pp_moved m = {
        .fd = d->h.ch.io.fd,
        .listener = d->door->name,
        .client = d->client,
        .age_ms = now - d->born_ms,
        .waited_ms = waited(d, now),
        .n_request = d->n_request,
    };
    if (d->announced != NULL)
        m.announced = d->announced->raw;
    if (d->state == PP_DOWN_HEAD)
        m.unread = pp_span(d->h.mem + d->h.rd, pp_h1_unread(&d->h));
    return leaving->fn(leaving->arg, &m);
}

/* Somebody else has the connection now. Our copy of the descriptor is taken out of the set and
 * closed, which the client does not notice. */
static void let_go(struct pp_down *d)
{
    d->h.ch.shared = true;
    PP_COUNT(&d->h.core->metrics, d->door->conf->record, LISTENER, MOVED_OUT, 1);
    struct pp_exchange *x = d->x;
    if (x != NULL) { /* of a head that is not whole: it has done nothing, and leaves no trace */
        d->x = NULL;
        x->ops[PP_SIDE_DOWN] = NULL;
        x->side[PP_SIDE_DOWN] = NULL;
        pp_exchange_free(x);
    }
    pp_down_close(d, false);
}

/* ---- goodbye ---- */

void pp_move_goodbye(struct pp_down *d)
{
    pp_down_expect(d, PP_DOWN_WAIT_NONE, 0);
    d->h.ch.readable = true; /* look: its event may be on the way */
    d->proto->on_readable(d);
    if (!is_idle(d))
        return;
    if (!must_end(d)) { /* the reason has gone */
        pp_down_expect(d, PP_DOWN_WAIT_IDLE, d->door->conf->idle_timeout_ms);
        return;
    }
    if (d->h.core->leaving.relief && !d->h.core->draining)
        PP_COUNT(&d->h.core->metrics, d->door->conf->record, LISTENER, OVERLOAD_CLOSED, 1);
    pp_down_close(d, false);
}

static void plan_goodbye(struct pp_down *d)
{
    struct pp_core *core = d->h.core;
    uint32_t spread_ms = pp_move_spread_ms(core);
    if (spread_ms == 0) {
        pp_move_goodbye(d);
        return;
    }
    uint64_t now = core->loop.now_ms;
    uint64_t ms = 1 + pp_rng_below(&core->rng, spread_ms);
    if (d->n_request == 0 && d->born_ms + PP_MOVE_FIRST_MS > now + ms)
        ms = d->born_ms + PP_MOVE_FIRST_MS - now;
    if (d->deadline_ms < now + ms)
        ms = d->deadline_ms > now ? d->deadline_ms - now : 1;
    pp_down_expect(d, PP_DOWN_WAIT_GOODBYE, ms);
}

/* ---- the queue ---- */

/* False: the receiver has no room now. */
static bool look_at(struct pp_down *d)
{
    if (pp_move_may_go(d)) {
        if (!can_go(d)) /* busy: it comes back when it rests */
            return true;
        int verdict = offer(d);
        if (verdict == PP_MOVE_LATER)
            return false;
        if (verdict == PP_MOVE_TAKEN) {
            let_go(d);
            return true;
        }
        d->stays = true;
    }
    if (d->proto->drain != NULL) {
        if (pp_move_ends_all(d->h.core))
            d->proto->drain(d);
        return true;
    }
    if (is_idle(d) && ends_here(d))
        plan_goodbye(d);
    return true;
}

static void run_queue(struct pp_core *core, uint32_t most)
{
    struct pp_leaving *leaving = &core->leaving;
    while (most-- > 0 && !pp_list_is_empty(&leaving->queue)) {
        struct pp_down *d = PP_CONTAINER_OF(leaving->queue.next, struct pp_down, link);
        pp_list_detach(&d->link);
        pp_list_attach_back(&core->downs, &d->link);
        if (look_at(d))
            continue;
        pp_list_detach(&d->link);
        pp_list_attach(&leaving->queue, &d->link);
        pp_loop_start(&core->loop, &leaving->timer, core->loop.now_ms + PP_MOVE_LATER_MS);
        return;
    }
    if (!pp_list_is_empty(&leaving->queue)) /* others first: not within this turn */
        pp_loop_start(&core->loop, &leaving->timer, core->loop.now_ms + 1);
}

static void on_timer(struct pp_timer *t)
{
    struct pp_leaving *leaving = PP_CONTAINER_OF(t, struct pp_leaving, timer);
    run_queue(PP_CONTAINER_OF(leaving, struct pp_core, leaving), PP_MOVE_BATCH);
}

/* Have the queue looked at; one that waits for room goes on waiting. */
static void wake(struct pp_core *core)
{
    struct pp_leaving *leaving = &core->leaving;
    leaving->timer.fn = on_timer;
    if (!pp_timer_is_pending(&leaving->timer))
        pp_loop_start(&core->loop, &leaving->timer, core->loop.now_ms);
}

void pp_move_consider(struct pp_down *d)
{
    struct pp_core *core = d->h.core;
    bool offered = pp_move_may_go(d) && can_go(d);
    if (!offered && !(is_idle(d) && ends_here(d)))
        return;
    pp_list_detach(&d->link);
    pp_list_attach_back(&core->leaving.queue, &d->link);
    wake(core);
}

/* Everything of <from> behind what is in <to>. */
static void append(struct pp_list *to, struct pp_list *from)
{
    if (pp_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    pp_list_init(from);
}

void pp_move_hand_over(struct pp_core *core, pp_move_fn fn, void *arg)
{
    struct pp_leaving *leaving = &core->leaving;
    leaving->fn = fn;
    leaving->arg = arg;
    leaving->on = pp_move_ends_all(core) || fn != NULL;
    if (!leaving->on) {
        pp_move_stop(core);
        return;
    }
    append(&leaving->queue, &core->downs);
    wake(core);
}

void pp_move_drain(struct pp_core *core, uint64_t spread_ms)
{
    struct pp_leaving *leaving = &core->leaving;
    core->draining = leaving->on = true;
    leaving->spread_ms = (uint32_t)PP_MIN(spread_ms, UINT32_MAX);
    append(&leaving->queue, &core->downs);
    wake(core);
    if (spread_ms == 0 && leaving->fn == NULL)
        run_queue(core, core->n_down);
}

void pp_move_relieve(struct pp_core *core, bool on)
{
    struct pp_leaving *leaving = &core->leaving;
    leaving->relief = on;
    leaving->on = pp_move_ends_all(core) || leaving->fn != NULL;
    if (on) {
        append(&leaving->queue, &core->downs);
        wake(core);
    } else if (!leaving->on) {
        pp_move_stop(core);
    }
}

void pp_move_stop(struct pp_core *core)
{
    struct pp_leaving *leaving = &core->leaving;
    leaving->fn = NULL;
    leaving->on = false;
    pp_loop_stop(&core->loop, &leaving->timer);
    append(&core->downs, &leaving->queue);
}

/* ---- adopting ---- */

static uint64_t rest_of(uint64_t whole, uint64_t used)
{
    return whole == 0 ? 0 : whole > used ? whole - used : 1;
}

static void go_on(struct pp_down *d, const struct pp_moved *m)
{
    const struct pp_listener_conf *conf = d->door->conf;
    uint64_t head_ms = rest_of(conf->header_timeout_ms, m->waited_ms);
    if (d->n_request == 0 || m->unread.n > 0)
        pp_down_expect(d, PP_DOWN_WAIT_HEAD, head_ms);
    else
        pp_down_expect(d, PP_DOWN_WAIT_IDLE, rest_of(conf->idle_timeout_ms, m->waited_ms));
    d->proto->on_readable(d);
    if (d->state == PP_DOWN_HEAD && m->unread.n > 0) /* moving does not set its clock back */
        pp_down_expect(d, PP_DOWN_WAIT_HEAD, head_ms);
}

/* What the connection began with, read once more: it came through a socket. */
static int take_announced(const struct pp_moved *m, struct pp_announced **out)
{
    struct pp_proxyproto h;
    size_t used;
    if (m->announced.n == 0)
        return PP_OK;
    if (pp_proxyproto_decode(m->announced, &h, &used) != PP_OK || used != m->announced.n)
        return PP_EIO;
    *out = pp_announced_new(m->announced, PP_SPAN_NONE);
    return *out == NULL ? PP_ENOMEM : PP_OK;
}

int pp_move_take(struct pp_door *door, const struct pp_moved *m)
{
    struct pp_announced *announced = NULL;
    struct pp_down *d = NULL;
    int fd = m->fd;
    char *unread = m->unread.n > 0 ? pp_mem_dup(m->unread.p, m->unread.n) : NULL;
    int rc = m->unread.n > 0 && unread == NULL ? PP_ENOMEM : pp_fd_prepare(fd);
    if (rc == PP_OK)
        rc = take_announced(m, &announced);
    if (rc != PP_OK)
        pp_fd_close(&fd);
    else
        rc = pp_down_open(door, fd, false, &d); /* in the clear, as it began */
    if (rc != PP_OK) {
        pp_announced_unref(announced);
        pp_mem_free(unread);
        return rc;
    }
    d->announced = announced;
    uint64_t now = d->h.core->loop.now_ms;
    d->client = m->client;
    d->born_ms = now - PP_MIN(m->age_ms, now);
    d->n_request = m->n_request;
    d->h.mem = unread;
    d->h.cap = d->h.wr = (uint32_t)m->unread.n;
    PP_COUNT(&d->h.core->metrics, door->conf->record, LISTENER, MOVED_IN, 1);
    go_on(d, m);
    return PP_OK;
}
