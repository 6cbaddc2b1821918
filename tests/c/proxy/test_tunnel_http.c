#include "proxy/tunnel_http.c"

#include "proxy/rig.h"

#define ASK                                                                                        \
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Key: "        \
    "k\r\n\r\n"
#define ASKED                                                                                      \
    "GET /chat HTTP/1.1\r\nHost: a\r\nX-Key: k\r\n" RIG_FWD                                        \
    "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"
#define SWITCH                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
    "X-Accept: y\r\n" RIG_DATE "\r\n"
#define SWITCHED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nX-Accept: y\r\n" RIG_DATE                                 \
    "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n"

static struct rig r;

static struct rig_conf defaults(void)
{
    struct rig_conf conf = rig_defaults();
    conf.route.upgrade = PP_SPAN("websocket, foo/2");
    conf.listener.tunnel_idle_ms = 3600000;
    return conf;
}

/* A tunnel between *c and *o that began as a request. */
static bool join(const struct rig_conf *conf, int *c, int *o)
{
    if (!rig_start(&r, conf))
        return false;
    *c = rig_connect(&r);
    rig_send(&r, *c, ASK);
    *o = rig_accept(&r, 0);
    rig_expect(&r, *o, ASKED);
    rig_send(&r, *o, SWITCH);
    rig_expect(&r, *c, SWITCHED);
    return *o >= 0;
}

static struct pp_tunnel *only_tunnel(void)
{
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    return PP_CONTAINER_OF(r.w.core.tunnels.next, struct pp_tunnel, link);
}

static void stop_all(int c, int o)
{
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), RIG_COUNT(&r, UPSTREAM, IDLE));
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    PP_CHECK(r.w.doors == NULL || r.w.doors->n_open == 0);
    rig_stop(&r);
}

PP_TEST_CASE(an_upgrade_becomes_a_tunnel)
{
    struct rig_conf conf = defaults();
    int c, o;
    PP_REQUIRE(join(&conf, &c, &o));
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.head_slab.n_live, 0); /* the heads were kept in the exchange */
    PP_CHECK_EQ(r.w.core.input_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.chunk_slab.n_live, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_1XX), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 1);
    rig_send(&r, c, "hello");
    rig_expect(&r, o, "hello");
    rig_send(&r, o, "GET / HTTP/1.1\r\n\r\n");
    rig_expect(&r, c, "GET / HTTP/1.1\r\n\r\n");
    shutdown(c, SHUT_WR); /* half-closed both ways, one after the other */
    rig_expect_eof(&r, o);
    rig_send(&r, o, "rest");
    rig_expect(&r, c, "rest");
    shutdown(o, SHUT_WR);
    rig_expect_eof(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_1XX), 1);
    stop_all(c, o);
}

PP_TEST_CASE(early_bytes_of_both_sides_are_in_order)
{
    struct rig_conf conf = defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, ASK "early");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, ASKED);
    rig_send(&r, c, " and more"); /* which stays in the socket */
    rig_expect_quiet(&r, o);      /* nothing before the 101 */
    rig_send(&r, o, SWITCH "greeting");
    rig_expect(&r, c, SWITCHED "greeting");
    rig_expect(&r, o, "early and more");
    PP_CHECK_EQ(only_tunnel()->flow[PP_DIR_REQUEST].received, 14);
    PP_CHECK_EQ(only_tunnel()->flow[PP_DIR_RESPONSE].received, 8);
    stop_all(c, o);
}

PP_TEST_CASE(the_upgrade_is_not_sent_over_a_connection_that_was_used)
{
    struct rig_conf conf = defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    int pooled = rig_simple(&r, c, -1);
    rig_send(&r, c, ASK);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, ASKED);
    rig_expect_quiet(&r, pooled);
    close(o); /* and it is sent once */
    rig_expect_fault(&r, c, "502", "upstream_reset", false);
    PP_CHECK_EQ(rig_try_accept(&r, 0, 20), -1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), 0);
    close(pooled);
    stop_all(c, -1);
}

PP_TEST_CASE(a_reset_of_each_side_is_passed_on)
{
    struct rig_conf conf = defaults();
    int c, o;
    PP_REQUIRE(join(&conf, &c, &o));
    rig_send(&r, c, "last words");
    rig_expect(&r, o, "last words");
    rig_reset(c);
    rig_expect_reset(&r, o);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ABORTED), 1);
    stop_all(-1, o);
    PP_REQUIRE(join(&conf, &c, &o));
    rig_reset(o);
    rig_expect_reset(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ABORTED), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RESETS), 1);
    stop_all(c, -1);
}

PP_TEST_CASE(a_tunnel_has_an_idle_limit_of_its_own_and_no_other)
{
    struct rig_conf conf = defaults();
    int c, o;
    conf.route.total_timeout_ms = 5000;
    conf.listener.idle_timeout_ms = conf.listener.send_timeout_ms = 1000;
    conf.cluster.first_byte_timeout_ms = conf.cluster.read_timeout_ms = 1000;
    conf.listener.tunnel_idle_ms = 60000;
    PP_REQUIRE(join(&conf, &c, &o));
    for (int i = 0; i < 3; i++) {
        rig_sleep(&r, 50000);
        rig_send(&r, o, "tick");
        rig_expect(&r, c, "tick");
    }
    rig_sleep(&r, 59000);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_sleep(&r, 2000);
    rig_expect_eof(&r, c);
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(the_log_line_comes_at_the_end_with_what_has_passed)
{
    struct rig_conf conf = defaults();
    int c, o, fds[2];
    char line[256];
    PP_REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    conf.log = "{response.status} {upstream.status} {request.target} {request.header.x-key} "
               "{response.header.x-accept} {request.bytes} {response.bytes} {route} {fault}";
    conf.log_fd = fds[1];
    PP_REQUIRE(join(&conf, &c, &o));
    rig_send(&r, c, "four");
    rig_expect(&r, o, "four");
    rig_send(&r, o, "seven..");
    rig_expect(&r, c, "seven..");
    pp_worker_flush_logs(&r.w);
    PP_CHECK(read(fds[0], line, sizeof line) < 0);
    rig_reset(c);
    rig_expect_reset(&r, o);
    rig_settle(&r);
    pp_worker_flush_logs(&r.w);
    ssize_t n = read(fds[0], line, sizeof line);
    pp_test_bytes(pp_span(line, (size_t)PP_MAX(n, 0)),
                  PP_SPAN("101 101 /chat k y 4 7 main client_abort\n"), "line", __FILE__, __LINE__);
    stop_all(-1, o);
    close(fds[0]);
    close(fds[1]);
}

/* ---- filters ---- */

static unsigned seen_status;

static int look(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f;
    if (phase == PP_PHASE_LOG) {
        PP_CHECK_EQ(x->flow[PP_DIR_REQUEST].received, 5);
        PP_CHECK_EQ(x->status, 101);
    } else {
        seen_status = x->response.status;
        x->response.status = 200; /* which no filter can do to a 101 */
    }
    return PP_NEXT;
}

static int park(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f;
    (void)x;
    (void)phase;
    return PP_PARK;
}

static int deny(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f;
    (void)phase;
    PP_CHECK_EQ(pp_exchange_reply(x, 403, PP_SPAN("no")), PP_OK);
    x->replied = true;
    return PP_REPLY;
}

#define BIT(phase) (1u << PP_PHASE_##phase)

PP_TEST_CASE(filters_see_the_101_and_the_end)
{
    struct rig_conf conf = defaults();
    int c, o;
    conf.phases = BIT(RESPONSE) | BIT(LOG);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = look;
    c = rig_connect(&r);
    rig_send(&r, c, ASK);
    o = rig_accept(&r, 0);
    rig_expect(&r, o, ASKED);
    rig_send(&r, o, SWITCH);
    rig_expect(&r, c, SWITCHED);
    PP_CHECK_EQ(seen_status, 101);
    rig_send(&r, c, "12345");
    rig_expect(&r, o, "12345");
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 0);
    close(c);
    close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 1);
    stop_all(-1, -1);
}

PP_TEST_CASE(a_filter_may_refuse_what_the_endpoint_has_accepted)
{
    struct rig_conf conf = defaults();
    conf.phases = BIT(RESPONSE);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = deny;
    int c = rig_connect(&r);
    rig_send(&r, c, ASK);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, ASKED);
    rig_send(&r, o, SWITCH "from the endpoint");
    rig_expect(&r, c, "HTTP/1.1 403 Forbidden\r\n");
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(a_log_filter_that_waits_keeps_the_tunnel_until_the_worker_stops)
{
    struct rig_conf conf = defaults();
    int c, o;
    conf.phases = BIT(LOG);
    PP_REQUIRE(join(&conf, &c, &o));
    r.filter[0].run = park;
    close(c);
    close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    PP_CHECK(r.w.doors->n_open == 0);
    pp_worker_close_tunnels(&r.w); /* lets it be */
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    c = rig_connect(&r);
    rig_send(&r, c, ASK);
    o = rig_accept(&r, 0);
    rig_expect(&r, o, ASKED);
    rig_send(&r, o, SWITCH);
    rig_expect(&r, c, SWITCHED);
    rig_stop(&r);
    PP_CHECK_EQ(r.cancelled, 1);
    close(c);
    close(o);
}

/* ---- CONNECT ---- */

static struct rig_conf connect_conf(void)
{
    struct rig_conf conf = defaults();
    conf.methods = (pp_router_methods)1 << PP_HTTP_CONNECT;
    conf.any_path = true;
    return conf;
}

#define CONNECT "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n"

PP_TEST_CASE(connect_becomes_a_tunnel_to_the_routes_endpoint)
{
    struct rig_conf conf = connect_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, CONNECT "early");
    int o = rig_accept(&r, 0);
    char date[64];
    int end;
    rig_expect(&r, c, "HTTP/1.1 200 OK\r\n");
    PP_CHECK_EQ(rig_read(&r, c, date, strlen(RIG_DATE) + 2, &end), strlen(RIG_DATE) + 2);
    PP_CHECK(memcmp(date, "Date: ", 6) == 0 &&
             memcmp(date + strlen(RIG_DATE) - 2, "\r\n\r\n", 4) == 0);
    rig_expect(&r, o, "early");
    rig_send(&r, o, "mysql speaks first");
    rig_expect(&r, c, "mysql speaks first");
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_2XX), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 1);
    stop_all(c, o);
}

PP_TEST_CASE(connect_without_a_route_of_its_own_is_501)
{
    struct rig_conf conf = defaults();
    conf.any_path = true; /* every method */
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, CONNECT RIG_GET);
    rig_expect_fault(&r, c, "501", "not_implemented", true);
    rig_expect_eof(&r, c);
    PP_CHECK_EQ(rig_try_accept(&r, 0, 20), -1);
    stop_all(c, -1);
}

PP_TEST_CASE(connect_with_content_is_malformed)
{
    struct rig_conf conf = connect_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 3\r\n\r\nabc");
    rig_expect_fault(&r, c, "400", "unexpected_content", true);
    PP_CHECK_EQ(rig_try_accept(&r, 0, 20), -1);
    stop_all(c, -1);
}

PP_TEST_CASE(connect_to_nobody_is_a_502_and_closes)
{
    struct rig_conf conf = connect_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    int c = rig_connect(&r);
    rig_send(&r, c, CONNECT "not to be read as a request");
    rig_expect_fault(&r, c, "502", "connect_refused", true);
    rig_expect_eof(&r, c);
    stop_all(c, -1);
}

/* ---- to another worker ---- */

static struct rig r2;
static char parcel[PP_TUNNEL_RECORD_FIXED + 65536];
static size_t parcel_n;
static int parcel_fd[2];

static int take_parcel(void *arg, const struct pp_tunnel_moved *m)
{
    (void)arg;
    parcel_n = pp_tunnel_moved_size(m);
    PP_CHECK(parcel_n <= sizeof parcel);
    pp_tunnel_moved_pack(m, parcel);
    parcel_fd[0] = dup(m->fd[0]);
    parcel_fd[1] = dup(m->fd[1]);
    return PP_MOVE_TAKEN;
}

/* It goes on in a worker that knows its route, or (<route>) by another name. */
static void move(const char *route, const char *logged)
{
    struct rig_conf conf = defaults();
    int c, o, fds[2];
    char line[512];
    PP_REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    conf.log = "{response.status} {upstream.status} {request.method} {request.target} "
               "{request.path} {request.host} {request.header.x-key} {request.header.upgrade} "
               "{response.header.x-accept} {request.bytes} {response.bytes} {route} {upstream} "
               "{fault}";
    conf.log_fd = fds[1];
    conf.phases = BIT(LOG);
    if (!join(&conf, &c, &o))
        return;
    rig_send(&r, c, "before");
    rig_expect(&r, o, "before");
    pp_worker_hand_over_tunnels(&r.w, take_parcel, NULL);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 0);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 1);
    conf.route.name = rig_span(route);
    conf.listener.tunnel_idle_ms = 50000;
    PP_REQUIRE(rig_start(&r2, &conf));
    PP_CHECK_EQ(pp_worker_take_tunnel(&r2.w, parcel_fd, pp_span(parcel, parcel_n)), PP_OK);
    PP_CHECK_EQ(RIG_COUNT(&r2, ROUTE, TUNNELS), 1);
    rig_send(&r2, o, "after");
    rig_expect(&r2, c, "after");
    rig_sleep(&r2, 51000);
    rig_expect_eof(&r2, c);
    rig_expect_eof(&r2, o);
    PP_CHECK_EQ(RIG_COUNT(&r2, ROUTE, TUNNELS), 0);
    PP_CHECK_EQ(RIG_COUNT(&r2, ROUTE, STATUS_1XX), 0); /* counted where it was answered */
    PP_CHECK_EQ(r2.filter[0].runs[PP_PHASE_LOG], 0);
    pp_worker_flush_logs(&r.w);
    pp_worker_flush_logs(&r2.w);
    ssize_t n = read(fds[0], line, sizeof line);
    pp_test_bytes(pp_span(line, (size_t)PP_MAX(n, 0)), rig_span(logged), "line", __FILE__,
                  __LINE__);
    rig_stop(&r2);
    stop_all(c, o);
    close(fds[0]);
    close(fds[1]);
}

PP_TEST_CASE(a_tunnel_that_moves_is_logged_once_where_it_ends)
{
    move("main", "101 101 GET /chat /chat a k websocket y 6 5 main up idle_timeout\n");
    move("other", "101 101 GET /chat /chat a k websocket y 6 5 main up idle_timeout\n");
}

PP_TEST_CASE(a_tunnel_that_moves_takes_its_place_along)
{
    struct rig_conf conf = defaults();
    conf.cluster.admission = (struct pp_admission_conf){.requests = 1};
    conf.max_requests = 1;
    int c, o;
    PP_REQUIRE(join(&conf, &c, &o));
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, SLOTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, SLOTS), 1);
    pp_worker_hand_over_tunnels(&r.w, take_parcel, NULL);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, SLOTS), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, SLOTS), 0);
    pp_worker_hand_over_tunnels(&r.w, NULL, NULL);
    PP_CHECK_EQ(pp_worker_take_tunnel(&r.w, parcel_fd, pp_span(parcel, parcel_n)), PP_OK);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, SLOTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, SLOTS), 1);
    int c2 = rig_connect(&r);
    rig_send(&r, c2, RIG_GET);
    rig_expect_fault(&r, c2, "503", "upstream_overflow", false);
    close(c);
    close(o);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, SLOTS), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, SLOTS), 0);
    stop_all(c2, -1);
}

/* What a PROXY protocol header told is the client here as there. */
PP_TEST_CASE(a_client_that_was_announced_is_the_one_in_the_log_after_a_move)
{
    struct rig_conf conf = defaults();
    int fds[2];
    char line[128];
    PP_REQUIRE(pipe2(fds, O_NONBLOCK | O_CLOEXEC) == 0);
    conf.log = "{client.address} {client.port} {request.bytes}";
    conf.log_fd = fds[1];
    conf.proxies = "127.0.0.0/8";
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n" ASK);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o,
               "GET /chat HTTP/1.1\r\nHost: a\r\nX-Key: k\r\nX-Forwarded-For: 192.0.2.1\r\n"
               "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
               "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n");
    rig_send(&r, o, SWITCH);
    rig_expect(&r, c, SWITCHED);
    pp_worker_hand_over_tunnels(&r.w, take_parcel, NULL);
    rig_settle(&r);
    PP_REQUIRE(rig_start(&r2, &conf));
    PP_CHECK_EQ(pp_worker_take_tunnel(&r2.w, parcel_fd, pp_span(parcel, parcel_n)), PP_OK);
    rig_send(&r2, c, "more");
    rig_expect(&r2, o, "more");
    close(c);
    close(o);
    rig_settle(&r2);
    PP_CHECK_EQ(r2.w.core.n_tunnel, 0);
    pp_worker_flush_logs(&r2.w);
    ssize_t n = read(fds[0], line, sizeof line);
    pp_test_bytes(pp_span(line, (size_t)PP_MAX(n, 0)), PP_SPAN("192.0.2.1 56324 4\n"), "line",
                  __FILE__, __LINE__);
    rig_stop(&r2);
    stop_all(-1, -1);
    close(fds[0]);
    close(fds[1]);
}

PP_TEST_MAIN()
