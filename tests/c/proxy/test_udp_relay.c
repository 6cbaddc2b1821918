#include "proxy/udp_relay.c"

#include "proxy/rig_udp.h"

/* Datagrams over this size do not leave, as if the path were narrow. */
static size_t widest = SIZE_MAX;

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    if (n > widest) {
        errno = EMSGSIZE;
        return -1;
    }
    return sendto(fd, p, n, flags, NULL, 0);
}

PP_TEST_CASE(datagrams_keep_their_bounds_and_their_order)
{
    struct rig_conf conf = udp_defaults();
    char text[16];
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    struct sockaddr_in from = {.sin_family = 0};
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "%d", i);
        udp_send(c, text);
    }
    udp_send(c, "");
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "%d", i);
        from = udp_expect(r.origin[0], text);
    }
    udp_expect(r.origin[0], "");
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "re %d", i);
        udp_answer(0, text, &from);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "re %d", i);
        udp_expect(c, text);
    }
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_IN), 101);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_OUT), 100);
    udp_stop(c);
}

PP_TEST_CASE(the_longest_datagrams_go_both_ways)
{
    static char out[65507], in[70000];
    struct rig_conf conf = udp_defaults();
    struct sockaddr_in from;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    for (size_t i = 0; i < sizeof out; i++)
        out[i] = rig_byte(i);
    for (int i = 0; i < 40; i++) {
        PP_CHECK_EQ(send(c, out, sizeof out, 0), sizeof out);
        PP_CHECK_EQ(udp_take(r.origin[0], in, sizeof in, &from), sizeof out);
        PP_CHECK(memcmp(in, out, sizeof out) == 0);
        memset(in, 0, sizeof in);
        PP_CHECK_EQ(sendto(r.origin[0], out, sizeof out, 0, (struct sockaddr *)&from, sizeof from),
                    sizeof out);
        PP_CHECK_EQ(udp_take(c, in, sizeof in, &from), sizeof out);
        PP_CHECK(memcmp(in, out, sizeof out) == 0);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_UNSENT), 0);
    udp_stop(c);
}

/* In one batch, and answered in one turn: nobody gets what is another's. */
PP_TEST_CASE(many_clients_in_one_turn_get_their_own_answers)
{
    enum { CLIENTS = 3 * PP_DGRAM_BATCH };
    struct rig_conf conf = udp_defaults();
    int c[CLIENTS];
    char text[16], got[64];
    struct sockaddr_in from;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = udp_client();
        snprintf(text, sizeof text, "%d", i);
        udp_send(c[i], text);
    }
    for (int i = 0; i < CLIENTS; i++) {
        ssize_t n = udp_take(r.origin[0], got, sizeof got, &from);
        PP_REQUIRE(n > 0);
        PP_CHECK_EQ(sendto(r.origin[0], got, (size_t)n, 0, (struct sockaddr *)&from, sizeof from),
                    n);
    }
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "%d", i);
        udp_expect(c[i], text);
        rig_expect_quiet(&r, c[i]);
        close(c[i]);
    }
    PP_CHECK_EQ(r.w.core.n_udp, CLIENTS);
    udp_stop(-1);
}

/* Spoofed: only the endpoint may answer. */
PP_TEST_CASE(nobody_else_may_answer)
{
    struct rig_conf conf = udp_defaults();
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = udp_client();
    udp_send(c, "q");
    struct sockaddr_in from = udp_expect(r.origin[0], "q");
    udp_answer(1, "spoofed", &from);
    rig_settle(&r);
    rig_expect_quiet(&r, c);
    udp_answer(0, "true", &from);
    udp_expect(c, "true");
    udp_stop(c);
}

PP_TEST_CASE(what_is_not_whole_is_not_passed_on)
{
    struct rig_conf conf = udp_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    struct pp_udp *u = udp_of_door();
    struct pp_dgram_batch *b = r.w.core.replies.batch;
    int c = udp_client();
    uint32_t lost;
    for (int i = 0; i < 4; i++)
        udp_send(c, "abcd");
    struct pollfd p = {.fd = r.door, .events = POLLIN};
    PP_CHECK_EQ(poll(&p, 1, 10000), 1);
    PP_CHECK_EQ(pp_dgram_receive(b, &u->socket, &lost), PP_OK);
    PP_REQUIRE(pp_dgram_count(b) == 4);
    pp_dgram_slot(b, 0)->truncated = pp_dgram_slot(b, 2)->truncated = true;
    pp_loop_enter(&r.w.core.loop);
    deliver_all(u, b);
    pp_dgram_clear(b);
    pp_loop_leave(&r.w.core.loop);
    udp_expect(r.origin[0], "abcd");
    udp_expect(r.origin[0], "abcd");
    rig_expect_quiet(&r, r.origin[0]);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_TRUNCATED), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_IN), 4);
    udp_stop(c);
}

/* Errors about one datagram end nothing. */
PP_TEST_CASE(a_datagram_that_cannot_leave_is_dropped_alone)
{
    struct rig_conf conf = udp_defaults();
    struct sockaddr_in from;
    int c = udp_begin(&conf, 2, &from);
    widest = 10;
    sendto(c, "too long for the path", 21, 0, NULL, 0);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, UDP_UNSENT), 1);
    widest = SIZE_MAX;
    PP_CHECK_EQ(udp_talk(c, 0, "after", "after").sin_port, from.sin_port);
    PP_CHECK_EQ(r.w.core.n_udp, 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, FAILURES), 0);
    udp_stop(c);
}

PP_TEST_MAIN()
