// libs: ssl crypto
#include "io/tls_ticket.c"

#include "io/tls_conf.h"
#include "io/tls_test.h"
#include "pp_test.h"

static struct pp_tls_lib *lib;
static struct pp_tls_conf *conf;
static struct test_pair pair;
static SSL_CTX *peer_ctx;
static struct pp_tls_ticket_key keys[4];

static struct pp_span some(unsigned first, unsigned n)
{
    return pp_span((const char *)&keys[first], n * sizeof(keys[0]));
}

/* A process with these keys. */
static void start(struct pp_span with)
{
    struct pp_tls_why why;
    struct pp_tls_conf_params params = {.scope = PP_SPAN("web")};
    lib = test_tls_lib();
    if (with.n > 0)
        PP_CHECK_EQ(pp_tls_ticket_use(lib, with), PP_OK);
    PP_CHECK_EQ(pp_tls_conf_new(lib, &params, &why, &conf), PP_OK);
    PP_CHECK_EQ(pp_tls_conf_add(conf, &why), PP_OK);
    PP_CHECK_EQ(
        pp_tls_conf_pair(conf, test_text(pair.chain), test_text(pair.key), PP_SPAN_NONE, &why),
        PP_OK);
}

static void stop(void)
{
    pp_tls_conf_unref(conf);
    pp_tls_lib_free(lib);
}

static void prepare(int version)
{
    test_make_pair(&pair, "DNS:a.example", false, -60, 3600, NULL);
    peer_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(peer_ctx, version);
    RAND_bytes((unsigned char *)keys, sizeof(keys));
}

static void finish(void)
{
    SSL_CTX_free(peer_ctx);
    test_free_pair(&pair);
}

static void move(SSL *from, SSL *to)
{
    char buf[8192];
    int n;
    while ((n = BIO_read(SSL_get_wbio(from), buf, sizeof(buf))) > 0)
        BIO_write(SSL_get_rbio(to), buf, n);
}

/* A handshake with the last ticket of <*session>, which is replaced: was it resumed? */
static bool resumes(SSL_SESSION **session)
{
    SSL *server = pp_tls_conf_open(conf), *peer = SSL_new(peer_ctx);
    SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_bio(peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(peer);
    if (*session != NULL)
        SSL_set_session(peer, *session);
    int s = 0, p = 0;
    for (int i = 0; i < 6 && (s != 1 || p != 1); i++) {
        p = SSL_do_handshake(peer);
        move(peer, server);
        s = SSL_do_handshake(server);
        move(server, peer);
    }
    PP_CHECK(s == 1 && p == 1);
    char byte;
    PP_CHECK(SSL_read(peer, &byte, 1) <= 0); /* the tickets of TLS 1.3 */
    ERR_clear_error();
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(peer);
    bool reused = SSL_session_reused(server) == 1;
    SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(peer, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(server);
    SSL_free(peer);
    return reused;
}

static void follow(int version)
{
    SSL_SESSION *session = NULL;
    prepare(version);
    start(some(0, 2));
    PP_CHECK(!resumes(&session));
    PP_CHECK(resumes(&session));
    stop();
    start(some(0, 2)); /* another process */
    PP_CHECK(resumes(&session));
    PP_CHECK_EQ(pp_tls_ticket_use(lib, some(1, 3)), PP_OK); /* the second makes tickets now */
    PP_CHECK(!resumes(&session));                           /* and the first is forgotten */
    stop();
    start(some(0, 2)); /* who has not heard of that yet opens what the second has made */
    PP_CHECK(resumes(&session));
    stop();
    start(some(2, 2));
    PP_CHECK(!resumes(&session));
    stop();
    start(PP_SPAN_NONE); /* keys of the library's own */
    PP_CHECK(!resumes(&session));
    PP_CHECK(resumes(&session));
    stop();
    SSL_SESSION_free(session);
    finish();
}

PP_TEST_CASE(whoever_has_the_key_resumes)
{
    follow(TLS1_2_VERSION);
    follow(TLS1_3_VERSION);
}

PP_TEST_CASE(an_old_key_opens_but_makes_no_tickets)
{
    SSL_SESSION *session = NULL;
    struct pp_tls_ticket_key both[2];
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        prepare(version);
        start(some(0, 1));
        PP_CHECK(!resumes(&session));
        both[0] = keys[1];
        both[1] = keys[0];
        PP_CHECK_EQ(pp_tls_ticket_use(lib, pp_span((const char *)both, sizeof(both))), PP_OK);
        PP_CHECK(resumes(&session)); /* by the old one */
        PP_CHECK_EQ(pp_tls_ticket_use(lib, some(1, 1)), PP_OK);
        PP_CHECK(resumes(&session)); /* by the new one */
        stop();
        finish();
        SSL_SESSION_free(session);
        session = NULL;
    }
}

static unsigned tickets;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    tickets++;
    return 0;
}

PP_TEST_CASE(a_handshake_costs_one_ticket)
{
    SSL_SESSION *session = NULL;
    prepare(TLS1_3_VERSION);
    SSL_CTX_set_session_cache_mode(peer_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(peer_ctx, on_session);
    start(some(0, 2));
    PP_CHECK(!resumes(&session));
    PP_CHECK_EQ(tickets, 1);
    PP_CHECK(resumes(&session));
    PP_CHECK_EQ(tickets, 2);
    stop();
    SSL_SESSION_free(session);
    finish();
}

PP_TEST_CASE(only_whole_keys_are_taken)
{
    prepare(TLS1_3_VERSION);
    start(PP_SPAN_NONE);
    PP_CHECK_EQ(pp_tls_ticket_use(lib, some(0, 0)), PP_EINVAL);
    PP_CHECK_EQ(pp_tls_ticket_use(lib, some(0, 4)), PP_EINVAL);
    PP_CHECK_EQ(pp_tls_ticket_use(lib, pp_span((const char *)keys, 81)), PP_EINVAL);
    stop();
    finish();
}

PP_TEST_CASE(a_library_without_the_functions_keeps_its_own_keys)
{
    SSL_SESSION *session = NULL;
    prepare(TLS1_3_VERSION);
    start(PP_SPAN_NONE);
    lib->api.EVP_aes_256_cbc = NULL;
    PP_CHECK_EQ(pp_tls_ticket_use(lib, some(0, 2)), PP_ENOENT);
    PP_CHECK(!resumes(&session));
    PP_CHECK(resumes(&session));
    stop();
    SSL_SESSION_free(session);
    finish();
}

PP_TEST_MAIN()
