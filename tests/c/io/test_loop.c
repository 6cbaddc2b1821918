// links: base/check.c base/err.c base/wheel.c io/fd.c
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

/* The system calls that a turn must not make needlessly are counted. */
static unsigned n_settime, n_ctl, n_clock, n_wait;

static int counted_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *old)
{
    n_settime++;
    return timerfd_settime(fd, flags, to, old);
}
static int counted_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
    n_ctl++;
    return epoll_ctl(epfd, op, fd, ev);
}
static int counted_clock(clockid_t id, struct timespec *ts)
{
    n_clock += id == CLOCK_MONOTONIC;
    return clock_gettime(id, ts);
}
static int counted_wait(int epfd, struct epoll_event *ev, int max, int ms)
{
    n_wait++;
    return epoll_wait(epfd, ev, max, ms);
}

#define timerfd_settime counted_settime
#define epoll_ctl counted_ctl
#define clock_gettime counted_clock
#define epoll_wait counted_wait
#include "io/loop.c"
#undef epoll_wait

#include <signal.h>
#include <sys/time.h>

#include "io/io_test.h"
#include "pp_test.h"

/* ---- what the callbacks of the tests saw ---- */

struct probe {
    struct pp_io io;
    struct pp_loop *lp;
    struct probe *other; /* removed by the handler */
    int spare;           /* >= 0: <other> is added again with this descriptor */
    unsigned calls;
    uint32_t events;
};

static void probe_init(struct probe *p, struct pp_loop *lp)
{
    memset(p, 0, sizeof *p);
    p->io.fd = p->spare = -1;
    p->lp = lp;
}

static void on_probe(struct pp_io *io, uint32_t events)
{
    struct probe *p = PP_CONTAINER_OF(io, struct probe, io);

    p->calls++;
    p->events |= events;
    if (p->other == NULL)
        return;
    pp_loop_remove(p->lp, &p->other->io, false);
    if (p->spare >= 0) {
        int rc = pp_loop_add(p->lp, &p->other->io, p->spare, on_probe);
        PP_CHECK_EQ(rc, PP_OK);
        p->spare = -1;
    }
}

static unsigned n_wakes, n_ends, wakes_wanted;

static void count_wake(struct pp_loop *lp)
{
    n_wakes++;
    if (wakes_wanted > 0) {
        wakes_wanted--;
        pp_loop_wake(lp);
    }
}

static void count_end(struct pp_loop *lp)
{
    n_ends++;
}

static bool start_loop(struct pp_loop *lp)
{
    bool ok = pp_loop_init(lp, NULL) == PP_OK;

    PP_CHECK(ok);
    lp->on_wake = count_wake;
    lp->on_turn_end = count_end;
    n_settime = n_ctl = n_clock = n_wait = n_wakes = n_ends = wakes_wanted = 0;
    return ok;
}

static void close_pair(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* ---- clock ---- */

static struct pp_span date_of(uint64_t wall_s)
{
    static char text[32];

    format_date(text, wall_s);
    return pp_span(text, strlen(text));
}

PP_TEST_CASE(dates_are_imf_fixdates)
{
    PP_CHECK_STR(date_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    PP_CHECK_STR(date_of(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    PP_CHECK_STR(date_of(1709164800), "Thu, 29 Feb 2024 00:00:00 GMT");
    PP_CHECK_STR(date_of(4102444799), "Thu, 31 Dec 2099 23:59:59 GMT");
}

PP_TEST_CASE(the_clock_is_read_once_a_turn_and_the_date_follows_it)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    pp_loop_turn(&lp, 0);
    PP_CHECK_EQ(n_clock, 1);
    PP_CHECK_EQ(n_wait, 1);
    PP_CHECK_EQ(lp.now_ms, lp.now_us / 1000);
    struct pp_span want = date_of(lp.wall_s);
    PP_CHECK_BYTES(pp_span(lp.date, strlen(lp.date)), want.p, want.n);

    lp.wall_s = 0; /* as if the last turn had been long ago */
    lp.date[0] = '?';
    pp_loop_turn(&lp, 0);
    PP_CHECK(lp.wall_s > 1600000000);
    PP_CHECK(lp.date[0] != '?');
    pp_loop_fini(&lp);
}

/* ---- life ---- */

PP_TEST_CASE(init_and_fini_leave_no_descriptor_behind)
{
    int before = test_fd_count();
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    PP_CHECK_EQ(test_fd_count(), before + 3);
    pp_loop_fini(&lp);
    PP_CHECK_EQ(test_fd_count(), before);
    pp_loop_fini(&lp);
    memset(&lp, 0, sizeof lp);
    pp_loop_fini(&lp); /* descriptor 0 is still there */
    PP_CHECK_EQ(test_fd_count(), before);
}

PP_TEST_CASE(init_without_free_descriptors_fails_and_closes_what_it_opened)
{
    int before = test_fd_count();
    struct pp_loop lp;

    for (int more = 0; more < 3; more++) {
        struct rlimit old = test_fd_limit(more);
        PP_CHECK_EQ(pp_loop_init(&lp, NULL), PP_EMFILE);
        setrlimit(RLIMIT_NOFILE, &old);
        PP_CHECK_EQ(test_fd_count(), before);
    }
}

PP_TEST_CASE(adding_what_epoll_cannot_watch_fails)
{
    struct pp_loop lp;
    struct probe p;
    FILE *file = tmpfile();

    PP_REQUIRE(file != NULL);
    if (!start_loop(&lp))
        return;
    probe_init(&p, &lp);
    PP_CHECK_EQ(pp_loop_add(&lp, &p.io, fileno(file), on_probe), PP_EIO);
    PP_CHECK_EQ(p.io.fd, -1);
    pp_loop_remove(&lp, &p.io, false);
    pp_loop_fini(&lp);
    fclose(file);
}

/* ---- events ---- */

PP_TEST_CASE(edges_are_reported_once_without_touching_the_registration)
{
    struct pp_loop lp;
    struct probe p;
    int fds[2];

    PP_REQUIRE(test_pair(fds));
    if (!start_loop(&lp))
        return;
    probe_init(&p, &lp);
    PP_CHECK_EQ(pp_loop_add(&lp, &p.io, fds[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(p.events, EPOLLOUT);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);

    PP_CHECK_EQ(write(fds[1], "x", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK(p.events & EPOLLIN);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0); /* not read, and not reported again */
    PP_CHECK_EQ(write(fds[1], "y", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);

    shutdown(fds[1], SHUT_WR);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK(p.events & EPOLLRDHUP);
    PP_CHECK_EQ(p.calls, 4);
    PP_CHECK_EQ(lp.events, 4);
    PP_CHECK_EQ(n_ctl, 1);
    PP_CHECK_EQ(n_settime, 0);
    pp_loop_remove(&lp, &p.io, true);
    PP_CHECK_EQ(n_ctl, 1);
    close_pair(fds);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(level_triggered_io_is_reported_until_it_is_drained)
{
    struct pp_loop lp;
    struct probe p;
    int fds[2];
    char c;

    PP_REQUIRE(test_pair(fds));
    if (!start_loop(&lp))
        return;
    probe_init(&p, &lp);
    PP_CHECK_EQ(pp_loop_add_level(&lp, &p.io, fds[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0); /* being writable is none of its business */
    PP_CHECK_EQ(write(fds[1], "x", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(read(fds[0], &c, 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    pp_loop_remove(&lp, &p.io, false);
    close_pair(fds);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(an_io_removed_by_an_earlier_handler_of_the_batch_is_not_called)
{
    struct pp_loop lp;
    struct probe p[2];
    int a[2], b[2];

    PP_REQUIRE(test_pair(a) && test_pair(b));
    if (!start_loop(&lp))
        return;
    for (int i = 0; i < 2; i++) {
        probe_init(&p[i], &lp);
        p[i].other = &p[1 - i];
    }
    PP_CHECK_EQ(pp_loop_add(&lp, &p[0].io, a[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_add(&lp, &p[1].io, b[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 2);
    PP_CHECK_EQ(p[0].calls + p[1].calls, 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    for (int i = 0; i < 2; i++)
        pp_loop_remove(&lp, &p[i].io, false);
    close_pair(a);
    close_pair(b);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(an_io_that_came_back_with_another_descriptor_gets_no_stale_event)
{
    struct pp_loop lp;
    struct probe p[2];
    int a[2], b[2], c[2];

    PP_REQUIRE(test_pair(a) && test_pair(b) && test_pair(c));
    if (!start_loop(&lp))
        return;
    for (int i = 0; i < 2; i++) {
        probe_init(&p[i], &lp);
        p[i].other = &p[1 - i];
        p[i].spare = c[0];
    }
    PP_CHECK_EQ(pp_loop_add(&lp, &p[0].io, a[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_add(&lp, &p[1].io, b[0], on_probe), PP_OK);
    PP_CHECK_EQ(write(a[1], "x", 1), 1);
    PP_CHECK_EQ(write(b[1], "x", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 2);
    struct probe *moved = p[0].calls ? &p[1] : &p[0];
    PP_CHECK_EQ(p[0].calls + p[1].calls, 1);
    PP_CHECK_EQ(moved->io.fd, c[0]);
    p[0].other = p[1].other = NULL;

    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1); /* its own: writable, and nothing to read */
    PP_CHECK_EQ(moved->calls, 1);
    PP_CHECK_EQ(moved->events, EPOLLOUT);
    for (int i = 0; i < 2; i++)
        pp_loop_remove(&lp, &p[i].io, false);
    close_pair(a);
    close_pair(b);
    close_pair(c);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_descriptor_that_somebody_shares_must_be_removed_before_it_is_closed)
{
    struct pp_loop lp;
    struct probe p;
    int fds[2];

    PP_REQUIRE(test_pair(fds));
    if (!start_loop(&lp))
        return;
    int shared = dup(fds[0]); /* as another process would hold it */
    probe_init(&p, &lp);
    PP_CHECK_EQ(pp_loop_add_level(&lp, &p.io, fds[0], on_probe), PP_OK);
    pp_loop_remove(&lp, &p.io, false);
    close(fds[0]);
    PP_CHECK_EQ(write(fds[1], "x", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    PP_CHECK_EQ(p.calls, 0);
    close(shared);
    close(fds[1]);
    pp_loop_fini(&lp);
}

static void on_signal(int sig)
{
    (void)sig;
}

PP_TEST_CASE(a_signal_ends_the_wait_without_an_event)
{
    struct sigaction sa = {.sa_handler = on_signal}, old;
    struct itimerval every = {.it_interval = {0, 20000}, .it_value = {0, 20000}}, off = {0};
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    sigaction(SIGALRM, &sa, &old);
    setitimer(ITIMER_REAL, &every, NULL);
    PP_CHECK_EQ(pp_loop_turn(&lp, -1), 0);
    setitimer(ITIMER_REAL, &off, NULL);
    sigaction(SIGALRM, &old, NULL);
    PP_CHECK_EQ(n_ends, 1);
    pp_loop_fini(&lp);
}

/* ---- timers ---- */

struct alarm {
    struct pp_timer t;
    struct pp_loop *lp;
    unsigned fired, again; /* started again this often, for <step> ms later */
    int step;
    uint64_t at;
};

static void on_alarm(struct pp_timer *t)
{
    struct alarm *a = PP_CONTAINER_OF(t, struct alarm, t);

    a->fired++;
    a->at = a->lp->now_ms;
    PP_CHECK(a->lp->now_ms >= t->due_ms);
    if (a->again > 0) {
        a->again--;
        pp_loop_start(a->lp, t, (uint64_t)((int64_t)a->lp->now_ms + a->step));
    }
}

static void alarm_init(struct alarm *a, struct pp_loop *lp)
{
    memset(a, 0, sizeof *a);
    pp_timer_init(&a->t, on_alarm);
    a->lp = lp;
}

/* Turns until <a> has fired <times> times, or too many turns. */
static void turn_until(struct alarm *a, unsigned times)
{
    for (int i = 0; a->fired < times && i < 1000; i++)
        pp_loop_turn(a->lp, 10000);
    PP_CHECK_EQ(a->fired, times);
}

PP_TEST_CASE(a_timer_started_outside_a_turn_wakes_the_loop_not_before_its_time)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 20);
    PP_CHECK_EQ(n_settime, 1);
    turn_until(&a, 1);
    PP_CHECK_EQ(lp.wheel.n, 0);
    PP_CHECK_EQ(lp.timer_armed_ms, NEVER);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(timers_restart_themselves_also_for_the_past)
{
    struct pp_loop lp;
    struct alarm a;
    static const int steps[] = {3, 0, -5};

    if (!start_loop(&lp))
        return;
    for (size_t i = 0; i < PP_COUNT_OF(steps); i++) {
        alarm_init(&a, &lp);
        a.again = 5;
        a.step = steps[i];
        pp_loop_start(&lp, &a.t, lp.now_ms + 1);
        turn_until(&a, 6);
        PP_CHECK(!pp_timer_is_pending(&a.t));
    }
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_timer_for_the_past_fires_in_the_very_next_turn)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    /* Many turns in one millisecond: most of them find the wheel at their own time already. */
    pp_loop_turn(&lp, 0);
    uint64_t turns = lp.turns;
    for (int i = 0; i < 50; i++) {
        pp_loop_start(&lp, &a.t, lp.now_ms - 1);
        pp_loop_turn(&lp, 10000);
    }
    PP_CHECK_EQ(a.fired, 50);
    PP_CHECK_EQ(lp.turns, turns + 50);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(the_timerfd_is_set_only_when_it_must_fire_earlier)
{
    struct pp_loop lp;
    struct alarm a, b, c;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    alarm_init(&b, &lp);
    alarm_init(&c, &lp);
    for (int i = 0; i < 10; i++)
        pp_loop_turn(&lp, 0);
    PP_CHECK_EQ(n_settime, 0); /* nothing pending */

    pp_loop_enter(&lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 60000);
    pp_loop_start(&lp, &b.t, lp.now_ms + 70000);
    pp_loop_start(&lp, &c.t, lp.now_ms + 50000);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_settime, 1);

    uint64_t due = c.t.due_ms;
    for (int i = 0; i < 10; i++) { /* later, not earlier, stopped: all lazy */
        pp_loop_no_later(&lp, &a.t, lp.now_ms + 65000);
        pp_loop_no_later(&lp, &c.t, due);
        pp_loop_start(&lp, &b.t, lp.now_ms + 80000);
        pp_loop_turn(&lp, 0);
    }
    pp_loop_stop(&lp, &c.t);
    pp_loop_turn(&lp, 0);
    PP_CHECK_EQ(n_settime, 1);

    pp_loop_no_later(&lp, &a.t, lp.now_ms + 10);
    PP_CHECK_EQ(n_settime, 2);
    turn_until(&a, 1);
    pp_loop_stop(&lp, &b.t);
    PP_CHECK_EQ(lp.wheel.n, 0);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_timer_started_and_stopped_within_a_turn_costs_no_system_call)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    pp_loop_enter(&lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 5);
    pp_loop_stop(&lp, &a.t);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_settime, 0);
    pp_loop_stop(&lp, &a.t);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_far_timer_fires_on_time_although_the_wheel_looks_at_it_earlier)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 150); /* beyond the wheel's lowest level */
    turn_until(&a, 1);
    PP_CHECK(a.at >= a.t.due_ms);
    pp_loop_fini(&lp);
}

/* ---- deferred ---- */

struct late {
    struct pp_deferred d;
    struct pp_loop *lp;
    struct late *more; /* deferred by it */
    int order;         /* position in which it ran */
};

static int n_late;

static void on_late(struct pp_deferred *d)
{
    struct late *l = PP_CONTAINER_OF(d, struct late, d);

    l->order = ++n_late;
    if (l->more != NULL)
        pp_loop_defer_free(l->lp, &l->more->d);
}

PP_TEST_CASE(deferred_calls_run_in_order_also_those_that_they_defer)
{
    struct pp_loop lp;
    struct late l[4];

    if (!start_loop(&lp))
        return;
    n_late = 0;
    for (int i = 0; i < 4; i++)
        l[i] = (struct late){.d.fn = on_late, .lp = &lp};
    l[0].more = &l[3];
    pp_loop_enter(&lp);
    for (int i = 0; i < 3; i++)
        pp_loop_defer_free(&lp, &l[i].d);
    PP_CHECK_EQ(n_late, 0);
    PP_CHECK_EQ(n_ends, 0);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_ends, 1);
    for (int i = 0; i < 4; i++)
        PP_CHECK_EQ(l[i].order, i + 1);

    pp_loop_enter(&lp); /* the queue is usable again */
    pp_loop_defer_free(&lp, &l[1].d);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(l[1].order, 5);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(what_is_deferred_outside_a_turn_brings_one_about)
{
    struct pp_loop lp;
    struct late l;

    if (!start_loop(&lp))
        return;
    n_late = 0;
    l = (struct late){.d.fn = on_late, .lp = &lp};
    pp_loop_defer_free(&lp, &l.d);
    PP_CHECK_EQ(n_late, 0);
    PP_CHECK(pp_loop_run_ready(&lp) > 0);
    PP_CHECK_EQ(n_late, 1);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(fini_runs_what_is_still_deferred)
{
    struct pp_loop lp;
    struct late l[2];

    if (!start_loop(&lp))
        return;
    n_late = 0;
    for (int i = 0; i < 2; i++)
        l[i] = (struct late){.d.fn = on_late, .lp = &lp};
    l[0].more = &l[1];
    pp_loop_defer_free(&lp, &l[0].d);
    pp_loop_fini(&lp);
    PP_CHECK_EQ(n_late, 2);
}

static struct late turn_late;

static void enter_in_turn(struct pp_io *io, uint32_t events)
{
    struct probe *p = PP_CONTAINER_OF(io, struct probe, io);

    p->calls++;
    n_clock = 0;
    pp_loop_enter(p->lp);
    pp_loop_defer_free(p->lp, &turn_late.d);
    pp_loop_leave(p->lp);
    PP_CHECK_EQ(n_late, 0); /* the turn is not over */
    PP_CHECK_EQ(n_clock, 0);
    PP_CHECK_EQ(n_ends, 0);
}

PP_TEST_CASE(enter_and_leave_do_nothing_within_a_turn_and_nest_outside)
{
    struct pp_loop lp;
    struct probe p;
    int fds[2];

    PP_REQUIRE(test_pair(fds));
    if (!start_loop(&lp))
        return;
    n_late = 0;
    turn_late = (struct late){.d.fn = on_late, .lp = &lp};
    probe_init(&p, &lp);
    PP_CHECK_EQ(pp_loop_add(&lp, &p.io, fds[0], enter_in_turn), PP_OK);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(p.calls, 1);
    PP_CHECK_EQ(n_late, 1);
    PP_CHECK_EQ(n_ends, 1);

    n_clock = 0;
    pp_loop_enter(&lp);
    pp_loop_enter(&lp);
    pp_loop_defer_free(&lp, &turn_late.d);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_late, 1);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_late, 2);
    PP_CHECK_EQ(n_clock, 1);
    PP_CHECK_EQ(n_ends, 2);
    pp_loop_remove(&lp, &p.io, true);
    close_pair(fds);
    pp_loop_fini(&lp);
}

/* ---- wake ---- */

PP_TEST_CASE(many_wakes_are_one_call)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    for (int i = 0; i < 5; i++)
        pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 10000), 1);
    PP_CHECK_EQ(n_wakes, 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(n_wakes, 2);
    lp.on_wake = NULL;
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_wake_from_its_own_callback_comes_in_the_next_turn)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    wakes_wanted = 1;
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(n_wakes, 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(n_wakes, 2);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    pp_loop_fini(&lp);
}

/* ---- nested in another loop ---- */

static int outer_over(struct pp_loop *lp)
{
    int outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};

    PP_CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, pp_loop_fd(lp), &ev) == 0);
    return outer;
}

static int outer_ready(int outer, int wait_ms)
{
    struct epoll_event ev;
    return epoll_wait(outer, &ev, 1, wait_ms);
}

PP_TEST_CASE(an_outer_epoll_sees_the_set_ready_while_something_is)
{
    struct pp_loop lp;
    struct probe p;
    struct alarm a;
    int fds[2];

    PP_REQUIRE(test_pair(fds));
    if (!start_loop(&lp))
        return;
    int outer = outer_over(&lp);
    PP_CHECK_EQ(outer_ready(outer, 0), 0);

    pp_loop_wake(&lp);
    PP_CHECK_EQ(outer_ready(outer, 10000), 1);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(outer_ready(outer, 0), 0); /* although nobody read the eventfd */

    probe_init(&p, &lp);
    PP_CHECK_EQ(pp_loop_add(&lp, &p.io, fds[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(write(fds[1], "x", 1), 1);
    PP_CHECK_EQ(outer_ready(outer, 10000), 1);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(outer_ready(outer, 0), 0);

    alarm_init(&a, &lp);
    for (unsigned i = 1; i <= 3; i++) {
        pp_loop_start(&lp, &a.t, lp.now_ms + 10);
        for (int turns = 0; a.fired < i && turns < 100; turns++) {
            PP_CHECK_EQ(outer_ready(outer, 10000), 1);
            pp_loop_run_ready(&lp);
        }
        PP_CHECK_EQ(a.fired, i);
        PP_CHECK_EQ(outer_ready(outer, 0), 0);
    }
    pp_loop_remove(&lp, &p.io, true);
    close_pair(fds);
    close(outer);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(run_ready_ends_at_its_budget_and_leaves_the_set_ready)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    int outer = outer_over(&lp);
    wakes_wanted = 1000;
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), PP_LOOP_TURNS);
    PP_CHECK_EQ(n_wakes, PP_LOOP_TURNS);
    PP_CHECK_EQ(outer_ready(outer, 0), 1);
    wakes_wanted = 0;
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(outer_ready(outer, 0), 0);
    close(outer);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(run_ready_with_nothing_to_do_is_one_system_call)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 0);
    PP_CHECK_EQ(n_wait, 1);
    PP_CHECK_EQ(n_clock, 0);
    PP_CHECK_EQ(n_ends, 0);
    pp_loop_fini(&lp);
}

/* More ready ios than one batch holds: none is forgotten. */
PP_TEST_CASE(more_events_than_a_batch_holds_all_arrive)
{
    enum { MANY = PP_LOOP_BATCH + 40 };
    static struct probe p[MANY];
    static int fds[MANY][2];
    struct pp_loop lp;
    struct rlimit limit;

    PP_REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    PP_REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (!start_loop(&lp))
        return;
    for (int i = 0; i < MANY; i++) {
        PP_REQUIRE(test_pair(fds[i]));
        probe_init(&p[i], &lp);
        PP_CHECK_EQ(pp_loop_add(&lp, &p[i].io, fds[i][0], on_probe), PP_OK);
    }
    PP_CHECK_EQ(pp_loop_run_ready(&lp), MANY);
    PP_CHECK_EQ(lp.turns, 2);
    for (int i = 0; i < MANY; i++) {
        PP_CHECK_EQ(p[i].calls, 1);
        pp_loop_remove(&lp, &p[i].io, true);
        close_pair(fds[i]);
    }
    pp_loop_fini(&lp);
}

PP_TEST_MAIN()
