/* The system's OpenSSL in the place of the one that Python finds, and key pairs made on the spot.
 * Tests that include this link ssl and crypto. */
#ifndef PP_TLS_TEST_H
#define PP_TLS_TEST_H

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "io/tls_lib.h"

/* What are macros there are functions in the table. */
#define TEST_WRAP(name, returns, parameters, call)                                                 \
    PP_UNUSED static returns test_##name parameters                                                \
    {                                                                                              \
        return call;                                                                               \
    }
TEST_WRAP(SSL_CTX_set_mode, long, (SSL_CTX * c, long m), SSL_CTX_set_mode(c, m))
TEST_WRAP(SSL_CTX_set_session_cache_mode, long, (SSL_CTX * c, long m),
          SSL_CTX_set_session_cache_mode(c, m))
TEST_WRAP(SSL_CTX_set_min_proto_version, long, (SSL_CTX * c, int v),
          SSL_CTX_set_min_proto_version(c, v))
TEST_WRAP(SSL_CTX_set_max_proto_version, long, (SSL_CTX * c, int v),
          SSL_CTX_set_max_proto_version(c, v))
TEST_WRAP(SSL_CTX_set1_curves_list, long, (SSL_CTX * c, const char *s),
          SSL_CTX_set1_curves_list(c, s))
TEST_WRAP(SSL_CTX_set_tlsext_status_cb, long, (SSL_CTX * c, int (*f)(SSL *, void *)),
          SSL_CTX_set_tlsext_status_cb(c, f))
TEST_WRAP(SSL_CTX_set_tlsext_status_arg, long, (SSL_CTX * c, void *p),
          SSL_CTX_set_tlsext_status_arg(c, p))
TEST_WRAP(SSL_set1_curves_list, long, (SSL * s, const char *t), SSL_set1_curves_list(s, t))
TEST_WRAP(SSL_set_tlsext_host_name, void, (SSL * s, const char *t),
          (void)SSL_set_tlsext_host_name(s, t))
TEST_WRAP(SSL_set_tlsext_status_ocsp_resp, long, (SSL * s, unsigned char *p, int n),
          SSL_set_tlsext_status_ocsp_resp(s, p, n))
TEST_WRAP(OPENSSL_malloc, void *, (size_t n), OPENSSL_malloc(n))
TEST_WRAP(BIO_set_mem_eof_return, long, (BIO * b, int v), BIO_set_mem_eof_return(b, v))
TEST_WRAP(BIO_get_mem_data, long, (BIO * b, char **p), BIO_get_mem_data(b, p))
#undef SSL_CTX_set_mode
#define SSL_CTX_set_mode test_SSL_CTX_set_mode
#undef SSL_CTX_set_session_cache_mode
#define SSL_CTX_set_session_cache_mode test_SSL_CTX_set_session_cache_mode
#undef SSL_CTX_set_min_proto_version
#define SSL_CTX_set_min_proto_version test_SSL_CTX_set_min_proto_version
#undef SSL_CTX_set_max_proto_version
#define SSL_CTX_set_max_proto_version test_SSL_CTX_set_max_proto_version
#undef SSL_CTX_set1_curves_list
#define SSL_CTX_set1_curves_list test_SSL_CTX_set1_curves_list
#undef SSL_CTX_set_tlsext_status_cb
#define SSL_CTX_set_tlsext_status_cb test_SSL_CTX_set_tlsext_status_cb
#undef SSL_CTX_set_tlsext_status_arg
#define SSL_CTX_set_tlsext_status_arg test_SSL_CTX_set_tlsext_status_arg
#undef SSL_set1_curves_list
#define SSL_set1_curves_list test_SSL_set1_curves_list
#undef SSL_set_tlsext_host_name
#define SSL_set_tlsext_host_name test_SSL_set_tlsext_host_name
#undef SSL_set_tlsext_status_ocsp_resp
#define SSL_set_tlsext_status_ocsp_resp test_SSL_set_tlsext_status_ocsp_resp
#undef SSL_get_peer_certificate
#define SSL_get_peer_certificate SSL_get1_peer_certificate
#undef OPENSSL_malloc
#define OPENSSL_malloc test_OPENSSL_malloc
#undef BIO_set_mem_eof_return
#define BIO_set_mem_eof_return test_BIO_set_mem_eof_return
#undef BIO_get_mem_data
#define BIO_get_mem_data test_BIO_get_mem_data

static const uintptr_t test_tls_address[] = {
#define TEST_ADDRESS(name, returns, parameters) (uintptr_t) & name,
    PP_TLS_API_LIST(TEST_ADDRESS)
#undef TEST_ADDRESS
#define TEST_ADDRESS(name, returns, parameters) 0,
        PP_TLS_API_OPTIONAL(TEST_ADDRESS)
#undef TEST_ADDRESS
#define TEST_ADDRESS(name, returns, parameters) (uintptr_t) & name,
            PP_TLS_API_TICKETS(TEST_ADDRESS)
#undef TEST_ADDRESS
};

PP_UNUSED static struct pp_tls_lib *test_tls_lib(void)
{
    struct pp_tls_lib *lib = NULL;
    const char *missing;
    if (pp_tls_lib_new(test_tls_address, &lib, &missing) != PP_OK)
        abort();
    return lib;
}

/* A key pair in PEM, NUL-terminated, with its certificate once more as an object. */
struct test_pair {
    char chain[4096], key[4096];
    EVP_PKEY *pkey;
    X509 *cert;
};

PP_UNUSED static struct pp_span test_text(const char *s)
{
    return pp_span(s, strlen(s));
}

static void test_pem(BIO *bio, char *dst, size_t cap)
{
    int n = BIO_read(bio, dst, (int)cap - 1);
    dst[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
}

/* A certificate for <names> ("DNS:a.example,IP:127.0.0.1"), valid from <from> to <to> seconds from
 * now, signed by <ca> (NULL: by itself). <rsa>: not ECDSA. */
PP_UNUSED static void test_make_pair(struct test_pair *p, const char *names, bool rsa, long from,
                                     long to, const struct test_pair *ca)
{
    p->pkey = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    X509 *x = p->cert = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), from);
    X509_gmtime_adj(X509_getm_notAfter(x), to);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)names, -1, -1, 0);
    X509_set_issuer_name(x, ca != NULL ? X509_get_subject_name(ca->cert) : name);
    X509_set_pubkey(x, p->pkey);
    X509V3_CTX v3;
    X509V3_set_ctx(&v3, x, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &v3, NID_subject_alt_name, names);
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
    if (ca == NULL) { /* it may sign others */
        ext = X509V3_EXT_conf_nid(NULL, &v3, NID_basic_constraints, "critical,CA:TRUE");
        X509_add_ext(x, ext, -1);
        X509_EXTENSION_free(ext);
    }
    X509_sign(x, ca != NULL ? ca->pkey : p->pkey, EVP_sha256());
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    test_pem(bio, p->chain, sizeof(p->chain));
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, p->pkey, NULL, NULL, 0, NULL, NULL);
    test_pem(bio, p->key, sizeof(p->key));
}

PP_UNUSED static void test_free_pair(struct test_pair *p)
{
    EVP_PKEY_free(p->pkey);
    X509_free(p->cert);
}

#endif
