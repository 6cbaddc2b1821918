// libs: ssl crypto
#include "io/tls_conf.c"

#include "io/io_test.h"
#include "io/tls_test.h"
#include "pp_test.h"

static struct pp_tls_lib *lib;
static struct test_pair ca, a, a_rsa, b, wild;
static struct pp_tls_why why;
static SSL_CTX *peer_ctx;
static SSL *server, *peer;

static void prepare(void)
{
    lib = test_tls_lib();
    test_make_pair(&ca, "DNS:ca.example", false, -60, 3600, NULL);
    test_make_pair(&a, "DNS:a.example", false, -60, 3600, NULL);
    test_make_pair(&a_rsa, "DNS:a.example", true, -60, 3600, NULL);
    test_make_pair(&b, "DNS:b.example", false, -60, 3600, NULL);
    test_make_pair(&wild, "DNS:*.example", false, -60, 3600, NULL);
    peer_ctx = SSL_CTX_new(TLS_client_method());
}

static void finish(struct pp_tls_conf *conf)
{
    pp_tls_conf_unref(conf);
    SSL_CTX_free(peer_ctx);
    pp_tls_lib_free(lib);
    struct test_pair *all[] = {&ca, &a, &a_rsa, &b, &wild};
    for (size_t i = 0; i < PP_COUNT_OF(all); i++)
        test_free_pair(all[i]);
}

static struct pp_tls_conf *make(struct pp_tls_conf_params params)
{
    struct pp_tls_conf *conf = NULL;
    PP_CHECK_EQ(pp_tls_conf_new(lib, &params, &why, &conf), PP_OK);
    return conf;
}

static void add(struct pp_tls_conf *conf, const char *name, const struct test_pair *p)
{
    PP_CHECK_EQ(pp_tls_conf_add(conf, &why), PP_OK);
    if (name != NULL)
        PP_CHECK_EQ(pp_tls_conf_name(conf, test_text(name), &why), PP_OK);
    PP_CHECK_EQ(pp_tls_conf_pair(conf, test_text(p->chain), test_text(p->key), PP_SPAN_NONE, &why),
                PP_OK);
}

static void move(SSL *from, SSL *to)
{
    char buf[8192];
    int n;
    while ((n = BIO_read(SSL_get_wbio(from), buf, sizeof(buf))) > 0)
        BIO_write(SSL_get_rbio(to), buf, n);
}

/* Handshake with a client that asks for <sni>; is it done? */
static bool meet(struct pp_tls_conf *conf, const char *sni, void (*adjust)(SSL *))
{
    server = pp_tls_conf_open(conf);
    peer = SSL_new(peer_ctx);
    SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_bio(peer, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(peer);
    if (sni != NULL)
        SSL_set_tlsext_host_name(peer, sni);
    if (adjust != NULL)
        adjust(peer);
    int s = 0, p = 0;
    for (int i = 0; i < 6 && (s != 1 || p != 1); i++) {
        p = SSL_do_handshake(peer);
        move(peer, server);
        s = SSL_do_handshake(server);
        move(server, peer);
    }
    ERR_clear_error();
    return s == 1 && p == 1;
}

static void part(void)
{
    SSL_free(server);
    SSL_free(peer);
}

/* Does a client that asks for <sni> get the certificate of <want>? */
static void gets(struct pp_tls_conf *conf, const char *sni, void (*adjust)(SSL *),
                 const struct test_pair *want)
{
    PP_CHECK(meet(conf, sni, adjust));
    X509 *cert = SSL_get1_peer_certificate(peer);
    bool same = cert != NULL && X509_cmp(cert, want->cert) == 0;
    PP_CHECK(same);
    if (!same)
        printf("    asked for %s\n", sni != NULL ? sni : "nothing");
    X509_free(cert);
    part();
}

PP_TEST_CASE(the_name_chooses_the_certificate)
{
    prepare();
    struct pp_tls_conf *conf = make((struct pp_tls_conf_params){0});
    add(conf, NULL, &ca);
    add(conf, "A.example.", &a);
    add(conf, "*.example", &wild);
    add(conf, "b.example", &b);
    PP_CHECK_EQ(pp_tls_conf_name(conf, PP_SPAN("a.example"), &why), PP_OK); /* the first keeps it */
    gets(conf, NULL, NULL, &ca);
    gets(conf, "a.example", NULL, &a);
    gets(conf, "a.EXAMPLE", NULL, &a);
    gets(conf, "b.example", NULL, &b);
    gets(conf, "c.example", NULL, &wild);
    gets(conf, "d.c.example", NULL, &ca); /* a wildcard is one label */
    gets(conf, "example", NULL, &ca);
    gets(conf, "elsewhere.test", NULL, &ca);
    finish(conf);
}

static void only_rsa(SSL *ssl)
{
    SSL_set1_sigalgs_list(ssl, "rsa_pss_rsae_sha256:RSA+SHA256");
}
static void only_ecdsa(SSL *ssl)
{
    SSL_set1_sigalgs_list(ssl, "ECDSA+SHA256");
}
static void tls_1_2(SSL *ssl)
{
    SSL_set_max_proto_version(ssl, TLS1_2_VERSION);
}
static void rsa_1_2(SSL *ssl)
{
    only_rsa(ssl);
    tls_1_2(ssl);
}

PP_TEST_CASE(one_name_may_have_two_key_types)
{
    prepare();
    struct pp_tls_conf *conf = make((struct pp_tls_conf_params){0});
    add(conf, NULL, &b);
    add(conf, "a.example", &a);
    PP_CHECK_EQ(
        pp_tls_conf_pair(conf, test_text(a_rsa.chain), test_text(a_rsa.key), PP_SPAN_NONE, &why),
        PP_OK);
    gets(conf, "a.example", only_ecdsa, &a);
    gets(conf, "a.example", only_rsa, &a_rsa);
    gets(conf, "a.example", rsa_1_2, &a_rsa);
    finish(conf);
}

static void offer_h2_and_old(SSL *ssl)
{
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x08http/1.1\x02h2", 12);
}
static void offer_foreign(SSL *ssl)
{
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x04smtp", 5);
}

PP_TEST_CASE(alpn_is_our_choice)
{
    const unsigned char *p;
    unsigned n;
    prepare();
    struct pp_tls_conf *conf =
        make((struct pp_tls_conf_params){.alpn = PP_SPAN("\x02h2\x08http/1.1")});
    add(conf, NULL, &a);
    PP_CHECK(meet(conf, NULL, offer_h2_and_old));
    SSL_get0_alpn_selected(peer, &p, &n);
    PP_CHECK_BYTES(pp_span((const char *)p, n), "h2", 2);
    part();
    PP_CHECK(meet(conf, NULL, NULL));
    part();
    PP_CHECK(!meet(conf, NULL, offer_foreign)); /* RFC 7301 section 3.2 */
    part();
    finish(conf);
}

PP_TEST_CASE(versions_ciphers_and_groups_are_the_listeners)
{
    prepare();
    struct pp_tls_conf *conf = make(
        (struct pp_tls_conf_params){.settings = {.min_version = PP_TLS_VERSION_1_3,
                                                 .ciphersuites = PP_SPAN("TLS_AES_256_GCM_SHA384"),
                                                 .groups = PP_SPAN("P-384")}});
    add(conf, NULL, &a);
    PP_CHECK(meet(conf, NULL, NULL));
    PP_CHECK(strcmp(SSL_get_cipher_name(peer), "TLS_AES_256_GCM_SHA384") == 0);
    PP_CHECK_EQ(SSL_get_negotiated_group(peer), NID_secp384r1);
    part();
    PP_CHECK(!meet(conf, NULL, tls_1_2));
    part();
    pp_tls_conf_unref(conf);
    conf = make((struct pp_tls_conf_params){
        .settings = {.max_version = PP_TLS_VERSION_1_2,
                     .ciphers = PP_SPAN("ECDHE-ECDSA-AES256-GCM-SHA384")}});
    add(conf, NULL, &a);
    PP_CHECK(meet(conf, NULL, NULL));
    PP_CHECK_EQ(SSL_version(peer), TLS1_2_VERSION);
    PP_CHECK(strcmp(SSL_get_cipher_name(peer), "ECDHE-ECDSA-AES256-GCM-SHA384") == 0);
    part();
    finish(conf);
}

static const struct test_pair *shown;

static void show(SSL *ssl)
{
    SSL_use_certificate(ssl, shown->cert);
    SSL_use_PrivateKey(ssl, shown->pkey);
}

PP_TEST_CASE(clients_show_certificates)
{
    struct test_pair good;
    prepare();
    test_make_pair(&good, "DNS:client", false, -60, 3600, &ca);
    for (int required = 0; required < 2; required++) {
        struct pp_tls_conf *conf = make((struct pp_tls_conf_params){
            .client_auth = required ? PP_TLS_CLIENT_REQUIRED : PP_TLS_CLIENT_OPTIONAL,
            .client_ca = test_text(ca.chain)});
        add(conf, NULL, &a);
        add(conf, "b.example", &b);
        PP_CHECK_EQ(meet(conf, "b.example", NULL), !required);
        part();
        shown = &good;
        PP_CHECK(meet(conf, "b.example", show)); /* the trust is that of every entry */
        X509 *cert = SSL_get1_peer_certificate(server);
        PP_CHECK(cert != NULL && X509_cmp(cert, good.cert) == 0);
        X509_free(cert);
        part();
        shown = &wild; /* signed by nobody */
        PP_CHECK(!meet(conf, "b.example", show));
        part();
        pp_tls_conf_unref(conf);
    }
    test_free_pair(&good);
    finish(NULL);
}

static void ask_status(SSL *ssl)
{
    SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
}
static void ask_status_rsa(SSL *ssl)
{
    ask_status(ssl);
    only_rsa(ssl);
}

PP_TEST_CASE(staples_follow_the_certificate)
{
    const unsigned char *p;
    prepare();
    struct pp_tls_conf *conf = make((struct pp_tls_conf_params){0});
    PP_CHECK_EQ(pp_tls_conf_add(conf, &why), PP_OK);
    PP_CHECK_EQ(
        pp_tls_conf_pair(conf, test_text(a.chain), test_text(a.key), PP_SPAN("staple-a"), &why),
        PP_OK);
    PP_CHECK_EQ(pp_tls_conf_pair(conf, test_text(a_rsa.chain), test_text(a_rsa.key),
                                 PP_SPAN("staple-rsa"), &why),
                PP_OK);
    PP_CHECK(meet(conf, NULL, ask_status));
    PP_CHECK_EQ(SSL_get_tlsext_status_ocsp_resp(peer, &p), 8);
    part();
    PP_CHECK(meet(conf, NULL, ask_status_rsa));
    PP_CHECK_EQ(SSL_get_tlsext_status_ocsp_resp(peer, &p), 10);
    PP_CHECK_BYTES(pp_span((const char *)p, 10), "staple-rsa", 10);
    part();
    finish(conf);
}

PP_TEST_CASE(handshakes_are_logged_for_debugging)
{
    char path[] = "/tmp/keylog-XXXXXX", text[8192];
    int fd = mkstemp(path);
    prepare();
    struct pp_tls_conf *conf = make((struct pp_tls_conf_params){.key_log = test_text(path)});
    add(conf, NULL, &a);
    PP_CHECK(meet(conf, NULL, NULL));
    part();
    ssize_t n = read(fd, text, sizeof(text) - 1);
    text[PP_MAX(n, 0)] = '\0';
    PP_CHECK(strstr(text, "CLIENT_TRAFFIC_SECRET_0 ") != NULL);
    PP_CHECK(n > 0 && text[n - 1] == '\n');
    close(fd);
    unlink(path);
    finish(conf);
    pp_fd_close(&key_log_fd);
    key_log_fd = -1;
}

static void refused(int rc, const char *word)
{
    PP_CHECK_EQ(rc, PP_EINVAL);
    PP_CHECK(strstr(why.text, word) != NULL);
    if (strstr(why.text, word) == NULL)
        printf("    it says: %s\n", why.text);
}

PP_TEST_CASE(mistakes_are_told_in_a_sentence)
{
    char locked[4096];
    struct pp_tls_conf *conf = NULL;
    prepare();
    struct pp_tls_conf_params params = {.client_auth = PP_TLS_CLIENT_REQUIRED};
    refused(pp_tls_conf_new(lib, &params, &why, &conf), "CA");
    params = (struct pp_tls_conf_params){.key_log = PP_SPAN("/nowhere/at/all")};
    refused(pp_tls_conf_new(lib, &params, &why, &conf), "/nowhere");
    const struct {
        struct pp_tls_settings settings;
        const char *word;
    } wrong[] = {
        {{.ciphers = PP_SPAN("NOPE")}, "ciphers"},
        {{.ciphersuites = PP_SPAN("NOPE")}, "ciphersuites"},
        {{.groups = PP_SPAN("NOPE")}, "groups"},
        {{.groups = PP_SPAN("P-256\0P-384")}, "groups"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(wrong); i++) {
        conf = make((struct pp_tls_conf_params){.settings = wrong[i].settings});
        refused(pp_tls_conf_add(conf, &why), wrong[i].word);
        pp_tls_conf_unref(conf);
    }
    conf = make((struct pp_tls_conf_params){.client_auth = PP_TLS_CLIENT_OPTIONAL,
                                            .client_ca = PP_SPAN("no certificate")});
    refused(pp_tls_conf_add(conf, &why), "CA");
    pp_tls_conf_unref(conf);
    conf = make((struct pp_tls_conf_params){0});
    PP_CHECK_EQ(pp_tls_conf_add(conf, &why), PP_OK);
    refused(pp_tls_conf_name(conf, PP_SPAN(""), &why), "host name");
    struct pp_span chain = test_text(a.chain), none = PP_SPAN_NONE;
    refused(pp_tls_conf_pair(conf, PP_SPAN("x"), test_text(a.key), none, &why), "certificate");
    refused(pp_tls_conf_pair(conf, chain, PP_SPAN(""), none, &why), "private key");
    refused(pp_tls_conf_pair(conf, chain, test_text(b.key), none, &why), "private key");
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, a.pkey, EVP_aes_128_cbc(), (const unsigned char *)"pw", 2, NULL,
                             NULL);
    test_pem(bio, locked, sizeof(locked)); /* nobody is asked for the password */
    refused(pp_tls_conf_pair(conf, chain, test_text(locked), none, &why), "private key");
    finish(conf);
}

static bool build(void)
{
    struct pp_tls_conf_params params = {.scope = PP_SPAN("web"), .alpn = PP_SPAN("\x02h2")};
    struct pp_tls_conf *conf = NULL;
    int rc = pp_tls_conf_new(lib, &params, &why, &conf);
    if (rc == PP_OK)
        rc = pp_tls_conf_add(conf, &why);
    if (rc == PP_OK)
        rc = pp_tls_conf_name(conf, PP_SPAN("a.example"), &why);
    if (rc == PP_OK)
        rc = pp_tls_conf_set_by(conf, PP_SPAN("By=urn:a"));
    if (rc == PP_OK)
        rc = pp_tls_conf_pair(conf, test_text(a.chain), test_text(a.key), PP_SPAN("staple"), &why);
    PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
    if (conf != NULL)
        pp_tls_conf_unref(conf);
    return rc == PP_OK;
}

PP_TEST_CASE(each_entry_has_its_own_word_about_us)
{
    prepare();
    struct pp_tls_conf *conf = make((struct pp_tls_conf_params){0});
    add(conf, NULL, &ca);
    add(conf, "a.example", &a);
    PP_CHECK_EQ(pp_tls_conf_set_by(conf, PP_SPAN("By=old")), PP_OK);
    PP_CHECK_EQ(pp_tls_conf_set_by(conf, PP_SPAN("By=urn:a")), PP_OK);
    PP_CHECK(pp_span_eq(pp_tls_conf_by(conf, "A.example."), PP_SPAN("By=urn:a")));
    PP_CHECK_EQ(pp_tls_conf_by(conf, NULL).n, 0);
    PP_CHECK_EQ(pp_tls_conf_by(conf, "b.example").n, 0);
    finish(conf);
}

PP_TEST_CASE(many_certificates_are_freed_little_by_little)
{
    prepare();
    struct pp_tls_conf *conf = make((struct pp_tls_conf_params){0});
    for (int i = 0; i < FREED_AT_ONCE + FREED_BY_THE_WAY + 3; i++)
        add(conf, i == 0 ? "a.example" : NULL, &a);
    struct pp_tls_conf *other = make((struct pp_tls_conf_params){0});
    add(other, NULL, &b);
    pp_tls_conf_unref(conf);
    PP_CHECK(lib->unused == conf);
    gets(other, NULL, NULL, &b); /* a connection takes some with it */
    PP_CHECK(pp_tls_conf_sweep(lib, 2));
    PP_CHECK(!pp_tls_conf_sweep(lib, 2));
    PP_CHECK(lib->unused == NULL);
    PP_CHECK(!pp_tls_conf_sweep(lib, 2));
    conf = make((struct pp_tls_conf_params){0});
    for (int i = 0; i < FREED_AT_ONCE + 1; i++)
        add(conf, NULL, &a);
    pp_tls_conf_unref(conf); /* the rest goes with the library */
    finish(other);
}

PP_TEST_CASE(every_allocation_may_fail)
{
    prepare();
    PP_CHECK_FAIL_EACH(build);
    finish(NULL);
}

PP_TEST_MAIN()
