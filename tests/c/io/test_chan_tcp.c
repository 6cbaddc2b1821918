#include "io/chan_tcp.c"

#include "io/io_test.h"
#include "pp_test.h"

struct end {
    struct pp_loop lp;
    struct pp_chan ch;
    int other; /* the socket at the other end */
    unsigned calls;
};

static struct end e; /* large: it holds a loop */

static void on_events(struct pp_io *io, uint32_t events)
{
    e.calls++;
    pp_chan_note(PP_CONTAINER_OF(io, struct pp_chan, io), events);
}

static bool open_end(bool tcp)
{
    int fds[2];

    memset(&e, 0, sizeof e);
    e.ch.io.fd = -1;
    bool ok = (tcp ? test_tcp_pair(fds) : test_pair(fds)) && pp_loop_init(&e.lp, NULL) == PP_OK &&
              pp_chan_tcp_open(&e.ch, &e.lp, fds[0], on_events, true) == PP_OK;
    PP_CHECK(ok);
    e.other = fds[1];
    return ok;
}

static void close_end(void)
{
    e.ch.ops->close(&e.ch, false);
    close(e.other);
    pp_loop_fini(&e.lp);
}

static int read_some(size_t cap, size_t *n)
{
    static char buf[1 << 16];
    return pp_chan_read(&e.ch, buf, cap, n);
}

/* Let the loop report what has happened so far. */
static void turn(void)
{
    pp_loop_run_ready(&e.lp);
}

PP_TEST_CASE(a_full_read_stays_readable_and_a_short_one_does_not)
{
    size_t n;

    if (!open_end(false))
        return;
    turn();
    PP_CHECK_EQ(write(e.other, "abcdef", 6), 6);
    PP_CHECK_EQ(read_some(4, &n), PP_OK);
    PP_CHECK_EQ(n, 4);
    PP_CHECK(e.ch.readable);
    PP_CHECK_EQ(read_some(4, &n), PP_OK);
    PP_CHECK_EQ(n, 2);
    PP_CHECK(!e.ch.readable);
    turn();
    unsigned calls = e.calls;

    PP_CHECK_EQ(write(e.other, "x", 1), 1); /* the next byte is a new edge */
    turn();
    PP_CHECK_EQ(e.calls, calls + 1);
    PP_CHECK(e.ch.readable);
    close_end();
}

PP_TEST_CASE(an_empty_socket_reads_again_and_is_not_readable)
{
    size_t n = 7;

    if (!open_end(false))
        return;
    PP_CHECK(e.ch.readable);
    PP_CHECK_EQ(read_some(4, &n), PP_EAGAIN);
    PP_CHECK_EQ(n, 0);
    PP_CHECK(!e.ch.readable);
    close_end();
}

PP_TEST_CASE(after_rdhup_a_short_read_does_not_hide_the_end)
{
    size_t n;

    if (!open_end(true))
        return;
    PP_CHECK_EQ(write(e.other, "bye", 3), 3);
    shutdown(e.other, SHUT_WR);
    PP_CHECK(test_wait(e.ch.io.fd, POLLRDHUP));
    turn();
    PP_CHECK(e.ch.rdhup);
    PP_CHECK(!e.ch.broken);
    PP_CHECK_EQ(read_some(100, &n), PP_OK);
    PP_CHECK_EQ(n, 3);
    PP_CHECK(e.ch.readable);
    PP_CHECK_EQ(read_some(100, &n), PP_EEOF);
    PP_CHECK_EQ(read_some(100, &n), PP_EEOF);
    PP_CHECK_EQ(n, 0);
    PP_CHECK(e.ch.writable); /* half closed: our side still sends */
    close_end();
}

PP_TEST_CASE(an_end_that_comes_after_a_short_read_is_a_new_edge)
{
    size_t n;

    if (!open_end(true))
        return;
    PP_CHECK_EQ(write(e.other, "x", 1), 1);
    PP_CHECK(test_wait(e.ch.io.fd, POLLIN));
    turn();
    PP_CHECK_EQ(read_some(100, &n), PP_OK);
    PP_CHECK(!e.ch.readable);
    shutdown(e.other, SHUT_WR);
    PP_CHECK(test_wait(e.ch.io.fd, POLLRDHUP));
    turn();
    PP_CHECK(e.ch.readable && e.ch.rdhup);
    PP_CHECK_EQ(read_some(100, &n), PP_EEOF);
    close_end();
}

PP_TEST_CASE(a_reset_is_told_from_an_end)
{
    struct iovec iov[2] = {{"x", 1}, {"y", 1}};
    size_t n = 7;

    if (!open_end(true))
        return;
    pp_sock_set_abort(e.other);
    close(e.other);
    PP_CHECK(test_wait(e.ch.io.fd, POLLHUP));
    turn();
    PP_CHECK(e.ch.broken && e.ch.rdhup && e.ch.readable);
    PP_CHECK_EQ(read_some(100, &n), PP_ERESET);
    PP_CHECK_EQ(n, 0);
    n = 7;
    for (int count = 1; count <= 2; count++) { /* and no SIGPIPE */
        PP_CHECK_EQ(pp_chan_writev(&e.ch, iov, count, &n), PP_ERESET);
        PP_CHECK_EQ(n, 0);
    }
    e.other = -1;
    close_end();
}

PP_TEST_CASE(one_and_several_iovecs_arrive_in_order)
{
    struct iovec iov[3] = {{"abc", 3}, {"", 0}, {"defg", 4}};
    char got[32];
    size_t n;

    if (!open_end(false))
        return;
    PP_CHECK_EQ(pp_chan_writev(&e.ch, iov, 3, &n), PP_OK);
    PP_CHECK_EQ(n, 7);
    PP_CHECK_EQ(pp_chan_writev(&e.ch, iov, 1, &n), PP_OK);
    PP_CHECK_EQ(n, 3);
    PP_CHECK(e.ch.writable);
    ssize_t r = read(e.other, got, sizeof got);
    PP_CHECK_STR(pp_span(got, (size_t)r), "abcdefgabc");
    close_end();
}

/* Write until the socket takes no more, with <count> iovecs of 20000 bytes; returns the bytes. */
static size_t fill(int count)
{
    static char block[20000];
    struct iovec iov[4];
    size_t total = 0, n;

    for (int i = 0; i < count; i++)
        iov[i] = (struct iovec){block, sizeof block};
    while (e.ch.writable && total < (size_t)1 << 28) {
        PP_CHECK_EQ(pp_chan_writev(&e.ch, iov, count, &n), PP_OK);
        PP_CHECK_EQ(e.ch.writable, n == (size_t)count * sizeof block); /* known at once */
        total += n;
    }
    PP_CHECK(!e.ch.writable);
    return total;
}

/* Read <total> bytes at the other end, as far as they are there. */
static void drain(size_t total)
{
    static char buf[1 << 16];

    while (total > 0 && test_wait(e.other, POLLIN)) {
        ssize_t r = read(e.other, buf, PP_MIN(total, sizeof buf));
        PP_CHECK(r > 0);
        if (r <= 0)
            return;
        total -= (size_t)r;
    }
}

static void back_pressure(bool tcp, int count)
{
    if (!open_end(tcp))
        return;
    turn(); /* the edge of the registration is over */
    size_t total = fill(count);
    PP_CHECK(total > 0);
    unsigned calls = e.calls;
    turn();
    PP_CHECK_EQ(e.calls, calls); /* no room, no event */
    drain(total);
    for (int i = 0; i < 100 && !e.ch.writable; i++)
        pp_loop_turn(&e.lp, 1000);
    PP_CHECK(e.ch.writable); /* room is a new edge */
    close_end();
}

PP_TEST_CASE(a_full_unix_socket_writes_short_and_says_when_there_is_room)
{
    back_pressure(false, 1);
    back_pressure(false, 3);
}

PP_TEST_CASE(a_full_tcp_socket_writes_short_and_says_when_there_is_room)
{
    back_pressure(true, 1);
    back_pressure(true, 3);
}

PP_TEST_CASE(a_connecting_channel_waits_for_its_first_event)
{
    struct sockaddr_in at;
    struct pp_sock_dest dest = {.len = sizeof at};
    struct iovec iov = {"x", 1};
    int l = test_listen(&at, 8), fd;
    char c;
    size_t n;

    PP_REQUIRE(l >= 0);
    memset(&e, 0, sizeof e);
    PP_REQUIRE(pp_loop_init(&e.lp, NULL) == PP_OK);
    memcpy(&dest.ss, &at, sizeof at);
    int rc = pp_sock_connect(&dest, &fd);
    PP_CHECK(rc == PP_OK || rc == PP_EAGAIN);
    PP_CHECK_EQ(pp_chan_tcp_open(&e.ch, &e.lp, fd, on_events, false), PP_OK);
    PP_CHECK(!e.ch.readable && !e.ch.writable);
    for (int i = 0; i < 100 && !e.ch.writable; i++)
        pp_loop_turn(&e.lp, 1000);
    PP_CHECK(e.ch.writable);
    PP_CHECK_EQ(pp_sock_connect_result(e.ch.io.fd), PP_OK);
    PP_CHECK_EQ(pp_chan_writev(&e.ch, &iov, 1, &n), PP_OK);
    e.other = accept(l, NULL, NULL);
    PP_CHECK_EQ(read(e.other, &c, 1), 1);
    close(l);
    close_end();
}

PP_TEST_CASE(a_refused_connect_is_reported_as_broken)
{
    struct sockaddr_in at;
    struct pp_sock_dest dest = {.len = sizeof at};
    int l = test_listen(&at, 8), fd;

    PP_REQUIRE(l >= 0);
    close(l);
    memset(&e, 0, sizeof e);
    PP_REQUIRE(pp_loop_init(&e.lp, NULL) == PP_OK);
    memcpy(&dest.ss, &at, sizeof at);
    PP_REQUIRE(pp_sock_connect(&dest, &fd) == PP_EAGAIN);
    PP_CHECK_EQ(pp_chan_tcp_open(&e.ch, &e.lp, fd, on_events, false), PP_OK);
    for (int i = 0; i < 100 && !e.ch.broken; i++)
        pp_loop_turn(&e.lp, 1000);
    PP_CHECK(e.ch.broken);
    PP_CHECK_EQ(pp_sock_connect_result(e.ch.io.fd), PP_EREFUSED);
    e.other = -1;
    close_end();
}

PP_TEST_CASE(shutdown_ends_our_side_only)
{
    char c;
    size_t n;

    if (!open_end(true))
        return;
    e.ch.ops->shutdown(&e.ch);
    PP_CHECK_EQ(read(e.other, &c, 1), 0);
    PP_CHECK_EQ(write(e.other, "x", 1), 1);
    PP_CHECK(test_wait(e.ch.io.fd, POLLIN));
    PP_CHECK_EQ(read_some(10, &n), PP_OK);
    PP_CHECK_EQ(n, 1);
    close_end();
}

PP_TEST_CASE(close_is_idempotent_and_abort_resets)
{
    char c;

    for (int abort = 0; abort < 2; abort++) {
        if (!open_end(true))
            return;
        PP_CHECK(pp_chan_is_open(&e.ch));
        e.ch.ops->close(&e.ch, abort);
        PP_CHECK(!pp_chan_is_open(&e.ch));
        PP_CHECK(!e.ch.readable && !e.ch.writable);
        e.ch.ops->close(&e.ch, abort);
        ssize_t r = read(e.other, &c, 1);
        PP_CHECK_EQ(r, abort ? -1 : 0);
        close_end();
    }
}

PP_TEST_CASE(a_failed_open_closes_the_descriptor)
{
    struct pp_chan ch;
    FILE *file = tmpfile();
    int before;

    PP_REQUIRE(file != NULL);
    PP_REQUIRE(pp_loop_init(&e.lp, NULL) == PP_OK);
    before = test_fd_count();
    PP_CHECK_EQ(pp_chan_tcp_open(&ch, &e.lp, dup(fileno(file)), on_events, true), PP_EIO);
    PP_CHECK(!pp_chan_is_open(&ch));
    PP_CHECK_EQ(test_fd_count(), before);
    ch.loop = &e.lp;
    ch.ops->close(&ch, false);
    pp_loop_fini(&e.lp);
    fclose(file);
}

static struct pp_chan heir;
static unsigned heir_calls;

static void on_heir(struct pp_io *io, uint32_t events)
{
    heir_calls++;
    pp_chan_note(PP_CONTAINER_OF(io, struct pp_chan, io), events);
}

/* The old owner's handler gives its channel away while an event of it waits in the same batch. */
PP_TEST_CASE(a_channel_moves_to_another_owner_and_no_event_is_lost)
{
    char got[8];
    size_t n;

    if (!open_end(false))
        return;
    turn();
    PP_CHECK_EQ(pp_chan_read(&e.ch, got, sizeof got, &n), PP_EAGAIN);
    PP_CHECK_EQ(write(e.other, "abc", 3), 3); /* its edge is on the way to the old owner */
    unsigned calls = e.calls;
    memset(&heir, 0, sizeof heir);
    heir_calls = 0;
    PP_CHECK_EQ(pp_chan_move(&e.ch, &heir, on_heir), PP_OK);
    PP_CHECK(!pp_chan_is_open(&e.ch) && e.ch.ops == NULL);
    PP_CHECK(heir.readable && heir.writable);
    turn();
    PP_CHECK_EQ(e.calls, calls);
    PP_CHECK(heir_calls > 0);
    PP_CHECK_EQ(pp_chan_read(&heir, got, sizeof got, &n), PP_OK);
    PP_CHECK_EQ(n, 3);
    PP_CHECK(!heir.readable);
    unsigned before = heir_calls;
    PP_CHECK_EQ(write(e.other, "d", 1), 1); /* later ones are edges as before */
    turn();
    PP_CHECK_EQ(heir_calls, before + 1);
    close(e.other);
    turn();
    PP_CHECK(heir.rdhup);
    heir.ops->close(&heir, false);
    PP_CHECK(!pp_chan_is_open(&heir));
    pp_loop_fini(&e.lp);
}

PP_TEST_MAIN()
