#include <errno.h>
#include <sys/socket.h>

#include "io/loop.h"

/* accept4 fails with these errno values first, in order; adding to the loop fails this often. */
static int faults[8];
static unsigned n_faults, adds_fail;

static int faulty_accept4(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
    if (n_faults > 0) {
        errno = faults[--n_faults];
        return -1;
    }
    return accept4(fd, from, len, flags);
}

static int faulty_add_level(struct pp_loop *lp, struct pp_io *io, int fd, pp_io_fn fn)
{
    if (adds_fail > 0) {
        adds_fail--;
        return PP_ENOMEM;
    }
    return pp_loop_add_level(lp, io, fd, fn);
}

#define accept4 faulty_accept4
#define pp_loop_add_level faulty_add_level
#include "io/listener.c"
#undef accept4

#include "io/io_test.h"
#include "pp_test.h"

#define MANY 200

static struct pp_loop lp;
static struct sockaddr_in at;
static struct pp_listener l;
static int accepted[MANY];
static struct sockaddr_storage from[MANY];
static unsigned n_accepted, pause_at, close_at;

static void on_accept(struct pp_listener *self, int fd, const struct sockaddr_storage *ss)
{
    PP_CHECK(self == &l);
    from[n_accepted] = *ss;
    accepted[n_accepted++] = fd;
    if (n_accepted == pause_at)
        pp_listener_pause(self);
    if (n_accepted == close_at)
        pp_listener_close(self);
}

/* Listens with a queue of <backlog>; a copy of the socket stays open at *copy (the supervisor's).
 */
static bool start(int backlog, int *copy)
{
    n_accepted = pause_at = close_at = 0;
    *copy = test_listen(&at, backlog);
    bool ok = *copy >= 0 && pp_loop_init(&lp, NULL) == PP_OK &&
              pp_listener_open(&l, &lp, dup(*copy), 7, on_accept, &lp) == PP_OK;
    PP_CHECK(ok);
    return ok;
}

static void stop(int copy)
{
    pp_listener_close(&l);
    for (unsigned i = 0; i < n_accepted; i++)
        close(accepted[i]);
    close(copy);
    pp_loop_fini(&lp);
}

static void dial(int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        fds[i] = test_dial(&at);
        PP_CHECK(fds[i] >= 0);
    }
}

static void hang_up(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

PP_TEST_CASE(an_accepted_connection_is_ready_for_use)
{
    int copy, out, v = 0;
    socklen_t len = sizeof v;
    struct pp_sock_addr a;

    if (!start(8, &copy))
        return;
    PP_CHECK_EQ(l.id, 7);
    PP_CHECK(l.owner == &lp);
    dial(&out, 1);
    PP_CHECK(pp_loop_turn(&lp, 10000) > 0);
    PP_REQUIRE(n_accepted == 1);
    PP_CHECK_EQ(l.accepted, 1);
    PP_CHECK(fcntl(accepted[0], F_GETFL) & O_NONBLOCK);
    PP_CHECK(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC);
    PP_CHECK(getsockopt(accepted[0], IPPROTO_TCP, TCP_NODELAY, &v, &len) == 0);
    PP_CHECK(v != 0); /* inherited from the listening socket */
    pp_sock_addr_from(&a, &from[0]);
    PP_CHECK_EQ(a.family, AF_INET);
    PP_CHECK_EQ(a.port, pp_sock_port(out));
    hang_up(&out, 1);
    stop(copy);
}

PP_TEST_CASE(a_unix_listener_accepts_and_has_no_tcp_options)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), out = socket(AF_UNIX, SOCK_STREAM, 0);
    socklen_t len = sizeof un;

    n_accepted = pause_at = close_at = 0;
    /* No name: the kernel gives an abstract one. */
    PP_REQUIRE(bind(fd, (struct sockaddr *)&un, sizeof(sa_family_t)) == 0 && listen(fd, 8) == 0);
    PP_REQUIRE(getsockname(fd, (struct sockaddr *)&un, &len) == 0);
    PP_REQUIRE(pp_loop_init(&lp, NULL) == PP_OK);
    PP_CHECK_EQ(pp_listener_open(&l, &lp, fd, 1, on_accept, NULL), PP_OK);
    PP_CHECK(connect(out, (struct sockaddr *)&un, len) == 0);
    PP_CHECK(pp_loop_turn(&lp, 10000) > 0);
    PP_REQUIRE(n_accepted == 1);
    PP_CHECK_EQ(from[0].ss_family, AF_UNIX);
    close(out);
    stop(-1);
}

PP_TEST_CASE(a_queue_is_taken_in_growing_batches_until_it_is_empty)
{
    int copy, out[100];

    if (!start(128, &copy))
        return;
    dial(out, 100);
    unsigned before = 0, largest = 0;
    for (int i = 0; i < 200 && n_accepted < 100; i++) {
        pp_loop_turn(&lp, 10000);
        largest = PP_MAX(largest, n_accepted - before);
        before = n_accepted;
    }
    PP_CHECK_EQ(n_accepted, 100);
    PP_CHECK(largest > 8);
    PP_CHECK(lp.turns < 40);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0); /* level-triggered, and nothing waits */
    hang_up(out, 100);
    stop(copy);
}

PP_TEST_CASE(the_batch_is_bounded)
{
    int copy;

    if (!start(8, &copy))
        return;
    l.streak = UINT32_MAX;
    l.last_turn = lp.turns - 1;
    PP_CHECK_EQ(tries(&l), PP_LISTENER_BATCH);
    lp.turns += 5;
    PP_CHECK_EQ(tries(&l), 1);
    stop(copy);
}

PP_TEST_CASE(a_connection_that_is_reset_in_the_queue_does_no_harm)
{
    int copy, out[3];

    if (!start(8, &copy))
        return;
    dial(out, 3);
    pp_sock_set_abort(out[1]);
    close(out[1]);
    for (int i = 0; i < 10; i++)
        pp_loop_turn(&lp, 10);
    PP_CHECK(n_accepted >= 2);
    PP_CHECK(!l.paused);
    close(out[0]);
    close(out[2]);
    stop(copy);
}

PP_TEST_CASE(errors_of_one_connection_do_not_stop_the_next)
{
    static const int errs[] = {ECONNABORTED, EINTR, EPROTO, EHOSTUNREACH, EPERM};
    int copy, out;

    if (!start(8, &copy))
        return;
    memcpy(faults, errs, sizeof errs);
    n_faults = PP_COUNT_OF(errs);
    dial(&out, 1);
    for (int i = 0; i < 20 && n_accepted < 1; i++)
        pp_loop_turn(&lp, 1000);
    PP_CHECK_EQ(n_faults, 0);
    PP_CHECK_EQ(n_accepted, 1);
    PP_CHECK_EQ(l.pauses, 0);
    hang_up(&out, 1);
    stop(copy);
}

PP_TEST_CASE(lack_of_any_resource_pauses)
{
    static const int errs[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    int copy, out;

    if (!start(8, &copy))
        return;
    dial(&out, 1);
    for (size_t i = 0; i < PP_COUNT_OF(errs); i++) {
        faults[0] = errs[i];
        n_faults = 1;
        PP_CHECK(pp_loop_turn(&lp, 10000) > 0);
        PP_CHECK(l.paused);
        PP_CHECK_EQ(l.pauses, i + 1);
        pp_listener_resume(&l);
    }
    hang_up(&out, 1);
    stop(copy);
}

PP_TEST_CASE(a_resume_that_fails_is_tried_again)
{
    int copy, out;

    if (!start(8, &copy))
        return;
    pp_listener_pause(&l);
    adds_fail = 2;
    pp_listener_resume(&l);
    PP_CHECK(l.paused);
    dial(&out, 1);
    for (int i = 0; i < 100 && n_accepted < 1; i++)
        pp_loop_turn(&lp, 10000);
    PP_CHECK_EQ(adds_fail, 0);
    PP_CHECK_EQ(n_accepted, 1);
    PP_CHECK_EQ(l.pauses, 1);
    hang_up(&out, 1);
    stop(copy);
}

PP_TEST_CASE(without_descriptors_accepting_pauses_and_nothing_is_lost)
{
    int copy, out[4];

    if (!start(8, &copy))
        return;
    dial(out, 4);
    struct rlimit old = test_fd_limit(1);
    for (int i = 0; i < 10 && !l.paused; i++)
        pp_loop_turn(&lp, 1000);
    PP_CHECK(l.paused);
    PP_CHECK_EQ(n_accepted, 1);
    PP_CHECK_EQ(l.pauses, 1);
    PP_CHECK_EQ(l.io.fd, -1);
    PP_CHECK(pp_timer_is_pending(&l.resume));
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0); /* the waiting connections do not spin the loop */

    /* It tries again by itself, also in vain. */
    for (int i = 0; i < 100 && l.pauses < 2; i++)
        pp_loop_turn(&lp, 10000);
    PP_CHECK_EQ(l.pauses, 2);
    PP_CHECK_EQ(n_accepted, 1);

    setrlimit(RLIMIT_NOFILE, &old);
    for (int i = 0; i < 100 && n_accepted < 4; i++)
        pp_loop_turn(&lp, 10000);
    PP_CHECK_EQ(n_accepted, 4);
    PP_CHECK(!l.paused);
    hang_up(out, 4);
    stop(copy);
}

PP_TEST_CASE(the_owner_pauses_and_resumes)
{
    int copy, out[5];

    if (!start(8, &copy))
        return;
    dial(out, 5);
    pause_at = 2;
    for (int i = 0; i < 10 && !l.paused; i++)
        pp_loop_turn(&lp, 1000);
    PP_CHECK_EQ(n_accepted, 2);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    pp_listener_pause(&l);
    PP_CHECK_EQ(l.pauses, 1);

    pp_listener_resume(&l);
    PP_CHECK(!l.paused);
    PP_CHECK(!pp_timer_is_pending(&l.resume));
    pp_listener_resume(&l);
    for (int i = 0; i < 10 && n_accepted < 5; i++)
        pp_loop_turn(&lp, 1000);
    PP_CHECK_EQ(n_accepted, 5);
    hang_up(out, 5);
    stop(copy);
}

PP_TEST_CASE(what_the_owner_holds_is_resumed_by_the_owner_alone)
{
    int copy, out;

    if (!start(8, &copy))
        return;
    pp_listener_hold(&l);
    PP_CHECK(l.paused);
    PP_CHECK(!pp_timer_is_pending(&l.resume));
    pp_listener_resume(&l);
    pp_listener_pause(&l);
    PP_CHECK(pp_timer_is_pending(&l.resume));
    pp_listener_hold(&l);
    PP_CHECK(!pp_timer_is_pending(&l.resume));
    PP_CHECK_EQ(l.pauses, 2);
    dial(&out, 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    pp_listener_resume(&l);
    PP_CHECK(pp_loop_turn(&lp, 10000) > 0);
    PP_CHECK_EQ(n_accepted, 1);
    hang_up(&out, 1);
    stop(copy);
    pp_listener_hold(&l); /* closed: nothing to hold */
    PP_CHECK(!l.paused);
}

PP_TEST_CASE(drain_takes_the_whole_queue_at_once)
{
    int copy, out[100];

    if (!start(128, &copy))
        return;
    dial(out, 100);
    PP_CHECK_EQ(pp_listener_drain(&l), 100);
    PP_CHECK_EQ(n_accepted, 100);
    PP_CHECK_EQ(pp_listener_drain(&l), 0);
    hang_up(out, 100);

    dial(out, 3);
    pause_at = 101;
    PP_CHECK_EQ(pp_listener_drain(&l), 1); /* the callback has the last word */
    PP_CHECK_EQ(pp_listener_drain(&l), 0);
    hang_up(out, 3);
    pp_listener_close(&l);
    PP_CHECK_EQ(pp_listener_drain(&l), 0);
    stop(copy);
}

PP_TEST_CASE(a_batch_ends_when_the_callback_pauses_or_closes)
{
    int copy, out[20];

    for (int closing = 0; closing < 2; closing++) {
        if (!start(32, &copy))
            return;
        dial(out, 20);
        *(closing ? &close_at : &pause_at) = 10;
        for (int i = 0; i < 50 && n_accepted < 10; i++)
            pp_loop_turn(&lp, 1000);
        PP_CHECK_EQ(n_accepted, 10);
        PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
        PP_CHECK_EQ(n_accepted, 10);
        hang_up(out, 20);
        stop(copy);
    }
}

PP_TEST_CASE(close_keeps_the_socket_listening_for_its_other_holders)
{
    int copy, out;
    int before = test_fd_count();

    if (!start(8, &copy))
        return;
    pp_listener_close(&l);
    pp_listener_close(&l);
    pp_listener_pause(&l);
    pp_listener_resume(&l);
    PP_CHECK_EQ(l.fd, -1);
    dial(&out, 1);                        /* still in the queue's care */
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0); /* and no event for a listener that is gone */
    int got = accept(copy, NULL, NULL);
    PP_CHECK(got >= 0);
    close(got);
    hang_up(&out, 1);
    stop(copy);
    PP_CHECK_EQ(test_fd_count(), before);
}

PP_TEST_CASE(closing_a_paused_listener_stops_its_timer)
{
    int copy;

    if (!start(8, &copy))
        return;
    pp_listener_pause(&l);
    pp_listener_close(&l);
    PP_CHECK(!pp_timer_is_pending(&l.resume));
    PP_CHECK_EQ(lp.wheel.n, 0);
    stop(copy);
}

PP_TEST_CASE(a_socket_that_was_shut_down_is_asked_slowly)
{
    int copy;

    if (!start(8, &copy))
        return;
    shutdown(copy, SHUT_RD);
    for (int i = 0; i < 10 && !l.paused; i++)
        pp_loop_turn(&lp, 1000);
    PP_CHECK(l.paused);
    stop(copy);
}

PP_TEST_CASE(what_is_no_socket_is_refused_and_stays_the_callers)
{
    int fds[2];

    PP_REQUIRE(pipe(fds) == 0 && pp_loop_init(&lp, NULL) == PP_OK);
    PP_CHECK_EQ(pp_listener_open(&l, &lp, fds[0], 1, on_accept, NULL), PP_EIO);
    PP_CHECK_EQ(l.fd, -1);
    PP_CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
    pp_listener_close(&l);
    pp_loop_fini(&lp);
}

PP_TEST_MAIN()
