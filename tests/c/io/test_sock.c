#include "io/sock.c"

#include "io/io_test.h"
#include "pp_test.h"

/* ---- text ---- */

static struct pp_span ip_of(struct pp_sock_addr a)
{
    static char text[PP_SOCK_TEXT];
    return pp_span(text, pp_sock_ip_text(&a, text));
}

static struct pp_span addr_of(struct pp_sock_addr a)
{
    static char text[PP_SOCK_TEXT];
    return pp_span(text, pp_sock_addr_text(&a, text));
}

static struct pp_sock_addr ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct pp_sock_addr){.ip = {a, b, c, d}, .port = port, .family = AF_INET};
}

PP_TEST_CASE(ipv4_addresses_are_written_without_padding)
{
    PP_CHECK_STR(ip_of(ip4(127, 0, 0, 1, 80)), "127.0.0.1");
    PP_CHECK_STR(ip_of(ip4(255, 255, 255, 255, 80)), "255.255.255.255");
    PP_CHECK_STR(ip_of(ip4(0, 9, 10, 99, 80)), "0.9.10.99");
    PP_CHECK_STR(ip_of(ip4(100, 101, 200, 110, 80)), "100.101.200.110");
    PP_CHECK_STR(addr_of(ip4(10, 0, 0, 1, 65535)), "10.0.0.1:65535");
}

PP_TEST_CASE(ipv4_text_is_what_the_library_writes)
{
    uint64_t seed = 1;

    for (int i = 0; i < 1000; i++) {
        uint32_t bits = (uint32_t)pp_test_random(&seed);
        struct pp_sock_addr a = {.family = AF_INET};
        char want[INET_ADDRSTRLEN];
        memcpy(a.ip, &bits, 4);
        inet_ntop(AF_INET, &bits, want, sizeof want);
        PP_CHECK_BYTES(ip_of(a), want, strlen(want));
    }
}

PP_TEST_CASE(ipv6_addresses_get_brackets_and_mapped_ones_are_ipv4)
{
    struct pp_sock_addr a = {.ip = {[15] = 1}, .port = 80, .family = AF_INET6};

    PP_CHECK_STR(ip_of(a), "::1");
    PP_CHECK_STR(addr_of(a), "[::1]:80");
    memset(a.ip, 0xab, 16);
    a.scope = UINT32_MAX;
    PP_CHECK_STR(addr_of(a), "[abab:abab:abab:abab:abab:abab:abab:abab]:80");
    memset(a.ip, 0, 16);
    a.ip[10] = a.ip[11] = 0xff;
    a.ip[12] = 192;
    a.ip[15] = 7;
    PP_CHECK_STR(ip_of(a), "192.0.0.7");
    PP_CHECK_STR(addr_of(a), "192.0.0.7:80");
}

PP_TEST_CASE(unix_and_unknown_addresses_have_a_word)
{
    struct sockaddr_storage ss = {.ss_family = AF_UNIX};
    struct pp_sock_addr a;

    pp_sock_addr_from(&a, &ss);
    PP_CHECK_STR(ip_of(a), "unix");
    PP_CHECK_STR(addr_of(a), "unix:");
    ss.ss_family = AF_UNSPEC;
    pp_sock_addr_from(&a, &ss);
    PP_CHECK_EQ(a.family, 0);
    PP_CHECK_STR(ip_of(a), "unknown");
    PP_CHECK_STR(addr_of(a), "unknown");
}

/* ---- destinations ---- */

/* What <text> means, written again; "bad" when it is refused. */
static struct pp_span parsed(const char *text)
{
    struct pp_sock_dest dest;
    struct pp_sock_addr a;

    if (pp_sock_dest_parse(pp_span(text, strlen(text)), &dest) != PP_OK)
        return PP_SPAN("bad");
    pp_sock_addr_from(&a, &dest.ss);
    return addr_of(a);
}

PP_TEST_CASE(numeric_destinations_are_parsed)
{
    PP_CHECK_STR(parsed("127.0.0.1:80"), "127.0.0.1:80");
    PP_CHECK_STR(parsed("255.255.255.255:65535"), "255.255.255.255:65535");
    PP_CHECK_STR(parsed("[::1]:8080"), "[::1]:8080");
    PP_CHECK_STR(parsed("[2001:db8::1:2]:1"), "[2001:db8::1:2]:1");
    PP_CHECK_STR(parsed("[::ffff:10.0.0.1]:80"), "10.0.0.1:80");
}

PP_TEST_CASE(malformed_destinations_are_refused)
{
    static const char *const bad[] = {
        "",
        ":",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:99999999999999999999999",
        "127.0.0.1:+80",
        "127.0.0.1: 80",
        "127.0.0.1:80 ",
        "127.0.0.1:80:80",
        "127.0.0:80",
        "127.0.0.256:80",
        "1270.0.0.0.0.0.1:80",
        "localhost:80",
        "::1:80",
        "[",
        "[]",
        "[]:80",
        "[::1",
        "[::1]",
        "[::1]80",
        "[::1]:",
        "[::1]:x",
        "[127.0.0.1]:80",
        "[fe80::1%]:80",
        "[fe80::1%0]:80",
        "[fe80::1%nosuchif]:80",
        "[fe80::1%4294967296]:80",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]:80",
        "unix",
        "unix:",
        "unix:/",
        "unix:@",
        "unix:relative",
    };

    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        struct pp_sock_dest dest;
        struct pp_span text = pp_span(bad[i], strlen(bad[i]));
        int rc = pp_sock_dest_parse(text, &dest);
        if (rc != PP_EINVAL)
            printf("accepted: %s\n", bad[i]);
        PP_CHECK_EQ(rc, PP_EINVAL);
    }
    struct pp_sock_dest dest;
    PP_CHECK_EQ(pp_sock_dest_parse(pp_span("127.0.0.1\0:80", 13), &dest), PP_EINVAL);
    PP_CHECK_EQ(pp_sock_dest_parse(pp_span("[::1\0]:80", 9), &dest), PP_EINVAL);
    PP_CHECK_EQ(pp_sock_dest_parse(pp_span("unix:/a\0b", 9), &dest), PP_EINVAL);
}

PP_TEST_CASE(no_prefix_of_a_destination_is_read_past_its_end)
{
    static const char text[] = "[fe80::1%2]:80";

    for (size_t n = 0; n < sizeof text; n++) {
        char *exact = malloc(n + 1); /* the sanitizer guards its end */
        struct pp_sock_dest dest;
        memcpy(exact, text, n);
        int rc = pp_sock_dest_parse(pp_span(exact, n), &dest);
        PP_CHECK_EQ(rc, n == 13 || n == 14 ? PP_OK : PP_EINVAL);
        free(exact);
    }
}

PP_TEST_CASE(scopes_are_numbers_or_interface_names)
{
    struct pp_sock_dest dest;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&dest.ss;

    PP_CHECK_EQ(pp_sock_dest_parse(PP_SPAN("[fe80::1%7]:80"), &dest), PP_OK);
    PP_CHECK_EQ(in6->sin6_scope_id, 7);
    PP_CHECK_EQ(pp_sock_dest_parse(PP_SPAN("[fe80::1%lo]:80"), &dest), PP_OK);
    PP_CHECK_EQ(in6->sin6_scope_id, if_nametoindex("lo"));
}

PP_TEST_CASE(unix_paths_have_the_length_that_fits)
{
    struct pp_sock_dest dest;
    const struct sockaddr_un *un = (const struct sockaddr_un *)&dest.ss;
    char text[200] = "unix:/";

    PP_CHECK_EQ(pp_sock_dest_parse(PP_SPAN("unix:/a/b"), &dest), PP_OK);
    PP_CHECK_STR(pp_span(un->sun_path, strlen(un->sun_path)), "/a/b");
    PP_CHECK_EQ(dest.len, offsetof(struct sockaddr_un, sun_path) + 5);
    PP_CHECK_EQ(pp_sock_dest_parse(PP_SPAN("unix:@name"), &dest), PP_OK);
    PP_CHECK_EQ(un->sun_path[0], 0);
    PP_CHECK_EQ(dest.len, offsetof(struct sockaddr_un, sun_path) + 5);

    memset(text + 6, 'p', sizeof text - 6);
    PP_CHECK_EQ(pp_sock_dest_parse(pp_span(text, 5 + 107), &dest), PP_OK);
    PP_CHECK_EQ(pp_sock_dest_parse(pp_span(text, 5 + 108), &dest), PP_EINVAL);
}

/* ---- connecting ---- */

static struct pp_sock_dest dest_of(const struct sockaddr_in *at)
{
    struct pp_sock_dest dest = {.len = sizeof *at};
    memcpy(&dest.ss, at, sizeof *at);
    return dest;
}

static int int_option(int fd, int level, int name)
{
    int v = -1;
    socklen_t len = sizeof v;
    PP_CHECK(getsockopt(fd, level, name, &v, &len) == 0);
    return v;
}

PP_TEST_CASE(a_tcp_connect_succeeds_without_blocking_and_without_delay)
{
    struct sockaddr_in at;
    int l = test_listen(&at, 8), fd;

    PP_REQUIRE(l >= 0);
    struct pp_sock_dest dest = dest_of(&at);
    int rc = pp_sock_connect(&dest, &fd);
    PP_CHECK(rc == PP_OK || rc == PP_EAGAIN);
    PP_CHECK(test_wait(fd, POLLOUT));
    PP_CHECK_EQ(pp_sock_connect_result(fd), PP_OK);
    PP_CHECK(int_option(fd, IPPROTO_TCP, TCP_NODELAY) != 0);
    PP_CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    PP_CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    PP_CHECK_EQ(pp_sock_port(l), ntohs(at.sin_port));
    close(fd);
    close(l);
}

PP_TEST_CASE(a_closed_port_is_refused)
{
    struct sockaddr_in at;
    int l = test_listen(&at, 8), fd;

    PP_REQUIRE(l >= 0);
    close(l);
    struct pp_sock_dest dest = dest_of(&at);
    int rc = pp_sock_connect(&dest, &fd);
    if (rc == PP_EAGAIN) {
        PP_CHECK(test_wait(fd, POLLOUT));
        rc = pp_sock_connect_result(fd);
        close(fd);
    } else {
        PP_CHECK_EQ(fd, -1);
    }
    PP_CHECK_EQ(rc, PP_EREFUSED);
}

PP_TEST_CASE(a_connect_that_nobody_answers_is_still_in_progress)
{
    struct sockaddr_in at;
    int l = test_listen(&at, 0), fds[8];
    int rc = PP_OK;
    size_t n = 0;

    PP_REQUIRE(l >= 0);
    struct pp_sock_dest dest = dest_of(&at);
    /* The queue takes one or two; the SYNs after that are dropped until somebody accepts. */
    while (n < PP_COUNT_OF(fds)) {
        rc = pp_sock_connect(&dest, &fds[n]);
        PP_CHECK(rc == PP_OK || rc == PP_EAGAIN);
        n++;
        struct pollfd p = {.fd = fds[n - 1], .events = POLLOUT};
        if (poll(&p, 1, 50) == 0)
            break;
    }
    PP_CHECK_EQ(pp_sock_connect_result(fds[n - 1]), PP_EAGAIN);
    while (n > 0)
        close(fds[--n]);
    close(l);
}

PP_TEST_CASE(unix_sockets_connect_at_once_or_are_refused)
{
    char text[] = "unix:@pyproxy-test-sock-XXXXXXXX";
    struct pp_sock_dest dest;
    int fds[16], fd, rc;
    size_t n = 0;

    snprintf(text + 24, 9, "%08x", (unsigned)getpid());
    PP_CHECK_EQ(pp_sock_dest_parse(pp_span(text, strlen(text)), &dest), PP_OK);
    PP_CHECK_EQ(pp_sock_connect(&dest, &fd), PP_EREFUSED);
    PP_CHECK_EQ(fd, -1);

    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    PP_REQUIRE(bind(l, (struct sockaddr *)&dest.ss, dest.len) == 0 && listen(l, 1) == 0);
    PP_CHECK_EQ(pp_sock_port(l), 0);
    while (n < PP_COUNT_OF(fds) && (rc = pp_sock_connect(&dest, &fds[n])) == PP_OK)
        PP_CHECK_EQ(pp_sock_connect_result(fds[n++]), PP_OK);
    PP_CHECK(n > 0);
    PP_CHECK_EQ(rc, PP_EREFUSED); /* the queue is full: nothing will report room */
    while (n > 0)
        close(fds[--n]);
    close(l);

    PP_CHECK_EQ(pp_sock_dest_parse(PP_SPAN("unix:/nonexistent/sock"), &dest), PP_OK);
    PP_CHECK_EQ(pp_sock_connect(&dest, &fd), PP_EREFUSED);
}

PP_TEST_CASE(connect_without_free_descriptors_says_so)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(1)};
    struct pp_sock_dest dest = dest_of(&at);
    struct rlimit old = test_fd_limit(0);
    int fd = 5;

    PP_CHECK_EQ(pp_sock_connect(&dest, &fd), PP_EMFILE);
    PP_CHECK_EQ(fd, -1);
    setrlimit(RLIMIT_NOFILE, &old);
}

PP_TEST_CASE(connect_result_of_what_is_no_socket_is_an_error)
{
    int fds[2];

    PP_REQUIRE(pipe(fds) == 0);
    PP_CHECK_EQ(pp_sock_connect_result(fds[0]), PP_EIO);
    close(fds[0]);
    close(fds[1]);
}

/* ---- options ---- */

PP_TEST_CASE(keepalive_is_set_on_tcp_and_refused_elsewhere)
{
    int fds[2], u[2];

    PP_REQUIRE(test_tcp_pair(fds) && test_pair(u));
    PP_CHECK_EQ(pp_sock_keepalive(fds[0], 30, 5, 4), PP_OK);
    PP_CHECK(int_option(fds[0], SOL_SOCKET, SO_KEEPALIVE) != 0);
    PP_CHECK_EQ(int_option(fds[0], IPPROTO_TCP, TCP_KEEPIDLE), 30);
    PP_CHECK_EQ(int_option(fds[0], IPPROTO_TCP, TCP_KEEPINTVL), 5);
    PP_CHECK_EQ(int_option(fds[0], IPPROTO_TCP, TCP_KEEPCNT), 4);
    PP_CHECK_EQ(pp_sock_keepalive(fds[0], 0, 5, 4), PP_EIO);
    PP_CHECK_EQ(pp_sock_keepalive(u[0], 30, 5, 4), PP_EIO);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(u[i]);
    }
}

/* ---- the first bytes ---- */

PP_TEST_CASE(what_was_looked_at_is_still_there_until_it_is_skipped)
{
    static char many[10000];
    char got[16];
    int fds[2];
    size_t n;

    PP_REQUIRE(test_tcp_pair(fds));
    PP_CHECK_EQ(pp_sock_peek(fds[0], got, sizeof got, &n), PP_EAGAIN);
    PP_CHECK_EQ(pp_sock_send_first(fds[1], "abcdef", 6), PP_OK);
    for (int i = 0; i < 2; i++) {
        PP_CHECK_EQ(pp_sock_peek(fds[0], got, sizeof got, &n), PP_OK);
        PP_CHECK_BYTES(pp_span(got, n), "abcdef", 6);
    }
    PP_CHECK_EQ(pp_sock_skip(fds[0], 4), PP_OK);
    PP_CHECK_EQ(pp_sock_peek(fds[0], got, sizeof got, &n), PP_OK);
    PP_CHECK_BYTES(pp_span(got, n), "ef", 2);
    PP_CHECK_EQ(pp_sock_skip(fds[0], 3), PP_EIO); /* more than was shown */
    PP_CHECK_EQ(pp_sock_send_first(fds[1], many, sizeof many), PP_OK);
    PP_CHECK_EQ(pp_sock_skip(fds[0], sizeof many), PP_OK);
    close(fds[1]);
    PP_CHECK_EQ(pp_sock_peek(fds[0], got, sizeof got, &n), PP_EEOF);
    close(fds[0]);
}

PP_TEST_CASE(first_bytes_that_are_not_taken_are_an_error)
{
    static char many[16 << 20];
    int fds[2];

    PP_REQUIRE(test_tcp_pair(fds));
    PP_CHECK_EQ(pp_sock_send_first(fds[0], many, sizeof many), PP_EIO);
    close(fds[0]);
    close(fds[1]);
}

PP_TEST_CASE(our_own_address_of_a_connection_is_known)
{
    struct pp_sock_addr a;
    int fds[2];

    PP_REQUIRE(test_tcp_pair(fds));
    pp_sock_local(fds[0], &a);
    PP_CHECK_EQ(a.family, AF_INET);
    PP_CHECK_EQ(a.ip[0], 127);
    PP_CHECK_EQ(a.port, pp_sock_port(fds[0]));
    close(fds[0]);
    close(fds[1]);
    pp_sock_local(-1, &a);
    PP_CHECK_EQ(a.family, 0);
}

PP_TEST_CASE(abort_sends_a_reset)
{
    int fds[2];
    char c;

    PP_REQUIRE(test_tcp_pair(fds));
    pp_sock_set_abort(fds[0]);
    close(fds[0]);
    PP_CHECK_EQ(recv(fds[1], &c, 1, 0), -1);
    PP_CHECK_EQ(errno, ECONNRESET);
    close(fds[1]);
}

PP_TEST_MAIN()
