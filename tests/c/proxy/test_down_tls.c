// libs: nghttp2 ssl crypto
#include "proxy/down_tls.c"

#include "proxy/client_tls.c"
#include "proxy/up_tls.c"

#include "io/tls_test.h"
#include "proxy/rig.h"

/* The rig's door and its upstream speak TLS; the test's own ends do so with the library. */
static struct rig r;
static struct pp_tls_lib *lib;
static struct test_pair pair;
static struct pp_tls_conf *conf;
static struct pp_tls_client *client;
static SSL_CTX *peer_setup, *origin_setup;

static void prepare(const char *endpoint_name)
{
    struct pp_tls_why why;
    lib = test_tls_lib();
    test_make_pair(&pair, "DNS:a.example,IP:127.0.0.1", false, -60, 3600, NULL);
    struct pp_tls_conf_params params = {.scope = PP_SPAN("door")};
    PP_CHECK_EQ(pp_tls_conf_new(lib, &params, &why, &conf), PP_OK);
    PP_CHECK_EQ(pp_tls_conf_add(conf, &why), PP_OK);
    PP_CHECK_EQ(
        pp_tls_conf_pair(conf, test_text(pair.chain), test_text(pair.key), PP_SPAN_NONE, &why),
        PP_OK);
    struct pp_tls_client_params up = {
        .ca = test_text(pair.chain), .verify = true, .name = test_text(endpoint_name)};
    PP_CHECK_EQ(pp_tls_client_new(lib, &up, &why, &client), PP_OK);
    peer_setup = SSL_CTX_new(TLS_client_method());
    origin_setup = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(origin_setup, pair.cert);
    SSL_CTX_use_PrivateKey(origin_setup, pair.pkey);
    struct rig_conf c = rig_defaults();
    c.listener.tls = conf;
    c.listener.header_timeout_ms = 10000;
    c.cluster.tls = client;
    PP_CHECK(rig_start(&r, &c));
}

static void finish(void)
{
    rig_stop(&r);
    pp_tls_conf_unref(conf);
    pp_tls_client_unref(client);
    SSL_CTX_free(peer_setup);
    SSL_CTX_free(origin_setup);
    test_free_pair(&pair);
    pp_tls_lib_free(lib);
}

static SSL *speak(SSL_CTX *setup, int fd, bool server)
{
    SSL *ssl = SSL_new(setup);
    SSL_set_fd(ssl, fd);
    if (server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

/* Turn the worker until <ssl> has done what <step> wants, or will not. */
static int until(SSL *ssl, int (*step)(SSL *ssl, void *p, int n), void *p, int n)
{
    int done = 0;
    for (int i = 0; i < 2000; i++) {
        done = step(ssl, p, n);
        if (done > 0 || SSL_get_error(ssl, done) != SSL_ERROR_WANT_READ)
            break;
        rig_turn(&r, 1);
    }
    return done;
}

static int shake(SSL *ssl, void *p, int n)
{
    return SSL_do_handshake(ssl);
}

static void hang_up(SSL *ssl, int fd)
{
    SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
}

/* One request; the endpoint is asked to close its connection when <close_up>. */
static void exchange(bool close_up)
{
    char buf[4096];
    int c = rig_connect(&r), n;
    SSL *peer = speak(peer_setup, c, false);
    PP_CHECK_EQ(until(peer, shake, NULL, 0), 1);
    PP_CHECK(SSL_write(peer, RIG_GET, sizeof(RIG_GET) - 1) > 0);
    int o = rig_accept(&r, 0);
    SSL *origin = speak(origin_setup, o, true);
    n = until(origin, SSL_read, buf, sizeof(buf) - 1);
    buf[PP_MAX(n, 0)] = '\0';
    PP_CHECK(strstr(buf, "X-Forwarded-Proto: https\r\n") != NULL);
    const char *answer = close_up
                             ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
                             : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    PP_CHECK(SSL_write(origin, answer, (int)strlen(answer)) > 0);
    n = until(peer, SSL_read, buf, sizeof(buf) - 1);
    buf[PP_MAX(n, 0)] = '\0';
    PP_CHECK(strncmp(buf, "HTTP/1.1 200 OK\r\n", 17) == 0);
    hang_up(peer, c);
    hang_up(origin, o);
    rig_settle(&r);
}

PP_TEST_CASE(both_sides_speak_tls_and_endpoints_are_come_back_to)
{
    prepare("");
    exchange(true);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TLS_FULL), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FULL), 1);
    exchange(true);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TLS_FULL), 2); /* this client kept no session */
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_RESUMED), 1);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    finish();
}

PP_TEST_CASE(an_endpoint_of_another_name_gets_nothing)
{
    char buf[4096];
    prepare("b.example");
    int c = rig_connect(&r);
    SSL *peer = speak(peer_setup, c, false);
    PP_CHECK_EQ(until(peer, shake, NULL, 0), 1);
    PP_CHECK(SSL_write(peer, RIG_GET, sizeof(RIG_GET) - 1) > 0);
    for (int attempt = 0; attempt < 2; attempt++) { /* it is tried again */
        int o = rig_accept(&r, 0);
        SSL *origin = speak(origin_setup, o, true);
        PP_CHECK(until(origin, SSL_read, buf, sizeof(buf)) <= 0);
        SSL_free(origin);
        close(o);
    }
    int n = until(peer, SSL_read, buf, sizeof(buf) - 1);
    buf[PP_MAX(n, 0)] = '\0';
    PP_CHECK(strncmp(buf, "HTTP/1.1 502 ", 13) == 0);
    PP_CHECK(strstr(buf, "certificate_name") != NULL);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, TLS_FAILURES), 2);
    hang_up(peer, c);
    finish();
}

PP_TEST_CASE(who_speaks_no_tls_is_counted_and_closed)
{
    char buf[1024];
    int end = 0;
    prepare("");
    int c = rig_connect(&r);
    rig_send_n(&r, c, "\x16\x03\x01\x00\x05zzzzz", 10);
    PP_CHECK(rig_read(&r, c, buf, sizeof(buf), &end) > 0); /* the alert */
    PP_CHECK_EQ(buf[0], 21);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TLS_FAILURES), 1);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    close(c);
    finish();
}

PP_TEST_CASE(a_slow_handshake_has_the_time_of_a_head)
{
    prepare("");
    int c = rig_connect(&r);
    rig_send_n(&r, c, "\x16\x03\x01", 3);
    rig_sleep(&r, 9000);
    PP_CHECK_EQ(r.w.core.n_down, 1);
    rig_send_n(&r, c, "\x00", 1); /* dripping bytes do not help */
    rig_sleep(&r, 1001);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 1);
    close(c);
    finish();
}

PP_TEST_MAIN()
