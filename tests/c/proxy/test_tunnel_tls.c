// libs: nghttp2 ssl crypto
#include "proxy/tunnel_tls.c"

#include "proxy/rig_tls.h"

/* The door is a TCP listener that speaks TLS; origins see what is inside. */
static const struct tls_rig tls_door = {.door = true};

/* A tunnel: its client, and in *o its origin. */
static SSL *join(int *c, int *o)
{
    *c = rig_connect(&r);
    SSL *peer = speak(*c);
    PP_CHECK_EQ(until(peer, shake, NULL, 0), 1);
    *o = rig_accept(&r, 0);
    rig_settle(&r);
    return peer;
}

PP_TEST_CASE(bytes_go_both_ways_and_each_end_is_passed_on)
{
    int c, o;
    prepare(rig_defaults(), tls_door);
    SSL *peer = join(&c, &o);
    say(peer, "hello");
    rig_expect(&r, o, "hello");
    rig_send(&r, o, "who is there?");
    expect(peer, "who is there?");
    SSL_shutdown(peer);
    rig_expect_eof(&r, o);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1); /* and the other direction goes on */
    rig_send(&r, o, "bye");
    expect(peer, "bye");
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_IN), 5);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_OUT), 16);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TLS_FULL), 1);
    close(o);
    expect_end(peer);
    drop(peer, c, -1);
    finish();
}

PP_TEST_CASE(an_endpoint_that_ends_first_hears_the_rest)
{
    int c, o;
    prepare(rig_defaults(), tls_door);
    SSL *peer = join(&c, &o);
    rig_send(&r, o, "hello and goodbye");
    shutdown(o, SHUT_WR);
    expect(peer, "hello and goodbye");
    expect_end(peer);
    say(peer, "still here");
    rig_expect(&r, o, "still here");
    SSL_shutdown(peer);
    rig_expect_eof(&r, o);
    drop(peer, c, o);
    finish();
}

PP_TEST_CASE(no_endpoint_hears_of_a_client_before_its_handshake)
{
    prepare(rig_defaults(), tls_door);
    int c = rig_connect(&r);
    rig_settle(&r);
    PP_CHECK(rig_try_accept(&r, 0, 0) < 0);
    rig_send_n(&r, c, "EHLO a\r\n", 8); /* nor is it spoken to in a language that is not its own */
    rig_expect_eof(&r, c);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK(rig_try_accept(&r, 0, 0) < 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TLS_FAILURES), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 0);
    close(c);
    c = rig_connect(&r); /* one that goes away */
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    close(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TLS_FAILURES), 2);
    finish();
}

PP_TEST_CASE(a_slow_handshake_has_the_time_of_a_head)
{
    prepare(rig_defaults(), tls_door);
    int c = rig_connect(&r);
    rig_send_n(&r, c, "\x16\x03\x01", 3);
    rig_sleep(&r, 9000);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_send_n(&r, c, "\x00", 1); /* dripping bytes do not help */
    rig_sleep(&r, 1001);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 1);
    close(c);
    finish();
}

/* The handshake's deadline is not the tunnel's. */
PP_TEST_CASE(an_open_tunnel_has_the_idle_time)
{
    int c, o;
    prepare(rig_defaults(), tls_door);
    SSL *peer = join(&c, &o);
    rig_sleep(&r, 60000);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_sleep(&r, 15001);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    expect_end(peer);
    drop(peer, c, o);
    finish();
}

PP_TEST_CASE(an_end_without_a_word_is_an_end_and_a_reset_a_reset)
{
    int c, o;
    char byte;
    prepare(rig_defaults(), tls_door);
    SSL *peer = join(&c, &o);
    say(peer, "half of it");
    rig_expect(&r, o, "half of it");
    shutdown(c, SHUT_WR); /* closing with tickets unread would be a reset */
    rig_expect_eof(&r, o);
    close(o);
    rig_settle(&r);
    drop(peer, c, -1);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    peer = join(&c, &o); /* and a reset is told without close_notify */
    rig_reset(o);
    rig_settle(&r);
    int n = until(peer, SSL_read, &byte, 1);
    PP_CHECK_EQ(SSL_get_error(peer, n), SSL_ERROR_SYSCALL);
    PP_CHECK_EQ(errno, ECONNRESET);
    drop(peer, c, -1);
    finish();
}

PP_TEST_CASE(bytes_that_are_no_record_break_the_tunnel)
{
    int c, o;
    prepare(rig_defaults(), tls_door);
    SSL *peer = join(&c, &o);
    say(peer, "good");
    rig_expect(&r, o, "good");
    rig_send_n(&r, c, "\x17\x03\x03\x00\x20zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", 37);
    rig_expect_reset(&r, o);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    drop(peer, c, o);
    finish();
}

/* More than the sockets take, to a client that reads late: everything comes, and after it the end,
 * although it was due when there was no room for it. */
PP_TEST_CASE(the_end_comes_after_all_bytes_however_slowly_they_are_read)
{
    static char out[4096], in[4096];
    struct rig_conf small = rig_defaults();
    small.door_sndbuf = 4608;
    int c, o;
    prepare(small, tls_door);
    for (int round = 0; round < 24; round++) {
        SSL *peer = join(&c, &o);
        size_t sent = 0, got = 0, want = 1000000 + (size_t)round * 173;
        SSL_shutdown(peer); /* ours is told already: the other end is the last one */
        rig_expect_eof(&r, o);
        for (int n = 1; n > 0;) {
            while (sent < want) {
                size_t some = PP_MIN(sizeof(out), want - sent);
                for (size_t i = 0; i < some; i++)
                    out[i] = rig_byte(sent + i);
                ssize_t w = send(o, out, some, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (w <= 0)
                    break;
                sent += (size_t)w;
                if (sent == want)
                    close(o);
            }
            rig_settle(&r);
            n = until(peer, SSL_read, in, sizeof(in));
            for (int i = 0; i < n; i++, got++) {
                if (in[i] != rig_byte(got))
                    PP_CHECK_EQ(got, SIZE_MAX);
            }
            if (n <= 0)
                PP_CHECK_EQ(SSL_get_error(peer, n), SSL_ERROR_ZERO_RETURN);
        }
        PP_CHECK_EQ(got, want);
        drop(peer, c, -1);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    }
    finish();
}

/* What was decrypted, but had no room where it goes, goes on when room comes; no event of the
 * client's tells. */
PP_TEST_CASE(a_slow_endpoint_gets_everything_that_a_client_had_sent)
{
    static char out[16384], in[65536];
    struct rig_conf small = rig_defaults();
    small.origin_rcvbuf = 4096;
    int c, o, n, end = 0;
    prepare(small, tls_door);
    SSL *peer = join(&c, &o);
    SSL_set_mode(peer, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    size_t sent = 0, got = 0, want = 6000000;
    while (got < want) {
        while (sent < want) {
            size_t some = PP_MIN(sizeof(out), want - sent);
            for (size_t i = 0; i < some; i++)
                out[i] = rig_byte(sent + i);
            n = SSL_write(peer, out, (int)some);
            if (n <= 0)
                break;
            sent += (size_t)n;
            if (sent == want)
                SSL_shutdown(peer);
        }
        rig_settle(&r);
        size_t some = rig_read(&r, o, in, 1, &end);
        PP_REQUIRE(some == 1);
        ssize_t more = recv(o, in + 1, sizeof(in) - 1, MSG_DONTWAIT);
        some += more > 0 ? (size_t)more : 0;
        for (size_t i = 0; i < some; i++, got++) {
            if (in[i] != rig_byte(got))
                PP_CHECK_EQ(got, SIZE_MAX);
        }
    }
    while (SSL_shutdown(peer) < 0 && SSL_get_error(peer, -1) == SSL_ERROR_WANT_WRITE)
        rig_turn(&r, 1);
    rig_expect_eof(&r, o);
    drop(peer, c, o);
    finish();
}

PP_TEST_CASE(the_name_chooses_the_upstream_before_the_handshake)
{
    struct rig_conf named = rig_defaults();
    named.origins = 2;
    named.server_name[0].name = "b.example";
    named.server_name[0].origin = 1;
    prepare(named, tls_door);
    int c = rig_connect(&r);
    SSL *peer = speak(c);
    SSL_set_tlsext_host_name(peer, "b.example");
    PP_CHECK_EQ(until(peer, shake, NULL, 0), 1);
    int o = rig_accept(&r, 1);
    say(peer, "for b");
    rig_expect(&r, o, "for b");
    SSL_shutdown(peer);
    rig_expect_eof(&r, o);
    drop(peer, c, o);
    finish();
}

PP_TEST_CASE(running_out_of_memory_ends_the_connection_and_no_more)
{
    prepare(rig_defaults(), tls_door);
    for (long left = 0; left < 12; left++) {
        int c = rig_connect(&r);
        SSL *peer = speak(c);
        pp_mem_fail_after_for_test(left);
        for (int i = 0; i < 30 && SSL_do_handshake(peer) != 1; i++)
            rig_turn(&r, 1);
        rig_turn(&r, 1);
        pp_mem_fail_after_for_test(-1);
        drop(peer, c, -1);
        int o = rig_try_accept(&r, 0, 0);
        if (o >= 0)
            close(o);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    }
    finish();
}

PP_TEST_MAIN()
