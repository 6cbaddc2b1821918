/* HTTP/2 clients under bad luck: memory that runs out at every allocation of an exchange in turn,
 * and a crowd that begins, resets, stalls and leaves at random (PP_STRESS_SEED chooses the seed).
 * Nothing may crash, and nothing may be left over. */
#include "../c/proxy/h2_client.h"

static struct rig r;

/* ---- allocations ---- */

static struct h2_client recorder;
static char sent[4096];
static size_t n_sent;

/* What a client sends in whole: two requests, one with a body and trailers. */
static void record(void)
{
    const char *fields[] = {"x-a: b", "cookie: a", "cookie: b", NULL};
    struct pp_http_msg m;
    size_t taken;
    int rc;
    PP_REQUIRE(peer_start(&recorder.p, PP_HTTP2_CLIENT, NULL));
    peer_request(&recorder.p, "GET", "/a/../b", fields, true, &rc);
    struct peer_stream *s = peer_request(&recorder.p, "POST", "/", fields, false, &rc);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, PP_SPAN("abc"), false, &taken), PP_OK);
    peer_fill(s, &m, fields);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&s->s, &m), PP_OK);
    n_sent = peer_output(&recorder.p, sent, sizeof sent);
    peer_stop(&recorder.p);
}

/* The <n>-th allocation fails. True: both requests were answered in full. */
static bool run_once(long n)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n";
    static char got[65536];
    int o[2] = {-1, -1}, c = rig_connect(&r);
    size_t at = 0;
    rig_settle(&r);
    pp_mem_fail_after_for_test(n);
    (void)!send(c, sent, n_sent, MSG_NOSIGNAL);
    for (int quiet = 0; quiet < 8; quiet++) {
        char in[4096];
        rig_turn(&r, 1);
        for (int i = 0; i < 2; i++) {
            if (o[i] < 0)
                o[i] = accept4(r.origin[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (o[i] >= 0 && recv(o[i], in, sizeof in, 0) > 0) {
                (void)!send(o[i], answer, sizeof answer - 1, MSG_NOSIGNAL);
                quiet = 0;
            }
        }
        ssize_t k = recv(c, got + at, sizeof got - at, 0);
        at += k > 0 ? (size_t)k : 0;
    }
    pp_mem_fail_after_for_test(-1);
    rig_settle(&r);
    close(c);
    for (int i = 0; i < 2; i++) {
        if (o[i] >= 0)
            close(o[i]);
    }
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    char *first = memmem(got, at, "body", 4);
    return first != NULL && memmem(first + 4, (size_t)(got + at - first - 4), "body", 4) != NULL;
}

PP_TEST_CASE(every_allocation_of_an_http_2_exchange_may_fail)
{
    static const uint32_t phases[] = {0, (1u << PP_PHASE_COUNT) - 1, 3u << PP_PHASE_REQUEST_BODY};
    record();
    for (size_t i = 0; i < PP_COUNT_OF(phases); i++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = phases[i];
        conf.buffer_request = conf.buffer_response = i == 2 ? 1000 : 0;
        conf.via = "gate";
        PP_REQUIRE(rig_start(&r, &conf));
        PP_CHECK(run_once(1000000));
        int passed = 0, failed = 0;
        for (long n = 0; n < 400 && passed < 12; n++) {
            bool ok = run_once(n);
            failed += !ok;
            passed = ok ? passed + 1 : 0;
        }
        PP_CHECK(passed >= 12);
        PP_CHECK(failed > 0);
        rig_stop(&r);
    }
}

/* ---- a crowd ---- */

enum { CLIENTS = 6, ROUNDS = 3000, ORIGINS = 256 };

static struct h2_client client[CLIENTS];
static bool up[CLIENTS];
static int origin[ORIGINS];
static uint64_t seed = 1;
static char stuff[40000];

static unsigned roll(unsigned n)
{
    return (unsigned)(pp_test_random(&seed) % n);
}

static void act(struct h2_client *c)
{
    int rc;
    struct peer_stream *s =
        c->p.n_streams > 0 ? &c->p.streams[c->p.n_streams - 1 - roll(PP_MIN(c->p.n_streams, 8u))]
                           : NULL;
    size_t taken;
    bool live = s != NULL && s->s.codec != NULL;
    switch (roll(9)) {
    case 0:
    case 1:
        (void)peer_request(&c->p, roll(4) == 0 ? "HEAD" : "GET", "/", NULL, true, &rc);
        break;
    case 2:
        (void)peer_request(&c->p, "POST", "/", NULL, false, &rc);
        break;
    case 3:
    case 4:
        if (live && !s->s.sent_end)
            (void)!pp_http2_codec_send_data(&s->s, pp_span(stuff, roll(sizeof stuff)), roll(2) == 0,
                                            &taken);
        break;
    case 5:
        if (live && roll(3) == 0)
            pp_http2_codec_reset(&s->s, PP_HTTP2_CANCEL);
        break;
    case 6:
        c->deaf = roll(2) == 0;
        break;
    case 7:
        if (s != NULL)
            s->keeps = roll(2) == 0;
        break;
    default:
        c->step = roll(3) == 0 ? 1 + roll(40) : 0;
    }
    h2_step(c);
}

static void act_origin(int *fd)
{
    static const char *const answers[] = {
        RIG_HI,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "nonsense\r\n\r\n",
    };
    switch (roll(6)) {
    case 0:
        (void)!recv(*fd, stuff, sizeof stuff, 0);
        break;
    case 1:
    case 2: {
        const char *text = answers[roll(PP_COUNT_OF(answers))];
        (void)!recv(*fd, stuff, sizeof stuff, 0);
        (void)!send(*fd, text, strlen(text), MSG_NOSIGNAL);
        break;
    }
    case 3:
        (void)!send(*fd, stuff, roll(sizeof stuff), MSG_NOSIGNAL);
        break;
    case 4:
        if (roll(4) > 0)
            break;
        if (roll(2) == 0)
            rig_reset(*fd);
        else
            close(*fd);
        *fd = -1;
        break;
    default:
        break;
    }
}

static void accept_all(void)
{
    for (int i = 0; i < ORIGINS; i++) {
        if (origin[i] < 0)
            origin[i] = accept4(r.origin[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
}

PP_TEST_CASE(a_random_crowd_leaves_nothing_behind)
{
    struct rig_conf conf = rig_defaults();
    const char *given = getenv("PP_STRESS_SEED");
    seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    conf.listener.max_requests = 200;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < ORIGINS; i++)
        origin[i] = -1;
    for (int round = 0; round < ROUNDS; round++) {
        int i = (int)roll(CLIENTS), k = (int)roll(ORIGINS);
        if (up[i] &&
            (client[i].ended >= 0 || client[i].p.n_streams > PEER_STREAMS - 2 || roll(150) == 0)) {
            h2_stop(&client[i]);
            up[i] = false;
        }
        if (!up[i]) {
            up[i] = h2_start(&client[i], &r, NULL);
            client[i].p.quiet = true;
        }
        act(&client[i]);
        accept_all();
        for (int j = 0; j < 12; j++) {
            k = (k + 1) % ORIGINS;
            if (origin[k] >= 0)
                act_origin(&origin[k]);
        }
        if (roll(40) == 0)
            rig_skew_ms += roll(20000);
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (up[i])
            h2_stop(&client[i]);
    }
    rig_settle(&r);
    for (int i = 0; i < ORIGINS; i++) {
        if (origin[i] >= 0)
            close(origin[i]);
    }
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    rig_stop(&r);
}

PP_TEST_MAIN()
