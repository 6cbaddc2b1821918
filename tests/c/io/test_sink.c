#include "io/sink.c"

#include <signal.h>

#include "base/mem.h"
#include "io/io_test.h"
#include "pp_test.h"

static struct pp_loop lp;
static struct pp_sink s;
static char dir[] = P_tmpdir "/pp-sink-XXXXXX";
static char path[64], moved[64];

static bool start(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    memcpy(dir, P_tmpdir "/pp-sink-XXXXXX", sizeof dir);
    bool ok = mkdtemp(dir) != NULL && pp_loop_init(&lp, NULL) == PP_OK;
    PP_CHECK(ok);
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(moved, sizeof moved, "%s/log.1", dir);
    return ok;
}

static void stop(void)
{
    pp_sink_close(&s);
    PP_CHECK_EQ(lp.wheel.n, 0);
    pp_loop_fini(&lp);
    unlink(path);
    unlink(moved);
    rmdir(dir);
}

/* One line "<i>:xxx...\n" of <n> bytes; false when it was dropped. */
static bool put_line(unsigned i, size_t n)
{
    char *p = pp_sink_reserve(&s, n);

    if (p == NULL)
        return false;
    memset(p, 'x', n);
    p[n - 1] = '\n';
    char head[16];
    size_t len = (size_t)snprintf(head, sizeof head, "%08u:", i);
    memcpy(p, head, PP_MIN(len, n - 1));
    pp_sink_commit(&s, n);
    return true;
}

/* Bytes <p> are lines of put_line with the numbers <first>, <first> + 1 ...; returns how many. */
static unsigned check_lines(const char *p, size_t n, unsigned first)
{
    unsigned count = 0;

    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        PP_CHECK(end != NULL);
        if (end == NULL)
            break;
        PP_CHECK_EQ(strtoul(p, NULL, 10), first + count);
        PP_CHECK(end - p < 9 || p[8] == ':');
        for (const char *x = p + 9; x < end; x++)
            PP_CHECK(*x == 'x');
        n -= (size_t)(end + 1 - p);
        p = end + 1;
        count++;
    }
    return count;
}

static unsigned check_file(const char *name, unsigned first)
{
    static char text[1 << 20];
    FILE *f = fopen(name, "r");

    PP_CHECK(f != NULL);
    if (f == NULL)
        return 0;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    return check_lines(text, n, first);
}

/* ---- files ---- */

PP_TEST_CASE(lines_reach_the_file_in_batches)
{
    struct stat st;

    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    for (unsigned i = 0; i < 100; i++)
        PP_CHECK(put_line(i, 100));
    PP_CHECK_EQ(s.bytes, 0); /* nothing yet */
    PP_CHECK(pp_timer_is_pending(&s.timer));
    for (unsigned i = 100; i < 1000; i++)
        PP_CHECK(put_line(i, 100));
    PP_CHECK(s.bytes >= 1000 * 100 - PP_SINK_FLUSH_BYTES);
    pp_sink_flush(&s);
    PP_CHECK_EQ(s.bytes, 100000);
    PP_CHECK_EQ(s.lines, 1000);
    PP_CHECK(!pp_timer_is_pending(&s.timer));
    PP_CHECK_EQ(check_file(path, 0), 1000);
    PP_CHECK(stat(path, &st) == 0 && (st.st_mode & 0777 & ~0640) == 0);
    stop();
}

PP_TEST_CASE(few_lines_are_written_by_the_timer)
{
    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    PP_CHECK(put_line(0, 50));
    for (int i = 0; i < 100 && s.bytes == 0; i++)
        pp_loop_turn(&lp, 10000);
    PP_CHECK_EQ(s.bytes, 50);
    PP_CHECK_EQ(check_file(path, 0), 1);
    stop();
}

PP_TEST_CASE(lines_of_all_sizes_go_around_the_ring_intact)
{
    uint64_t seed = 7;
    unsigned i = 0;

    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    s.stuck = true; /* no flush at commit: the ring fills up and is emptied here */
    for (int round = 0; round < 4; round++) {
        while (put_line(i, 10 + pp_test_random(&seed) % 3000)) {
            i++;
            s.stuck = true;
        }
        /* Leave some lines, so that head does not return to the front. */
        struct iovec iov[2];
        size_t n, take = s.n - 10000;
        while (byte_at(&s, take - 1) != '\n')
            take--;
        PP_CHECK_EQ(pp_fd_writev(s.fd, iov, view(&s, take, iov), &n), PP_OK);
        PP_CHECK_EQ(n, take);
        skip(&s, n);
    }
    PP_CHECK_EQ(s.dropped, 4);
    pp_sink_close(&s);
    PP_CHECK_EQ(check_file(path, 0), i);
    stop();
}

PP_TEST_CASE(a_full_ring_drops_whole_lines_and_counts_them)
{
    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    s.stuck = true;
    unsigned i = 0;
    while (put_line(i, 1000))
        i++;
    PP_CHECK_EQ(i, PP_SINK_RING / 1000);
    PP_CHECK(!put_line(i, 1000));
    PP_CHECK_EQ(s.dropped, 2);
    PP_CHECK_EQ(s.lines, i);
    PP_CHECK(pp_sink_reserve(&s, PP_SINK_LINE + 1) == NULL);
    pp_sink_flush(&s);
    PP_CHECK(put_line(i, 1000));
    pp_sink_close(&s);
    PP_CHECK_EQ(check_file(path, 0), i + 1);
    stop();
}

PP_TEST_CASE(a_line_may_turn_out_shorter_or_be_given_up)
{
    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    PP_CHECK(pp_sink_reserve(&s, 5000) != NULL);
    pp_sink_commit(&s, 0);
    PP_CHECK_EQ(s.lines, 0);
    PP_CHECK(!pp_timer_is_pending(&s.timer));
    char *p = pp_sink_reserve(&s, PP_SINK_LINE);
    PP_REQUIRE(p != NULL);
    memcpy(p, "00000000:\n", 10);
    pp_sink_commit(&s, 10);
    pp_sink_flush(&s);
    PP_CHECK_EQ(check_file(path, 0), 1);
    stop();
}

PP_TEST_CASE(rotation_moves_on_to_the_new_file)
{
    int before;

    if (!start())
        return;
    before = test_fd_count();
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    PP_CHECK(put_line(0, 50) && put_line(1, 50));
    PP_CHECK(rename(path, moved) == 0);
    PP_CHECK(put_line(2, 50));
    PP_CHECK_EQ(pp_sink_reopen(&s), PP_OK);
    PP_CHECK(put_line(3, 50));
    pp_sink_flush(&s);
    PP_CHECK_EQ(check_file(moved, 0), 3);
    PP_CHECK_EQ(check_file(path, 3), 1);
    PP_CHECK_EQ(test_fd_count(), before + 1);
    stop();
}

PP_TEST_CASE(a_failed_rotation_keeps_the_old_file)
{
    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    PP_CHECK(rename(path, moved) == 0);
    PP_CHECK(mkdir(path, 0700) == 0);
    PP_CHECK(put_line(0, 50));
    PP_CHECK_EQ(pp_sink_reopen(&s), PP_EIO);
    PP_CHECK(put_line(1, 50));
    pp_sink_flush(&s);
    PP_CHECK_EQ(check_file(moved, 0), 2);
    rmdir(path);
    stop();
}

PP_TEST_CASE(half_a_line_in_the_old_file_is_not_finished_in_the_new_one)
{
    struct rlimit old, tight;

    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    for (unsigned i = 0; i < 4; i++)
        PP_CHECK(put_line(i, 100));
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = 150; /* as a full disk: line 1 is cut in half */
    setrlimit(RLIMIT_FSIZE, &tight);
    pp_sink_flush(&s);
    PP_CHECK_EQ(s.bytes, 150);
    PP_CHECK(s.mid_line && s.stuck);
    PP_CHECK_EQ(s.errors, 1);
    PP_CHECK(pp_timer_is_pending(&s.timer)); /* tried again later */
    PP_CHECK(rename(path, moved) == 0);
    PP_CHECK_EQ(pp_sink_reopen(&s), PP_OK);
    setrlimit(RLIMIT_FSIZE, &old);
    pp_sink_flush(&s);
    PP_CHECK_EQ(check_file(path, 2), 2);
    PP_CHECK_EQ(s.dropped, 1);
    stop();
}

PP_TEST_CASE(half_a_line_is_finished_first_when_the_same_file_has_room_again)
{
    struct rlimit old, tight;

    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_OK);
    for (unsigned i = 0; i < 4; i++)
        PP_CHECK(put_line(i, 100));
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = 150;
    setrlimit(RLIMIT_FSIZE, &tight);
    pp_sink_flush(&s);
    PP_CHECK_EQ(s.bytes, 150);
    setrlimit(RLIMIT_FSIZE, &old);
    for (int i = 0; i < 100 && s.n > 0; i++)
        pp_loop_turn(&lp, 10000);
    PP_CHECK_EQ(check_file(path, 0), 4);
    stop();
}

PP_TEST_CASE(a_device_that_fails_is_not_asked_for_every_line)
{
    if (!start())
        return;
    PP_CHECK_EQ(pp_sink_open(&s, &lp, "/dev/full", -1), PP_OK);
    for (unsigned i = 0; i < 2000; i++)
        put_line(i, 1000);
    PP_CHECK_EQ(s.errors, 1);
    PP_CHECK(s.dropped > 1000);
    uint64_t dropped = s.dropped;
    pp_sink_close(&s);
    PP_CHECK_EQ(s.dropped, dropped + PP_SINK_RING / 1000); /* what waited is lost as well */
    PP_CHECK_EQ(s.errors, 2);
    stop();
}

PP_TEST_CASE(what_cannot_be_opened_is_an_error_and_leaves_nothing)
{
    int before;
    long live;

    if (!start())
        return;
    before = test_fd_count();
    live = pp_mem_live_for_test();
    PP_CHECK_EQ(pp_sink_open(&s, &lp, "/nonexistent/log", -1), PP_EIO);
    PP_CHECK_EQ(pp_sink_open(&s, &lp, NULL, -1), PP_EIO);
    for (long n = 0; n < 2; n++) {
        pp_mem_fail_after_for_test(n);
        PP_CHECK_EQ(pp_sink_open(&s, &lp, path, -1), PP_ENOMEM);
        pp_mem_fail_after_for_test(-1);
        pp_sink_close(&s);
    }
    PP_CHECK_EQ(test_fd_count(), before);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
    memset(&s, 0, sizeof s);
    pp_sink_close(&s);
    PP_CHECK_EQ(test_fd_count(), before);
    stop();
}

/* ---- pipes and sockets ---- */

/* Everything that is in <fd> now, as lines from <first> on; returns how many. */
static unsigned take_lines(int fd, unsigned first)
{
    static char text[1 << 20];
    size_t n = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};

    while (n < sizeof text && poll(&p, 1, 0) == 1) {
        ssize_t r = read(fd, text + n, sizeof text - n);
        if (r <= 0)
            break;
        n += (size_t)r;
    }
    return check_lines(text, n, first);
}

/* A full <kind> of stdout neither blocks nor loses part of a line, and goes on when there is room.
 */
static void full_stream(int rd, int wr, enum pp_sink_kind kind, size_t line)
{
    unsigned put = 0, got = 0;

    PP_CHECK_EQ(pp_sink_open(&s, &lp, NULL, wr), PP_OK);
    if (kind == PP_SINK_SHARED) { /* as when /proc does not let us open it again */
        pp_fd_close(&s.fd);
        s.fd = wr;
        s.owned = false;
        s.kind = kind;
    }
    PP_CHECK_EQ(s.kind, kind);
    PP_CHECK(!(fcntl(wr, F_GETFL) & O_NONBLOCK)); /* others share it */
    while (s.dropped < 3 && put < 100000)
        put += put_line(put, line);
    PP_CHECK_EQ(s.dropped, 3);
    PP_CHECK(s.stuck && s.bytes > 0);
    PP_CHECK_EQ(s.errors, 0);
    PP_CHECK(pp_timer_is_pending(&s.timer));
    if (line < PIPE_BUF && kind != PP_SINK_SOCKET)
        PP_CHECK(!s.mid_line); /* whole lines only */

    if (kind == PP_SINK_PIPE && line < PIPE_BUF) {
        got = take_lines(rd, 0);
        PP_CHECK(got > 0);
        for (int i = 0; i < 100 && s.stuck && s.n > 0 && take_lines(rd, got) == 0; i++)
            pp_loop_turn(&lp, 10000); /* the timer goes on by itself */
        PP_CHECK(s.bytes > got * line);
    } else {
        static char text[1 << 20];
        size_t n = 0;
        while (n < put * line) {
            pp_sink_flush(&s);
            struct pollfd p = {.fd = rd, .events = POLLIN};
            if (poll(&p, 1, 10000) != 1)
                break;
            ssize_t r = read(rd, text + n, sizeof text - n);
            if (r <= 0)
                break;
            n += (size_t)r;
        }
        PP_CHECK_EQ(check_lines(text, n, 0), put);
    }
    pp_sink_close(&s);
    PP_CHECK(fcntl(wr, F_GETFD) >= 0); /* borrowed */
}

static void full_pipe(enum pp_sink_kind kind, size_t line)
{
    int fds[2];

    if (!start())
        return;
    PP_REQUIRE(pipe(fds) == 0);
    full_stream(fds[0], fds[1], kind, line);
    close(fds[0]);
    close(fds[1]);
    stop();
}

PP_TEST_CASE(a_full_pipe_gets_whole_lines_and_never_blocks)
{
    full_pipe(PP_SINK_PIPE, 100);
    full_pipe(PP_SINK_PIPE, 3000);
}

PP_TEST_CASE(a_line_longer_than_the_kernel_writes_at_once_is_finished_first)
{
    full_pipe(PP_SINK_PIPE, 20000);
    full_pipe(PP_SINK_SHARED, 20000);
}

PP_TEST_CASE(a_pipe_that_cannot_be_opened_again_never_blocks_either)
{
    full_pipe(PP_SINK_SHARED, 100);
    full_pipe(PP_SINK_SHARED, 3000);
}

PP_TEST_CASE(a_full_socket_never_blocks)
{
    int fds[2];

    if (!start())
        return;
    PP_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    full_stream(fds[0], fds[1], PP_SINK_SOCKET, 700);
    close(fds[0]);
    close(fds[1]);
    stop();
}

PP_TEST_CASE(a_pipe_without_a_reader_is_an_error_not_a_signal)
{
    int fds[2];

    if (!start())
        return;
    PP_REQUIRE(pipe(fds) == 0);
    PP_CHECK_EQ(pp_sink_open(&s, &lp, NULL, fds[1]), PP_OK);
    close(fds[0]);
    PP_CHECK(put_line(0, 50));
    pp_sink_flush(&s);
    PP_CHECK_EQ(s.errors, 1);
    PP_CHECK_EQ(pp_sink_reopen(&s), PP_OK); /* nothing to open: only a flush */
    PP_CHECK_EQ(s.errors, 2);
    pp_sink_close(&s);
    close(fds[1]);
    stop();
}

PP_TEST_MAIN()
