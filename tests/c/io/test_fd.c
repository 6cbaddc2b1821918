#include "io/fd.c"

#include "io/io_test.h"
#include "pp_test.h"

PP_TEST_CASE(prepare_makes_a_descriptor_non_blocking_and_close_on_exec)
{
    int fds[2];

    PP_REQUIRE(pipe(fds) == 0);
    PP_CHECK_EQ(pp_fd_prepare(fds[0]), PP_OK);
    PP_CHECK(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    PP_CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    PP_CHECK(!(fcntl(fds[1], F_GETFL) & O_NONBLOCK));
    PP_CHECK_EQ(pp_fd_prepare(fds[0]), PP_OK);
    close(fds[0]);
    close(fds[1]);
}

PP_TEST_CASE(prepare_refuses_what_is_not_open)
{
    PP_CHECK_EQ(pp_fd_prepare(-1), PP_EIO);
}

PP_TEST_CASE(close_happens_once)
{
    int before = test_fd_count();
    int fd = dup(0);

    PP_CHECK_EQ(test_fd_count(), before + 1);
    pp_fd_close(&fd);
    PP_CHECK_EQ(fd, -1);
    pp_fd_close(&fd);
    PP_CHECK_EQ(test_fd_count(), before);
}

PP_TEST_CASE(writev_says_how_much_went_and_why_not)
{
    int fds[2];
    char got[8] = {0};
    char part[3] = "abc", rest[2] = "de";
    struct iovec iov[2] = {{part, 3}, {rest, 2}};
    size_t n = 99;

    PP_REQUIRE(pipe2(fds, O_NONBLOCK) == 0);
    PP_CHECK_EQ(pp_fd_writev(fds[1], iov, 2, &n), PP_OK);
    PP_CHECK_EQ(n, 5);
    PP_CHECK_EQ(read(fds[0], got, sizeof got), 5);
    PP_CHECK_STR(pp_span(got, 5), "abcde");

    size_t total = 0;
    int rc;
    while ((rc = pp_fd_writev(fds[1], iov, 2, &n)) == PP_OK)
        total += n;
    PP_CHECK_EQ(rc, PP_EAGAIN);
    PP_CHECK_EQ(n, 0);
    PP_CHECK(total > 0);
    close(fds[0]);
    close(fds[1]);
}

PP_TEST_CASE(errno_values_map_to_codes)
{
    static const struct {
        int err, code;
    } rows[] = {
        {EAGAIN, PP_EAGAIN},
        {ECONNRESET, PP_ERESET},
        {EPIPE, PP_ERESET},
        {ECONNABORTED, PP_ERESET},
        {ECONNREFUSED, PP_EREFUSED},
        {EHOSTUNREACH, PP_EUNREACH},
        {ENETUNREACH, PP_EUNREACH},
        {EADDRNOTAVAIL, PP_EUNREACH},
        {EHOSTDOWN, PP_EUNREACH},
        {ENETDOWN, PP_EUNREACH},
        {ETIMEDOUT, PP_ETIMEDOUT},
        {EMFILE, PP_EMFILE},
        {ENFILE, PP_EMFILE},
        {ENOMEM, PP_ENOMEM},
        {ENOBUFS, PP_ENOMEM},
        {EBADF, PP_EIO},
        {0, PP_EIO},
    };

    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        PP_CHECK_EQ(pp_fd_error(rows[i].err), rows[i].code);
}

PP_TEST_MAIN()
