#include "proxy/up_file.h"

#include "base/check.h"
#include "io/fd.h"
#include "io/file.h"
#include "proxy/pace.h"

static struct pp_exchange_file *file_of(const struct pp_exchange *x)
{
    return x->side[PP_SIDE_UP];
}

/* ---- as a source ---- */

static void yield(struct pp_exchange *x)
{
    /* A timer that is due fires at the end of this turn and before the next wait. */
    struct pp_loop *lp = &x->core->loop;
    pp_loop_start(lp, &file_of(x)->timer, lp->now_ms);
}

static struct pp_fault fault_of(int rc)
{
    return pp_fault_make(rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_FILE_ERROR, PP_SIDE_UP,
                         false, rc == PP_EEOF ? PP_EHTTP_BODY_SHORT : rc);
}

/* Give the sink what was read, or the end. False: stop pumping. */
static bool push(struct pp_exchange *x, const struct pp_exchange_file *f, struct pp_span piece)
{
    int rc = pp_body_push(x, PP_DIR_RESPONSE, piece, f->at == f->end, false);
    PP_ASSERT(rc != PP_EAGAIN); /* it was asked for */
    return rc == PP_OK;
}

/* The socket to which what is left can be moved inside the kernel; NULL: it is to be read. */
static struct pp_chan *send_target(const struct pp_exchange *x, const struct pp_exchange_file *f)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    if (f->end - f->at < PP_UP_FILE_PIECE || flow->filtered || flow->pace != NULL ||
        flow->hold > 0 || flow->framing.body != PP_HTTP_BODY_LENGTH)
        return NULL;
    return x->ops[PP_SIDE_DOWN]->plain_channel(x);
}

/* Move some of the file to <out>. False: it takes none now. Trouble is for the next read to find:
 * it has all the ways to tell. */
static bool send_some(struct pp_exchange *x, struct pp_exchange_file *f, struct pp_chan *out)
{
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    size_t n = (size_t)PP_MIN(f->end - f->at, (uint64_t)PP_UP_FILE_SEND), sent;
    if (pp_file_send(out->io.fd, f->fd, f->at, n, &sent) != PP_OK)
        return false;
    f->at += sent;
    flow->received += sent;
    flow->bytes += sent;
    x->ops[PP_SIDE_DOWN]->moved(x, sent, false);
    return true;
}

/* One piece of at most <most> bytes. False: stop pumping. */
static bool push_piece(struct pp_exchange *x, struct pp_exchange_file *f, size_t most)
{
    size_t n = (size_t)PP_MIN(f->end - f->at, (uint64_t)PP_MIN(most, (size_t)PP_UP_FILE_PIECE));
    size_t got = 0;
    int rc = pp_file_read(f->fd, f->at, x->core->bulk, n, &got);
    if (rc != PP_OK) {
        x->events->failed(x, fault_of(rc));
        return false;
    }
    f->at += got;
    return push(x, f, pp_span(x->core->bulk, got));
}

/* Some of the file, by the way that is best now. False: stop pumping. */
static bool go_on(struct pp_exchange *x, struct pp_exchange_file *f, size_t most)
{
    struct pp_chan *out = send_target(x, f);
    if (out == NULL)
        return push_piece(x, f, most);
    if (x->core->gather.owner == NULL && send_some(x, f, out))
        return f->at < f->end || push(x, f, PP_SPAN_NONE);
    /* A head that waits leaves with a few bytes behind it. What the socket does not take waits,
     * too, and its deadline and its room are watched. */
    return push_piece(x, f, PP_UP_FILE_REST);
}

/* Bytes that may be read now. */
static size_t room_for(struct pp_exchange *x)
{
    bool held = x->flow[PP_DIR_RESPONSE].hold > 0;
    size_t room = held ? SIZE_MAX : x->ops[PP_SIDE_DOWN]->room(x);
    return room == 0 ? 0 : PP_MIN(room, pp_pace_room(x, PP_DIR_RESPONSE));
}

static void pump(struct pp_exchange *x)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    struct pp_exchange_file *f = file_of(x);
    if (x->state != PP_EXCHANGE_BODY)
        return;
    for (int round = 0; x->side[PP_SIDE_UP] == f; round++) {
        size_t room = flow->source_ended || flow->parked ? 0 : room_for(x);
        if (room == 0)
            return;
        if (round == PP_BODY_ROUNDS) {
            yield(x);
            return;
        }
        if (!go_on(x, f, room))
            return;
    }
}

static void on_turn(struct pp_timer *t)
{
    pump(PP_CONTAINER_OF(t, struct pp_exchange_file, timer)->x);
}

static bool has_more(const struct pp_exchange *x)
{
    return file_of(x)->at < file_of(x)->end;
}

static bool discard(struct pp_exchange *x)
{
    return !has_more(x);
}

static void moved(struct pp_exchange *x, size_t n, bool read)
{
    (void)x, (void)n, (void)read;
}

static struct pp_chan *plain_channel(const struct pp_exchange *x)
{
    (void)x;
    return NULL;
}

/* ---- as a sink: it has answered before it was asked, and takes nothing ---- */

static int send_nothing(struct pp_exchange *x)
{
    (void)x;
    return PP_OK;
}

static int send_body(struct pp_exchange *x, struct pp_span piece)
{
    (void)x, (void)piece;
    return PP_OK;
}

static size_t room(const struct pp_exchange *x)
{
    (void)x;
    return 0;
}

/* ---- life ---- */

static void finish(struct pp_exchange *x, bool reusable)
{
    struct pp_exchange_file *f = file_of(x);
    (void)reusable;
    pp_loop_stop(&x->core->loop, &f->timer);
    pp_fd_close(&f->fd);
    x->file = NULL;
    x->side[PP_SIDE_UP] = NULL;
    x->ops[PP_SIDE_UP] = NULL;
}

static int give(struct pp_exchange *x, const struct pp_heir *to)
{
    (void)to; /* nobody asks a file for a tunnel */
    finish(x, false);
    return PP_EIO;
}

static const struct pp_side_ops side_ops = {
    .send_head = send_nothing,
    .send_body = send_body,
    .send_end = send_nothing,
    .flush = send_nothing,
    .room = room,
    .pump = pump,
    .probe = pump,
    .yield = yield,
    .moved = moved,
    .is_readable = has_more,
    .has_buffered = has_more,
    .plain_channel = plain_channel,
    .discard = discard,
    .give = give,
    .finish = finish,
};

void pp_up_file_attach(struct pp_exchange *x)
{
    struct pp_exchange_file *f = x->file;
    PP_ASSERT(f != NULL && x->ops[PP_SIDE_UP] == NULL);
    f->x = x;
    pp_timer_init(&f->timer, on_turn);
    x->side[PP_SIDE_UP] = f;
    x->ops[PP_SIDE_UP] = &side_ops;
}
