#include "io/loop_calls.h"

#include "io/loop.c"

#include <signal.h>
#include <sys/time.h>

#include "io/loop_test.h"

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
    struct watched w;

    PP_REQUIRE(watch(&w, on_probe));
    PP_CHECK_EQ(pp_loop_turn(&w.lp, 0), 1);
    PP_CHECK_EQ(w.p.events, EPOLLOUT);
    PP_CHECK_EQ(pp_loop_turn(&w.lp, 0), 0);

    PP_CHECK_EQ(write(w.fds[1], "x", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&w.lp, 0), 1);
    PP_CHECK(w.p.events & EPOLLIN);
    PP_CHECK_EQ(pp_loop_turn(&w.lp, 0), 0); /* not read, and not reported again */
    PP_CHECK_EQ(write(w.fds[1], "y", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&w.lp, 0), 1);

    shutdown(w.fds[1], SHUT_WR);
    PP_CHECK_EQ(pp_loop_turn(&w.lp, 0), 1);
    PP_CHECK(w.p.events & EPOLLRDHUP);
    PP_CHECK_EQ(w.p.calls, 4);
    PP_CHECK_EQ(w.lp.events, 4);
    PP_CHECK_EQ(n_ctl, 1);
    PP_CHECK_EQ(n_settime, 0);
    unwatch(&w);
    PP_CHECK_EQ(n_ctl, 1);
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

/* A child between fork and exec holds a copy of everything that was open. */
PP_TEST_CASE(events_of_a_closed_descriptor_that_a_child_still_holds_come_to_nobody)
{
    struct pp_loop lp;
    struct probe p[2];
    int a[2], b[2];

    PP_REQUIRE(test_pair(a) && test_pair(b));
    if (!start_loop(&lp))
        return;
    int held = dup(a[0]);
    probe_init(&p[0], &lp);
    PP_CHECK_EQ(pp_loop_add(&lp, &p[0].io, a[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1); /* writable */
    n_ctl = 0;
    pp_loop_remove(&lp, &p[0].io, true);
    PP_CHECK_EQ(n_ctl, 0);
    close(a[0]);
    memset(&p[0], 0xaa, sizeof(p[0])); /* its memory is used for something else */

    probe_init(&p[1], &lp); /* and its slot by another */
    PP_CHECK_EQ(pp_loop_add(&lp, &p[1].io, b[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(p[1].calls, 1);
    PP_CHECK_EQ(write(a[1], "x", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(p[1].calls, 1);
    close(held); /* the last copy takes the registration along */
    PP_CHECK_EQ(write(b[1], "x", 1), 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(p[1].calls, 2);
    pp_loop_remove(&lp, &p[1].io, true);
    close(a[1]);
    close_pair(b);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(without_memory_for_one_more_the_others_stay_registered)
{
    enum { MANY = 200 };
    static struct probe p[MANY];
    static int fds[MANY][2];
    struct pp_loop lp;
    int n = 0, rc = PP_OK;

    if (!start_loop(&lp))
        return;
    pp_mem_fail_after_for_test(0);
    for (; n < MANY && rc == PP_OK; n++) {
        PP_REQUIRE(test_pair(fds[n]));
        probe_init(&p[n], &lp);
        rc = pp_loop_add(&lp, &p[n].io, fds[n][0], on_probe);
    }
    PP_CHECK_EQ(rc, PP_ENOMEM);
    PP_CHECK(n > 1 && p[n - 1].io.fd < 0);
    pp_mem_fail_after_for_test(-1);
    PP_CHECK_EQ(pp_loop_add(&lp, &p[n - 1].io, fds[n - 1][0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), n);
    for (int i = 0; i < n; i++) {
        PP_CHECK_EQ(p[i].calls, 1);
        pp_loop_remove(&lp, &p[i].io, true);
        close_pair(fds[i]);
    }
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

PP_TEST_MAIN()
