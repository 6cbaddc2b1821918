/* The rig with a TCP door, and TLS towards its clients, its endpoints, or both; the test's own ends
 * speak it with the library. */
#ifndef PP_PROXY_RIG_TLS_H
#define PP_PROXY_RIG_TLS_H

#include "io/chan_tls.h"
#include "io/tls_test.h"
#include "proxy/rig.h"

static struct rig r;
static struct pp_tls_lib *lib;
static struct test_pair pair; /* of the door, and of origins */
static struct pp_tls_conf *conf;
static struct pp_tls_client *client;
static SSL_CTX *peer_setup, *origin_setup;

/* What is spoken; NULL and empty by default. */
struct tls_rig {
    bool door;            /* TLS to clients */
    const char *endpoint; /* TLS to endpoints that must have this name; "": that of their address */
    const char *alpn;     /* what the door has, and what HTTP would offer endpoints */
};

static void prepare(struct rig_conf c, struct tls_rig with)
{
    struct pp_tls_why why;
    lib = test_tls_lib();
    test_make_pair(&pair, "DNS:a.example,IP:127.0.0.1", false, -60, 3600, NULL);
    struct pp_tls_conf_params params = {.scope = PP_SPAN("door"), .alpn = rig_span(with.alpn)};
    PP_CHECK_EQ(pp_tls_conf_new(lib, &params, &why, &conf), PP_OK);
    PP_CHECK_EQ(pp_tls_conf_add(conf, &why), PP_OK);
    PP_CHECK_EQ(
        pp_tls_conf_pair(conf, test_text(pair.chain), test_text(pair.key), PP_SPAN_NONE, &why),
        PP_OK);
    struct pp_tls_client_params up = {.ca = test_text(pair.chain),
                                      .verify = true,
                                      .name = rig_span(with.endpoint),
                                      .alpn = rig_span(with.alpn)};
    PP_CHECK_EQ(pp_tls_client_new(lib, &up, &why, &client), PP_OK);
    peer_setup = SSL_CTX_new(TLS_client_method());
    origin_setup = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(origin_setup, pair.cert);
    SSL_CTX_use_PrivateKey(origin_setup, pair.pkey);
    c.tcp = true;
    c.listener.tls = with.door ? conf : NULL;
    c.listener.header_timeout_ms = 10000;
    c.cluster.tls = with.endpoint != NULL ? client : NULL;
    PP_CHECK(rig_start(&r, &c));
}

static void finish(void)
{
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_stop(&r);
    pp_tls_conf_unref(conf);
    pp_tls_client_unref(client);
    SSL_CTX_free(peer_setup);
    SSL_CTX_free(origin_setup);
    test_free_pair(&pair);
    pp_tls_lib_free(lib);
}

/* The test's end of a connection, as a client; and as an origin. */
static SSL *speak(int fd)
{
    SSL *ssl = SSL_new(peer_setup);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    return ssl;
}

PP_UNUSED static SSL *serve(int fd)
{
    SSL *ssl = SSL_new(origin_setup);
    SSL_set_fd(ssl, fd);
    SSL_set_accept_state(ssl);
    return ssl;
}

/* Turn the worker until <ssl> has done what <step> wants, or will not. */
static int until(SSL *ssl, int (*step)(SSL *ssl, void *p, int n), void *p, int n)
{
    int done = 0;
    for (int i = 0; i < 2000; i++) {
        ERR_clear_error();
        done = step(ssl, p, n);
        int error = done > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, done);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            break;
        rig_turn(&r, 1);
    }
    return done;
}

static int shake(SSL *ssl, void *p, int n)
{
    return SSL_do_handshake(ssl);
}

static void say(SSL *peer, const char *text)
{
    PP_CHECK(SSL_write(peer, text, (int)strlen(text)) > 0);
}

static void expect(SSL *peer, const char *text)
{
    char buf[256];
    int n = until(peer, SSL_read, buf, sizeof(buf) - 1);
    buf[PP_MAX(n, 0)] = '\0';
    PP_CHECK(strcmp(buf, text) == 0);
}

/* The stream ended as the protocol wants it. */
static void expect_end(SSL *peer)
{
    char byte;
    int n = until(peer, SSL_read, &byte, 1);
    PP_CHECK_EQ(SSL_get_error(peer, n), SSL_ERROR_ZERO_RETURN);
}

static void drop(SSL *peer, int c, int o)
{
    SSL_free(peer);
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
}

#endif
