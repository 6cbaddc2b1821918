#include "proxy/announced.c"

#include <errno.h>
#include <unistd.h>

#include "pp_test.h"

static struct pp_sock_addr ip4(uint8_t last, uint16_t port)
{
    struct pp_sock_addr a = {.family = AF_INET, .ip = {10, 0, 0, last}, .port = port};
    return a;
}

static struct pp_sock_addr ip6(uint8_t last, uint16_t port)
{
    struct pp_sock_addr a = {.family = AF_INET6, .ip = {0x20, 1, [15] = last}, .port = port};
    return a;
}

static char got[1024];

/* What an endpoint gets of it. */
static struct pp_span sent(const struct pp_announced *a, unsigned version,
                           struct pp_sock_addr client, struct pp_sock_addr local)
{
    int fd[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
        return PP_SPAN_NONE;
    PP_CHECK_EQ(pp_announced_send(a, version, &client, &local, fd[0]), PP_OK);
    ssize_t n = recv(fd[1], got, sizeof got, MSG_DONTWAIT);
    close(fd[0]);
    close(fd[1]);
    return pp_span(got, n < 0 ? 0 : (size_t)n);
}

PP_TEST_CASE(addresses_of_one_family_are_told)
{
    PP_CHECK_STR(sent(NULL, 1, ip4(1, 5), ip4(2, 6)), "PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n");
    PP_CHECK_STR(sent(NULL, 1, ip6(1, 5), ip6(2, 6)), "PROXY TCP6 2001::1 2001::2 5 6\r\n");
    struct pp_span s = sent(NULL, 2, ip4(1, 5), ip4(2, 6));
    PP_CHECK_BYTES(pp_span(s.p + 12, s.n - 12), "\x21\x11\0\x0c\x0a\0\0\1\x0a\0\0\2\0\5\0\6", 16);
}

PP_TEST_CASE(mixed_families_are_told_as_ipv6_and_mapped_ones_as_ipv4)
{
    PP_CHECK_STR(sent(NULL, 1, ip4(1, 5), ip6(2, 6)), "PROXY TCP6 ::ffff:a00:1 2001::2 5 6\r\n");
    struct pp_sock_addr a = ip4(1, 5), b = ip4(2, 6);
    map(&a);
    map(&b);
    PP_CHECK_EQ(a.family, AF_INET6);
    PP_CHECK_STR(sent(NULL, 1, a, b), "PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n");
    PP_CHECK_STR(sent(NULL, 1, a, ip4(2, 6)), "PROXY TCP4 10.0.0.1 10.0.0.2 5 6\r\n");
}

PP_TEST_CASE(without_ip_there_is_nothing_to_tell)
{
    struct pp_sock_addr none = {.family = 0}, path = {.family = AF_UNIX};
    PP_CHECK_STR(sent(NULL, 1, path, path), "PROXY UNKNOWN\r\n");
    PP_CHECK_STR(sent(NULL, 1, ip4(1, 5), none), "PROXY UNKNOWN\r\n");
    struct pp_span s = sent(NULL, 2, path, path);
    PP_CHECK_BYTES(pp_span(s.p + 12, s.n - 12), "\x21\0\0\0", 4);
}

PP_TEST_CASE(what_was_announced_goes_on)
{
    static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x19\x0a\0\0\7\x0a\0\0\x8\0\1\0\2"
                                 "\x02\0\4auth"
                                 "\x05\0\3uid";
    struct pp_announced *a = pp_announced_new(pp_span(header, sizeof header - 1), PP_SPAN_NONE);
    PP_REQUIRE(a != NULL);
    struct pp_sock_addr client = ip4(1, 5);
    pp_announced_client(&a->header, &client);
    PP_CHECK_EQ(client.ip[3], 7);
    PP_CHECK_EQ(client.port, 1);
    PP_CHECK_STR(sent(a, 1, client, ip4(9, 9)), "PROXY TCP4 10.0.0.7 10.0.0.8 1 2\r\n");
    PP_CHECK_BYTES(sent(a, 2, client, ip4(9, 9)), header, sizeof header - 1);
    struct pp_announced *named = pp_announced_new(a->raw, PP_SPAN("sni"));
    PP_REQUIRE(named != NULL);
    pp_announced_unref(a);
    PP_CHECK_STR(named->server_name, "sni");
    struct pp_span s = sent(named, 2, client, ip4(9, 9));
    PP_CHECK_BYTES(pp_span(s.p + 28, s.n - 28), "\x02\0\3sni\x05\0\3uid", 12);
    PP_CHECK(pp_announced_ref(named) == named);
    pp_announced_unref(named);
    pp_announced_unref(named);
    pp_announced_unref(NULL);
    PP_CHECK(pp_announced_ref(NULL) == NULL);
}

PP_TEST_CASE(paths_of_unix_sockets_elsewhere_are_nobodys_address)
{
    struct pp_proxyproto h = {.version = 2, .family = PP_PROXYPROTO_UNIX};
    struct pp_sock_addr client = ip4(1, 5);
    pp_announced_client(&h, &client);
    PP_CHECK_EQ(client.family, AF_INET);
    h.family = PP_PROXYPROTO_NONE;
    pp_announced_client(&h, &client);
    PP_CHECK_EQ(client.ip[3], 1);
}

PP_TEST_CASE(a_connection_that_is_gone_is_an_error)
{
    int fd[2];
    struct pp_sock_addr a = ip4(1, 5);
    PP_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    close(fd[1]);
    PP_CHECK_EQ(pp_announced_send(NULL, 1, &a, &a, fd[0]), PP_ERESET);
    close(fd[0]);
}

PP_TEST_MAIN()
