/* OpenSSL as a table of function pointers.
 *
 * The library is the one inside `cryptography`, which every installation has (pyOpenSSL runs on
 * it): it is newer and quicker than most systems' own, and knows the post-quantum groups. Nothing
 * is linked: Python gathers the addresses by the names of the list below and hands them over
 * (pp_tls_lib_new). What is not in its own table (custom BIOs, SSL_clear, data hung on objects) is
 * done without; the files that include this one say how.
 *
 * The types carry OpenSSL's own tags; the numbers are its ABI and do not change. */
#ifndef PP_IO_TLS_API_H
#define PP_IO_TLS_API_H

#include <stddef.h>
#include <stdint.h>

struct ssl_st;
struct ssl_ctx_st;
struct ssl_method_st;
struct ssl_cipher_st;
struct ssl_session_st;
struct bio_st;
struct bio_method_st;
struct x509_st;
struct x509_store_st;
struct x509_store_ctx_st;
struct X509_VERIFY_PARAM_st;
struct evp_pkey_st;
struct evp_md_st;
struct evp_cipher_st;
struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;
struct ossl_param_st;
struct engine_st;

/* X(name, returned type, parameters) */
#define PP_TLS_API_LIST(X)                                                                         \
    X(TLS_server_method, const struct ssl_method_st *, (void))                                     \
    X(TLS_client_method, const struct ssl_method_st *, (void))                                     \
    X(SSL_CTX_new, struct ssl_ctx_st *, (const struct ssl_method_st *))                            \
    X(SSL_CTX_free, void, (struct ssl_ctx_st *))                                                   \
    X(SSL_CTX_set_options, uint64_t, (struct ssl_ctx_st *, uint64_t))                              \
    X(SSL_CTX_set_mode, long, (struct ssl_ctx_st *, long))                                         \
    X(SSL_CTX_set_session_cache_mode, long, (struct ssl_ctx_st *, long))                           \
    X(SSL_CTX_set_timeout, long, (struct ssl_ctx_st *, long))                                      \
    X(SSL_CTX_set_session_id_context, int, (struct ssl_ctx_st *, const unsigned char *, unsigned)) \
    X(SSL_CTX_set_min_proto_version, long, (struct ssl_ctx_st *, int))                             \
    X(SSL_CTX_set_max_proto_version, long, (struct ssl_ctx_st *, int))                             \
    X(SSL_CTX_set_cipher_list, int, (struct ssl_ctx_st *, const char *))                           \
    X(SSL_CTX_set_ciphersuites, int, (struct ssl_ctx_st *, const char *))                          \
    X(SSL_CTX_set1_curves_list, long, (struct ssl_ctx_st *, const char *))                         \
    X(SSL_CTX_use_certificate_chain_file, int, (struct ssl_ctx_st *, const char *))                \
    X(SSL_CTX_use_PrivateKey, int, (struct ssl_ctx_st *, struct evp_pkey_st *))                    \
    X(SSL_CTX_check_private_key, int, (const struct ssl_ctx_st *))                                 \
    X(SSL_CTX_get_cert_store, struct x509_store_st *, (const struct ssl_ctx_st *))                 \
    X(SSL_CTX_set_verify, void,                                                                    \
      (struct ssl_ctx_st *, int, int (*)(int, struct x509_store_ctx_st *)))                        \
    X(SSL_CTX_add_client_CA, int, (struct ssl_ctx_st *, struct x509_st *))                         \
    X(SSL_CTX_load_verify_locations, int, (struct ssl_ctx_st *, const char *, const char *))       \
    X(SSL_CTX_set_alpn_protos, int, (struct ssl_ctx_st *, const unsigned char *, unsigned))        \
    X(SSL_CTX_set_alpn_select_cb, void,                                                            \
      (struct ssl_ctx_st *,                                                                        \
       int (*)(struct ssl_st *, const unsigned char **, unsigned char *, const unsigned char *,    \
               unsigned, void *),                                                                  \
       void *))                                                                                    \
    X(SSL_CTX_set_cert_cb, void, (struct ssl_ctx_st *, int (*)(struct ssl_st *, void *), void *))  \
    X(SSL_CTX_set_tlsext_status_cb, long, (struct ssl_ctx_st *, int (*)(struct ssl_st *, void *))) \
    X(SSL_CTX_set_tlsext_status_arg, long, (struct ssl_ctx_st *, void *))                          \
    X(SSL_CTX_set_keylog_callback, void,                                                           \
      (struct ssl_ctx_st *, void (*)(const struct ssl_st *, const char *)))                        \
    X(SSL_new, struct ssl_st *, (struct ssl_ctx_st *))                                             \
    X(SSL_free, void, (struct ssl_st *))                                                           \
    X(SSL_set_bio, void, (struct ssl_st *, struct bio_st *, struct bio_st *))                      \
    X(SSL_set_accept_state, void, (struct ssl_st *))                                               \
    X(SSL_set_connect_state, void, (struct ssl_st *))                                              \
    X(SSL_set_SSL_CTX, struct ssl_ctx_st *, (struct ssl_st *, struct ssl_ctx_st *))                \
    X(SSL_set_options, uint64_t, (struct ssl_st *, uint64_t))                                      \
    X(SSL_set_verify, void, (struct ssl_st *, int, int (*)(int, struct x509_store_ctx_st *)))      \
    X(SSL_set1_curves_list, long, (struct ssl_st *, const char *))                                 \
    X(SSL_set_session, int, (struct ssl_st *, struct ssl_session_st *))                            \
    X(SSL_set_alpn_protos, int, (struct ssl_st *, const unsigned char *, unsigned))                \
    X(SSL_set_tlsext_host_name, void, (struct ssl_st *, const char *))                             \
    X(SSL_set_tlsext_status_ocsp_resp, long, (struct ssl_st *, unsigned char *, int))              \
    X(SSL_do_handshake, int, (struct ssl_st *))                                                    \
    X(SSL_read, int, (struct ssl_st *, void *, int))                                               \
    X(SSL_write, int, (struct ssl_st *, const void *, int))                                        \
    X(SSL_pending, int, (const struct ssl_st *))                                                   \
    X(SSL_shutdown, int, (struct ssl_st *))                                                        \
    X(SSL_set_shutdown, void, (struct ssl_st *, int))                                              \
    X(SSL_get_error, int, (const struct ssl_st *, int))                                            \
    X(SSL_get_servername, const char *, (const struct ssl_st *, int))                              \
    X(SSL_get0_alpn_selected, void, (const struct ssl_st *, const unsigned char **, unsigned *))   \
    X(SSL_get0_param, struct X509_VERIFY_PARAM_st *, (struct ssl_st *))                            \
    X(SSL_get_version, const char *, (const struct ssl_st *))                                      \
    X(SSL_get_current_cipher, const struct ssl_cipher_st *, (const struct ssl_st *))               \
    X(SSL_CIPHER_get_name, const char *, (const struct ssl_cipher_st *))                           \
    X(SSL_get_certificate, struct x509_st *, (const struct ssl_st *))                              \
    X(SSL_get_peer_certificate, struct x509_st *, (const struct ssl_st *))                         \
    X(SSL_get_verify_result, long, (const struct ssl_st *))                                        \
    X(SSL_session_reused, int, (const struct ssl_st *))                                            \
    X(SSL_get1_session, struct ssl_session_st *, (struct ssl_st *))                                \
    X(SSL_SESSION_free, void, (struct ssl_session_st *))                                           \
    X(X509_VERIFY_PARAM_set1_host, int, (struct X509_VERIFY_PARAM_st *, const char *, size_t))     \
    X(X509_VERIFY_PARAM_set1_ip, int,                                                              \
      (struct X509_VERIFY_PARAM_st *, const unsigned char *, size_t))                              \
    X(X509_VERIFY_PARAM_set_hostflags, void, (struct X509_VERIFY_PARAM_st *, unsigned))            \
    X(X509_STORE_add_cert, int, (struct x509_store_st *, struct x509_st *))                        \
    X(X509_digest, int,                                                                            \
      (const struct x509_st *, const struct evp_md_st *, unsigned char *, unsigned *))             \
    X(X509_free, void, (struct x509_st *))                                                         \
    X(i2d_X509_bio, int, (struct bio_st *, struct x509_st *))                                      \
    X(PEM_read_bio_X509, struct x509_st *,                                                         \
      (struct bio_st *, struct x509_st **, int (*)(char *, int, int, void *), void *))             \
    X(PEM_read_bio_PrivateKey, struct evp_pkey_st *,                                               \
      (struct bio_st *, struct evp_pkey_st **, int (*)(char *, int, int, void *), void *))         \
    X(EVP_PKEY_free, void, (struct evp_pkey_st *))                                                 \
    X(EVP_get_digestbyname, const struct evp_md_st *, (const char *))                              \
    X(OPENSSL_malloc, void *, (size_t))                                                            \
    X(ERR_get_error, unsigned long, (void))                                                        \
    X(ERR_clear_error, void, (void))                                                               \
    X(ERR_reason_error_string, const char *, (unsigned long))                                      \
    X(BIO_new, struct bio_st *, (const struct bio_method_st *))                                    \
    X(BIO_s_mem, const struct bio_method_st *, (void))                                             \
    X(BIO_new_mem_buf, struct bio_st *, (const void *, int))                                       \
    X(BIO_set_mem_eof_return, long, (struct bio_st *, int))                                        \
    X(BIO_get_mem_data, long, (struct bio_st *, char **))                                          \
    X(BIO_read, int, (struct bio_st *, void *, int))                                               \
    X(BIO_write, int, (struct bio_st *, const void *, int))                                        \
    X(BIO_free, int, (struct bio_st *))

/* What older libraries lack and we can do without: NULL then. */
#define PP_TLS_API_OPTIONAL(X) X(SSL_get0_group_name, const char *, (struct ssl_st *))

/* What session tickets with keys of ours need (tls_ticket.h). The table of `cryptography` has none
 * of it; Python looks for it among the symbols of the library. All of it or NULL. */
#define PP_TLS_API_TICKETS(X)                                                                      \
    X(SSL_CTX_set_tlsext_ticket_key_evp_cb, int,                                                   \
      (struct ssl_ctx_st *, int (*)(struct ssl_st *, unsigned char *, unsigned char *,             \
                                    struct evp_cipher_ctx_st *, struct evp_mac_ctx_st *, int)))    \
    X(EVP_MAC_CTX_set_params, int, (struct evp_mac_ctx_st *, const struct ossl_param_st *))        \
    X(EVP_CipherInit_ex, int,                                                                      \
      (struct evp_cipher_ctx_st *, const struct evp_cipher_st *, struct engine_st *,               \
       const unsigned char *, const unsigned char *, int))                                         \
    X(EVP_aes_256_cbc, const struct evp_cipher_st *, (void))                                       \
    X(RAND_bytes, int, (unsigned char *, int))                                                     \
    X(SSL_CTX_set_num_tickets, int, (struct ssl_ctx_st *, size_t))

struct pp_tls_api {
#define PP_TLS_API_MEMBER(name, returns, parameters) returns(*name) parameters;
    PP_TLS_API_LIST(PP_TLS_API_MEMBER)
    PP_TLS_API_OPTIONAL(PP_TLS_API_MEMBER)
    PP_TLS_API_TICKETS(PP_TLS_API_MEMBER)
#undef PP_TLS_API_MEMBER
};

enum {
    PP_TLS_ERROR_SSL = 1,
    PP_TLS_ERROR_WANT_READ = 2,
    PP_TLS_ERROR_WANT_WRITE = 3,
    PP_TLS_ERROR_SYSCALL = 5,
    PP_TLS_ERROR_ZERO_RETURN = 6,

    PP_TLS_MODE_RELEASE_BUFFERS = 0x10,

    PP_TLS_VERIFY_PEER = 1,
    PP_TLS_VERIFY_FAIL_IF_NO_CERT = 2,

    PP_TLS_SENT_AND_RECEIVED_SHUTDOWN = 3,
    PP_TLS_NAMETYPE_HOST = 0,

    PP_TLS_EXT_OK = 0,
    PP_TLS_EXT_ALERT_FATAL = 2,
    PP_TLS_EXT_NOACK = 3,

    PP_TLS_HOSTFLAG_NO_PARTIAL_WILDCARDS = 0x4,

    /* X509_V_ERR_* that are told apart */
    PP_TLS_V_OK = 0,
    PP_TLS_V_NO_ISSUER = 2,
    PP_TLS_V_NOT_YET_VALID = 9,
    PP_TLS_V_EXPIRED = 10,
    PP_TLS_V_SELF_SIGNED = 18,
    PP_TLS_V_SELF_SIGNED_IN_CHAIN = 19,
    PP_TLS_V_NO_LOCAL_ISSUER = 20,
    PP_TLS_V_NO_FIRST_SIGNATURE = 21,
    PP_TLS_V_HOSTNAME = 62,
    PP_TLS_V_IP_ADDRESS = 64
};

#define PP_TLS_OP_NO_COMPRESSION (UINT64_C(1) << 17)
#define PP_TLS_OP_PRIORITIZE_CHACHA (UINT64_C(1) << 21)
#define PP_TLS_OP_CIPHER_SERVER_PREFERENCE (UINT64_C(1) << 22)
#define PP_TLS_OP_NO_TLS_1_2 (UINT64_C(1) << 27)
#define PP_TLS_OP_NO_TLS_1_3 (UINT64_C(1) << 29)
#define PP_TLS_OP_NO_RENEGOTIATION (UINT64_C(1) << 30)

#define PP_TLS_VERSION_1_2 0x0303
#define PP_TLS_VERSION_1_3 0x0304

#endif
