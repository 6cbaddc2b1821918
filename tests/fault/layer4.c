/* Memory runs out at every allocation of what is not HTTP, or comes before it, in turn: PROXY
 * protocol headers, ClientHellos, tunnels, datagrams. Whatever fails, the worker neither crashes
 * nor leaks, and it serves the next client as soon as there is memory again. */
#include "proxy/rig_udp.h"

#define LINE "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"

/* PROXY, IPv4 over TCP: 192.0.2.1:56324 to 198.51.100.7:443, TLV AUTHORITY "a.example". */
static const char binary[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x18\xc0\x00\x02\x01\xc6\x33\x64\x07"
                             "\xdc\x04\x01\xbb\x02\x00\x09"
                             "a.example";

/* A ClientHello for a.example: record, handshake, version and random, no session id, one cipher, no
 * compression, extensions: server_name alone. */
static const char hello[] = "\x16\x03\x01\x00\x43\x01\x00\x00\x3f\x03\x03"
                            "0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00"
                            "\x00\x14\x00\x00\x00\x10\x00\x0e\x00\x00\x0b"
                            "www.a.local";

struct scenario {
    const char *name;
    const char *before; /* what the client's connection begins with */
    size_t n_before;
    const char *sent; /* and goes on with */
    size_t n_sent;
    const char *answer; /* of the origin, to its first bytes */
    bool tcp, udp, by_name;
    const char *proxies;
    unsigned announce; /* version of the header for endpoints */
};

#define BYTES(literal) (literal), sizeof(literal) - 1

static const struct scenario scenarios[] = {
    {"announced request", BYTES(LINE), BYTES(RIG_GET), RIG_HI, .proxies = "127.0.0.0/8"},
    {"announced both ways", BYTES(binary), BYTES(RIG_GET), RIG_HI, .proxies = "127.0.0.0/8",
     .announce = 2},
    {"tunnel", BYTES(""), BYTES("hello"), "world", .tcp = true},
    {"announced tunnel", BYTES(binary), BYTES("hello"), "world", .tcp = true, .announce = 2,
     .proxies = "127.0.0.0/8"},
    {"tunnel by name", BYTES(""), BYTES(hello), "world", .tcp = true, .by_name = true},
    {"announced tunnel by name", BYTES(binary), BYTES(hello), "world", .tcp = true, .by_name = true,
     .proxies = "127.0.0.0/8", .announce = 1},
    {"datagrams", BYTES(""), BYTES("question"), "answer", .udp = true},
};

static struct rig_conf conf_of(const struct scenario *s, int log)
{
    struct rig_conf conf = s->udp ? udp_defaults() : rig_defaults();
    conf.tcp = s->tcp;
    conf.proxies = s->proxies;
    conf.cluster.proxy_protocol = (uint8_t)s->announce;
    conf.log = "{time} {client.address} {fault}";
    conf.log_fd = log;
    if (s->by_name) {
        conf.origins = 2;
        conf.server_name[0].name = "*.a.local";
        conf.server_name[0].origin = 1;
    }
    return conf;
}

/* The origin's part: *o is its connection (-1: none yet). True: it has answered something now. */
static bool play_origin(const struct scenario *s, int *o)
{
    unsigned i = s->by_name ? 1 : 0;
    char in[4096];
    if (s->udp) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        if (recvfrom(r.origin[0], in, sizeof in, 0, (struct sockaddr *)&from, &len) < 0)
            return false;
        udp_answer(0, s->answer, &from);
        return true;
    }
    if (*o < 0)
        *o = accept4(r.origin[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (*o < 0 || recv(*o, in, sizeof in, 0) <= 0)
        return false;
    (void)!send(*o, s->answer, strlen(s->answer), MSG_NOSIGNAL);
    return true;
}

/* Everything is over. */
static void check_nothing_is_left(void)
{
    pp_worker_close_flows(&r.w);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_greet, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), RIG_COUNT(&r, UPSTREAM, IDLE));
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
}

/* Run it with the <n>-th allocation failing, and all later ones (-1: none); true when the client
 * got its answer. */
static bool run_once(const struct scenario *s, long n)
{
    char got[4096];
    size_t at = 0;
    int c = s->udp ? udp_client() : rig_connect(&r), o = -1;
    pp_mem_fail_after_for_test(n);
    if (s->n_before > 0)
        (void)!send(c, s->before, s->n_before, MSG_NOSIGNAL);
    (void)!send(c, s->sent, s->n_sent, MSG_NOSIGNAL);
    for (int i = 0, quiet = 0; i < 200 && quiet < 6; i++) {
        uint64_t events = r.w.core.loop.events;
        rig_turn(&r, 1);
        quiet = r.w.core.loop.events == events ? quiet + 1 : 0;
        if (play_origin(s, &o))
            quiet = 0;
        ssize_t k = recv(c, got + at, sizeof got - at, 0);
        at += k > 0 ? (size_t)k : 0;
    }
    pp_mem_fail_after_for_test(-1);
    close(c);
    if (o >= 0)
        close(o);
    check_nothing_is_left();
    size_t want = PP_MIN(strlen(s->answer), 12);
    return at >= want && memcmp(got, s->answer, want) == 0;
}

PP_TEST_CASE(every_allocation_may_fail)
{
    for (size_t i = 0; i < PP_COUNT_OF(scenarios); i++) {
        const struct scenario *s = &scenarios[i];
        int null = open("/dev/null", O_WRONLY);
        struct rig_conf conf = conf_of(s, null);
        PP_REQUIRE(rig_start(&r, &conf));
        int passed = 0, failed = 0;
        for (long n = 0; n < 200 && passed < 4; n++) {
            bool ok = run_once(s, n);
            failed += !ok;
            passed = ok ? passed + 1 : 0;
            if (!run_once(s, -1)) { /* memory is back */
                printf("    %s: after %ld allocations\n", s->name, n);
                PP_CHECK(false);
            }
        }
        PP_CHECK_EQ(passed, 4);
        PP_CHECK(failed > 0); /* or nothing was tested */
        rig_stop(&r);
        close(null);
    }
}

PP_TEST_MAIN()
