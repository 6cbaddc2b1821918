#include "proxy/udp_door.c"

#include "proxy/rig_udp.h"

PP_TEST_CASE(closed_it_sends_answers_until_its_last_flow_ends)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_send(c, "question");
    struct sockaddr_in from = udp_expect(r.origin[0], "question");
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, r.w.doors->l.fd), PP_OK);
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, r.door), PP_ENOENT);
    PP_REQUIRE(r.w.doors != NULL);
    PP_CHECK_EQ(r.w.doors->l.fd, -1);
    udp_send(c, "for whoever else reads");
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_IN), 1);
    udp_answer(0, "answer", &from);
    udp_expect(c, "answer");
    rig_sleep(&r, 31000);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK(r.w.doors == NULL);
    udp_stop(c);
}

PP_TEST_CASE(what_waits_is_read_before_it_closes)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    for (int i = 0; i < 100; i++)
        udp_send(c, "waits");
    pp_worker_stop_listening(&r.w);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_IN), 100);
    udp_expect(r.origin[0], "waits");
    udp_stop(c);
}

PP_TEST_CASE(without_flows_it_goes_at_once)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    pp_worker_stop_listening(&r.w);
    PP_CHECK(r.w.doors == NULL);
    rig_stop(&r);
}

PP_TEST_CASE(closed_it_waits_for_answers_for_a_moment_only)
{
    struct rig_conf conf = udp_defaults();
    conf.listener.idle_timeout_ms = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_send(c, "question");
    struct sockaddr_in from = udp_expect(r.origin[0], "question");
    pp_worker_stop_listening(&r.w);
    rig_sleep(&r, PP_UDP_LINGER_MS - 500);
    udp_answer(0, "answer", &from);
    udp_expect(c, "answer");
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    rig_sleep(&r, 1000);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    udp_stop(c);
}

PP_TEST_CASE(many_that_are_due_end_in_several_turns)
{
    enum { CLIENTS = PP_UDP_EXPIRE + 10 };
    struct rig_conf conf = udp_defaults();
    int c[CLIENTS];
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = udp_client();
        udp_send(c[i], "q");
        rig_turn(&r, 0);
    }
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, CLIENTS);
    rig_skew_ms += 31000;
    rig_turn(&r, 0);
    PP_CHECK_EQ(r.w.core.n_udp, 10);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    for (int i = 0; i < CLIENTS; i++)
        close(c[i]);
    udp_stop(-1);
}

PP_TEST_CASE(a_worker_may_end_with_flows)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_talk(c, 0, "q", "a");
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    rig_stop(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    close(c);
}

/* A name that is given to something else is another listener. */
PP_TEST_CASE(a_listener_of_that_name_and_another_protocol_is_another)
{
    struct rig_conf conf = udp_defaults();
    struct sockaddr_in from;
    int c = udp_begin(&conf, 1, &from);
    r.conf.udp = false;
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL);
    PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
    pp_snapshot_unref(sn);
    PP_CHECK(r.w.doors->home != NULL);
    PP_CHECK_EQ(udp_talk(c, 0, "q", "a").sin_port, from.sin_port);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 1);
    r.conf.udp = true;
    udp_stop(c);
}

PP_TEST_CASE(no_other_socket_can_be_served)
{
    struct rig_conf conf = udp_defaults();
    struct sockaddr_in at;
    PP_REQUIRE(rig_start(&r, &conf));
    int fd = rig_listen(&at, 0, 0);
    PP_CHECK_EQ(pp_worker_listen(&r.w, fd, PP_SPAN("door")), PP_EIO);
    close(fd);
    pp_mem_fail_after_for_test(2);
    fd = dup(r.door);
    PP_CHECK_EQ(pp_worker_listen(&r.w, fd, PP_SPAN("door")), PP_ENOMEM);
    pp_mem_fail_after_for_test(-1);
    close(fd);
    rig_stop(&r);
}

PP_TEST_MAIN()
