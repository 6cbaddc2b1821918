#include "proxy/tunnel.c"
#include "proxy/tunnel_door.c"

#include "proxy/rig.h"

static struct rig r;

static bool start(const struct rig_conf *conf)
{
    struct rig_conf tcp = *conf;
    tcp.tcp = true;
    return rig_start(&r, &tcp);
}

/* A tunnel between <c> and <o>. */
static bool join(int *c, int *o)
{
    *c = rig_connect(&r);
    *o = rig_accept(&r, 0);
    rig_settle(&r);
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
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    PP_CHECK(r.w.doors == NULL || r.w.doors->n_open == 0);
    rig_stop(&r);
}

/* Neither direction has a buffer. */
static void check_no_buffer(const struct pp_tunnel *t)
{
    for (int i = 0; i < 2; i++) {
        PP_CHECK(t->flow[i].out.head == NULL);
        PP_CHECK(t->flow[i].pipe == NULL);
    }
    PP_CHECK_EQ(r.w.core.chunk_slab.n_live, 0);
    PP_CHECK_EQ(r.w.core.splice.n_live, 0);
}

PP_TEST_CASE(bytes_go_both_ways_as_they_come)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    rig_send(&r, c, "hello");
    rig_expect(&r, o, "hello");
    rig_send(&r, o, "who is there?");
    rig_expect(&r, c, "who is there?");
    rig_send(&r, c, "me");
    rig_expect(&r, o, "me");
    check_no_buffer(only_tunnel());
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_IN), 7);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_OUT), 13);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, REQUESTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 1);
    close(c);
    rig_expect_eof(&r, o);
    stop_all(-1, o);
}

/* What a client says before the endpoint is connected waits in the kernel, its end included. */
PP_TEST_CASE(a_client_that_speaks_first_and_ends_is_heard)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf));
    int c = rig_dial(&r, 0, 0);
    rig_send(&r, c, "first");
    shutdown(c, SHUT_WR);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "first");
    rig_expect_eof(&r, o);
    rig_send(&r, o, "answer");
    rig_expect(&r, c, "answer");
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    close(o);
    rig_expect_eof(&r, c);
    stop_all(c, -1);
}

PP_TEST_CASE(either_side_may_end_first_and_the_other_goes_on)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf));
    for (int order = 0; order < 2; order++) {
        int end[2];
        PP_REQUIRE(join(&end[0], &end[1]));
        int first = end[order], second = end[1 - order];
        rig_send(&r, first, "last words");
        shutdown(first, SHUT_WR);
        rig_expect(&r, second, "last words");
        rig_expect_eof(&r, second);
        PP_CHECK_EQ(only_tunnel()->flow[order].shut, true);
        rig_stream(&r, second, first, 1 << 20, false);
        shutdown(second, SHUT_WR);
        rig_expect_eof(&r, first);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
        close(first);
        close(second);
    }
    stop_all(-1, -1);
}

PP_TEST_CASE(the_end_comes_after_all_bytes_however_slowly_they_are_read)
{
    struct rig_conf conf = rig_defaults();
    conf.origin_rcvbuf = 16384;
    int c, o, sent = 0;
    static char in[65536], out[65536];
    size_t got = 0, wrong = 0;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    for (ssize_t k = 1; k > 0; sent += k > 0 ? (int)k : 0) {
        for (size_t i = 0; i < sizeof out; i++)
            out[i] = rig_byte((size_t)sent + i);
        k = send(c, out, sizeof out, MSG_NOSIGNAL);
    }
    shutdown(c, SHUT_WR);
    rig_settle(&r);
    PP_CHECK(!only_tunnel()->flow[PP_DIR_REQUEST].shut);
    int end = EAGAIN;
    while (end == EAGAIN) {
        size_t k = rig_read(&r, o, in, 30000, &end);
        for (size_t i = 0; i < k; i++)
            wrong += in[i] != rig_byte(got + i);
        got += k;
        if (k == 0)
            break;
    }
    PP_CHECK_EQ(end, 0);
    PP_CHECK_EQ(got, (size_t)sent);
    PP_CHECK_EQ(wrong, 0);
    stop_all(c, o);
}

/* What is held is bounded, whatever the peers do; the rest waits in the source's kernel. */
PP_TEST_CASE(a_side_that_does_not_read_stops_the_other)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf));
    for (int dir = 0; dir < 2; dir++) {
        int end[2];
        PP_REQUIRE(join(&end[0], &end[1]));
        struct pp_tunnel *t = only_tunnel();
        static char out[65536];
        size_t sent = 0;
        for (int quiet = 0; quiet < 3;) {
            ssize_t k = send(end[dir], out, sizeof out, MSG_NOSIGNAL);
            sent += k > 0 ? (size_t)k : 0;
            quiet = k > 0 ? 0 : quiet + 1;
            rig_settle(&r);
            struct pp_tunnel_flow *flow = &t->flow[dir];
            size_t piped = flow->pipe == NULL ? 0 : flow->pipe->held;
            PP_CHECK_EQ(flow->received - flow->sent, flow->out.n + piped);
            PP_CHECK(flow->out.n + piped <= PP_TUNNEL_RECORD_HELD);
        }
        PP_CHECK(t->flow[dir].received < sent); /* the source's kernel holds the rest */
        /* The other direction is not held up by it. */
        rig_send(&r, end[1 - dir], "through");
        rig_expect(&r, end[dir], "through");
        rig_reset(end[0]);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
        close(end[1]);
    }
    stop_all(-1, -1);
}

PP_TEST_CASE(long_flows_come_whole_in_both_directions)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    rig_stream(&r, c, o, 8 << 20, false);
    rig_stream(&r, o, c, 8 << 20, false);
    rig_stream(&r, c, o, 4 << 20, true);
    rig_stream(&r, o, c, 4 << 20, true);
    rig_settle(&r);
    struct pp_tunnel *t = only_tunnel();
    PP_CHECK_EQ(t->flow[PP_DIR_REQUEST].sent, 12 << 20);
    PP_CHECK_EQ(t->flow[PP_DIR_RESPONSE].sent, 12 << 20);
    PP_CHECK(r.w.core.splice.n_idle > 0); /* a pipe was in use */
    check_no_buffer(t);
    /* Thin again: copied. */
    rig_send(&r, c, "small");
    rig_expect(&r, o, "small");
    PP_CHECK(!t->flow[PP_DIR_REQUEST].thick);
    close(c);
    stop_all(-1, o);
}

/* Without descriptors for pipes everything is copied. */
PP_TEST_CASE(without_pipes_long_flows_are_copied)
{
    struct rig_conf conf = rig_defaults();
    struct rlimit old, tight;
    int c, o, before = dup(0);
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    int top = dup(0);
    close(top);
    close(before);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = (struct rlimit){.rlim_cur = (rlim_t)before, .rlim_max = old.rlim_max};
    setrlimit(RLIMIT_NOFILE, &tight);
    rig_stream(&r, c, o, 4 << 20, true);
    setrlimit(RLIMIT_NOFILE, &old);
    PP_CHECK_EQ(r.w.core.splice.n_idle, 0);
    close(c);
    stop_all(-1, o);
}

PP_TEST_CASE(a_reset_is_passed_on_after_what_was_sent_before)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf));
    for (int side = 0; side < 2; side++) {
        int end[2];
        PP_REQUIRE(join(&end[0], &end[1]));
        rig_send(&r, end[side], "last words");
        rig_reset(end[side]);
        rig_expect(&r, end[1 - side], "last words");
        rig_expect_reset(&r, end[1 - side]);
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
        close(end[1 - side]);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RESETS), 1);
    stop_all(-1, -1);
}

/* A side that has ended its stream is not read any more: its reset is found all the same. */
PP_TEST_CASE(a_reset_after_a_half_close_is_passed_on)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start(&conf));
    for (int side = 0; side < 2; side++) {
        int end[2];
        PP_REQUIRE(join(&end[0], &end[1]));
        shutdown(end[side], SHUT_WR);
        rig_expect_eof(&r, end[1 - side]);
        rig_reset(end[side]);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
        int err = 0;
        socklen_t n = sizeof err;
        getsockopt(end[1 - side], SOL_SOCKET, SO_ERROR, &err, &n);
        PP_CHECK(err == ECONNRESET || err == EPIPE);
        close(end[1 - side]);
    }
    stop_all(-1, -1);
}

/* An endpoint that closes while it is written to: what it had said still arrives. */
PP_TEST_CASE(an_endpoint_that_closes_under_way_is_heard_out)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    rig_send(&r, c, "unread");
    rig_settle(&r);
    (void)!send(o, "enough!", 7, MSG_NOSIGNAL);
    close(o); /* with bytes unread: a reset follows what was sent */
    rig_expect(&r, c, "enough!");
    rig_expect_reset(&r, c);
    stop_all(c, -1);
}

PP_TEST_CASE(a_silent_tunnel_ends_and_bytes_either_way_keep_it)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    conf.listener.idle_timeout_ms = 10000;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    rig_sleep(&r, 9000);
    rig_send(&r, c, "a");
    rig_expect(&r, o, "a");
    rig_sleep(&r, 9000);
    rig_send(&r, o, "b");
    rig_expect(&r, c, "b");
    rig_sleep(&r, 9000);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_sleep(&r, 1001);
    rig_expect_eof(&r, c);
    rig_expect_eof(&r, o);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    stop_all(c, o);
}

/* Bytes that nobody took are lost then: that must not look like the end of a stream. */
PP_TEST_CASE(a_tunnel_that_is_stuck_is_reset)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    static char out[65536], in[65536];
    conf.listener.idle_timeout_ms = 10000;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    for (int quiet = 0; quiet < 3; rig_settle(&r))
        quiet = send(c, out, sizeof out, MSG_NOSIGNAL) > 0 ? 0 : quiet + 1;
    rig_sleep(&r, 10001);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    int end = EAGAIN;
    while (end == EAGAIN && rig_read(&r, o, in, sizeof in, &end) > 0)
        continue;
    PP_CHECK_EQ(end, ECONNRESET);
    stop_all(c, o);
}

PP_TEST_CASE(without_an_idle_timeout_it_stays)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    conf.listener.idle_timeout_ms = 0;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    rig_sleep(&r, 1000u * 86400 * 30);
    rig_send(&r, c, "still here");
    rig_expect(&r, o, "still here");
    close(c);
    stop_all(-1, o);
}

static bool has_keepalive(int fd)
{
    int on = 0, idle = 0;
    socklen_t n = sizeof on;
    getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &n);
    getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &n);
    return on && idle == 77;
}

PP_TEST_CASE(both_ends_get_keepalive_probes)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.keepalive_s = 77;
    int c, o;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    PP_CHECK(has_keepalive(only_tunnel()->ch[0].io.fd));
    PP_CHECK(has_keepalive(only_tunnel()->ch[1].io.fd));
    close(c);
    stop_all(-1, o);
}

/* ---- connecting ---- */

PP_TEST_CASE(a_dead_endpoint_is_passed_over)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 3;
    conf.cluster.retries = 2;
    PP_REQUIRE(start(&conf));
    for (int i = 0; i < 2; i++) {
        close(r.origin[i]);
        r.origin[i] = -1;
    }
    int c = rig_connect(&r);
    rig_send(&r, c, "anyone?");
    int o = rig_accept(&r, 2);
    rig_expect(&r, o, "anyone?");
    rig_send(&r, o, "yes");
    rig_expect(&r, c, "yes");
    uint64_t failures = RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES);
    PP_CHECK(failures <= 2);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), failures);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, FAILURES), failures);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), failures + 1);
    PP_CHECK_EQ(only_tunnel()->attempts, failures + 1);
    close(c);
    stop_all(-1, o);
}

PP_TEST_CASE(a_client_whom_no_endpoint_takes_is_reset)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 2;
    conf.cluster.retries = 1;
    PP_REQUIRE(start(&conf));
    for (int i = 0; i < 2; i++) {
        close(r.origin[i]);
        r.origin[i] = -1;
    }
    int c = rig_connect(&r);
    rig_expect_reset(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), 1);
    stop_all(c, -1);
}

PP_TEST_CASE(an_upstream_without_endpoints_resets_the_client)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 0;
    PP_REQUIRE(start(&conf));
    int c = rig_connect(&r);
    rig_expect_reset(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, NO_ENDPOINT), 1);
    stop_all(c, -1);
}

/* A full accept queue drops SYNs: connects hang. */
static void fill_queue(unsigned i, int fill[4])
{
    listen(r.origin[i], 0);
    for (int k = 0; k < 4; k++) {
        fill[k] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fill[k], (struct sockaddr *)&r.origin_at[i], sizeof r.origin_at[i]);
    }
}

static void close_queue(int fill[4])
{
    for (int k = 0; k < 4; k++)
        close(fill[k]);
}

PP_TEST_CASE(a_connect_that_hangs_is_given_up)
{
    struct rig_conf conf = rig_defaults();
    int fill[4];
    conf.cluster.connect_timeout_ms = 3000;
    conf.cluster.retries = 1;
    PP_REQUIRE(start(&conf));
    fill_queue(0, fill);
    int c = rig_connect(&r);
    rig_sleep(&r, 2000);
    PP_CHECK_EQ(only_tunnel()->state, PP_TUNNEL_CONNECTING);
    rig_sleep(&r, 1001);
    PP_CHECK_EQ(only_tunnel()->attempts, 2);
    rig_sleep(&r, 2500); /* the second attempt has its own time */
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_sleep(&r, 501);
    rig_expect_reset(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 2);
    close_queue(fill);
    stop_all(c, -1);
}

PP_TEST_CASE(a_client_that_leaves_while_connecting_leaves_nothing_behind)
{
    struct rig_conf conf = rig_defaults();
    int fill[4];
    PP_REQUIRE(start(&conf));
    fill_queue(0, fill);
    int c = rig_connect(&r);
    rig_send(&r, c, "never read");
    rig_settle(&r);
    PP_CHECK_EQ(only_tunnel()->state, PP_TUNNEL_CONNECTING);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    close_queue(fill);
    stop_all(-1, -1);
}

PP_TEST_CASE(at_the_connection_limit_clients_wait)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    conf.listener.max_connections = 1;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    int next = rig_connect(&r);
    rig_send(&r, next, "next");
    PP_CHECK(rig_try_accept(&r, 0, 50) < 0);
    close(c);
    close(o);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, "next");
    close(next);
    stop_all(-1, o2);
}

PP_TEST_CASE(a_drain_leaves_tunnels_alone_and_an_abort_resets_them)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    pp_worker_stop_listening(&r.w);
    pp_worker_drain(&r.w, 0);
    rig_send(&r, c, "on");
    rig_expect(&r, o, "on");
    pp_worker_close_tunnels(&r.w);
    rig_expect_reset(&r, c);
    rig_expect_reset(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(a_worker_that_ends_closes_its_tunnels)
{
    struct rig_conf conf = rig_defaults();
    int c, o;
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    rig_stop(&r);
    char byte;
    PP_CHECK(recv(c, &byte, 1, 0) < 0 && errno == ECONNRESET);
    PP_CHECK(recv(o, &byte, 1, 0) < 0 && errno == ECONNRESET);
    close(c);
    close(o);
}

/* ---- the log ---- */

static char logged[4096];

static void read_log(int fd)
{
    pp_worker_flush_logs(&r.w);
    ssize_t n = read(fd, logged, sizeof logged - 1);
    logged[n > 0 ? n : 0] = '\0';
}

PP_TEST_CASE(a_line_tells_what_a_tunnel_was)
{
    struct rig_conf conf = rig_defaults();
    int pipe_fd[2], c, o;
    char want[256];
    PP_CHECK(pipe2(pipe_fd, O_NONBLOCK) == 0);
    conf.log = "{client.address} {listener} {upstream} {endpoint} {request.protocol} "
               "{request.bytes} {response.bytes} {upstream.attempts} {request.method} "
               "{response.status} {request.header.host} {route} {fault}";
    conf.log_fd = pipe_fd[1];
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    rig_send(&r, c, "12345");
    rig_expect(&r, o, "12345");
    rig_send(&r, o, "123");
    rig_expect(&r, c, "123");
    read_log(pipe_fd[0]);
    PP_CHECK_EQ(strlen(logged), 0);
    close(c);
    rig_expect_eof(&r, o);
    close(o);
    rig_settle(&r);
    read_log(pipe_fd[0]);
    snprintf(want, sizeof want, "127.0.0.1 door up 127.0.0.1:%u TCP 5 3 1 - - - - -\n",
             ntohs(r.origin_at[0].sin_port));
    PP_CHECK_BYTES(pp_span(logged, strlen(logged)), want, strlen(want));

    PP_REQUIRE(join(&c, &o));
    rig_reset(o);
    rig_expect_reset(&r, c);
    close(c);
    read_log(pipe_fd[0]);
    PP_CHECK(strstr(logged, " 0 0 1 - - - - upstream_reset\n") != NULL);

    close(r.origin[0]);
    r.origin[0] = -1;
    c = rig_connect(&r);
    rig_expect_reset(&r, c);
    read_log(pipe_fd[0]);
    PP_CHECK(strstr(logged, " 0 0 2 - - - - connect_refused\n") != NULL);
    stop_all(c, -1);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

PP_TEST_CASE(the_json_line_has_the_same_keys_as_a_request)
{
    struct rig_conf conf = rig_defaults();
    int pipe_fd[2], c, o;
    PP_CHECK(pipe2(pipe_fd, O_NONBLOCK) == 0);
    conf.log = "json";
    conf.log_fd = pipe_fd[1];
    PP_REQUIRE(start(&conf));
    PP_REQUIRE(join(&c, &o));
    close(c);
    rig_expect_eof(&r, o);
    close(o);
    rig_settle(&r);
    read_log(pipe_fd[0]);
    static const char *const parts[] = {
        "\"client_address\":\"127.0.0.1\",\"method\":null,\"host\":null,\"target\":null,",
        "\"protocol\":\"TCP\",\"request_bytes\":0,\"status\":null,\"response_bytes\":0,",
        "\"listener\":\"door\",\"route\":null,\"upstream\":\"up\",",
        "\"upstream_attempts\":1,\"upstream_connect_ms\":",
        "\"fault\":null,\"id\":1,\"upstream_queue_ms\":null}\n"};
    for (size_t i = 0; i < PP_COUNT_OF(parts); i++) {
        if (strstr(logged, parts[i]) == NULL) {
            printf("%s not in %s\n", parts[i], logged);
            PP_CHECK(false);
        }
    }
    stop_all(-1, -1);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

/* ---- memory ---- */

/* Talk in both directions, with a queue in one, while the <n>-th allocation and all later ones
 * fail. True when everything arrived. */
static bool talk(long n)
{
    static char out[65536], in[65536];
    size_t sent = 0, got = 0;
    int c = rig_dial(&r, 0, 0), o = -1;
    pp_mem_fail_after_for_test(n);
    for (int i = 0; i < 60; i++) {
        ssize_t k = i < 40 ? send(c, out, sizeof out, MSG_NOSIGNAL) : 0;
        sent += k > 0 ? (size_t)k : 0;
        rig_turn(&r, 1);
        if (o < 0)
            o = accept4(r.origin[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (i >= 30)
            while (o >= 0 && (k = recv(o, in, sizeof in, 0)) > 0)
                got += (size_t)k;
    }
    pp_mem_fail_after_for_test(-1);
    rig_settle(&r);
    for (ssize_t k; o >= 0 && (k = recv(o, in, sizeof in, 0)) > 0; rig_settle(&r))
        got += (size_t)k;
    close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    return sent > 0 && sent == got;
}

PP_TEST_CASE(every_allocation_of_a_tunnel_may_fail)
{
    struct rig_conf conf = rig_defaults();
    int passed = 0, failed = 0;
    conf.origin_rcvbuf = 32768;
    PP_REQUIRE(start(&conf));
    for (long n = 0; n < 100 && passed < 3; n++) {
        bool ok = talk(n);
        failed += !ok;
        passed = ok ? passed + 1 : 0;
    }
    PP_CHECK(passed >= 3);
    PP_CHECK(failed > 0);
    stop_all(-1, -1);
}

PP_TEST_MAIN()
