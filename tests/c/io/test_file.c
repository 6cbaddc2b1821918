#include "io/file.c"

#include <signal.h>

#include "io/folder.h"
#include "io/io_test.h"
#include "pp_test.h"

static struct folder f;
static int root = -1;

static void start(void)
{
    PP_REQUIRE(folder_make(&f));
    folder_put(&f, "a.txt", "hello", 5);
    folder_sub(&f, "sub");
    folder_put(&f, "sub/b.txt", "", 0);
    PP_REQUIRE(pp_file_open_root(f.path, &root) == PP_OK);
}

static void stop(void)
{
    pp_fd_close(&root);
    folder_remove(&f);
}

/* What opening <path> comes to; nothing stays open. */
static int try(const char *path, struct pp_file_stat *st)
{
    int fd = -7, before = test_fd_count();
    int rc = pp_file_open_beneath(root, path, &fd, st);
    PP_CHECK((fd >= 0) == (rc == PP_OK));
    pp_fd_close(&fd);
    PP_CHECK_EQ(test_fd_count(), before);
    return rc;
}

PP_TEST_CASE(a_file_is_opened_and_read_in_pieces)
{
    struct pp_file_stat st;
    struct stat s;
    char got[8];
    size_t n = 99;
    int fd;
    start();
    PP_REQUIRE(pp_file_open_beneath(root, "a.txt", &fd, &st) == PP_OK);
    PP_CHECK_EQ(fstat(fd, &s), 0);
    PP_CHECK_EQ(st.size, 5);
    PP_CHECK_EQ(st.modified_ns, (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec);
    PP_CHECK(!st.is_folder);
    PP_CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    PP_CHECK_EQ(pp_file_read(fd, 1, got, 3, &n), PP_OK);
    PP_CHECK_STR(pp_span(got, n), "ell");
    PP_CHECK_EQ(pp_file_read(fd, 3, got, sizeof got, &n), PP_OK);
    PP_CHECK_STR(pp_span(got, n), "lo");
    PP_CHECK_EQ(pp_file_read(fd, 5, got, sizeof got, &n), PP_EEOF);
    PP_CHECK_EQ(n, 0);
    pp_fd_close(&fd);
    PP_CHECK_EQ(pp_file_read(fd, 0, got, sizeof got, &n), PP_EIO);
    stop();
}

PP_TEST_CASE(a_folder_is_told_apart)
{
    struct pp_file_stat st;
    start();
    PP_CHECK_EQ(try("sub", &st), PP_OK);
    PP_CHECK(st.is_folder);
    PP_CHECK_EQ(try("sub/", &st), PP_OK);
    PP_CHECK(st.is_folder);
    PP_CHECK_EQ(try("sub/b.txt", &st), PP_OK);
    PP_CHECK(!st.is_folder && st.size == 0);
    PP_CHECK_EQ(try("a.txt/", &st), PP_ENOENT);
    PP_CHECK_EQ(try("a.txt/b", &st), PP_ENOENT);
    PP_CHECK_EQ(try("none", &st), PP_ENOENT);
    PP_CHECK_EQ(try("", &st), PP_ENOENT);
    stop();
}

PP_TEST_CASE(nothing_leads_out)
{
    struct pp_file_stat st;
    char outside[300];
    start();
    folder_link(&f, "passwd", "/etc/passwd");
    folder_link(&f, "up", "..");
    folder_link(&f, "sub/climbs", "../../../../../../etc/passwd");
    folder_link(&f, "loop", "loop");
    folder_link(&f, "magic", "/proc/self/root");
    folder_link(&f, "sub/within", "../a.txt");
    PP_CHECK_EQ(try("passwd", &st), PP_ENOENT);
    PP_CHECK_EQ(try("up", &st), PP_ENOENT);
    PP_CHECK_EQ(try("up/etc", &st), PP_ENOENT);
    PP_CHECK_EQ(try("sub/climbs", &st), PP_ENOENT);
    PP_CHECK_EQ(try("loop", &st), PP_ENOENT);
    PP_CHECK_EQ(try("magic/etc/passwd", &st), PP_ENOENT);
    PP_CHECK_EQ(try("..", &st), PP_ENOENT);
    PP_CHECK_EQ(try("sub/../../x", &st), PP_ENOENT);
    PP_CHECK_EQ(try("/etc/passwd", &st), PP_ENOENT);
    snprintf(outside, sizeof outside, "%s/a.txt", f.path);
    PP_CHECK_EQ(try(outside, &st), PP_ENOENT);
    PP_CHECK_EQ(try("sub/within", &st), PP_OK); /* what stays beneath is fine */
    PP_CHECK_EQ(st.size, 5);
    stop();
}

PP_TEST_CASE(what_is_no_file_is_nothing_and_is_not_waited_for)
{
    struct pp_file_stat st;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char long_name[400];
    start();
    folder_pipe(&f, "pipe");
    PP_CHECK_EQ(try("pipe", &st), PP_ENOENT);
    snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", f.path);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    PP_CHECK_EQ(bind(s, (struct sockaddr *)&at, sizeof at), 0);
    PP_CHECK_EQ(try("socket", &st), PP_ENOENT);
    close(s);
    unlink(at.sun_path);
    memset(long_name, 'a', sizeof long_name);
    long_name[sizeof long_name - 1] = 0;
    PP_CHECK_EQ(try(long_name, &st), PP_ENOENT);
    stop();
}

PP_TEST_CASE(a_file_moves_to_a_socket_until_that_is_full)
{
    static char bytes[4 << 20], got[4 << 20];
    struct pp_file_stat st;
    int fd, pair[2], rc;
    size_t n, at = 0, back = 0;
    ssize_t k;
    start();
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 31 + (i >> 8));
    folder_put(&f, "long", bytes, sizeof bytes);
    PP_REQUIRE(pp_file_open_beneath(root, "long", &fd, &st) == PP_OK);
    PP_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    signal(SIGPIPE, SIG_IGN);
    int least = 4096;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    while ((rc = pp_file_send(pair[0], fd, at, sizeof bytes - at, &n)) == PP_OK)
        at += n;
    PP_CHECK_EQ(rc, PP_EAGAIN);
    PP_CHECK_EQ(n, 0);
    PP_CHECK(at > 0 && at < sizeof bytes);
    while ((k = read(pair[1], got + back, sizeof got - back)) > 0)
        back += (size_t)k;
    PP_CHECK_EQ(back, at);
    PP_CHECK(memcmp(got, bytes, at) == 0);
    PP_CHECK_EQ(pp_file_send(pair[0], fd, sizeof bytes, 10, &n), PP_EEOF);
    PP_CHECK_EQ(pp_file_send(pair[0], fd, 5, 3, &n), PP_OK);
    PP_CHECK_EQ(n, 3);
    PP_CHECK_EQ(pp_file_send(pair[0], root, 0, 3, &n), PP_EIO); /* no file */
    close(pair[1]);
    PP_CHECK_EQ(pp_file_send(pair[0], fd, 0, 10, &n), PP_ERESET);
    close(pair[0]);
    pp_fd_close(&fd);
    stop();
}

PP_TEST_CASE(trouble_is_no_absence)
{
    struct pp_file_stat st;
    int fd;
    start();
    struct rlimit old = test_fd_limit(0);
    PP_CHECK_EQ(pp_file_open_beneath(root, "a.txt", &fd, &st), PP_EMFILE);
    PP_CHECK_EQ(pp_file_open_root(f.path, &fd), PP_EMFILE);
    setrlimit(RLIMIT_NOFILE, &old);
    stop();
}

PP_TEST_CASE(a_root_is_a_folder)
{
    char path[300];
    int fd = 5;
    start();
    snprintf(path, sizeof path, "%s/a.txt", f.path);
    PP_CHECK_EQ(pp_file_open_root(path, &fd), PP_ENOENT);
    PP_CHECK_EQ(fd, -1);
    PP_CHECK_EQ(pp_file_open_root("/nowhere/at/all", &fd), PP_ENOENT);
    PP_CHECK_EQ(fd, -1);
    stop();
}

PP_TEST_MAIN()
