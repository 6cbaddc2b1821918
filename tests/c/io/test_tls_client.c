// libs: ssl crypto
#include "io/tls_client.c"

#include "io/tls_test.h"
#include "pp_test.h"

/* What an endpoint's certificate must be like is tested where connections are: test_chan_tls.c. */

static struct pp_tls_lib *lib;
static struct test_pair pair;
static struct pp_tls_why why;

static void refused(struct pp_tls_client_params params, const char *word)
{
    struct pp_tls_client *c = NULL;
    PP_CHECK_EQ(pp_tls_client_new(lib, &params, &why, &c), PP_EINVAL);
    PP_CHECK(strstr(why.text, word) != NULL);
}

PP_TEST_CASE(mistakes_are_told_in_a_sentence)
{
    lib = test_tls_lib();
    test_make_pair(&pair, "DNS:a.example", false, -60, 3600, NULL);
    refused((struct pp_tls_client_params){.verify = true}, "CA");
    refused((struct pp_tls_client_params){.verify = true, .ca = PP_SPAN("x")}, "CA");
    refused((struct pp_tls_client_params){.chain = PP_SPAN("x")}, "certificate");
    refused((struct pp_tls_client_params){.chain = test_text(pair.chain)}, "private key");
    refused((struct pp_tls_client_params){.alpn = PP_SPAN("\x20"
                                                          "h2")},
            "ALPN");
    refused((struct pp_tls_client_params){.key_log = PP_SPAN("/nowhere/at/all")}, "key log");
    refused((struct pp_tls_client_params){.settings = {.groups = PP_SPAN("NOPE")}}, "groups");
    test_free_pair(&pair);
    pp_tls_lib_free(lib);
}

PP_TEST_CASE(a_nameless_endpoint_cannot_be_verified)
{
    lib = test_tls_lib();
    test_make_pair(&pair, "DNS:a.example", false, -60, 3600, NULL);
    struct pp_tls_client_params params = {.verify = true, .ca = test_text(pair.chain)};
    struct pp_tls_client *c = NULL;
    PP_CHECK_EQ(pp_tls_client_new(lib, &params, &why, &c), PP_OK);
    PP_CHECK(pp_tls_client_open(c, PP_SPAN_NONE, NULL) == NULL);
    SSL *ssl = pp_tls_client_open(c, PP_SPAN("a.example"), NULL);
    PP_REQUIRE(ssl != NULL);
    PP_CHECK(strcmp(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), "a.example") == 0);
    SSL_free(ssl);
    ssl = pp_tls_client_open(c, PP_SPAN("::1"), NULL); /* an address is no server name (RFC 6066) */
    PP_REQUIRE(ssl != NULL);
    PP_CHECK(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) == NULL);
    SSL_free(ssl);
    pp_tls_client_unref(c);
    test_free_pair(&pair);
    pp_tls_lib_free(lib);
}

PP_TEST_CASE(only_what_was_made_of_the_same_parameters_is_alike)
{
    lib = test_tls_lib();
    test_make_pair(&pair, "DNS:a.example", false, -60, 3600, NULL);
    struct pp_span pem = test_text(pair.chain), key = test_text(pair.key);
    const struct pp_tls_client_params base = {.name = PP_SPAN("a.example"),
                                              .alpn = PP_SPAN("\x02h2")};
    struct pp_tls_client_params other[] = {base, base, base, base, base, base, base, base};
    struct pp_tls_client *first = NULL, *c = NULL;
    other[1].name = PP_SPAN("b.example");
    other[2].alpn = PP_SPAN_NONE;
    other[3].ca = pem;
    other[4].chain = pem;
    other[4].key = key;
    other[5].ca = pem;
    other[5].verify = true;
    other[6].settings.min_version = PP_TLS_VERSION_1_3;
    other[7].settings.groups = PP_SPAN("X25519");
    PP_REQUIRE(pp_tls_client_new(lib, &base, &why, &first) == PP_OK);
    for (size_t i = 0; i < PP_COUNT_OF(other); i++) {
        PP_REQUIRE(pp_tls_client_new(lib, &other[i], &why, &c) == PP_OK);
        PP_CHECK_EQ(pp_tls_client_is_alike(first, c), i == 0);
        pp_tls_client_unref(c);
    }
    PP_CHECK(pp_tls_client_is_alike(NULL, NULL) && !pp_tls_client_is_alike(first, NULL));
    pp_tls_client_unref(first);
    test_free_pair(&pair);
    pp_tls_lib_free(lib);
}

PP_TEST_MAIN()
