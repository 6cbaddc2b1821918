#include "proxy/udp.c"

#include "proxy/rig_udp.h"

PP_TEST_CASE(a_client_keeps_its_endpoint_and_others_get_theirs)
{
    struct rig_conf conf = udp_defaults();
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int a = udp_client(), b = udp_client();
    struct sockaddr_in of_a = udp_talk(a, 0, "a1", "for a");
    struct sockaddr_in of_b = udp_talk(b, 1, "b1", "for b");
    PP_CHECK(of_a.sin_port != of_b.sin_port);
    for (int i = 0; i < 3; i++) {
        struct sockaddr_in again = udp_talk(a, 0, "a2", "more");
        PP_CHECK_EQ(again.sin_port, of_a.sin_port);
        again = udp_talk(b, 1, "b2", "more");
        PP_CHECK_EQ(again.sin_port, of_b.sin_port);
    }
    PP_CHECK_EQ(r.w.core.n_udp, 2);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_IN), 8);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_OUT), 8);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_IN), 16);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_OUT), 2 * 5 + 6 * 4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, REQUESTS), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 2);
    close(b);
    udp_stop(a);
}

PP_TEST_CASE(a_flow_ends_after_its_answers)
{
    struct rig_conf conf = udp_defaults();
    conf.listener.responses = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_send(c, "one");
    struct sockaddr_in from = udp_expect(r.origin[0], "one");
    udp_send(c, "two");
    PP_CHECK_EQ(udp_expect(r.origin[0], "two").sin_port, from.sin_port);
    for (int i = 0; i < 4; i++) {
        PP_CHECK_EQ(r.w.core.n_udp, 1);
        udp_answer(0, "answer", &from);
        udp_expect(c, "answer");
    }
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(r.w.core.udp_slab.n_live, 1);
    PP_CHECK_EQ(r.w.core.n_udp_spare, 1);
    /* What comes now is from nobody that was asked. */
    udp_answer(0, "too late", &from);
    rig_settle(&r);
    rig_expect_quiet(&r, c);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, FAILURES), 0);
    udp_stop(c);
}

/* The socket is used again, but nothing of the session before is left in it or can reach it. */
PP_TEST_CASE(the_next_session_takes_the_socket_and_nothing_else)
{
    struct rig_conf conf = udp_defaults();
    conf.listener.responses = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client(), d = udp_client();
    for (int i = 0; i < 20; i++) {
        udp_send(c, "c?");
        struct sockaddr_in from = udp_expect(r.origin[0], "c?");
        udp_answer(0, "for c", &from);
        udp_answer(0, "twice", &from); /* perhaps in time for the batch of the first */
        udp_expect(c, "for c");
        rig_settle(&r);
        udp_answer(0, "late", &from);
        struct sockaddr_in other = udp_talk(d, 0, "d?", "for d");
        rig_settle(&r);
        rig_expect_quiet(&r, d);
        PP_CHECK_EQ(r.w.core.n_udp, 0);
        PP_CHECK_EQ(r.w.core.n_udp_spare, 1);
        (void)other;
        char rest[16];
        while (recv(c, rest, sizeof rest, 0) > 0)
            continue;
    }
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 40);
    close(d);
    udp_stop(c);
}

PP_TEST_CASE(a_spare_socket_that_something_reaches_is_closed)
{
    struct rig_conf conf = udp_defaults();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    conf.listener.responses = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_talk(c, 0, "q", "a");
    rig_settle(&r);
    PP_REQUIRE(r.w.core.n_udp_spare == 1);
    struct pp_udp_flow *s = PP_CONTAINER_OF(r.w.core.udp_spare.next, struct pp_udp_flow, link);
    /* As if it had a port still. */
    PP_CHECK_EQ(bind(s->io.fd, (struct sockaddr *)&at, sizeof at), 0);
    getsockname(s->io.fd, (struct sockaddr *)&at, &len);
    udp_answer(0, "stray", &at);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp_spare, 0);
    PP_CHECK_EQ(r.w.core.udp_slab.n_live, 0);
    udp_talk(c, 0, "q", "a");
    udp_stop(c);
}

PP_TEST_CASE(only_so_many_sockets_are_kept)
{
    enum { CLIENTS = PP_UDP_SPARE + 20 };
    struct rig_conf conf = udp_defaults();
    static struct sockaddr_in from[CLIENTS];
    int c[CLIENTS];
    conf.listener.responses = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = udp_client();
        udp_send(c[i], "q");
        from[i] = udp_expect(r.origin[0], "q");
    }
    for (int i = 0; i < CLIENTS; i++)
        udp_answer(0, "a", &from[i]);
    for (int i = 0; i < CLIENTS; i++) {
        udp_expect(c[i], "a");
        close(c[i]);
    }
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(r.w.core.n_udp_spare, PP_UDP_SPARE);
    udp_stop(-1);
}

PP_TEST_CASE(silence_ends_a_flow_and_every_datagram_puts_that_off)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client(), d = udp_client();
    udp_talk(c, 0, "c", "c");
    struct sockaddr_in from = udp_talk(d, 0, "d", "d");
    rig_sleep(&r, 20000);
    udp_answer(0, "pushed", &from);
    udp_expect(d, "pushed");
    rig_sleep(&r, 20000);
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    udp_send(d, "still there");
    PP_CHECK_EQ(udp_expect(r.origin[0], "still there").sin_port, from.sin_port);
    rig_sleep(&r, 29000);
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    rig_sleep(&r, 2000);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 0);
    close(d);
    udp_stop(c);
}

PP_TEST_CASE(without_idle_time_a_flow_stays)
{
    struct rig_conf conf = udp_defaults();
    conf.listener.idle_timeout_ms = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_talk(c, 0, "q", "a");
    rig_sleep(&r, 100000000);
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    udp_stop(c);
}

/* An answer was to come and did not. */
PP_TEST_CASE(an_endpoint_that_does_not_answer_has_failed)
{
    struct rig_conf conf = udp_defaults();
    conf.listener.responses = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_send(c, "q");
    udp_expect(r.origin[0], "q");
    rig_sleep(&r, 31000);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, FAILURES), 1);
    udp_stop(c);
}

PP_TEST_CASE(what_was_sent_to_a_closed_port_goes_to_another_endpoint)
{
    struct rig_conf conf = udp_defaults();
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    int c = udp_client();
    struct sockaddr_in from = udp_talk(c, 1, "question", "answer");
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, FAILURES), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 1);
    PP_CHECK_EQ(udp_talk(c, 1, "more", "more").sin_port, from.sin_port);
    udp_stop(c);
}

PP_TEST_CASE(without_retries_or_other_endpoints_a_refused_flow_ends)
{
    for (int i = 0; i < 2; i++) {
        struct rig_conf conf = udp_defaults();
        conf.origins = i == 0 ? 2 : 1;
        conf.cluster.retries = i == 0 ? 0 : 3;
        PP_REQUIRE(rig_start(&r, &conf));
        close(r.origin[0]);
        r.origin[0] = -1;
        int c = udp_client();
        udp_send(c, "question");
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_udp, 0);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES), 1);
        udp_stop(c);
    }
}

/* Nothing that would not fit is kept, and an endless row of dead endpoints is not tried. */
PP_TEST_CASE(retries_are_bounded_and_long_questions_are_not_kept)
{
    static char big[PP_UDP_KEPT + 1];
    struct rig_conf conf = udp_defaults();
    conf.origins = 4;
    conf.cluster.retries = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < 4; i++) {
        close(r.origin[i]);
        r.origin[i] = -1;
    }
    int c = udp_client();
    PP_CHECK_EQ(send(c, big, sizeof big, 0), sizeof big);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    PP_CHECK_EQ(send(c, big, PP_UDP_KEPT, 0), PP_UDP_KEPT);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 4);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), 2);
    udp_stop(c);
}

/* The endpoint has answered, then it is gone: what comes next is a new session, with nothing lost
 * but what was on its way. */
PP_TEST_CASE(an_endpoint_that_goes_away_ends_the_flow)
{
    struct rig_conf conf = udp_defaults();
    struct sockaddr_in from;
    int c = udp_begin(&conf, 2, &from);
    close(r.origin[0]);
    r.origin[0] = -1;
    /* Not read yet, the refusal meets the next datagram. */
    sendto(udp_flow()->io.fd, "x", 1, 0, NULL, 0);
    udp_send(c, "again");
    PP_CHECK(udp_expect(r.origin[1], "again").sin_port != from.sin_port);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, FAILURES), 1);
    udp_stop(c);
}

PP_TEST_CASE(at_the_limit_who_is_silent_longest_makes_room)
{
    struct rig_conf conf = udp_defaults();
    int c[4];
    struct sockaddr_in from[4];
    conf.listener.max_flows = 3;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < 3; i++) {
        c[i] = udp_client();
        from[i] = udp_talk(c[i], 0, "q", "a");
    }
    udp_talk(c[0], 0, "q", "a"); /* now 1 has been silent longest */
    c[3] = udp_client();
    udp_talk(c[3], 0, "q", "a");
    PP_CHECK_EQ(r.w.core.n_udp, 3);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, REJECTED), 1);
    PP_CHECK_EQ(udp_talk(c[0], 0, "q", "a").sin_port, from[0].sin_port);
    PP_CHECK_EQ(udp_talk(c[2], 0, "q", "a").sin_port, from[2].sin_port);
    udp_answer(0, "too late", &from[1]);
    rig_settle(&r);
    rig_expect_quiet(&r, c[1]);
    for (int i = 0; i < 4; i++)
        close(c[i]);
    udp_stop(-1);
}

PP_TEST_CASE(without_descriptors_the_datagram_is_dropped)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client(), lowest = dup(0);
    close(lowest);
    struct rlimit old, tight;
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &tight);
    udp_send(c, "q");
    rig_settle(&r);
    setrlimit(RLIMIT_NOFILE, &old);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_NO_ROOM), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, FAILURES), 0);
    udp_talk(c, 0, "q", "a");
    udp_stop(c);
}

PP_TEST_CASE(without_memory_the_datagram_is_dropped)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    for (int n = 0; n < 2; n++) {
        udp_send(c, "q");
        pp_mem_fail_after_for_test(n);
        rig_settle(&r);
        pp_mem_fail_after_for_test(-1);
        PP_CHECK_EQ(r.w.core.n_udp, 0);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_NO_ROOM), 2);
    udp_talk(c, 0, "q", "a");
    udp_stop(c);
}

static void install(unsigned origins)
{
    r.conf.origins = origins;
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_CHECK(sn != NULL);
    PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
    pp_snapshot_unref(sn);
}

PP_TEST_CASE(a_new_configuration_keeps_flows_whose_endpoint_it_has)
{
    struct rig_conf conf = udp_defaults();
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int a = udp_client(), b = udp_client();
    struct sockaddr_in of_a = udp_talk(a, 0, "q", "a"), of_b = udp_talk(b, 1, "q", "a");
    install(1);
    udp_answer(1, "on its way", &of_b);
    udp_expect(b, "on its way");
    PP_CHECK_EQ(udp_talk(a, 0, "q", "a").sin_port, of_a.sin_port);
    PP_CHECK(udp_flow()->ep->cluster == r.w.core.snapshot->cluster[0] ||
             udp_flow()->group != r.w.core.snapshot->cluster[0]);
    udp_talk(b, 0, "q", "a");
    PP_CHECK_EQ(r.w.core.n_udp, 2);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, CONNECTIONS), 3);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 2);
    r.conf.origins = 2;
    close(b);
    udp_stop(a);
}

PP_TEST_CASE(each_flow_is_logged_when_it_ends)
{
    struct rig_conf conf = udp_defaults();
    char got[512];
    int pipe_fd[2];
    PP_REQUIRE(pipe(pipe_fd) == 0);
    conf.log = "{client.address} {request.protocol} {listener} {upstream} {request.bytes} "
               "{response.bytes} {upstream.attempts} {fault}";
    conf.log_fd = pipe_fd[1];
    conf.listener.responses = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_talk(c, 0, "question", "answer");
    rig_settle(&r);
    udp_send(c, "lost");
    udp_expect(r.origin[0], "lost");
    rig_sleep(&r, 31000);
    pp_worker_flush_logs(&r.w);
    ssize_t n = read(pipe_fd[0], got, sizeof got);
    PP_CHECK_STR(pp_span(got, n < 0 ? 0 : (size_t)n),
                 "127.0.0.1 UDP door up 8 6 1 -\n127.0.0.1 UDP door up 4 0 1 first_byte_timeout\n");
    udp_stop(c);
    close(pipe_fd[0]);
    close(pipe_fd[1]);
}

PP_TEST_MAIN()
