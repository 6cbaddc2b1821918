#include "proxy/greet.c"

#include "proxy/rig.h"

#define LINE "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
#define FWD "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
#define GOT "GET / HTTP/1.1\r\nHost: a\r\n" FWD "\r\n"

/* PROXY, IPv4 over TCP: 192.0.2.1:56324 to 198.51.100.7:443, TLV AUTHORITY "a.example". */
static const char binary[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x18\xc0\x00\x02\x01\xc6\x33\x64\x07"
                             "\xdc\x04\x01\xbb\x02\x00\x09"
                             "a.example";
#define BINARY_N (sizeof binary - 1)

static struct rig r;

static struct rig_conf from_proxies(void)
{
    struct rig_conf conf = rig_defaults();
    conf.proxies = "127.0.0.0/8";
    return conf;
}

static struct rig_conf by_name(void)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 3;
    conf.server_name[0].name = "a.example";
    conf.server_name[0].origin = 1;
    conf.server_name[1].name = "*.b.example";
    conf.server_name[1].origin = 2;
    return conf;
}

/* The client's end has come, and nothing is left behind. */
static void stop(int c)
{
    if (c >= 0)
        close(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_greet, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK(r.w.doors == NULL || r.w.doors->n_open == 0);
    rig_stop(&r);
}

/* The connection is closed without a byte, in order or, when bytes of it were not read, reset. */
static void expect_closed(int c)
{
    char byte;
    int end;
    PP_CHECK_EQ(rig_read(&r, c, &byte, 1, &end), 0);
    PP_CHECK(end == 0 || end == ECONNRESET);
}

/* One request is answered, and the origin gets <got> of it. */
static void exchange(int c, const char *got)
{
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, got);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    close(o);
}

/* ---- the PROXY protocol ---- */

PP_TEST_CASE(the_announced_client_is_the_client)
{
    struct rig_conf conf = from_proxies();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, LINE);
    exchange(c, GOT);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 1);
    PP_CHECK_EQ(r.w.core.n_greet, 0);
    stop(c);
}

/* In one segment with the request, in two, or byte by byte: only the header's bytes are taken. */
PP_TEST_CASE(a_header_may_come_in_any_pieces)
{
    static const size_t sizes[] = {1, 2, 13, 16, 17, sizeof binary + sizeof RIG_GET};
    struct rig_conf conf = from_proxies();
    PP_REQUIRE(rig_start(&r, &conf));
    for (size_t i = 0; i < PP_COUNT_OF(sizes); i++) {
        char all[256];
        memcpy(all, binary, BINARY_N);
        memcpy(all + BINARY_N, RIG_GET, sizeof RIG_GET - 1);
        size_t n = BINARY_N + sizeof RIG_GET - 1;
        int c = rig_connect(&r);
        for (size_t at = 0; at < n; at += sizes[i]) {
            PP_CHECK(rig_send_n(&r, c, all + at, PP_MIN(sizes[i], n - at)));
            rig_turn(&r, 0);
        }
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, GOT);
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
        close(o);
        close(c);
        rig_settle(&r);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), PP_COUNT_OF(sizes));
    stop(-1);
}

PP_TEST_CASE(a_proxy_that_speaks_for_itself_is_the_client)
{
    struct rig_conf conf = from_proxies();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "PROXY UNKNOWN\r\n");
    exchange(c, RIG_GOT);
    close(c);
    c = rig_connect(&r);
    PP_CHECK(rig_send_n(&r, c, "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16));
    exchange(c, RIG_GOT);
    stop(c);
}

static void refused(const char *p, size_t n, unsigned times)
{
    int c = rig_connect(&r);
    PP_CHECK(rig_send_n(&r, c, p, n));
    expect_closed(c);
    close(c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REFUSED_HEADER), times);
}

PP_TEST_CASE(anything_else_from_a_proxy_closes_at_once)
{
    struct rig_conf conf = from_proxies();
    PP_REQUIRE(rig_start(&r, &conf));
    refused(RIG_GET, sizeof RIG_GET - 1, 1);
    refused("G", 1, 2);
    refused("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", 36, 3);
    refused("\r\n\r\n\0\r\nQUIT\n\x22", 13, 4);
    refused("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16, 5);
    int c = rig_connect(&r); /* an end within the header */
    rig_send(&r, c, "PROXY TCP4 1.2");
    shutdown(c, SHUT_WR);
    expect_closed(c);
    close(c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REFUSED_HEADER), 6);
    c = rig_connect(&r); /* and one before it, as probes of ports make: nobody's fault */
    shutdown(c, SHUT_WR);
    expect_closed(c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REFUSED_HEADER), 6);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BAD_REQUESTS), 0);
    stop(c);
}

PP_TEST_CASE(nobody_else_may_announce_a_client)
{
    struct rig_conf conf = from_proxies();
    conf.proxies = "192.0.2.0/24";
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    expect_closed(c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REFUSED_SOURCE), 1);
    stop(c);
}

PP_TEST_CASE(what_others_send_is_no_header)
{
    struct rig_conf conf = from_proxies();
    conf.proxies = "192.0.2.0/24";
    conf.others_direct = true;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    exchange(c, RIG_GOT);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, LINE RIG_GET);
    rig_expect(&r, c, "HTTP/1.1 "); /* a refusal: it is a bad request line */
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BAD_REQUESTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 2);
    stop(c);
}

/* Believed X-Forwarded-* are those of the announced client: it wrote them, the proxy did not. */
PP_TEST_CASE(trust_is_in_the_announced_client)
{
    struct rig_conf conf = from_proxies();
    conf.trusted = "127.0.0.0/8";
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, LINE "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, GOT);
    close(o);
    stop(c);
}

PP_TEST_CASE(a_header_has_the_time_of_a_request_head)
{
    struct rig_conf conf = from_proxies();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), late = rig_connect(&r);
    rig_send(&r, c, "PROXY TCP4 ");
    rig_sleep(&r, 20000);
    rig_send(&r, late, LINE);
    rig_sleep(&r, 9000);
    PP_CHECK_EQ(r.w.core.n_greet, 1);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    rig_sleep(&r, 2000);
    expect_closed(c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 2);
    PP_CHECK_EQ(r.w.core.n_down, 0); /* the request's head had what was left of it */
    close(c);
    stop(late);
}

PP_TEST_CASE(connections_count_before_they_begin)
{
    struct rig_conf conf = from_proxies();
    conf.listener.max_connections = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), other = rig_connect(&r);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_greet, 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 1);
    rig_send(&r, c, LINE);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_greet + r.w.core.n_down, 1);
    exchange(c, GOT);
    rig_send(&r, other, LINE);
    rig_expect_quiet(&r, other);
    close(c);
    exchange(other, GOT);
    stop(other);
}

PP_TEST_CASE(a_draining_worker_goes_on_with_them)
{
    struct rig_conf conf = from_proxies();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), silent = rig_connect(&r);
    rig_settle(&r);
    pp_worker_stop_listening(&r.w);
    pp_worker_drain(&r.w, 0);
    rig_send(&r, c, LINE RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n"
               "\r\nhi");
    close(o);
    PP_CHECK_EQ(r.w.core.n_greet, 1);
    pp_worker_close_connections(&r.w);
    rig_expect_eof(&r, silent);
    PP_CHECK(r.w.doors == NULL);
    close(silent);
    stop(c);
}

/* The listener goes in a reload while a connection has not begun: it goes on as it came. */
PP_TEST_CASE(a_new_configuration_changes_nothing_for_them)
{
    struct rig_conf conf = from_proxies();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "PROXY");
    rig_settle(&r);
    r.conf.proxies = NULL;
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL && pp_worker_install(&r.w, sn) == PP_OK);
    pp_snapshot_unref(sn);
    rig_send(&r, c, &LINE[5]);
    exchange(c, GOT);
    close(c);
    c = rig_connect(&r);
    exchange(c, RIG_GOT);
    stop(c);
}

/* ---- towards endpoints ---- */

PP_TEST_CASE(an_endpoint_is_told_who_the_client_is)
{
    struct rig_conf conf = from_proxies();
    conf.cluster.proxy_protocol = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, LINE);
    exchange(c, LINE GOT);
    exchange(c, LINE GOT); /* over a connection of its own */
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    stop(c);
}

PP_TEST_CASE(names_and_ids_are_passed_on)
{
    struct rig_conf conf = from_proxies();
    conf.cluster.proxy_protocol = 2;
    conf.tcp = true;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), end;
    char got[BINARY_N + 5];
    PP_CHECK(rig_send_n(&r, c, binary, BINARY_N));
    int o = rig_accept(&r, 0);
    rig_send(&r, c, "hello");
    PP_CHECK_EQ(rig_read(&r, o, got, sizeof got, &end), sizeof got);
    PP_CHECK_BYTES(pp_span(got, BINARY_N), binary, BINARY_N);
    PP_CHECK(memcmp(got + BINARY_N, "hello", 5) == 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_IN), 5); /* headers are none of them */
    close(o);
    rig_expect_eof(&r, c);
    stop(c);
}

PP_TEST_CASE(without_a_header_the_connections_own_addresses_are_told)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.proxy_protocol = 1;
    conf.tcp = true;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    int o = rig_accept(&r, 0);
    struct sockaddr_in own;
    socklen_t len = sizeof own;
    char want[128];
    getsockname(c, (struct sockaddr *)&own, &len);
    snprintf(want, sizeof want, "PROXY TCP4 127.0.0.1 127.0.0.1 %u %u\r\n", ntohs(own.sin_port),
             ntohs(r.at.sin_port));
    rig_expect(&r, o, want);
    close(c);
    rig_expect_eof(&r, o);
    close(o);
    stop(-1);
}

/* ---- server names ---- */

/* A ClientHello for <name>; its length. */
static size_t hello(const char *name, char *dst)
{
    size_t n = strlen(name), at = 0;
    unsigned char head[] = "\x16\3\1..\1\0..\3\3rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\0\0\2\x13\1\1\0";
    memcpy(dst, head, sizeof head - 1);
    at = sizeof head - 1;
    if (n > 0) {
        unsigned char ext[] = {0,
                               (unsigned char)(n + 9),
                               0,
                               0,
                               0,
                               (unsigned char)(n + 5),
                               0,
                               (unsigned char)(n + 3),
                               0,
                               0,
                               (unsigned char)n};
        memcpy(dst + at, ext, sizeof ext);
        memcpy(dst + at + sizeof ext, name, n);
        at += sizeof ext + n;
    }
    dst[3] = dst[7] = 0;
    dst[4] = (char)(at - 5);
    dst[8] = (char)(at - 9);
    return at;
}

/* A connection for <name> comes to origin <i> with its bytes as they were sent. */
static void goes_to(const char *name, unsigned i)
{
    char sent[256], got[256];
    int end;
    size_t n = hello(name, sent);
    int c = rig_connect(&r);
    PP_CHECK(rig_send_n(&r, c, sent, n));
    int o = rig_accept(&r, i);
    PP_CHECK_EQ(rig_read(&r, o, got, n, &end), n);
    PP_CHECK_BYTES(pp_span(got, n), sent, n);
    rig_send(&r, o, "server hello");
    rig_expect(&r, c, "server hello");
    shutdown(c, SHUT_WR); /* half-close, as in any tunnel */
    rig_expect_eof(&r, o);
    rig_send(&r, o, "more");
    rig_expect(&r, c, "more");
    close(o);
    rig_expect_eof(&r, c);
    close(c);
}

PP_TEST_CASE(the_server_name_chooses_the_upstream)
{
    struct rig_conf conf = by_name();
    conf.tcp = true;
    PP_REQUIRE(rig_start(&r, &conf));
    goes_to("a.example", 1);
    goes_to("A.Example", 1);
    goes_to("x.b.example", 2);
    goes_to("b.example", 0);
    goes_to("", 1); /* the upstream of all others has every origin */
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 5);
    stop(-1);
}

PP_TEST_CASE(a_client_hello_may_come_in_any_pieces)
{
    struct rig_conf conf = by_name();
    PP_REQUIRE(rig_start(&r, &conf));
    char sent[256], got[256];
    size_t n = hello("a.example", sent);
    int c = rig_connect(&r), end;
    for (size_t at = 0; at < n; at++) {
        PP_CHECK(rig_send_n(&r, c, sent + at, 1));
        rig_turn(&r, 0);
    }
    int o = rig_accept(&r, 1);
    PP_CHECK_EQ(rig_read(&r, o, got, n, &end), n);
    PP_CHECK_BYTES(pp_span(got, n), sent, n);
    close(o);
    stop(c);
}

PP_TEST_CASE(a_name_that_nobody_serves_is_told_so)
{
    struct rig_conf conf = by_name();
    PP_REQUIRE(rig_start(&r, &conf));
    static const char *const names[] = {"c.example", ""};
    for (size_t i = 0; i < PP_COUNT_OF(names); i++) {
        char sent[256], got[16];
        int c = rig_connect(&r), end;
        PP_CHECK(rig_send_n(&r, c, sent, hello(names[i], sent)));
        size_t k = rig_read(&r, c, got, sizeof got, &end);
        PP_CHECK_BYTES(pp_span(got, k), "\x15\3\3\0\2\2\x70", 7);
        PP_CHECK_EQ(end, 0);
        close(c);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REFUSED_NAME), 2);
    stop(-1);
}

/* What is no TLS has no name; what begins as TLS and is none is refused. */
PP_TEST_CASE(other_protocols_go_where_all_others_go)
{
    struct rig_conf conf = by_name();
    conf.tcp = true;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "SSH-2.0-x\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "SSH-2.0-x\r\n");
    close(o);
    close(c);
    c = rig_connect(&r);
    PP_CHECK(rig_send_n(&r, c, "\x16\3\1\0\0", 5));
    expect_closed(c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REFUSED_HELLO), 1);
    stop(c);
}

PP_TEST_CASE(without_such_a_place_they_are_refused)
{
    struct rig_conf conf = by_name();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "SSH-2.0-x\r\n");
    expect_closed(c);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REFUSED_HELLO), 1);
    stop(c);
}

PP_TEST_CASE(a_header_comes_before_the_client_hello)
{
    struct rig_conf conf = by_name();
    conf.proxies = "127.0.0.1";
    conf.cluster.proxy_protocol = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    char sent[256], got[256];
    int c = rig_connect(&r), end;
    rig_send(&r, c, LINE);
    size_t n = hello("a.example", sent);
    PP_CHECK(rig_send_n(&r, c, sent, n));
    int o = rig_accept(&r, 1);
    PP_CHECK_EQ(rig_read(&r, o, got, BINARY_N + n, &end), BINARY_N + n);
    PP_CHECK_BYTES(pp_span(got, BINARY_N), binary, BINARY_N); /* with the name that was asked for */
    PP_CHECK_BYTES(pp_span(got + BINARY_N, n), sent, n);
    close(o);
    stop(c);
}

/* ---- the log ---- */

PP_TEST_CASE(what_is_refused_of_a_tcp_listener_is_logged)
{
    int log[2];
    char line[512];
    PP_REQUIRE(pipe2(log, O_NONBLOCK | O_CLOEXEC) == 0);
    struct rig_conf conf = by_name();
    conf.proxies = "127.0.0.1";
    conf.log = "{client.address} {listener} {upstream} {fault}";
    conf.log_fd = log[1];
    PP_REQUIRE(rig_start(&r, &conf));
    char sent[256];
    int c = rig_connect(&r);
    rig_send(&r, c, "GET /");
    expect_closed(c);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, LINE);
    PP_CHECK(rig_send_n(&r, c, sent, hello("c.example", sent)));
    rig_expect(&r, c, "\x15\3\3");
    pp_worker_flush_logs(&r.w);
    ssize_t k = read(log[0], line, sizeof line);
    PP_CHECK_STR(pp_span(line, k < 0 ? 0 : (size_t)k), "127.0.0.1 door - no_proxy_header\n"
                                                       "192.0.2.1 door - no_route\n");
    stop(c);
    close(log[0]);
    close(log[1]);
}

PP_TEST_MAIN()
