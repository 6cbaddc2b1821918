// libs: nghttp2 ssl crypto
#include "proxy/tunnel_tls.c"

#include "proxy/rig_tls.h"

/* Tunnels to endpoints that speak TLS. */

static const struct tls_rig plain_client = {.endpoint = ""};

/* A tunnel of a client in the clear: its socket, and in *o and the result its origin. */
static SSL *join(int *c, int *o)
{
    *c = rig_connect(&r);
    *o = rig_accept(&r, 0);
    SSL *origin = serve(*o);
    PP_CHECK_EQ(until(origin, shake, NULL, 0), 1);
    rig_settle(&r);
    return origin;
}

static struct pp_tunnel *only_tunnel(void)
{
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    return PP_CONTAINER_OF(r.w.core.tunnels.next, struct pp_tunnel, link);
}

PP_TEST_CASE(bytes_go_both_ways_and_each_end_is_passed_on)
{
    int c, o;
    prepare(rig_defaults(), plain_client);
    SSL *origin = join(&c, &o);
    rig_send(&r, c, "hello");
    expect(origin, "hello");
    say(origin, "who is there?");
    rig_expect(&r, c, "who is there?");
    struct pp_tunnel_moved m;
    PP_CHECK_EQ(pp_tunnel_export(only_tunnel(), &m), PP_EINVAL); /* it stays where its keys are */
    shutdown(c, SHUT_WR);
    expect_end(origin);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1); /* and the other direction goes on */
    say(origin, "bye");
    rig_expect(&r, c, "bye");
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_IN), 5);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, BYTES_OUT), 16);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FULL), 1);
    SSL_shutdown(origin);
    rig_expect_eof(&r, c);
    drop(origin, c, o);
    finish();
}

PP_TEST_CASE(an_endpoint_that_ends_first_hears_the_rest)
{
    int c, o;
    prepare(rig_defaults(), plain_client);
    SSL *origin = join(&c, &o);
    say(origin, "hello and goodbye");
    SSL_shutdown(origin);
    rig_expect(&r, c, "hello and goodbye");
    rig_expect_eof(&r, c);
    rig_send(&r, c, "still here");
    expect(origin, "still here");
    close(c);
    expect_end(origin);
    drop(origin, -1, o);
    finish();
}

/* The handshake's last words leave although nobody has anything to send with them. */
PP_TEST_CASE(an_endpoint_may_have_the_first_word)
{
    int c, o;
    prepare(rig_defaults(), plain_client);
    SSL_CTX_set_max_proto_version(origin_setup, TLS1_3_VERSION);
    SSL *origin = join(&c, &o);
    PP_CHECK_EQ(SSL_version(origin), TLS1_3_VERSION);
    say(origin, "220 ready");
    rig_expect(&r, c, "220 ready");
    close(c);
    expect_end(origin);
    drop(origin, -1, o);
    finish();
}

PP_TEST_CASE(an_end_without_a_word_is_an_end_and_a_reset_a_reset)
{
    int c, o;
    prepare(rig_defaults(), plain_client);
    SSL *origin = join(&c, &o);
    say(origin, "half of it");
    rig_expect(&r, c, "half of it");
    shutdown(o, SHUT_WR);
    rig_expect_eof(&r, c);
    rig_send(&r, c, "more");
    expect(origin, "more");
    close(c);
    expect_end(origin);
    drop(origin, -1, o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    origin = join(&c, &o);
    SSL_free(origin);
    rig_reset(o);
    rig_expect_reset(&r, c);
    close(c);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RESETS), 1);
    origin = join(&c, &o); /* the same from the client, told without close_notify */
    rig_reset(c);
    char byte;
    int n = until(origin, SSL_read, &byte, 1);
    PP_CHECK_EQ(SSL_get_error(origin, n), SSL_ERROR_SYSCALL);
    PP_CHECK_EQ(errno, ECONNRESET);
    drop(origin, -1, o);
    finish();
}

/* TLS is taken off the client's bytes, and other TLS put on. */
PP_TEST_CASE(both_sides_may_speak_tls)
{
    struct tls_rig both = {.door = true, .endpoint = ""};
    prepare(rig_defaults(), both);
    int c = rig_connect(&r);
    SSL *peer = speak(c);
    PP_CHECK_EQ(until(peer, shake, NULL, 0), 1);
    say(peer, "hello");
    int o = rig_accept(&r, 0);
    SSL *origin = serve(o);
    expect(origin, "hello");
    say(origin, "world");
    expect(peer, "world");
    SSL_shutdown(peer);
    expect_end(origin);
    say(origin, "bye");
    SSL_shutdown(origin);
    expect(peer, "bye");
    expect_end(peer);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TLS_FULL), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FULL), 1);
    drop(peer, c, -1);
    drop(origin, -1, o);
    finish();
}

/* Not only when the first one has ended: tunnels are long. */
PP_TEST_CASE(a_session_is_resumed_while_the_first_tunnel_is_open)
{
    int c[2], o[2];
    SSL *origin[2];
    prepare(rig_defaults(), plain_client);
    for (int i = 0; i < 2; i++) {
        origin[i] = join(&c[i], &o[i]);
        say(origin[i], "hello");
        rig_expect(&r, c[i], "hello");
        PP_CHECK_EQ(SSL_session_reused(origin[i]), i);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FULL), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_RESUMED), 1);
    PP_CHECK_EQ(r.w.core.n_tunnel, 2);
    for (int i = 0; i < 2; i++)
        drop(origin[i], c[i], o[i]);
    rig_settle(&r);
    finish();
}

/* ---- what is offered ---- */

static char offered[64];

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    snprintf(offered, sizeof(offered), "%.*s", (int)in_n, (const char *)in);
    *out = in + 1;
    *out_n = in[0];
    return SSL_TLSEXT_ERR_OK;
}

PP_TEST_CASE(what_was_agreed_with_the_client_is_what_the_endpoint_is_offered)
{
    struct tls_rig both = {.door = true, .endpoint = "", .alpn = "\x01y\x01x"};
    for (int i = 0; i < 2; i++) {
        prepare(rig_defaults(), both);
        SSL_CTX_set_alpn_select_cb(origin_setup, on_alpn, NULL);
        strcpy(offered, "nothing");
        int c = rig_connect(&r);
        SSL *peer = speak(c);
        if (i == 0)
            SSL_set_alpn_protos(peer, (const unsigned char *)"\x01x\x01z", 4);
        PP_CHECK_EQ(until(peer, shake, NULL, 0), 1);
        int o = rig_accept(&r, 0);
        SSL *origin = serve(o);
        PP_CHECK_EQ(until(origin, shake, NULL, 0), 1);
        PP_CHECK(strcmp(offered, i == 0 ? "\x01x" : "nothing") == 0);
        drop(peer, c, -1);
        drop(origin, -1, o);
        finish();
    }
}

PP_TEST_CASE(the_proxy_header_comes_before_the_handshake)
{
    struct rig_conf v1 = rig_defaults();
    int end;
    char line[108];
    v1.cluster.proxy_protocol = 1;
    prepare(v1, plain_client);
    int c = rig_connect(&r);
    int o = rig_accept(&r, 0);
    size_t n = 0;
    while (n < sizeof(line) - 1 && rig_read(&r, o, line + n, 1, &end) == 1 && line[n++] != '\n')
        ;
    line[n] = '\0';
    PP_CHECK(strncmp(line, "PROXY TCP4 127.0.0.1 127.0.0.1 ", 31) == 0);
    SSL *origin = serve(o);
    PP_CHECK_EQ(until(origin, shake, NULL, 0), 1);
    rig_send(&r, c, "hello");
    expect(origin, "hello");
    drop(origin, c, o);
    finish();
}

/* ---- what goes wrong ---- */

static int log_fd[2];

static struct rig_conf logged(uint32_t retries)
{
    struct rig_conf c = rig_defaults();
    PP_CHECK(pipe2(log_fd, O_NONBLOCK) == 0);
    c.log = "{fault} {endpoint} {upstream.attempts}";
    c.log_fd = log_fd[1];
    c.cluster.retries = retries;
    c.cluster.connect_timeout_ms = 5000;
    return c;
}

/* The line of the tunnel, which is over, begins with <word>. */
static void expect_logged(const char *word)
{
    char line[256];
    rig_settle(&r);
    pp_worker_flush_logs(&r.w);
    ssize_t n = read(log_fd[0], line, sizeof(line) - 1);
    line[PP_MAX(n, 0)] = '\0';
    PP_CHECK(strncmp(line, word, strlen(word)) == 0);
    if (strncmp(line, word, strlen(word)) != 0)
        printf("    wanted %s, not %s\n", word, line);
}

static void close_log(void)
{
    close(log_fd[0]);
    close(log_fd[1]);
}

PP_TEST_CASE(an_endpoint_of_another_name_gets_nothing)
{
    char buf[64];
    struct tls_rig named = {.endpoint = "b.example"};
    prepare(logged(1), named);
    int c = rig_connect(&r);
    rig_send(&r, c, "secret");
    for (int attempt = 0; attempt < 2; attempt++) { /* it is tried again */
        int o = rig_accept(&r, 0);
        SSL *origin = serve(o);
        PP_CHECK(until(origin, SSL_read, buf, sizeof(buf)) <= 0);
        drop(origin, -1, o);
    }
    rig_expect_reset(&r, c);
    close(c);
    expect_logged("certificate_name ");
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FAILURES), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES), 2);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), 1);
    finish();
    close_log();
}

PP_TEST_CASE(an_endpoint_that_speaks_something_else_is_no_endpoint)
{
    prepare(logged(0), plain_client);
    int c = rig_connect(&r), o = rig_accept(&r, 0);
    rig_send(&r, o, "220 mail.example ESMTP\r\n");
    rig_expect_reset(&r, c);
    close(c);
    close(o);
    expect_logged("tls_handshake ");
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FAILURES), 1);
    finish();
    close_log();
}

PP_TEST_CASE(after_one_that_breaks_in_the_handshake_another_is_tried)
{
    struct rig_conf two = logged(1);
    two.origins = 2;
    prepare(two, plain_client);
    int c = rig_connect(&r);
    rig_send(&r, c, "hello");
    int first = rig_try_accept(&r, 0, 200);
    unsigned other = first >= 0 ? 1 : 0;
    int o = first >= 0 ? first : rig_accept(&r, 1);
    rig_settle(&r);
    rig_reset(o);
    o = rig_accept(&r, other);
    SSL *origin = serve(o);
    expect(origin, "hello");
    close(c);
    expect_end(origin);
    drop(origin, -1, o);
    expect_logged("- ");
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FAILURES), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FULL), 1);
    finish();
    close_log();
}

PP_TEST_CASE(the_handshake_has_what_is_left_of_the_time_to_connect)
{
    prepare(logged(0), plain_client);
    int c = rig_connect(&r), o = rig_accept(&r, 0);
    rig_sleep(&r, 4900);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_send_n(&r, o, "\x16", 1); /* dripping bytes do not help */
    rig_sleep(&r, 101);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    rig_expect_reset(&r, c);
    expect_logged("connect_timeout ");
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TIMEOUTS), 1);
    close(c);
    close(o);
    finish();
    close_log();
}

/* The time to connect is not the tunnel's. */
PP_TEST_CASE(an_open_tunnel_has_the_idle_time)
{
    int c, o;
    prepare(rig_defaults(), plain_client);
    SSL *origin = join(&c, &o);
    rig_sleep(&r, 60000);
    PP_CHECK_EQ(r.w.core.n_tunnel, 1);
    rig_sleep(&r, 15001);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    rig_expect_eof(&r, c);
    expect_end(origin);
    drop(origin, c, o);
    finish();
}

PP_TEST_CASE(a_client_that_is_gone_ends_the_handshake)
{
    prepare(logged(0), plain_client);
    int c = rig_connect(&r), o = rig_accept(&r, 0);
    rig_settle(&r);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    expect_logged("client_abort ");
    close(o);
    finish();
    close_log();
}

/* ---- much ---- */

/* To an endpoint that reads late everything comes, and after it the end. */
PP_TEST_CASE(a_slow_endpoint_gets_everything_and_then_the_end)
{
    static char out[16384], in[65536];
    struct rig_conf small = rig_defaults();
    small.origin_rcvbuf = 4096;
    int c, o;
    prepare(small, plain_client);
    SSL *origin = join(&c, &o);
    size_t sent = 0, got = 0, want = 3000000;
    int n = 0;
    while (got < want) {
        while (sent < want) {
            size_t some = PP_MIN(sizeof(out), want - sent);
            for (size_t i = 0; i < some; i++)
                out[i] = rig_byte(sent + i);
            ssize_t w = send(c, out, some, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (w <= 0)
                break;
            sent += (size_t)w;
            if (sent == want)
                shutdown(c, SHUT_WR);
        }
        rig_settle(&r);
        n = until(origin, SSL_read, in, sizeof(in));
        PP_REQUIRE(n > 0);
        for (int i = 0; i < n; i++, got++) {
            if (in[i] != rig_byte(got))
                PP_CHECK_EQ(got, SIZE_MAX);
        }
    }
    expect_end(origin);
    drop(origin, c, o);
    finish();
}

/* What was decrypted, but had no room where it goes, goes on when room comes; no event of the
 * endpoint's tells. */
PP_TEST_CASE(a_slow_client_gets_everything_that_an_endpoint_had_sent)
{
    static char out[16384], in[65536];
    struct rig_conf small = rig_defaults();
    small.door_sndbuf = 4608;
    int c, o, end = 0;
    prepare(small, plain_client);
    SSL *origin = join(&c, &o);
    SSL_set_mode(origin, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    size_t sent = 0, got = 0, want = 2000000;
    while (got < want) {
        while (sent < want) {
            size_t some = PP_MIN(sizeof(out), want - sent);
            for (size_t i = 0; i < some; i++)
                out[i] = rig_byte(sent + i);
            int n = SSL_write(origin, out, (int)some);
            if (n <= 0)
                break;
            sent += (size_t)n;
            if (sent == want)
                SSL_shutdown(origin);
        }
        rig_settle(&r);
        size_t some = rig_read(&r, c, in, 1, &end);
        PP_REQUIRE(some == 1);
        ssize_t more = recv(c, in + 1, sizeof(in) - 1, MSG_DONTWAIT);
        some += more > 0 ? (size_t)more : 0;
        for (size_t i = 0; i < some; i++, got++) {
            if (in[i] != rig_byte(got))
                PP_CHECK_EQ(got, SIZE_MAX);
        }
    }
    while (SSL_shutdown(origin) < 0 && SSL_get_error(origin, -1) == SSL_ERROR_WANT_WRITE)
        rig_turn(&r, 1);
    rig_expect_eof(&r, c);
    drop(origin, c, o);
    finish();
}

PP_TEST_CASE(running_out_of_memory_ends_the_connection_and_no_more)
{
    struct tls_rig both = {.door = true, .endpoint = ""};
    prepare(rig_defaults(), both);
    for (long left = 0; left < 20; left++) {
        int c = rig_connect(&r), o = -1;
        SSL *peer = speak(c), *origin = NULL;
        pp_mem_fail_after_for_test(left);
        for (int i = 0; i < 40; i++) {
            ERR_clear_error();
            if (SSL_do_handshake(peer) == 1 && i < 39)
                (void)!SSL_write(peer, "x", 1);
            if (o < 0 && (o = rig_try_accept(&r, 0, 0)) >= 0)
                origin = serve(o);
            if (origin != NULL)
                (void)!SSL_do_handshake(origin);
            rig_turn(&r, 1);
        }
        pp_mem_fail_after_for_test(-1);
        drop(peer, c, -1);
        SSL_free(origin);
        if (o >= 0)
            close(o);
        rig_settle(&r);
        while ((o = rig_try_accept(&r, 0, 0)) >= 0)
            close(o);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    }
    finish();
}

PP_TEST_MAIN()
