#include "io/splice.c"

#include <signal.h>
#include <sys/epoll.h>

#include "base/mem.h"
#include "io/io_test.h"
#include "pp_test.h"

static struct pp_splice_pool pool;
static char block[1 << 16];

PP_TEST_CASE(pipes_are_kept_for_the_next_use)
{
    int before = test_fd_count();
    long live = pp_mem_live_for_test();

    pp_splice_pool_init(&pool);
    struct pp_splice_pipe *p = pp_splice_acquire(&pool);
    PP_REQUIRE(p != NULL);
    PP_CHECK_EQ(p->held, 0);
    PP_CHECK(p->cap >= 4096);
    PP_CHECK_EQ(pool.n_live, 1);
    PP_CHECK_EQ(test_fd_count(), before + 2);
    pp_splice_release(&pool, p);
    PP_CHECK_EQ(pool.n_idle, 1);
    PP_CHECK(pp_splice_acquire(&pool) == p);
    PP_CHECK_EQ(pool.n_idle, 0);
    pp_splice_release(&pool, p);
    pp_splice_release(&pool, NULL);
    pp_splice_pool_fini(&pool);
    PP_CHECK_EQ(test_fd_count(), before);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
    memset(&pool, 0, sizeof pool);
    pp_splice_pool_fini(&pool);
}

PP_TEST_CASE(only_so_many_idle_pipes_are_kept)
{
    static struct pp_splice_pipe *p[PP_SPLICE_KEEP + 3];

    pp_splice_pool_init(&pool);
    for (size_t i = 0; i < PP_COUNT_OF(p); i++)
        PP_CHECK((p[i] = pp_splice_acquire(&pool)) != NULL);
    for (size_t i = 0; i < PP_COUNT_OF(p); i++)
        pp_splice_release(&pool, p[i]);
    PP_CHECK_EQ(pool.n_idle, PP_SPLICE_KEEP);
    PP_CHECK_EQ(pool.n_live, 0);
    pp_splice_pool_fini(&pool);
}

PP_TEST_CASE(without_descriptors_or_memory_there_is_no_pipe)
{
    int before = test_fd_count();

    pp_splice_pool_init(&pool);
    struct rlimit old = test_fd_limit(1);
    PP_CHECK(pp_splice_acquire(&pool) == NULL);
    setrlimit(RLIMIT_NOFILE, &old);
    pp_mem_fail_after_for_test(0);
    PP_CHECK(pp_splice_acquire(&pool) == NULL);
    pp_mem_fail_after_for_test(-1);
    PP_CHECK_EQ(pool.n_live, 0);
    PP_CHECK_EQ(test_fd_count(), before);
    pp_splice_pool_fini(&pool);
}

/* down[1] -> down[0] ~~pipe~~> up[0] -> up[1]; [0] are the proxy's non-blocking ends. */
static int down[2], up[2];
static struct pp_splice_pipe *p;

static bool start(bool tcp)
{
    signal(SIGPIPE, SIG_IGN);
    pp_splice_pool_init(&pool);
    bool ok = tcp ? test_tcp_pair(down) && test_tcp_pair(up) : test_pair(down) && test_pair(up);
    p = pp_splice_acquire(&pool);
    PP_CHECK(ok && p != NULL);
    return ok && p != NULL;
}

static void stop(void)
{
    pp_splice_release(&pool, p);
    for (int i = 0; i < 2; i++) {
        pp_fd_close(&down[i]);
        pp_fd_close(&up[i]);
    }
    pp_splice_pool_fini(&pool);
}

static void bytes_pass(bool tcp)
{
    char got[16];
    size_t n;

    if (!start(tcp))
        return;
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_EAGAIN);
    PP_CHECK_EQ(n, 0);
    PP_CHECK_EQ(write(down[1], "abcdefgh", 8), 8);
    PP_CHECK(test_wait(down[0], POLLIN));
    PP_CHECK_EQ(pp_splice_in(p, down[0], 5, &n), PP_OK); /* not more than asked for */
    PP_CHECK_EQ(n, 5);
    PP_CHECK_EQ(p->held, 5);
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_OK);
    PP_CHECK_EQ(n, 3);
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_EAGAIN); /* drained, though the pipe holds */
    PP_CHECK_EQ(pp_splice_out(p, up[0], false, &n), PP_OK);
    PP_CHECK_EQ(n, 8);
    PP_CHECK_EQ(p->held, 0);
    PP_CHECK(test_wait(up[1], POLLIN));
    PP_CHECK_EQ(read(up[1], got, sizeof got), 8);
    PP_CHECK_STR(pp_span(got, 8), "abcdefgh");
    PP_CHECK_EQ(pp_splice_out(p, up[0], false, &n), PP_OK);
    PP_CHECK_EQ(n, 0);
    stop();
}

PP_TEST_CASE(bytes_pass_in_order)
{
    bytes_pass(false);
    bytes_pass(true);
}

PP_TEST_CASE(the_end_is_seen_behind_the_last_byte)
{
    size_t n;

    if (!start(true))
        return;
    PP_CHECK_EQ(write(down[1], "x", 1), 1);
    shutdown(down[1], SHUT_WR);
    PP_CHECK(test_wait(down[0], POLLRDHUP));
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_OK);
    PP_CHECK_EQ(n, 1);
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_EEOF);
    PP_CHECK_EQ(p->held, 1);
    PP_CHECK_EQ(pp_splice_out(p, up[0], false, &n), PP_OK);
    PP_CHECK_EQ(n, 1);
    stop();
}

PP_TEST_CASE(resets_are_told_on_both_sides)
{
    struct linger hard = {1, 0};
    size_t n;

    if (!start(true))
        return;
    PP_CHECK_EQ(write(down[1], "x", 1), 1);
    PP_CHECK(test_wait(down[0], POLLIN));
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_OK);
    setsockopt(up[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    pp_fd_close(&up[1]);
    PP_CHECK(test_wait(up[0], POLLHUP));
    PP_CHECK_EQ(pp_splice_out(p, up[0], false, &n), PP_ERESET);
    PP_CHECK_EQ(n, 0);

    setsockopt(down[1], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    pp_fd_close(&down[1]);
    PP_CHECK(test_wait(down[0], POLLHUP));
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_ERESET);
    pp_splice_release(&pool, p); /* it still holds a byte: not kept */
    p = NULL;
    PP_CHECK_EQ(pool.n_idle, 0);
    stop();
}

PP_TEST_CASE(a_full_pipe_is_told_from_a_drained_socket)
{
    size_t n;
    int rc;

    if (!start(false))
        return;
    /* Pieces of one byte: each takes a slot of the pipe, which is full long before its bytes are.
     */
    size_t pieces = 0;
    do {
        PP_REQUIRE(write(down[1], "x", 1) == 1);
        rc = pp_splice_in(p, down[0], 100, &n);
        if (rc == PP_OK)
            pieces += n;
    } while (rc == PP_OK && pieces < p->cap);
    PP_CHECK_EQ(rc, PP_ELIMIT);
    PP_CHECK_EQ(p->held, pieces);
    PP_CHECK_EQ(pp_splice_out(p, up[0], false, &n), PP_OK);
    PP_CHECK_EQ(n, pieces);
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_OK); /* the byte that waited */
    PP_CHECK_EQ(n, 1);
    stop();
}

PP_TEST_CASE(what_is_no_stream_is_an_error)
{
    size_t n;
    int other = epoll_create1(0);

    if (!start(false))
        return;
    PP_CHECK_EQ(pp_splice_in(p, other, 100, &n), PP_EIO);
    PP_CHECK_EQ(write(down[1], "x", 1), 1);
    PP_CHECK_EQ(pp_splice_in(p, down[0], 100, &n), PP_OK);
    PP_CHECK_EQ(pp_splice_out(p, other, false, &n), PP_EIO);
    close(other);
    stop();
}

/* Much more than all buffers hold goes through, whatever fills up first. */
static void stream_through(bool tcp)
{
    const size_t total = 8u << 20;
    size_t sent = 0, moved = 0, received = 0, n;
    unsigned full_sockets = 0;
    bool readable = true, end = false;
    int patience = 1000;

    if (!start(tcp))
        return;
    for (int i = 0; i < 2; i++) {
        PP_REQUIRE(pp_fd_prepare(down[i]) == PP_OK && pp_fd_prepare(up[i]) == PP_OK);
    }
    while (received < total && patience > 0) {
        bool progress = false;
        ssize_t r;
        while (sent < total) { /* the far sender pushes as much as it can */
            size_t want = PP_MIN(sizeof block, total - sent);
            for (size_t i = 0; i < want; i++)
                block[i] = (char)((sent + i) % 251);
            if ((r = write(down[1], block, want)) <= 0)
                break;
            sent += (size_t)r;
            progress = true;
        }
        if (sent == total && !end) {
            shutdown(down[1], SHUT_WR);
            end = true;
        }
        for (;;) { /* the proxy, until either side stops it */
            int rc = pp_splice_in(p, down[0], p->cap, &n);
            PP_CHECK(rc == PP_OK || rc == PP_EAGAIN || rc == PP_ELIMIT || rc == PP_EEOF);
            readable = rc == PP_OK || rc == PP_ELIMIT;
            PP_CHECK_EQ(pp_splice_out(p, up[0], readable, &n), PP_OK);
            moved += n;
            progress |= n > 0;
            full_sockets += p->held > 0;
            if (p->held > 0 || !readable)
                break;
        }
        /* A slow reader: one piece a round. */
        if ((r = read(up[1], block, sizeof block)) > 0) {
            for (size_t i = 0; i < (size_t)r; i++) {
                if ((unsigned char)block[i] != (received + i) % 251) {
                    PP_CHECK_EQ((unsigned char)block[i], (received + i) % 251);
                    patience = 0;
                    break;
                }
            }
            received += (size_t)r;
            progress = true;
        }
        if (!progress) {
            patience--;
            test_wait(up[1], POLLIN);
        }
    }
    PP_CHECK_EQ(received, total);
    PP_CHECK_EQ(moved, total);
    PP_CHECK(full_sockets > 0); /* there was back-pressure */
    stop();
}

PP_TEST_CASE(long_streams_pass_intact_under_back_pressure)
{
    stream_through(false);
    stream_through(true);
}

PP_TEST_MAIN()
