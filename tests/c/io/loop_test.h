/* What the tests of the loop share: handlers and timers that note what they saw. To be included
 * after loop.c, which counts its system calls through loop_calls.h. */
#ifndef PP_LOOP_TEST_H
#define PP_LOOP_TEST_H

#include "io/io_test.h"
#include "io/loop_calls.h"
#include "pp_test.h"

#undef epoll_wait /* the tests' own are not counted */

/* ---- what the callbacks of the tests saw ---- */

struct probe {
    struct pp_io io;
    struct pp_loop *lp;
    struct probe *other; /* removed by the handler */
    int spare;           /* >= 0: <other> is added again with this descriptor */
    unsigned calls;
    uint32_t events;
};

PP_UNUSED static void probe_init(struct probe *p, struct pp_loop *lp)
{
    memset(p, 0, sizeof *p);
    p->io.fd = p->spare = -1;
    p->lp = lp;
}

PP_UNUSED static void on_probe(struct pp_io *io, uint32_t events)
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

PP_UNUSED static unsigned n_wakes, n_ends, wakes_wanted;

PP_UNUSED static void count_wake(struct pp_loop *lp)
{
    n_wakes++;
    if (wakes_wanted > 0) {
        wakes_wanted--;
        pp_loop_wake(lp);
    }
}

PP_UNUSED static void count_end(struct pp_loop *lp)
{
    n_ends++;
}

PP_UNUSED static bool start_loop(struct pp_loop *lp)
{
    bool ok = pp_loop_init(lp, NULL) == PP_OK;

    PP_CHECK(ok);
    lp->on_wake = count_wake;
    lp->on_turn_end = count_end;
    n_settime = n_ctl = n_clock = n_wait = n_wakes = n_ends = wakes_wanted = 0;
    return ok;
}

PP_UNUSED static void close_pair(int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* A loop that watches one end of a pair of sockets with <p>. */
struct watched {
    struct pp_loop lp;
    struct probe p;
    int fds[2]; /* [0] is watched */
};

PP_UNUSED static bool watch(struct watched *w, pp_io_fn fn)
{
    if (!test_pair(w->fds) || !start_loop(&w->lp))
        return false;
    probe_init(&w->p, &w->lp);
    PP_CHECK_EQ(pp_loop_add(&w->lp, &w->p.io, w->fds[0], fn), PP_OK);
    return true;
}

PP_UNUSED static void unwatch(struct watched *w)
{
    pp_loop_remove(&w->lp, &w->p.io, true);
    close_pair(w->fds);
    pp_loop_fini(&w->lp);
}

/* ---- timers ---- */

struct alarm {
    struct pp_timer t;
    struct pp_loop *lp;
    unsigned fired, again; /* started again this often, for <step> ms later */
    int step;
    uint64_t at;
};

PP_UNUSED static void on_alarm(struct pp_timer *t)
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

PP_UNUSED static void alarm_init(struct alarm *a, struct pp_loop *lp)
{
    memset(a, 0, sizeof *a);
    pp_timer_init(&a->t, on_alarm);
    a->lp = lp;
}

/* Turns until <a> has fired <times> times, or too many turns. */
PP_UNUSED static void turn_until(struct alarm *a, unsigned times)
{
    for (int i = 0; a->fired < times && i < 1000; i++)
        pp_loop_turn(a->lp, 10000);
    PP_CHECK_EQ(a->fired, times);
}

#endif
