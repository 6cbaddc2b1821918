#include "io/dgram.c"

#include <sys/syscall.h>

#include "io/io_test.h"
#include "pp_test.h"

static struct pp_dgram_batch *b;

/* The flags that the next datagrams come with, besides. */
static unsigned extra_flags;

int recvmmsg(int fd, struct mmsghdr *msg, unsigned n, int flags, struct timespec *wait)
{
    int k = (int)syscall(SYS_recvmmsg, fd, msg, n, flags, wait);
    for (int i = 0; i < k; i++)
        msg[i].msg_hdr.msg_flags |= (int)extra_flags;
    return k;
}

static int open_at(const char *ip, union name *at)
{
    socklen_t len = sizeof *at;
    struct pp_sock_dest dest;
    char text[64];
    snprintf(text, sizeof text, "%s:1", ip);
    PP_CHECK_EQ(pp_sock_dest_parse(pp_span(text, strlen(text)), &dest), PP_OK);
    memset(at, 0, sizeof *at);
    memcpy(at, &dest.ss, dest.len);
    at->in.sin_port = 0;
    int fd = socket(at->sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    PP_CHECK_EQ(bind(fd, &at->sa, dest.len), 0);
    getsockname(fd, &at->sa, &len);
    return fd;
}

static void await(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    PP_CHECK_EQ(poll(&p, 1, 10000), 1);
}

static void send_to(int fd, const union name *at, const void *p, size_t n)
{
    socklen_t len = at->sa.sa_family == AF_INET ? sizeof at->in : sizeof at->in6;
    PP_CHECK_EQ(sendto(fd, p, n, 0, &at->sa, len), n);
}

static struct pp_sock_dest dest_of(const union name *at)
{
    struct pp_sock_dest dest = {.len =
                                    at->sa.sa_family == AF_INET ? sizeof at->in : sizeof at->in6};
    memcpy(&dest.ss, at, dest.len);
    return dest;
}

static bool start(void)
{
    extra_flags = 0;
    b = pp_dgram_batch_new();
    return b != NULL;
}

static unsigned receive(struct pp_dgram_socket *s)
{
    uint32_t lost = 0;
    await(s->fd);
    PP_CHECK_EQ(pp_dgram_receive(b, s, &lost), PP_OK);
    PP_CHECK_EQ(lost, 0);
    return pp_dgram_count(b);
}

/* Ask <ip> of a socket bound to <bound>, and see whose answer it is. */
static void ask(const char *bound, const char *ip, bool any)
{
    union name at, me, asked, from;
    socklen_t len = sizeof from;
    struct pp_dgram_socket s;
    char text[8];
    int door = open_at(bound, &at), c = open_at(ip[0] == '[' ? "[::1]" : "127.0.0.1", &me);
    int other = open_at(ip, &asked);
    close(other);
    if (asked.sa.sa_family == AF_INET)
        asked.in.sin_port = at.in.sin_port;
    else
        asked.in6.sin6_port = at.in6.sin6_port;
    PP_CHECK_EQ(pp_dgram_listen(&s, door), PP_OK);
    PP_CHECK_EQ(s.any, any);
    send_to(c, &asked, "who", 3);
    PP_CHECK_EQ(receive(&s), 1);
    PP_CHECK_EQ(pp_dgram_slot(b, 0)->n, 3);
    PP_CHECK(!pp_dgram_slot(b, 0)->truncated);
    PP_CHECK(memcmp(pp_dgram_bytes(b, 0), "who", 3) == 0);
    struct pp_sock_addr peer, mine;
    pp_dgram_peer(&pp_dgram_slot(b, 0)->path, &peer);
    pp_sock_addr_from(&mine, (struct sockaddr_storage *)&me);
    PP_CHECK_EQ(peer.port, mine.port);
    PP_CHECK_EQ(peer.family, mine.family);
    PP_CHECK(memcmp(peer.ip, mine.ip, sizeof peer.ip) == 0);
    PP_CHECK_EQ(pp_dgram_reply(b, &s), 0);
    PP_CHECK_EQ(pp_dgram_count(b), 0);
    await(c);
    PP_CHECK_EQ(recvfrom(c, text, sizeof text, 0, &from.sa, &len), 3);
    size_t n = from.sa.sa_family == AF_INET ? sizeof from.in : sizeof from.in6;
    PP_CHECK(memcmp(&from, &asked, n) == 0);
    close(door);
    close(c);
}

PP_TEST_CASE(answers_leave_from_the_address_that_was_asked)
{
    int before = test_fd_count();
    PP_REQUIRE(start());
    ask("127.0.0.1", "127.0.0.1", false);
    ask("127.0.0.9", "127.0.0.9", false);
    ask("0.0.0.0", "127.0.0.1", true);
    ask("0.0.0.0", "127.3.2.1", true);
    ask("[::1]", "[::1]", false);
    ask("[::]", "[::1]", true);
    pp_dgram_batch_free(b);
    PP_CHECK_EQ(test_fd_count(), before);
}

PP_TEST_CASE(many_are_taken_at_once_and_in_order)
{
    union name at, me;
    struct pp_dgram_socket s;
    uint32_t lost;
    PP_REQUIRE(start());
    int door = open_at("127.0.0.1", &at), c = open_at("127.0.0.1", &me);
    PP_CHECK_EQ(pp_dgram_listen(&s, door), PP_OK);
    PP_CHECK_EQ(pp_dgram_receive(b, &s, &lost), PP_EAGAIN);
    for (unsigned i = 0; i < PP_DGRAM_BATCH + 3; i++)
        send_to(c, &at, &i, i % 5);
    PP_CHECK_EQ(receive(&s), PP_DGRAM_BATCH);
    for (unsigned i = 0; i < PP_DGRAM_BATCH; i++)
        PP_CHECK_EQ(pp_dgram_slot(b, i)->n, i % 5);
    PP_CHECK_EQ(receive(&s), 3);
    PP_CHECK_EQ(pp_dgram_slot(b, 0)->n, PP_DGRAM_BATCH % 5);
    pp_dgram_clear(b);
    PP_CHECK_EQ(pp_dgram_count(b), 0);
    close(door);
    close(c);
    pp_dgram_batch_free(b);
}

PP_TEST_CASE(the_longest_datagram_comes_whole_each_way)
{
    static char big[65507], got[70000];
    union name at, me;
    struct pp_dgram_socket s;
    PP_REQUIRE(start());
    int door = open_at("127.0.0.1", &at), c = open_at("127.0.0.1", &me);
    PP_CHECK_EQ(pp_dgram_listen(&s, door), PP_OK);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 31 + i / 251);
    send_to(c, &at, big, sizeof big);
    PP_CHECK_EQ(receive(&s), 1);
    PP_CHECK_EQ(pp_dgram_slot(b, 0)->n, sizeof big);
    PP_CHECK(!pp_dgram_slot(b, 0)->truncated);
    PP_CHECK(memcmp(pp_dgram_bytes(b, 0), big, sizeof big) == 0);
    PP_CHECK_EQ(pp_dgram_reply(b, &s), 0);
    await(c);
    PP_CHECK_EQ(recv(c, got, sizeof got, 0), sizeof big);
    PP_CHECK(memcmp(got, big, sizeof big) == 0);
    close(door);
    close(c);
    pp_dgram_batch_free(b);
}

PP_TEST_CASE(what_is_not_whole_is_told)
{
    union name at, me;
    struct pp_dgram_socket s;
    PP_REQUIRE(start());
    int door = open_at("127.0.0.1", &at), c = open_at("127.0.0.1", &me);
    PP_CHECK_EQ(pp_dgram_listen(&s, door), PP_OK);
    send_to(c, &at, "x", 1);
    extra_flags = MSG_TRUNC;
    PP_CHECK_EQ(receive(&s), 1);
    PP_CHECK(pp_dgram_slot(b, 0)->truncated);
    close(door);
    close(c);
    pp_dgram_batch_free(b);
}

/* What the kernel had no room for is told with the next datagram, and only once. */
PP_TEST_CASE(overflow_is_counted)
{
    static char block[1400];
    union name at, me;
    struct pp_dgram_socket s, again;
    int small = 1;
    uint32_t lost, all = 0, got = 0;
    PP_REQUIRE(start());
    int door = open_at("127.0.0.1", &at), c = open_at("127.0.0.1", &me);
    PP_CHECK_EQ(setsockopt(door, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    PP_CHECK_EQ(pp_dgram_listen(&s, door), PP_OK);
    for (int i = 0; i < 100; i++)
        send_to(c, &at, block, sizeof block);
    await(door);
    while (pp_dgram_receive(b, &s, &lost) == PP_OK)
        got += pp_dgram_count(b), all += lost;
    send_to(c, &at, "x", 1);
    await(door);
    PP_CHECK_EQ(pp_dgram_receive(b, &s, &lost), PP_OK);
    all += lost;
    PP_CHECK(got < 100);
    PP_CHECK_EQ(got + all, 100);
    /* Who takes the socket over does not count them again. */
    PP_CHECK_EQ(pp_dgram_listen(&again, door), PP_OK);
    send_to(c, &at, "x", 1);
    await(door);
    PP_CHECK_EQ(pp_dgram_receive(b, &again, &lost), PP_OK);
    PP_CHECK_EQ(lost, 0);
    close(door);
    close(c);
    pp_dgram_batch_free(b);
}

PP_TEST_CASE(connected_sockets_send_runs_and_take_answers)
{
    union name at, me, origin_at, from;
    struct pp_dgram_socket s;
    char text[64];
    int fd;
    unsigned n;
    socklen_t len = sizeof from;
    PP_REQUIRE(start());
    int door = open_at("127.0.0.1", &at), c = open_at("127.0.0.1", &me);
    int origin = open_at("127.0.0.1", &origin_at);
    struct pp_sock_dest dest = dest_of(&origin_at);
    PP_CHECK_EQ(pp_dgram_listen(&s, door), PP_OK);
    PP_CHECK_EQ(pp_dgram_connect(&dest, &fd), PP_OK);
    PP_CHECK_EQ(pp_dgram_append(b, fd), PP_EAGAIN);
    for (int i = 0; i < 4; i++)
        send_to(c, &at, "abcd", (size_t)i);
    PP_CHECK_EQ(receive(&s), 4);
    PP_CHECK_EQ(pp_dgram_forward(b, fd, 0, 1, &n), PP_OK);
    PP_CHECK_EQ(n, 1);
    PP_CHECK_EQ(pp_dgram_forward(b, fd, 1, 4, &n), PP_OK);
    PP_CHECK_EQ(n, 3);
    PP_CHECK_EQ(pp_dgram_send(fd, "end", 3), PP_OK);
    static const char *const sent[] = {"", "a", "ab", "abc", "end"};
    for (int i = 0; i < 5; i++) {
        await(origin);
        ssize_t k = recvfrom(origin, text, sizeof text, 0, &from.sa, &len);
        PP_CHECK_EQ(k, strlen(sent[i]));
        PP_CHECK(memcmp(text, sent[i], strlen(sent[i])) == 0);
    }
    pp_dgram_clear(b);
    send_to(origin, &from, "one", 3);
    send_to(origin, &from, "three", 5);
    send_to(c, &from, "spoofed", 7); /* not from the one who was asked */
    await(fd);
    PP_CHECK_EQ(pp_dgram_append(b, fd), PP_OK);
    PP_CHECK_EQ(pp_dgram_count(b), 2);
    PP_CHECK_EQ(pp_dgram_slot(b, 1)->n, 5);
    close(fd);
    close(door);
    close(origin);
    close(c);
    pp_dgram_batch_free(b);
}

PP_TEST_CASE(a_closed_port_is_refused)
{
    union name at;
    unsigned n;
    int fd;
    PP_REQUIRE(start());
    int closed = open_at("127.0.0.1", &at);
    struct pp_sock_dest dest = dest_of(&at);
    close(closed);
    PP_CHECK_EQ(pp_dgram_connect(&dest, &fd), PP_OK);
    PP_CHECK_EQ(pp_dgram_send(fd, "x", 1), PP_OK);
    await(fd);
    PP_CHECK_EQ(pp_dgram_append(b, fd), PP_EREFUSED);
    PP_CHECK_EQ(pp_dgram_append(b, fd), PP_EAGAIN);
    PP_CHECK_EQ(pp_dgram_send(fd, "x", 1), PP_OK);
    await(fd);
    b->slot[0].n = b->slot[1].n = 1;
    PP_CHECK_EQ(pp_dgram_forward(b, fd, 0, 2, &n), PP_EREFUSED);
    PP_CHECK_EQ(n, 0);
    close(fd);
    pp_dgram_batch_free(b);
}

PP_TEST_CASE(one_that_cannot_be_sent_does_not_hold_up_the_others)
{
    union name at, me;
    struct pp_dgram_socket s;
    char text[8];
    PP_REQUIRE(start());
    int door = open_at("127.0.0.1", &at), c = open_at("127.0.0.1", &me);
    PP_CHECK_EQ(pp_dgram_listen(&s, door), PP_OK);
    for (int i = 0; i < 3; i++)
        send_to(c, &at, "abc", (size_t)i);
    PP_CHECK_EQ(receive(&s), 3);
    pp_dgram_slot(b, 1)->path.port = 0; /* nobody can be there */
    PP_CHECK_EQ(pp_dgram_reply(b, &s), 1);
    await(c);
    PP_CHECK_EQ(recv(c, text, sizeof text, 0), 0);
    PP_CHECK_EQ(recv(c, text, sizeof text, 0), 2);
    close(door);
    close(c);
    pp_dgram_batch_free(b);
}

PP_TEST_CASE(other_sockets_are_refused)
{
    struct pp_dgram_socket s;
    struct pp_sock_dest dest;
    int fds[2], fd;
    PP_REQUIRE(test_pair(fds));
    PP_CHECK_EQ(pp_dgram_listen(&s, fds[0]), PP_EIO);
    PP_CHECK_EQ(pp_dgram_listen(&s, -1), PP_EIO);
    close(fds[0]);
    close(fds[1]);
    PP_CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    PP_CHECK_EQ(pp_dgram_listen(&s, fds[0]), PP_EIO);
    close(fds[0]);
    close(fds[1]);
    PP_CHECK_EQ(pp_sock_dest_parse(PP_SPAN("unix:/x"), &dest), PP_OK);
    PP_CHECK_EQ(pp_dgram_connect(&dest, &fd), PP_EIO);
    PP_CHECK_EQ(fd, -1);
    PP_CHECK_EQ(pp_sock_dest_parse(PP_SPAN("127.0.0.1:9"), &dest), PP_OK);
    struct rlimit old = test_fd_limit(0);
    PP_CHECK_EQ(pp_dgram_connect(&dest, &fd), PP_EMFILE);
    setrlimit(RLIMIT_NOFILE, &old);
    pp_mem_fail_after_for_test(0);
    PP_CHECK(pp_dgram_batch_new() == NULL);
    pp_mem_fail_after_for_test(-1);
    pp_dgram_batch_free(NULL);
}

PP_TEST_MAIN()
