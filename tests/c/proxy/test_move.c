#include "proxy/move.c"

#include "proxy/rig.h"

/* Two workers in one thread: connections come in at <a> and move to <b>. */
static struct rig a, b;

static int lowest_free(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static int free_before;

static bool start_two(const struct rig_conf *conf)
{
    free_before = lowest_free();
    return rig_start(&a, conf) && rig_start(&b, conf);
}

static void settle_two(void)
{
    rig_settle(&a);
    rig_settle(&b);
}

/* Nothing is left over in either. */
static void stop_two(void)
{
    settle_two();
    PP_CHECK_EQ(a.w.core.n_down + b.w.core.n_down, 0);
    PP_CHECK_EQ(a.w.core.n_exchange + b.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&a, LISTENER, ACTIVE) + RIG_COUNT(&b, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&a, WORKER, EXCHANGES) + RIG_COUNT(&b, WORKER, EXCHANGES), 0);
    pp_worker_fini(&b.w);
    b.live = pp_mem_live_for_test();
    rig_stop(&b);
    rig_stop(&a); /* the memory of both */
    PP_CHECK_EQ(lowest_free(), free_before);
}

/* The other process, in the place of a socket between them. */
struct receiver {
    enum pp_move_verdict verdict;
    unsigned calls, taken;
    int rc; /* of the last take */
};

static int on_offer(void *arg, const struct pp_moved *m)
{
    static char packed[PP_MOVED_FIXED + 4 + PP_MOVED_ANNOUNCED_MAX + PP_MOVED_LISTENER_MAX +
                       PP_MOVED_UNREAD_MAX];
    struct receiver *to = arg;
    struct pp_moved copy;
    to->calls++;
    if (to->verdict != PP_MOVE_TAKEN)
        return to->verdict;
    pp_moved_pack(m, packed);
    PP_CHECK_EQ(pp_moved_unpack(pp_span(packed, pp_moved_size(m)), &copy), PP_OK);
    copy.fd = dup(m->fd);
    to->rc = pp_worker_take(&b.w, &copy);
    to->taken += to->rc == PP_OK;
    return PP_MOVE_TAKEN;
}

static struct receiver taking(void)
{
    return (struct receiver){.verdict = PP_MOVE_TAKEN};
}

PP_TEST_CASE(an_idle_connection_moves_and_its_client_sees_nothing)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    conf.listener.max_requests = 3;
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a), o = rig_simple(&a, c, -1);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 1);
    PP_CHECK_EQ(a.w.core.n_down, 0);
    PP_CHECK_EQ(b.w.core.n_down, 1);
    PP_CHECK_EQ(RIG_COUNT(&a, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&b, LISTENER, ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&a, LISTENER, CONNECTIONS), 1);
    PP_CHECK_EQ(RIG_COUNT(&b, LISTENER, CONNECTIONS), 0); /* accepted once */
    PP_CHECK_EQ(RIG_COUNT(&a, LISTENER, MOVED_OUT), 1);
    PP_CHECK_EQ(RIG_COUNT(&a, LISTENER, MOVED_IN), 0);
    PP_CHECK_EQ(RIG_COUNT(&b, LISTENER, MOVED_OUT), 0);
    PP_CHECK_EQ(RIG_COUNT(&b, LISTENER, MOVED_IN), 1);
    pp_worker_fini(&a.w); /* the descriptor outlives its process */
    int o2 = rig_simple(&b, c, -1);
    rig_send(&b, c, RIG_GET); /* the third: the first was counted elsewhere */
    rig_expect(&b, o2, RIG_GOT);
    rig_send(&b, o2, RIG_HI);
    rig_expect(&b, c,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    rig_expect_eof(&b, c);
    close(c);
    close(o);
    close(o2);
    rig_settle(&b);
    PP_CHECK_EQ(RIG_COUNT(&b, LISTENER, ACTIVE), 0);
    pp_worker_fini(&b.w);
    b.live = pp_mem_live_for_test();
    rig_stop(&b);
    rig_stop(&a);
    PP_CHECK_EQ(lowest_free(), free_before);
}

PP_TEST_CASE(a_head_moves_at_every_byte)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(start_two(&conf));
    int o = -1, oa = -1;
    for (int second = 0; second < 2; second++) {
        for (size_t i = 0; i < strlen(RIG_GET); i++) {
            struct receiver to = taking();
            int c = rig_connect(&a);
            if (second)
                oa = rig_simple(&a, c, oa);
            PP_CHECK(rig_send_n(&a, c, RIG_GET, i));
            rig_settle(&a);
            PP_CHECK_EQ(a.w.core.n_exchange, i > 0);
            pp_worker_hand_over(&a.w, on_offer, &to);
            rig_settle(&a);
            PP_CHECK_EQ(to.taken, 1);
            PP_CHECK_EQ(a.w.core.n_down, 0);
            PP_CHECK_EQ(a.w.core.n_exchange, 0);
            PP_CHECK_EQ(b.w.core.n_exchange, i > 0);
            pp_worker_hand_over(&a.w, NULL, NULL);
            rig_send(&b, c, RIG_GET + i);
            if (o < 0)
                o = rig_accept(&b, 0);
            rig_expect(&b, o, RIG_GOT);
            rig_send(&b, o, RIG_HI);
            rig_expect(&b, c, RIG_HI);
            close(c);
            settle_two();
        }
    }
    close(o);
    close(oa);
    stop_two();
}

PP_TEST_CASE(what_waits_in_the_socket_is_read_by_the_receiver)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a), oa = rig_simple(&a, c, -1);
    rig_settle(&a);
    PP_CHECK(send(c, RIG_GET RIG_GET, 2 * strlen(RIG_GET), 0) > 0);
    pp_loop_enter(&a.w.core.loop); /* before the event is seen */
    pp_worker_hand_over(&a.w, on_offer, &to);
    run_queue(&a.w.core, 1);
    pp_loop_leave(&a.w.core.loop);
    PP_CHECK_EQ(to.taken, 1);
    int o = rig_accept(&b, 0);
    for (int i = 0; i < 2; i++) {
        rig_expect(&b, o, RIG_GOT);
        rig_send(&b, o, RIG_HI);
        rig_expect(&b, c, RIG_HI);
    }
    rig_expect_quiet(&a, oa);
    close(c);
    close(o);
    close(oa);
    stop_two();
}

PP_TEST_CASE(whole_requests_are_answered_before_the_move_and_in_order)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a);
    rig_send(&a, c, RIG_GET RIG_GET "GET / HT");
    int oa = rig_accept(&a, 0);
    rig_expect(&a, oa, RIG_GOT);
    pp_worker_hand_over(&a.w, on_offer, &to);
    pp_worker_drain(&a.w, 0);
    rig_settle(&a);
    PP_CHECK_EQ(to.calls, 0);
    rig_send(&a, oa, RIG_HI);
    rig_expect(&a, c, RIG_HI); /* not closing: it will go on elsewhere */
    rig_expect(&a, oa, RIG_GOT);
    PP_CHECK_EQ(to.calls, 0);
    rig_send(&a, oa, RIG_HI);
    rig_expect(&a, c, RIG_HI);
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 1);
    rig_send(&b, c, "TP/1.1\r\nHost: a\r\n\r\n");
    int o = rig_accept(&b, 0);
    rig_expect(&b, o, RIG_GOT);
    rig_send(&b, o, RIG_HI);
    rig_expect(&b, c, RIG_HI);
    close(c);
    close(o);
    close(oa);
    stop_two();
}

PP_TEST_CASE(a_request_behind_a_body_is_answered_before_the_move)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a);
    rig_send(&a, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    int oa = rig_accept(&a, 0);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_send(&a, c, "body" RIG_GET); /* read in one piece, into scratch memory */
    rig_expect(&a, oa, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 4\r\n\r\nbody");
    rig_send(&a, oa, RIG_HI);
    rig_expect(&a, c, RIG_HI);
    rig_expect(&a, oa, RIG_GOT);
    rig_send(&a, oa, RIG_HI);
    rig_expect(&a, c, RIG_HI);
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 1);
    close(c);
    close(oa);
    stop_two();
}

PP_TEST_CASE(a_fresh_connection_moves)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    PP_REQUIRE(start_two(&conf));
    int before = rig_connect(&a);
    rig_settle(&a);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 1);
    int after = rig_connect(&a); /* the accept queue is emptied while handing over */
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 2);
    int o = rig_simple(&b, before, -1);
    rig_simple(&b, after, o);
    close(before);
    close(after);
    close(o);
    stop_two();
}

PP_TEST_CASE(a_refused_connection_ends_politely)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = {.verdict = PP_MOVE_REFUSED};
    PP_REQUIRE(start_two(&conf));
    int idle = rig_connect(&a), head = rig_connect(&a);
    int o = rig_simple(&a, idle, -1);
    rig_send(&a, head, "GET / HT");
    rig_settle(&a);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_expect_eof(&a, idle);
    PP_CHECK_EQ(to.calls, 2);
    rig_send(&a, head, "TP/1.1\r\nHost: a\r\n\r\n");
    rig_expect(&a, o, RIG_GOT);
    rig_send(&a, o, RIG_HI);
    rig_expect(&a, head,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    rig_expect_eof(&a, head);
    PP_CHECK_EQ(to.calls, 2); /* asked once */
    close(idle);
    close(head);
    close(o);
    stop_two();
}

PP_TEST_CASE(a_receiver_without_room_is_asked_again)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = {.verdict = PP_MOVE_LATER};
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a), d = rig_connect(&a), o = rig_simple(&a, c, -1);
    rig_simple(&a, d, o);
    pp_worker_hand_over(&a.w, on_offer, &to);
    pp_worker_drain(&a.w, 0);
    rig_turn(&a, 0);
    rig_turn(&a, 0);
    PP_CHECK_EQ(to.calls, 1); /* and nobody behind it meanwhile */
    rig_simple(&a, d, o);     /* served as ever */
    to.verdict = PP_MOVE_TAKEN;
    rig_sleep(&a, PP_MOVE_LATER_MS + 1);
    PP_CHECK_EQ(to.taken, 2);
    PP_CHECK_EQ(a.w.core.n_down, 0);
    int o2 = rig_simple(&b, c, -1);
    rig_simple(&b, d, o2);
    close(c);
    close(d);
    close(o);
    close(o2);
    stop_two();
}

PP_TEST_CASE(without_receiver_again_connections_stay)
{
    struct rig_conf conf = rig_defaults();
    for (int drains = 0; drains < 2; drains++) {
        struct receiver to = {.verdict = PP_MOVE_LATER};
        PP_REQUIRE(start_two(&conf));
        int c = rig_connect(&a), o = rig_simple(&a, c, -1);
        pp_worker_hand_over(&a.w, on_offer, &to);
        if (drains)
            pp_worker_drain(&a.w, 0);
        rig_settle(&a);
        pp_worker_hand_over(&a.w, NULL, NULL);
        if (drains) {
            rig_expect_eof(&a, c);
        } else {
            rig_simple(&a, c, o);
            rig_sleep(&a, 1000);
            rig_simple(&a, c, o);
        }
        close(c);
        close(o);
        stop_two();
    }
}

PP_TEST_CASE(connections_that_die_meanwhile_are_nobodys_trouble)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = {.verdict = PP_MOVE_LATER};
    PP_REQUIRE(start_two(&conf));
    int closed = rig_connect(&a), reset = rig_connect(&a), half = rig_connect(&a),
        late = rig_connect(&a);
    int o = rig_simple(&a, closed, -1);
    rig_simple(&a, reset, o);
    rig_simple(&a, half, o);
    rig_simple(&a, late, o);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_settle(&a);
    close(closed); /* in the queue */
    rig_settle(&a);
    PP_CHECK_EQ(a.w.core.n_down, 3);
    rig_reset(reset); /* on its way: the event is not seen before the move */
    shutdown(half, SHUT_WR);
    to.verdict = PP_MOVE_TAKEN;
    pp_loop_enter(&a.w.core.loop);
    run_queue(&a.w.core, 10);
    pp_loop_leave(&a.w.core.loop);
    PP_CHECK_EQ(to.taken, 3);
    rig_expect_eof(&b, half);
    rig_settle(&b);
    PP_CHECK_EQ(b.w.core.n_down, 1);
    rig_reset(late); /* after it */
    rig_settle(&b);
    PP_CHECK_EQ(b.w.core.n_down, 0);
    close(half);
    close(o);
    stop_two();
}

PP_TEST_CASE(many_connections_move_in_batches)
{
    enum { N = 300 };
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    int c[N];
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    PP_REQUIRE(start_two(&conf));
    for (int i = 0; i < N; i++)
        c[i] = rig_connect(&a);
    rig_settle(&a);
    PP_CHECK_EQ(a.w.core.n_down, N);
    pp_worker_hand_over(&a.w, on_offer, &to);
    for (unsigned turn = 0, before = 0; turn < 20; turn++, before = to.calls) {
        rig_turn(&a, 0);
        PP_CHECK(to.calls - before <= PP_MOVE_BATCH);
    }
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, N);
    PP_CHECK_EQ(a.w.core.n_down, 0);
    for (int i = 0; i < N; i++) {
        rig_send(&b, c[i], RIG_GET);
        rig_expect(&b, c[i], "HTTP/1.1 200 OK\r\n");
        close(c[i]);
    }
    stop_two();
}

PP_TEST_CASE(deadlines_go_on_where_they_were)
{
    for (int head = 0; head < 2; head++) {
        struct rig_conf conf = rig_defaults();
        struct receiver to = taking();
        conf.listener.idle_timeout_ms = conf.listener.header_timeout_ms = 10000;
        PP_REQUIRE(start_two(&conf));
        int c = rig_connect(&a), o = rig_simple(&a, c, -1);
        if (head)
            rig_send(&a, c, "GET /");
        rig_sleep(&a, 6000);
        pp_worker_hand_over(&a.w, on_offer, &to);
        rig_settle(&a);
        PP_CHECK_EQ(to.taken, 1);
        rig_sleep(&b, 3000);
        PP_CHECK_EQ(b.w.core.n_down, 1);
        rig_sleep(&b, 1100);
        if (head)
            rig_expect_fault(&b, c, "408", "header_timeout", true);
        rig_expect_eof(&b, c);
        close(c);
        close(o);
        stop_two();
    }
}

PP_TEST_CASE(a_fresh_connection_that_moves_has_no_longer_to_say_something)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    conf.listener.header_timeout_ms = 10000;
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a);
    rig_sleep(&a, 6000);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_settle(&a);
    rig_sleep(&b, 4100);
    rig_expect_eof(&b, c);
    close(c);
    stop_two();
}

PP_TEST_CASE(a_head_too_long_for_the_message_is_answered_here)
{
    static char field[70000];
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.listener.limits.head_bytes = conf.listener.limits.line_bytes = 100000;
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a);
    memset(field, 'x', sizeof field);
    rig_send(&a, c, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    PP_CHECK(rig_send_n(&a, c, field, sizeof field));
    rig_settle(&a);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_settle(&a);
    PP_CHECK_EQ(to.calls, 0);
    rig_send(&a, c, "\r\n\r\n");
    rig_expect(&a, c, "HTTP/1.1 200 OK\r\n");
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 1);
    close(c);
    stop_two();
}

PP_TEST_CASE(an_answer_is_whole_before_its_connection_leaves)
{
    static char body[2000000], got[2100000];
    for (int moves = 0; moves < 2; moves++) {
        struct rig_conf conf = rig_defaults();
        struct receiver to = taking();
        int end;
        conf.route.action = PP_ROUTE_ACTION_RESPOND;
        conf.route.status = 200;
        conf.route.body = pp_span(body, sizeof body);
        conf.door_sndbuf = 16384;
        PP_REQUIRE(start_two(&conf));
        int c = rig_dial(&a, 4096, 0);
        rig_send(&a, c, RIG_GET);
        rig_settle(&a);
        PP_CHECK_EQ(a.w.core.n_exchange, 0);
        if (moves)
            pp_worker_hand_over(&a.w, on_offer, &to);
        else
            pp_worker_drain(&a.w, 0);
        rig_settle(&a);
        PP_CHECK_EQ(to.calls, 0);
        PP_CHECK_EQ(a.w.core.n_down, 1);
        PP_CHECK(rig_read(&a, c, got, sizeof body, &end) == sizeof body);
        rig_settle(&a);
        PP_CHECK_EQ(a.w.core.n_down, 0);
        PP_CHECK_EQ(to.taken, moves);
        close(c);
        stop_two();
    }
}

/* A record as it comes from elsewhere, over one end of a pair; *c gets the other. */
static struct pp_moved foreign(int *c)
{
    int fd[2];
    PP_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
    *c = fd[0];
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    return (struct pp_moved){
        .fd = fd[1],
        .listener = PP_SPAN("door"),
        .client = {.family = AF_INET, .port = 4711, .ip = {10, 1, 2, 3}},
    };
}

PP_TEST_CASE(the_client_is_who_it_was)
{
    struct rig_conf conf = rig_defaults();
    conf.trusted = "10.0.0.0/8";
    PP_REQUIRE(rig_start(&b, &conf));
    int c;
    struct pp_moved m = foreign(&c);
    m.unread = PP_SPAN("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n");
    PP_CHECK_EQ(pp_worker_take(&b.w, &m), PP_OK);
    int o = rig_accept(&b, 0);
    rig_expect(&b, o,
               "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 9.9.9.9, 10.1.2.3\r\n"
               "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n\r\n");
    close(c);
    close(o);
    rig_settle(&b);
    rig_stop(&b);
}

PP_TEST_CASE(a_listener_that_is_not_configured_takes_nothing)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&b, &conf));
    int c;
    struct pp_moved m = foreign(&c);
    m.listener = PP_SPAN("other");
    PP_CHECK_EQ(pp_worker_take(&b.w, &m), PP_ENOENT);
    rig_expect_eof(&b, c);
    close(c);
    PP_CHECK_EQ(b.w.core.n_down, 0);
    rig_stop(&b);
}

PP_TEST_CASE(a_door_for_a_moved_connection_goes_with_it)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&b, &conf));
    pp_worker_stop_listening(&b.w);
    PP_CHECK(b.w.doors == NULL);
    long live = pp_mem_live_for_test();
    for (int i = 0; i < 3; i++) {
        int c;
        struct pp_moved m = foreign(&c);
        if (i == 1)
            m.fd = (close(m.fd), -1); /* a descriptor that is none */
        if (i == 2)
            close(c); /* gone by the time it is looked at */
        PP_CHECK_EQ(pp_worker_take(&b.w, &m), i == 1 ? PP_EIO : PP_OK);
        PP_CHECK_EQ(b.w.core.n_down, i == 0);
        PP_CHECK((b.w.doors == NULL) == (i != 0));
        if (i < 2)
            close(c);
        rig_settle(&b);
        PP_CHECK(b.w.doors == NULL);
        PP_CHECK(pp_mem_live_for_test() <= live + 3); /* what the slabs keep */
    }
    rig_stop(&b);
}

PP_TEST_CASE(memory_that_is_out_costs_the_connection_only)
{
    int before = lowest_free();
    struct rig_conf conf = rig_defaults();
    for (int fresh = 0; fresh < 2; fresh++) {
        int rc = PP_ENOMEM;
        for (long n = 0; rc != PP_OK && n < 20; n++) {
            int c;
            PP_REQUIRE(rig_start(&b, &conf));
            if (fresh)
                pp_worker_stop_listening(&b.w);
            struct pp_moved m = foreign(&c);
            m.unread = PP_SPAN("GET / HT");
            pp_mem_fail_after_for_test(n);
            rc = pp_worker_take(&b.w, &m);
            pp_mem_fail_after_for_test(-1);
            PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
            if (rc != PP_OK)
                rig_expect_eof(&b, c);
            close(c);
            rig_settle(&b);
            PP_CHECK_EQ(b.w.core.n_down, 0);
            PP_CHECK((b.w.doors == NULL) == fresh);
            PP_CHECK_EQ(RIG_COUNT(&b, LISTENER, ACTIVE), 0);
            rig_stop(&b);
        }
        PP_CHECK_EQ(rc, PP_OK);
    }
    PP_CHECK_EQ(lowest_free(), before);
}

PP_TEST_CASE(a_moved_head_obeys_the_receivers_limits)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.limits.head_bytes = conf.listener.limits.line_bytes = 1000;
    PP_REQUIRE(rig_start(&b, &conf));
    static char head[2000] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    memset(head + strlen(head), 'x', sizeof head - strlen(head));
    int c;
    struct pp_moved m = foreign(&c);
    m.unread = pp_span(head, sizeof head);
    PP_CHECK_EQ(pp_worker_take(&b.w, &m), PP_OK);
    rig_expect(&b, c, "HTTP/1.1 431");
    close(c);
    rig_settle(&b);
    rig_stop(&b);
}

PP_TEST_CASE(the_limit_of_connections_counts_those_that_came_here)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.max_connections = 1;
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    PP_REQUIRE(rig_start(&b, &conf));
    int c[2];
    for (int i = 0; i < 2; i++) { /* never refused */
        struct pp_moved m = foreign(&c[i]);
        PP_CHECK_EQ(pp_worker_take(&b.w, &m), PP_OK);
    }
    int waits = rig_connect(&b);
    rig_send(&b, waits, RIG_GET);
    rig_expect_quiet(&b, waits);
    close(c[0]);
    rig_expect_quiet(&b, waits); /* there is one still */
    close(c[1]);
    rig_expect(&b, waits, "HTTP/1.1 200 OK\r\n");
    close(waits);
    rig_settle(&b);
    rig_stop(&b);
}

/* ---- draining ---- */

static int n_ended(const int *c, int n)
{
    char byte;
    int ended = 0;
    for (int i = 0; i < n; i++)
        ended += recv(c[i], &byte, 1, MSG_PEEK) == 0;
    return ended;
}

PP_TEST_CASE(goodbyes_are_spread)
{
    enum { N = 200 };
    struct rig_conf conf = rig_defaults();
    int c[N];
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    PP_REQUIRE(rig_start(&a, &conf));
    for (int i = 0; i < N; i++)
        c[i] = rig_connect(&a);
    rig_settle(&a);
    pp_worker_drain(&a.w, 20000);
    rig_settle(&a);
    PP_CHECK_EQ(a.w.core.n_down, N);
    rig_sleep(&a, 10000);
    int half = n_ended(c, N);
    PP_CHECK(half > N / 4 && half < 3 * N / 4);
    int served = 0;
    while (served < N && n_ended(&c[served], 1))
        served++;
    rig_send(&a, c[served], RIG_GET); /* never in the way of a request */
    rig_expect(&a, c[served], "HTTP/1.1 200 OK\r\n");
    rig_sleep(&a, 10001);
    PP_CHECK_EQ(a.w.core.n_down, 0);
    PP_CHECK_EQ(RIG_COUNT(&a, LISTENER, TIMEOUTS), 0);
    for (int i = 0; i < N; i++)
        close(c[i]);
    rig_stop(&a);
}

PP_TEST_CASE(who_has_just_connected_has_time_to_ask)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.header_timeout_ms = 1000000;
    PP_REQUIRE(rig_start(&a, &conf));
    int used = rig_connect(&a), o = rig_simple(&a, used, -1), fresh = rig_connect(&a);
    rig_settle(&a);
    pp_worker_drain(&a.w, 100);
    rig_sleep(&a, 101);
    rig_expect_eof(&a, used);
    rig_sleep(&a, PP_MOVE_FIRST_MS - 200);
    PP_CHECK_EQ(a.w.core.n_down, 1);
    rig_send(&a, fresh, RIG_GET);
    rig_expect(&a, o, RIG_GOT);
    rig_send(&a, o, RIG_HI);
    rig_expect(&a, fresh,
               "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    rig_expect_eof(&a, fresh);
    close(used);
    close(fresh);
    close(o);
    rig_stop(&a);
}

PP_TEST_CASE(who_asks_nothing_is_sent_away_all_the_same)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.header_timeout_ms = 1000000;
    PP_REQUIRE(rig_start(&a, &conf));
    int c = rig_connect(&a);
    rig_settle(&a);
    pp_worker_drain(&a.w, 100);
    rig_sleep(&a, PP_MOVE_FIRST_MS + 1);
    rig_expect_eof(&a, c);
    PP_CHECK_EQ(RIG_COUNT(&a, LISTENER, TIMEOUTS), 0);
    close(c);
    rig_stop(&a);
}

PP_TEST_CASE(a_goodbye_looks_at_the_socket_first)
{
    struct rig_conf conf = rig_defaults();
    conf.listener.header_timeout_ms = 1000000;
    for (int fresh = 0; fresh < 2; fresh++) {
        PP_REQUIRE(rig_start(&a, &conf));
        int c = rig_connect(&a), o = fresh ? -1 : rig_simple(&a, c, -1);
        rig_settle(&a);
        pp_worker_drain(&a.w, 5000);
        rig_settle(&a);
        struct pp_down *d = PP_CONTAINER_OF(a.w.core.downs.next, struct pp_down, link);
        PP_CHECK_EQ(d->wait, PP_DOWN_WAIT_GOODBYE);
        PP_CHECK(send(c, "GET / HT", 8, 0) == 8);
        pp_loop_enter(&a.w.core.loop);
        pp_move_goodbye(d); /* its time comes before its event */
        pp_loop_leave(&a.w.core.loop);
        PP_CHECK_EQ(d->state, PP_DOWN_HEAD);
        rig_sleep(&a, 6000); /* that was its last deadline of this kind */
        rig_send(&a, c, "TP/1.1\r\nHost: a\r\n\r\n");
        if (o < 0)
            o = rig_accept(&a, 0);
        rig_expect(&a, o, RIG_GOT);
        rig_send(&a, o, RIG_HI);
        rig_expect(&a, c,
                   "HTTP/1.1 200 OK\r\n" RIG_DATE
                   "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
        rig_expect_eof(&a, c);
        close(c);
        close(o);
        rig_stop(&a);
    }
}

PP_TEST_CASE(an_answer_that_promised_more_is_followed_by_a_goodbye)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&a, &conf));
    int c = rig_connect(&a);
    rig_send(&a, c, RIG_GET);
    int o = rig_accept(&a, 0);
    rig_expect(&a, o, RIG_GOT);
    rig_send(&a, o, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\n\r\nh");
    rig_expect(&a, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\n\r\nh");
    pp_worker_drain(&a.w, 5000); /* its head is out, and says nothing of an end */
    rig_send(&a, o, "i");
    rig_expect(&a, c, "i");
    rig_settle(&a);
    PP_CHECK_EQ(a.w.core.n_down, 1);
    rig_sleep(&a, 5001); /* not the idle timeout */
    rig_expect_eof(&a, c);
    close(c);
    close(o);
    rig_stop(&a);
}

PP_TEST_CASE(a_drain_may_find_a_receiver_later)
{
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a), o = rig_simple(&a, c, -1);
    pp_worker_drain(&a.w, 5000);
    rig_settle(&a);
    PP_CHECK_EQ(a.w.core.n_down, 1);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 1);
    int o2 = rig_simple(&b, c, -1);
    close(c);
    close(o);
    close(o2);
    stop_two();
}

/* What the connection began with is known to its new worker: here its endpoint is told all of it.
 */
PP_TEST_CASE(what_was_announced_moves_along)
{
    static const char header[] =
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x12\xc0\0\2\1\xc6\x33\x64\7\0\1\0\2"
        "\x05\0\3uid";
    struct rig_conf conf = rig_defaults();
    struct receiver to = taking();
    char got[sizeof header - 1];
    int end;
    conf.proxies = "127.0.0.1";
    conf.cluster.proxy_protocol = 2;
    PP_REQUIRE(start_two(&conf));
    int c = rig_connect(&a);
    PP_CHECK(rig_send_n(&a, c, header, sizeof header - 1));
    rig_settle(&a);
    pp_worker_hand_over(&a.w, on_offer, &to);
    rig_settle(&a);
    PP_CHECK_EQ(to.taken, 1);
    PP_CHECK_EQ(b.w.core.n_down, 1);
    rig_send(&b, c, RIG_GET);
    int o = rig_accept(&b, 0);
    PP_CHECK_EQ(rig_read(&b, o, got, sizeof got, &end), sizeof got);
    PP_CHECK_BYTES(pp_span(got, sizeof got), header, sizeof got);
    struct pp_moved broken = {.fd = dup(c), .listener = PP_SPAN("door"), .announced = PP_SPAN("x")};
    PP_CHECK_EQ(pp_worker_take(&b.w, &broken), PP_EIO);
    close(c);
    close(o);
    rig_settle(&b);
    pp_worker_fini(&a.w);
    pp_worker_fini(&b.w);
    b.live = pp_mem_live_for_test();
    rig_stop(&b);
    rig_stop(&a);
    PP_CHECK_EQ(lowest_free(), free_before);
}

PP_TEST_MAIN()
