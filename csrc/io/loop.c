#include "io/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/ids.h"
#include "base/mem.h"
#include "io/fd.h"

#define NEVER UINT64_MAX

/* ---- clock ---- */

static void put2(char *dst, int v)
{
    dst[0] = (char)('0' + v / 10);
    dst[1] = (char)('0' + v % 10);
}

/* IMF-fixdate (RFC 9110 section 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT". By hand, because strftime
 * would write day and month in the language of the process. */
static void format_date(char *dst, uint64_t wall_s)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)wall_s;
    struct tm tm;

    if (gmtime_r(&t, &tm) == NULL)
        memset(&tm, 0, sizeof tm);
    int year = tm.tm_year + 1900;
    memcpy(dst, "Sun, 06 Nov 1994 08:49:37 GMT", 30);
    memcpy(dst, days + 3 * tm.tm_wday, 3);
    put2(dst + 5, tm.tm_mday);
    memcpy(dst + 8, months + 3 * tm.tm_mon, 3);
    put2(dst + 12, year / 100 % 100);
    put2(dst + 14, year % 100);
    put2(dst + 17, tm.tm_hour);
    put2(dst + 20, tm.tm_min);
    put2(dst + 23, tm.tm_sec);
}

static void read_clock(struct pp_loop *lp)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    lp->now_us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
    lp->now_ms = lp->now_us / 1000u;
    /* Coarse: log lines and Date need no better, and it costs a few nanoseconds. */
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    lp->wall_ms = (uint32_t)(ts.tv_nsec / 1000000);
    if (PP_UNLIKELY((uint64_t)ts.tv_sec != lp->wall_s)) {
        lp->wall_s = (uint64_t)ts.tv_sec;
        format_date(lp->date, lp->wall_s);
    }
}

/* ---- timerfd ---- */

/* The timerfd only ever has to fire no later than the earliest due time, so it is left alone when a
 * timer is stopped or moved later: it then fires once for nothing, which is cheaper than setting it
 * for every change. */
static void arm(struct pp_loop *lp)
{
    lp->timer_stale = false;
    uint64_t next = pp_wheel_next(&lp->wheel);
    if (next >= lp->timer_armed_ms)
        return;
    /* A zero it_value would disarm. */
    if (next == 0)
        next = 1;
    struct itimerspec its = {
        .it_value = {.tv_sec = (time_t)(next / 1000u), .tv_nsec = (long)(next % 1000u) * 1000000},
    };
    /* Fails for arguments out of range only. */
    if (PP_EXPECT(timerfd_settime(lp->timer_fd, TFD_TIMER_ABSTIME, &its, NULL) == 0))
        lp->timer_armed_ms = next;
}

/* Both descriptors are edge-triggered: a new expiry or write is a new edge, so they need not be
 * read (setting the timerfd clears its count; the eventfd's would take centuries to fill up). */
static void on_timer(struct pp_io *io, uint32_t events)
{
    (void)io;
    (void)events; /* advance() has a look at every turn; its being due is all that counts */
}

static void on_wake(struct pp_io *io, uint32_t events)
{
    struct pp_loop *lp = PP_CONTAINER_OF(io, struct pp_loop, wake_io);

    (void)events;
    /* Before the call, so that a wake from within it is not lost. */
    lp->wake_pending = false;
    if (lp->on_wake != NULL)
        lp->on_wake(lp);
}

/* Fire what is due. */
static void advance(struct pp_loop *lp)
{
    bool fired = lp->now_ms >= lp->timer_armed_ms;

    if (fired) {
        /* It has gone off, or does so right now: the next arm() sets it afresh. */
        lp->timer_armed_ms = NEVER;
        lp->timer_stale = true;
    }
    /* <fired> within the same millisecond: a timer that was started for the past. */
    if (fired || lp->now_ms > lp->wheel.now_ms)
        pp_wheel_advance(&lp->wheel, lp->now_ms);
}

#define EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

#define FIRST_SLOTS 64

/* ---- slots ---- */

static void chain_free(struct pp_loop *lp, uint32_t from, uint32_t end)
{
    for (uint32_t i = end; i-- > from;) {
        lp->slot[i] = (struct pp_loop_slot){.next = lp->free_slot};
        lp->free_slot = i;
    }
}

static int grow_slots(struct pp_loop *lp)
{
    uint32_t n = lp->n_slot == 0 ? FIRST_SLOTS : lp->n_slot * 2;
    struct pp_loop_slot *more = pp_mem_resize(lp->slot, n * sizeof(*more));

    if (more == NULL)
        return PP_ENOMEM;
    lp->slot = more;
    chain_free(lp, lp->n_slot, n);
    lp->n_slot = n;
    return PP_OK;
}

static void give_slot(struct pp_loop *lp, uint32_t i)
{
    lp->slot[i].io = NULL;
    lp->slot[i].use++;
    lp->slot[i].next = lp->free_slot;
    lp->free_slot = i;
}

/* By which the set knows the present use of a slot. */
static uint64_t name_of(uint32_t slot, uint32_t use)
{
    return (uint64_t)use << 32 | slot;
}

static struct pp_loop_slot *slot_of(const struct pp_loop *lp, const struct epoll_event *ev)
{
    return &lp->slot[(uint32_t)ev->data.u64];
}

/* ---- life ---- */

static int add(struct pp_loop *lp, struct pp_io *io, int fd, pp_io_fn fn, uint32_t events)
{
    io->fd = -1;
    if (lp->free_slot == PP_ID_NONE && grow_slots(lp) != PP_OK)
        return PP_ENOMEM;
    uint32_t i = lp->free_slot;
    struct pp_loop_slot *slot = &lp->slot[i];
    struct epoll_event ev = {.events = events, .data = {.u64 = name_of(i, slot->use)}};
    if (epoll_ctl(lp->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        /* ENOSPC: the user's limit of watches, which is memory as well. */
        return errno == ENOMEM || errno == ENOSPC ? PP_ENOMEM : PP_EIO;
    lp->free_slot = slot->next;
    slot->io = io;
    io->fd = fd;
    io->slot = i;
    io->fn = fn;
    return PP_OK;
}

static int open_descriptors(struct pp_loop *lp)
{
    lp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (lp->epoll_fd < 0)
        return pp_fd_error(errno);
    lp->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (lp->timer_fd < 0)
        return pp_fd_error(errno);
    lp->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (lp->wake_fd < 0)
        return pp_fd_error(errno);
    int rc = add(lp, &lp->timer_io, lp->timer_fd, on_timer, EPOLLIN | EPOLLET);
    if (rc != PP_OK)
        return rc;
    return add(lp, &lp->wake_io, lp->wake_fd, on_wake, EPOLLIN | EPOLLET);
}

int pp_loop_init(struct pp_loop *lp, void *owner)
{
    memset(lp, 0, sizeof *lp);
    lp->epoll_fd = lp->timer_fd = lp->wake_fd = -1;
    lp->timer_io.fd = lp->wake_io.fd = -1;
    lp->timer_armed_ms = NEVER;
    lp->free_slot = PP_ID_NONE;
    lp->deferred_tail = &lp->deferred;
    lp->owner = owner;
    read_clock(lp);
    pp_wheel_init(&lp->wheel, lp->now_ms);
    int rc = open_descriptors(lp);
    if (rc != PP_OK)
        pp_loop_fini(lp);
    return rc;
}

static void run_deferred(struct pp_loop *lp)
{
    struct pp_deferred *d;

    while ((d = lp->deferred) != NULL) {
        lp->deferred = d->next;
        if (lp->deferred == NULL)
            lp->deferred_tail = &lp->deferred;
        d->fn(d); /* may free <d>, and may defer more */
    }
}

void pp_loop_fini(struct pp_loop *lp)
{
    if (lp->deferred_tail == NULL) /* zeroed: descriptor 0 is not ours */
        return;
    lp->depth++; /* what the frees start or defer must not touch the descriptors */
    run_deferred(lp);
    pp_fd_close(&lp->wake_fd);
    pp_fd_close(&lp->timer_fd);
    pp_fd_close(&lp->epoll_fd);
    lp->timer_io.fd = lp->wake_io.fd = -1;
    pp_mem_free(lp->slot);
    lp->slot = NULL;
    lp->deferred_tail = NULL;
}

int pp_loop_fd(const struct pp_loop *lp)
{
    return lp->epoll_fd;
}

/* ---- registration ---- */

int pp_loop_add(struct pp_loop *lp, struct pp_io *io, int fd, pp_io_fn fn)
{
    return add(lp, io, fd, fn, EDGES);
}

int pp_loop_add_level(struct pp_loop *lp, struct pp_io *io, int fd, pp_io_fn fn)
{
    return add(lp, io, fd, fn, EPOLLIN);
}

int pp_loop_move(struct pp_loop *lp, struct pp_io *from, struct pp_io *to, pp_io_fn fn)
{
    struct pp_loop_slot *slot = &lp->slot[from->slot];
    struct epoll_event ev = {.events = EDGES, .data = {.u64 = name_of(from->slot, slot->use + 1)}};

    /* Changing an entry reports its present state as a fresh edge (epoll(7)). */
    if (!PP_EXPECT(epoll_ctl(lp->epoll_fd, EPOLL_CTL_MOD, from->fd, &ev) == 0))
        return PP_EIO;
    slot->use++;
    slot->io = to;
    to->fd = from->fd;
    to->slot = from->slot;
    to->fn = fn;
    from->fd = -1;
    return PP_OK;
}

void pp_loop_remove(struct pp_loop *lp, struct pp_io *io, bool closing)
{
    if (io->fd < 0)
        return;
    if (!closing)
        (void)PP_EXPECT(epoll_ctl(lp->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL) == 0);
    io->fd = -1;
    if (lp->slot != NULL) /* the loop may have ended before */
        give_slot(lp, io->slot);
}

/* ---- timers ---- */

void pp_loop_start(struct pp_loop *lp, struct pp_timer *t, uint64_t due_ms)
{
    pp_wheel_start(&lp->wheel, t, due_ms);
    if (due_ms < lp->timer_armed_ms) {
        lp->timer_stale = true;
        if (lp->depth == 0)
            arm(lp);
    }
}

void pp_loop_no_later(struct pp_loop *lp, struct pp_timer *t, uint64_t due_ms)
{
    if (!pp_timer_is_pending(t) || t->due_ms > due_ms)
        pp_loop_start(lp, t, due_ms);
}

void pp_loop_stop(struct pp_loop *lp, struct pp_timer *t)
{
    pp_wheel_stop(&lp->wheel, t);
}

/* ---- deferred and wake ---- */

void pp_loop_defer_free(struct pp_loop *lp, struct pp_deferred *d)
{
    d->next = NULL;
    *lp->deferred_tail = d;
    lp->deferred_tail = &d->next;
    if (PP_UNLIKELY(lp->depth == 0))
        pp_loop_wake(lp);
}

void pp_loop_wake(struct pp_loop *lp)
{
    uint64_t one = 1;

    if (lp->wake_pending)
        return;
    lp->wake_pending = write(lp->wake_fd, &one, sizeof one) == (ssize_t)sizeof one;
    (void)PP_EXPECT(lp->wake_pending);
}

/* ---- turns ---- */

/* Bring the io of an event that comes next into the cache; past the last event it is an old one,
 * and doing so does no harm. */
static void prefetch(const struct pp_loop *lp, const struct epoll_event *ev)
{
    const char *io = (const char *)slot_of(lp, ev)->io;
    __builtin_prefetch(io);
    __builtin_prefetch(io + 64);
    __builtin_prefetch(io + 128);
}

static void dispatch(struct pp_loop *lp, int n)
{
    lp->turns++;
    lp->events += (uint64_t)n;
    for (int i = 0; i < n; i++) {
        const struct epoll_event *ev = &lp->batch[i];
        const struct pp_loop_slot *slot = slot_of(lp, ev);
        struct pp_io *io = slot->io;
        /* Its first lines arrive while this one is handled. */
        prefetch(lp, &lp->batch[(i + 1) % PP_LOOP_BATCH]);
        if (PP_LIKELY(slot->use == ev->data.u64 >> 32 && io != NULL))
            io->fn(io, ev->events);
    }
}

static void end_turn(struct pp_loop *lp)
{
    if (lp->on_turn_end != NULL)
        lp->on_turn_end(lp);
    run_deferred(lp);
    if (lp->timer_stale)
        arm(lp);
}

static int wait_ready(struct pp_loop *lp, int wait_ms)
{
    int n = epoll_wait(lp->epoll_fd, lp->batch, PP_LOOP_BATCH, wait_ms);
    if (PP_UNLIKELY(n < 0)) {
        (void)PP_EXPECT(errno == EINTR); /* whoever waits for a signal looks at it between turns */
        n = 0;
    }
    return n;
}

/* The turn after its wait. */
static void run_turn(struct pp_loop *lp, int n)
{
    lp->depth++;
    read_clock(lp);
    dispatch(lp, n);
    advance(lp);
    end_turn(lp);
    lp->depth--;
}

int pp_loop_turn(struct pp_loop *lp, int wait_ms)
{
    if (!PP_EXPECT(lp->depth == 0))
        return 0;
    int n = wait_ready(lp, wait_ms);
    run_turn(lp, n);
    return n;
}

int pp_loop_run_ready(struct pp_loop *lp)
{
    int total = 0;

    if (!PP_EXPECT(lp->depth == 0))
        return 0;
    for (int i = 0; i < PP_LOOP_TURNS; i++) {
        int n = wait_ready(lp, 0);
        if (n == 0)
            break; /* nothing happened: not even the clock matters */
        run_turn(lp, n);
        total += n;
    }
    return total;
}

void pp_loop_enter(struct pp_loop *lp)
{
    if (lp->depth++ == 0)
        read_clock(lp);
}

void pp_loop_leave(struct pp_loop *lp)
{
    PP_ASSERT(lp->depth > 0);
    if (lp->depth == 1) /* still in: what the frees defer runs now as well */
        end_turn(lp);
    lp->depth--;
}
