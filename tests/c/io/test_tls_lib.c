// libs: ssl crypto
#include "io/tls_lib.c"

#include "io/tls_test.h"
#include "pp_test.h"

PP_TEST_CASE(a_missing_function_is_named)
{
    uintptr_t address[PP_COUNT_OF(rows)];
    struct pp_tls_lib *lib = NULL;
    const char *missing = NULL;
    bool optional;
    memcpy(address, test_tls_address, sizeof(address));
    unsigned n = 0;
    while (pp_tls_lib_name(n, &optional) != NULL && strcmp(rows[n].name, "SSL_read") != 0)
        n++;
    address[n] = 0;
    PP_CHECK_EQ(pp_tls_lib_new(address, &lib, &missing), PP_EINVAL);
    PP_REQUIRE(missing != NULL);
    PP_CHECK(strcmp(missing, "SSL_read") == 0);
    PP_CHECK(lib == NULL);
}

PP_TEST_CASE(the_table_has_an_end_and_optional_rows)
{
    bool optional = true;
    PP_CHECK(pp_tls_lib_name(0, &optional) != NULL);
    PP_CHECK(!optional);
    PP_CHECK(pp_tls_lib_name(PP_COUNT_OF(rows) - 1, &optional) != NULL);
    PP_CHECK(optional);
    PP_CHECK(pp_tls_lib_name(PP_COUNT_OF(rows), &optional) == NULL);
}

static bool load(void)
{
    struct pp_tls_lib *lib = NULL;
    const char *missing;
    int rc = pp_tls_lib_new(test_tls_address, &lib, &missing);
    PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
    pp_tls_lib_free(lib);
    return rc == PP_OK;
}

PP_TEST_CASE(every_allocation_may_fail)
{
    PP_CHECK_FAIL_EACH(load);
}

PP_TEST_CASE(a_spoilt_bundle_is_refused_as_a_whole)
{
    struct pp_tls_lib *lib = test_tls_lib();
    struct test_pair good;
    struct pp_tls_why why;
    char bundle[8192];
    test_make_pair(&good, "DNS:ca.example", false, -60, 3600, NULL);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    PP_CHECK_EQ(pp_tls_lib_trust(lib, ctx, test_text(good.chain), true, &why), PP_OK);
    snprintf(bundle, sizeof(bundle),
             "%s\n-----BEGIN CERTIFICATE-----\nAAAA\n"
             "-----END CERTIFICATE-----\n",
             good.chain);
    PP_CHECK_EQ(pp_tls_lib_trust(lib, ctx, test_text(bundle), false, &why), PP_EINVAL);
    PP_CHECK(strstr(why.text, "CA") != NULL);
    SSL_CTX_free(ctx);
    test_free_pair(&good);
    pp_tls_lib_free(lib);
}

PP_TEST_MAIN()
