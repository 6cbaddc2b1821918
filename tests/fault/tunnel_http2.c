/* Tunnels on streams of HTTP/2 under bad luck: memory that runs out at every allocation in turn.
 * Nothing may crash, and nothing may be left over. */
#include "../c/proxy/extended_client.h"

static struct rig r;

/* What a client has to say: an extended CONNECT, with bytes behind it. */
static struct h2_client recorder;
static char sent[1024];
static size_t n_sent;

static void record(void)
{
    size_t taken;
    PP_REQUIRE(peer_start(&recorder.p, PP_HTTP2_CLIENT, NULL));
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_NONE};
    struct peer_stream *s = peer_take(&recorder.p);
    peer_fill(s, &s->m, NULL);
    s->m.method = PP_SPAN("CONNECT");
    s->m.method_id = PP_HTTP_CONNECT;
    s->m.protocol = PP_SPAN("websocket");
    PP_CHECK_EQ(pp_http2_codec_send_request(recorder.p.h, &s->s, &s->m, PP_SPAN("http"),
                                            PP_SPAN("a.test"), PP_SPAN("/chat"), &fr, false),
                PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, PP_SPAN("early"), false, &taken), PP_OK);
    n_sent = peer_output(&recorder.p, sent, sizeof sent);
    peer_stop(&recorder.p);
}

/* The origin's end: what it has got so far is answered once it is a whole head. */
struct end {
    int fd;
    char got[2048];
    size_t n;
    bool speaks_h2, answered;
};

static void answer_h1(struct end *o)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char accept[PP_WEBSOCKET_ACCEPT_BYTES], answer[512];
    const char *key = strstr(o->got, name);
    if (!o->answered && key != NULL && strstr(key, "\r\n\r\n") != NULL) {
        pp_websocket_accept(pp_span(key + sizeof name - 1, PP_WEBSOCKET_KEY_BYTES), accept);
        int n = snprintf(answer, sizeof answer,
                         "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                         "Upgrade: websocket\r\nSec-WebSocket-Accept: %.*s\r\n\r\nlate",
                         (int)sizeof accept, accept);
        (void)!send(o->fd, answer, (size_t)n, MSG_NOSIGNAL);
        o->answered = true;
    }
}

/* What an endpoint of HTTP/2 says, whatever it is told: SETTINGS that allow extended CONNECT;
 * HEADERS with :status 200, and DATA, on stream 1. */
static const char settings[] = "\0\0\6\4\0\0\0\0\0\0\x08\0\0\0\1";
static const char agreed[] = "\0\0\1\1\4\0\0\0\1\x88\0\0\4\0\0\0\0\0\1late";

/* The head of stream 1 is answered when it has come. */
static void answer_h2(struct end *o)
{
    size_t at = 24; /* behind the preface */
    while (!o->answered && at + 9 <= o->n) {
        const unsigned char *f = (const unsigned char *)o->got + at;
        if (f[3] == 1) {
            (void)!send(o->fd, agreed, sizeof agreed - 1, MSG_NOSIGNAL);
            o->answered = true;
        }
        at += 9 + ((size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2]);
    }
}

static bool hear(struct end *o)
{
    ssize_t k = recv(o->fd, o->got + o->n, sizeof o->got - 1 - o->n, 0);
    if (k <= 0)
        return false;
    o->n += (size_t)k;
    o->got[o->n] = '\0';
    if (o->speaks_h2)
        answer_h2(o);
    else
        answer_h1(o);
    return true;
}

static void expect_nothing_left(void)
{
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.up_stream_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.chunk_slab.n_live, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
}

/* The <n>-th allocation fails. True: bytes have passed both ways. */
static bool run_once(long n, bool to_h2)
{
    static char got[65536];
    struct end o = {.fd = -1, .speaks_h2 = to_h2};
    size_t at = 0;
    int c = rig_connect(&r);
    rig_settle(&r);
    pp_mem_fail_after_for_test(n);
    (void)!send(c, sent, n_sent, MSG_NOSIGNAL);
    for (int quiet = 0; quiet < 8; quiet++) {
        rig_turn(&r, 1);
        if (o.fd < 0) {
            o.fd = accept4(r.origin[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (o.fd >= 0 && to_h2)
                (void)!send(o.fd, settings, sizeof settings - 1, MSG_NOSIGNAL);
        }
        if (o.fd >= 0 && hear(&o))
            quiet = 0;
        ssize_t k = recv(c, got + at, sizeof got - at, 0);
        at += k > 0 ? (size_t)k : 0;
    }
    pp_mem_fail_after_for_test(-1);
    rig_settle(&r);
    close(c);
    if (o.fd >= 0)
        close(o.fd);
    rig_settle(&r);
    expect_nothing_left();
    return memmem(got, at, "late", 4) != NULL && memmem(o.got, o.n, "early", 5) != NULL;
}

static void run_all(const struct rig_conf *conf, bool to_h2)
{
    int passed = 0, failed = 0;
    PP_REQUIRE(rig_start(&r, conf));
    PP_CHECK(run_once(1000000, to_h2));
    for (long n = 0; n < 400 && passed < 12; n++) {
        bool ok = run_once(n, to_h2);
        failed += !ok;
        passed = ok ? passed + 1 : 0;
    }
    PP_CHECK(passed >= 12);
    PP_CHECK(failed > 0);
    rig_stop(&r);
}

PP_TEST_CASE(every_allocation_of_a_client_s_stream_may_fail)
{
    struct rig_conf conf = ext_defaults();
    conf.via = "gate";
    record();
    run_all(&conf, false);
}

PP_TEST_CASE(every_allocation_from_stream_to_stream_may_fail)
{
    struct rig_conf conf = ext_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    record();
    run_all(&conf, true);
}

PP_TEST_CASE(every_allocation_of_a_stream_to_an_endpoint_may_fail)
{
    static const char ask[] = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nearly";
    struct rig_conf conf = ext_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    memcpy(sent, ask, n_sent = sizeof ask - 1);
    run_all(&conf, true);
}

PP_TEST_MAIN()
