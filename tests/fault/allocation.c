/* Memory runs out at every allocation of an exchange in turn: whatever fails, the worker neither
 * crashes nor leaks, and it serves the next client as soon as there is memory again. */
#include "proxy/rig.h"

static struct rig r;

/* All that has an allocation in its way: filters, held bodies, chunks, trailers, forwarding fields,
 * logs. */
struct scenario {
    const char *name, *sent, *answer;
    uint32_t phases, hold, first;
    bool close_origin, limited;
    const char *wanted;           /* NULL: a 200 */
    const char *native, *options; /* a native filter of the route */
};

static const struct scenario scenarios[] = {
    {.name = "get", .sent = RIG_GET, .answer = RIG_HI},
    {.name = "post with trailers",
     .sent = "POST /a/../b HTTP/1.1\r\nHost: A\r\nTransfer-Encoding: "
             "chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
     .answer =
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n"},
    {.name = "filtered",
     .sent = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
     .answer = RIG_HI,
     .phases = (1u << PP_PHASE_COUNT) - 1},
    {.name = "held",
     .sent = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
     .answer = RIG_HI,
     .phases = (1u << PP_PHASE_COUNT) - 1,
     .hold = 100},
    {.name = "held before the request phase",
     .sent =
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
     .answer = RIG_HI,
     .phases = (1u << PP_PHASE_COUNT) - 1,
     .first = 100},
    {.name = "reset",
     .sent = RIG_GET,
     .answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab",
     .close_origin = true},
    {.name = "refused", .sent = "GET / HTTP/1.1\r\n\r\n", .answer = ""},
    {.name = "upgrade",
     .sent = "GET /a/../b HTTP/1.1\r\nHost: A\r\nConnection: upgrade\r\n"
             "Upgrade: websocket, x\r\n\r\nearly",
     .answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
               "Upgrade: websocket\r\n\r\ngreeting",
     .phases = (1u << PP_PHASE_COUNT) - 1,
     .wanted = "HTTP/1.1 101"},
    {.name = "limited", .sent = RIG_GET, .answer = RIG_HI, .limited = true},
    {.name = "two at once", .sent = RIG_GET RIG_GET, .answer = RIG_HI},
    {.name = "bandwidth limit",
     .sent = "POST / HTTP/1.1\r\nHost: A\r\nContent-Length: 3\r\n\r\nabc",
     .answer = RIG_HI,
     .native = "bandwidth_limit",
     .options = "{\"upload\": {\"rate\": 1000}, \"download\": {\"rate\": 1000},"
                " \"key\": \"{client.address}\"}"},
    {.name = "mirror",
     .sent = "POST /a/../b HTTP/1.1\r\nHost: A\r\nContent-Length: 3\r\n\r\nabc",
     .answer = RIG_HI,
     .native = "mirror",
     .options = "{\"upstream\": \"apart\", \"host_suffix\": \"-s\", \"timeout_ms\": 500,"
                " \"headers\": {\"set\": {\"x-m\": \"{path}\"}}}"},
};

/* Run it with the <n>-th allocation failing, and all later ones; true when the client got what it
 * wanted. */
static bool run_once(const struct scenario *s, long n)
{
    char got[8192];
    size_t at = 0;
    int c = rig_connect(&r), o = -1, quiet = 0;
    rig_settle(&r);
    pp_mem_fail_after_for_test(n);
    (void)rig_send_n(&r, c, s->sent, strlen(s->sent));
    for (int i = 0; i < 200 && quiet < 6; i++) {
        uint64_t before = r.w.core.loop.events;
        rig_turn(&r, 1);
        quiet = r.w.core.loop.events == before ? quiet + 1 : 0;
        if (o < 0)
            o = accept4(r.origin[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        char in[2048];
        if (o >= 0 && recv(o, in, sizeof in, 0) > 0) {
            (void)!send(o, s->answer, strlen(s->answer), MSG_NOSIGNAL);
            if (s->close_origin)
                shutdown(o, SHUT_RDWR);
            quiet = 0;
        }
        ssize_t k = recv(c, got + at, sizeof got - 1 - at, 0);
        at += k > 0 ? (size_t)k : 0;
    }
    pp_mem_fail_after_for_test(-1);
    rig_settle(&r);
    got[at] = '\0';
    close(c);
    if (o >= 0)
        close(o);
    rig_sleep(&r, s->native != NULL ? 600 : 0); /* what goes on without a client ends, too */
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, SLOTS), 0);
    return strncmp(got, s->wanted != NULL ? s->wanted : "HTTP/1.1 200", 12) == 0;
}

static void limit(struct rig_conf *conf)
{
    conf->cluster.admission = (struct pp_admission_conf){
        .requests = 1, .connections = 1, .retries = 1, .pending = 1, .queue_ms = 100};
    conf->max_requests = conf->max_connections = 1;
}

PP_TEST_CASE(every_allocation_of_an_exchange_may_fail)
{
    for (size_t i = 0; i < PP_COUNT_OF(scenarios); i++) {
        const struct scenario *s = &scenarios[i];
        struct rig_conf conf = rig_defaults();
        int null = open("/dev/null", O_WRONLY);
        conf.phases = s->phases;
        conf.buffer_request = conf.buffer_response = s->hold;
        conf.body_first = s->first;
        conf.via = "gate";
        conf.server = "gate";
        conf.trusted = "127.0.0.0/8";
        conf.route.upgrade = PP_SPAN("websocket");
        conf.log = "{time} {request.header.host} {response.header.date} {fault}";
        conf.log_fd = null;
        if (s->limited)
            limit(&conf);
        conf.native[0].kind = s->native;
        conf.native[0].options = s->options;
        conf.origins = s->native != NULL ? 2 : 1;
        conf.apart = s->native != NULL;
        PP_REQUIRE(rig_start(&r, &conf));
        bool want = run_once(s, 1000000);
        int passed = 0, failed = 0;
        for (long n = 0; n < 200 && passed < 12; n++) {
            bool ok = run_once(s, n);
            failed += !ok;
            passed = ok == want ? passed + 1 : 0;
            /* Memory is back: the next client is served. */
            int c = rig_connect(&r), o = -1;
            rig_send(&r, c, RIG_GET);
            o = rig_accept(&r, 0);
            char in[1024];
            rig_settle(&r);
            PP_CHECK(recv(o, in, sizeof in, 0) > 0);
            rig_send(&r, o, RIG_HI);
            rig_expect(&r, c, "HTTP/1.1 200 OK\r\n");
            rig_settle(&r);
            close(c);
            close(o);
            rig_settle(&r);
        }
        PP_CHECK(passed >= 12);
        PP_CHECK(!want || failed > 0); /* or nothing was tested */
        rig_stop(&r);
        close(null);
    }
}

PP_TEST_CASE(every_allocation_of_a_configuration_may_fail)
{
    struct rig_conf conf = rig_defaults();
    int null = open("/dev/null", O_WRONLY);
    conf.phases = conf.more_phases = (1u << PP_PHASE_COUNT) - 1;
    conf.via = "gate";
    conf.server = "gate";
    conf.trusted = "127.0.0.0/8";
    conf.log = "{time} {status}";
    conf.log = "{time} {fault}";
    conf.log_fd = null;
    conf.origins = 3;
    limit(&conf);
    PP_REQUIRE(rig_start(&r, &conf));
    bool done = false;
    for (long n = 0; n < 5000 && !done; n++) {
        long live = pp_mem_live_for_test();
        pp_mem_fail_after_for_test(n);
        struct pp_snapshot *sn = rig_snapshot(&r);
        done = sn != NULL && pp_worker_install(&r.w, sn) == PP_OK;
        pp_snapshot_unref(sn);
        pp_mem_fail_after_for_test(-1);
        if (!done)
            PP_CHECK_EQ(pp_mem_live_for_test(), live);
    }
    PP_CHECK(done);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    close(o);
    close(c);
    rig_settle(&r);
    rig_stop(&r);
    close(null);
}

static bool start_and_stop(void)
{
    static struct pp_worker w;
    if (pp_worker_init(&w, NULL, 0, 0, 1) != PP_OK)
        return false;
    pp_worker_fini(&w);
    return true;
}

PP_TEST_CASE(every_allocation_of_a_worker_may_fail)
{
    PP_CHECK_FAIL_EACH(start_and_stop);
}

PP_TEST_MAIN()
