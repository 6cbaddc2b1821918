#include "io/tls_lib.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/fd.h"
#include "io/tls_conf.h"
#include "io/tls_ticket.h"

/* AES-128 first: its key is long enough for every session, and it is the cheapest where the CPU
 * knows AES; clients without that ask for ChaCha20 first and get it. */
#define DEFAULT_SUITES "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
#define DEFAULT_CIPHERS                                                                            \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"     \
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define DEFAULT_GROUPS "X25519MLKEM768:X25519:P-256:P-384"
#define OLD_GROUPS "X25519:P-256:P-384" /* of a library that knows no post-quantum group */

/* Longest text of settings: a list of names. */
#define TEXT_BYTES 2048

struct row {
    const char *name;
    size_t offset;
    bool optional;
};

static const struct row rows[] = {
#define API_ROW(name, returns, parameters) {#name, offsetof(struct pp_tls_api, name), false},
    PP_TLS_API_LIST(API_ROW)
#undef API_ROW
#define API_ROW(name, returns, parameters) {#name, offsetof(struct pp_tls_api, name), true},
        PP_TLS_API_OPTIONAL(API_ROW) PP_TLS_API_TICKETS(API_ROW)
#undef API_ROW
};
PP_STATIC_ASSERT(sizeof(uintptr_t) == sizeof(void (*)(void)), "an address is a pointer");

const char *pp_tls_lib_name(unsigned i, bool *optional)
{
    if (i >= PP_COUNT_OF(rows))
        return NULL;
    *optional = rows[i].optional;
    return rows[i].name;
}

int pp_tls_lib_refuse(struct pp_tls_why *why, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why->text, sizeof(why->text), fmt, ap);
    va_end(ap);
    return PP_EINVAL;
}

const char *pp_tls_lib_reason(const struct pp_tls_lib *lib)
{
    unsigned long code = lib->api.ERR_get_error();
    const char *text = code != 0 ? lib->api.ERR_reason_error_string(code) : NULL;
    lib->api.ERR_clear_error();
    return text != NULL ? text : "unknown reason";
}

static bool set_groups(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup)
{
    const struct pp_tls_api *api = &lib->api;
    if (api->SSL_CTX_set1_curves_list(setup, DEFAULT_GROUPS) == 1)
        return true;
    api->ERR_clear_error();
    return api->SSL_CTX_set1_curves_list(setup, OLD_GROUPS) == 1;
}

/* The defaults of every context of ours. */
static bool set_defaults(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup)
{
    const struct pp_tls_api *api = &lib->api;
    /* Renegotiation is a way to make a server work for nothing, and of no use to HTTP. */
    api->SSL_CTX_set_options(setup, PP_TLS_OP_NO_COMPRESSION | PP_TLS_OP_NO_RENEGOTIATION |
                                        PP_TLS_OP_CIPHER_SERVER_PREFERENCE |
                                        PP_TLS_OP_PRIORITIZE_CHACHA);
    /* An idle connection owns no record buffers: 34 KB less for each. */
    api->SSL_CTX_set_mode(setup, PP_TLS_MODE_RELEASE_BUFFERS);
    /* Tickets carry the sessions: no worker keeps any. */
    api->SSL_CTX_set_session_cache_mode(setup, 0);
    api->SSL_CTX_set_timeout(setup, PP_TLS_TICKET_SECONDS);
    /* One, as clients get with TLS 1.2. The library makes two at a full handshake, each for 4% of
     * what the handshake costs; a second is of use only to who opens two connections at once next
     * time, and every resumed connection gets a new one. */
    if (api->SSL_CTX_set_num_tickets != NULL)
        api->SSL_CTX_set_num_tickets(setup, 1);
    return api->SSL_CTX_set_min_proto_version(setup, PP_TLS_VERSION_1_2) == 1 &&
           api->SSL_CTX_set_cipher_list(setup, DEFAULT_CIPHERS) == 1 &&
           api->SSL_CTX_set_ciphersuites(setup, DEFAULT_SUITES) == 1 && set_groups(lib, setup);
}

int pp_tls_lib_new(const uintptr_t *address, struct pp_tls_lib **out, const char **missing)
{
    *missing = NULL;
    struct pp_tls_lib *lib = pp_mem_zalloc(sizeof(*lib));
    if (lib == NULL)
        return PP_ENOMEM;
    for (unsigned i = 0; i < PP_COUNT_OF(rows); i++) {
        if (address[i] == 0 && !rows[i].optional) {
            *missing = rows[i].name;
            pp_mem_free(lib);
            return PP_EINVAL;
        }
        memcpy((char *)&lib->api + rows[i].offset, &address[i], sizeof(address[i]));
    }
    lib->in = pp_mem_alloc(PP_TLS_IN_BYTES);
    lib->stage = pp_mem_alloc(PP_TLS_RECORD);
    lib->drain = pp_mem_alloc(PP_TLS_DRAIN_BYTES);
    int rc = lib->in == NULL || lib->stage == NULL || lib->drain == NULL ? PP_ENOMEM : PP_OK;
    if (rc == PP_OK) {
        lib->base = lib->api.SSL_CTX_new(lib->api.TLS_server_method());
        rc = lib->base == NULL ? PP_ENOMEM : set_defaults(lib, lib->base) ? PP_OK : PP_EINVAL;
        lib->api.ERR_clear_error();
    }
    if (rc != PP_OK) {
        pp_tls_lib_free(lib);
        return rc;
    }
    *out = lib;
    return PP_OK;
}

void pp_tls_lib_free(struct pp_tls_lib *lib)
{
    if (lib == NULL)
        return;
    (void)pp_tls_conf_sweep(lib, UINT32_MAX);
    pp_tls_ticket_drop(lib);
    if (lib->base != NULL)
        lib->api.SSL_CTX_free(lib->base);
    pp_mem_free(lib->in);
    pp_mem_free(lib->stage);
    pp_mem_free(lib->drain);
    pp_mem_free(lib);
}

/* A text for the library, which wants them NUL-terminated. False: too long, or with a NUL. */
static bool text_of(struct pp_span s, char *dst)
{
    if (s.n >= TEXT_BYTES || (s.n > 0 && memchr(s.p, '\0', s.n) != NULL))
        return false;
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}

int pp_tls_lib_apply(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup,
                     const struct pp_tls_settings *s, struct pp_tls_why *why)
{
    const struct pp_tls_api *api = &lib->api;
    char text[TEXT_BYTES];
    if (!set_defaults(lib, setup))
        return PP_ENOMEM;
    if ((s->min_version != 0 && api->SSL_CTX_set_min_proto_version(setup, s->min_version) != 1) ||
        (s->max_version != 0 && api->SSL_CTX_set_max_proto_version(setup, s->max_version) != 1))
        return pp_tls_lib_refuse(why, "TLS versions: %s", pp_tls_lib_reason(lib));
    if (s->ciphers.n > 0 &&
        (!text_of(s->ciphers, text) || api->SSL_CTX_set_cipher_list(setup, text) != 1))
        return pp_tls_lib_refuse(why, "ciphers: %s", pp_tls_lib_reason(lib));
    if (s->ciphersuites.n > 0 &&
        (!text_of(s->ciphersuites, text) || api->SSL_CTX_set_ciphersuites(setup, text) != 1))
        return pp_tls_lib_refuse(why, "ciphersuites: %s", pp_tls_lib_reason(lib));
    if (s->groups.n > 0 &&
        (!text_of(s->groups, text) || api->SSL_CTX_set1_curves_list(setup, text) != 1))
        return pp_tls_lib_refuse(why, "groups: %s", pp_tls_lib_reason(lib));
    return PP_OK;
}

/* Instead of asking on the terminal for the password of a key. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    return -1;
}

/* Only the function that reads a file puts a chain beside each of several certificates: it gets one
 * that exists in memory alone. */
static int use_chain(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup, struct pp_span chain,
                     struct pp_tls_why *why)
{
    char path[48];
    int fd = memfd_create("chain", MFD_CLOEXEC);
    if (fd < 0)
        return PP_ENOMEM;
    size_t done = 0;
    while (done < chain.n) {
        ssize_t n = write(fd, chain.p + done, chain.n - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int rc = done < chain.n ? PP_ENOMEM : PP_OK;
    if (rc == PP_OK && lib->api.SSL_CTX_use_certificate_chain_file(setup, path) != 1)
        rc = pp_tls_lib_refuse(why, "the certificate: %s", pp_tls_lib_reason(lib));
    pp_fd_close(&fd);
    return rc;
}

int pp_tls_lib_use_pair(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup,
                        struct pp_span chain, struct pp_span key, struct pp_tls_why *why)
{
    const struct pp_tls_api *api = &lib->api;
    if (chain.n > INT32_MAX || key.n > INT32_MAX)
        return pp_tls_lib_refuse(why, "the certificate is too large");
    int rc = use_chain(lib, setup, chain, why);
    if (rc != PP_OK)
        return rc;
    struct bio_st *bio = api->BIO_new_mem_buf(key.n > 0 ? key.p : "", (int)key.n);
    if (bio == NULL)
        return PP_ENOMEM;
    struct evp_pkey_st *pkey = api->PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    api->BIO_free(bio);
    if (pkey == NULL)
        return pp_tls_lib_refuse(why, "the private key: %s", pp_tls_lib_reason(lib));
    if (api->SSL_CTX_use_PrivateKey(setup, pkey) != 1 || api->SSL_CTX_check_private_key(setup) != 1)
        rc = pp_tls_lib_refuse(why, "the private key does not belong to the certificate: %s",
                               pp_tls_lib_reason(lib));
    api->EVP_PKEY_free(pkey);
    return rc;
}

int pp_tls_lib_trust(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup, struct pp_span pem,
                     bool announce, struct pp_tls_why *why)
{
    const struct pp_tls_api *api = &lib->api;
    struct x509_store_st *store = api->SSL_CTX_get_cert_store(setup);
    if (pem.n > INT32_MAX)
        return pp_tls_lib_refuse(why, "the CA certificates are too large");
    struct bio_st *bio = api->BIO_new_mem_buf(pem.n > 0 ? pem.p : "", (int)pem.n);
    if (bio == NULL)
        return PP_ENOMEM;
    struct x509_st *cert;
    int rc = PP_OK;
    unsigned n = 0;
    while (rc == PP_OK && (cert = api->PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        n++;
        if (api->X509_STORE_add_cert(store, cert) != 1 ||
            (announce && api->SSL_CTX_add_client_CA(setup, cert) != 1))
            rc = PP_ENOMEM;
        api->X509_free(cert);
    }
    api->BIO_free(bio);
    if (rc != PP_OK) {
        api->ERR_clear_error();
        return rc;
    }
    /* The end of the bundle is an error to the library; any other one is a certificate that would
     * silently not be trusted. */
    const char *reason = pp_tls_lib_reason(lib);
    if (n == 0 || strcmp(reason, "no start line") != 0)
        return pp_tls_lib_refuse(why, "the CA certificates: %s", reason);
    return PP_OK;
}
