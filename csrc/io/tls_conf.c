#include "io/tls_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "io/fd.h"

#define NAME_BYTES 256 /* longest host name (RFC 1035), and the NUL */
#define SCOPE_BYTES 16
#define DIGEST_BYTES 32
#define PAIRS_MAX 4

/* Certificates: 30 us each. */
#define FREED_AT_ONCE 16
#define FREED_BY_THE_WAY 4

struct staple {
    unsigned char leaf[DIGEST_BYTES]; /* SHA-256 of its certificate */
    char *p;
    size_t n;
};

struct entry {
    struct pp_tls_conf *conf;
    struct ssl_ctx_st *setup;
    struct staple staple[PAIRS_MAX];
    unsigned n_pair;
    struct pp_span by; /* owned */
    struct entry *next;
};

struct pp_tls_conf {
    struct pp_tls_lib *lib;
    uint32_t refs;
    struct entry *first, *last;
    struct pp_tls_conf *next_unused;
    struct pp_map names;
    uint64_t options; /* of a connection */
    int verify;
    char *groups; /* NULL: the base context's */
    char *alpn;
    unsigned alpn_n;
    unsigned char scope[SCOPE_BYTES];
    struct pp_tls_conf_params params; /* until it is complete: owned copies */
};

/* The library gives its callback no argument: one file for the process. */
static int key_log_fd = -1;

int pp_tls_conf_open_key_log(struct pp_span path, struct pp_tls_why *why)
{
    char name[4096];
    if (path.n == 0 || path.n >= sizeof(name))
        return pp_tls_lib_refuse(why, "the key log has no usable path");
    memcpy(name, path.p, path.n);
    name[path.n] = '\0';
    int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return pp_tls_lib_refuse(why, "the key log %s cannot be written: %s", name,
                                 pp_err_text(pp_fd_error(errno)));
    if (key_log_fd >= 0)
        pp_fd_close(&key_log_fd);
    key_log_fd = fd;
    return PP_OK;
}

static void log_key(const struct ssl_st *ssl, const char *line)
{
    char text[1024];
    int n = snprintf(text, sizeof(text), "%s\n", line);
    if (key_log_fd >= 0 && n > 0 && (size_t)n < sizeof(text))
        (void)!write(key_log_fd, text, (size_t)n); /* in one piece: other workers write too */
}

void pp_tls_conf_log_keys(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup)
{
    lib->api.SSL_CTX_set_keylog_callback(setup, log_key);
}

static bool copy_of(struct pp_span s, struct pp_span *out)
{
    *out = PP_SPAN_NONE;
    if (s.n == 0)
        return true;
    char *p = pp_mem_dup(s.p, s.n);
    *out = pp_span(p, p != NULL ? s.n : 0);
    return p != NULL;
}

/* Which sessions may be resumed: the listener's own, made under the same rules for clients. Equal
 * in every worker, so the keys of the hash are constants; nobody gains by a collision that he would
 * have to make in the configuration. */
static void make_scope(struct pp_tls_conf *conf)
{
    const struct pp_tls_conf_params *p = &conf->params;
    struct pp_hash_seed seed = {0x7079, p->client_auth};
    uint64_t h[2];
    seed.k0 = pp_hash(&seed, p->client_ca);
    h[0] = pp_hash(&seed, p->scope);
    seed.k1 = ~h[0];
    h[1] = pp_hash(&seed, p->scope);
    memcpy(conf->scope, h, sizeof(conf->scope));
}
PP_STATIC_ASSERT(SCOPE_BYTES == 2 * sizeof(uint64_t), "the scope is two hashes");

int pp_tls_conf_new(struct pp_tls_lib *lib, const struct pp_tls_conf_params *params,
                    struct pp_tls_why *why, struct pp_tls_conf **out)
{
    struct pp_tls_conf *conf = pp_mem_zalloc(sizeof(*conf));
    if (conf == NULL)
        return PP_ENOMEM;
    conf->lib = lib;
    conf->refs = 1;
    struct pp_tls_conf_params *p = &conf->params;
    *p = *params;
    bool ok = copy_of(params->scope, &p->scope);
    ok = copy_of(params->alpn, &p->alpn) && ok;
    ok = copy_of(params->client_ca, &p->client_ca) && ok;
    ok = copy_of(params->key_log, &p->key_log) && ok;
    ok = copy_of(params->settings.ciphers, &p->settings.ciphers) && ok;
    ok = copy_of(params->settings.ciphersuites, &p->settings.ciphersuites) && ok;
    ok = copy_of(params->settings.groups, &p->settings.groups) && ok;
    pp_map_init(&conf->names, (struct pp_hash_seed){0});
    int rc = ok ? PP_OK : PP_ENOMEM;
    if (rc == PP_OK && p->key_log.n > 0)
        rc = pp_tls_conf_open_key_log(p->key_log, why);
    if (rc == PP_OK && p->client_auth != PP_TLS_CLIENT_NONE && p->client_ca.n == 0)
        rc = pp_tls_lib_refuse(why, "client certificates need the CA that signs them");
    if (rc != PP_OK) {
        pp_tls_conf_unref(conf);
        return rc;
    }
    conf->groups = (char *)(uintptr_t)p->settings.groups.p;
    conf->alpn = (char *)(uintptr_t)p->alpn.p;
    conf->alpn_n = (unsigned)p->alpn.n;
    if (p->settings.min_version >= PP_TLS_VERSION_1_3)
        conf->options |= PP_TLS_OP_NO_TLS_1_2;
    if (p->settings.max_version != 0 && p->settings.max_version < PP_TLS_VERSION_1_3)
        conf->options |= PP_TLS_OP_NO_TLS_1_3;
    if (p->client_auth != PP_TLS_CLIENT_NONE)
        conf->verify = PP_TLS_VERIFY_PEER;
    if (p->client_auth == PP_TLS_CLIENT_REQUIRED)
        conf->verify |= PP_TLS_VERIFY_FAIL_IF_NO_CERT;
    make_scope(conf);
    *out = conf;
    return PP_OK;
}

static void free_entry(struct entry *e)
{
    const struct pp_tls_api *api = &e->conf->lib->api;
    if (e->setup != NULL)
        api->SSL_CTX_free(e->setup);
    for (unsigned i = 0; i < e->n_pair; i++)
        pp_mem_free(e->staple[i].p);
    pp_mem_free((char *)(uintptr_t)e->by.p);
    pp_mem_free(e);
}

struct pp_tls_conf *pp_tls_conf_ref(struct pp_tls_conf *conf)
{
    conf->refs++;
    return conf;
}

/* Without its entries. */
static void free_conf(struct pp_tls_conf *conf)
{
    pp_map_fini(&conf->names);
    const struct pp_tls_conf_params *p = &conf->params;
    const struct pp_span owned[] = {
        p->scope,
        p->alpn,
        p->key_log,
        p->client_ca,
        p->settings.ciphers,
        p->settings.ciphersuites,
        p->settings.groups,
    };
    for (size_t i = 0; i < PP_COUNT_OF(owned); i++)
        pp_mem_free((char *)(uintptr_t)owned[i].p);
    pp_mem_free(conf);
}

bool pp_tls_conf_sweep(struct pp_tls_lib *lib, uint32_t n)
{
    while (lib->unused != NULL) {
        struct pp_tls_conf *conf = lib->unused;
        while (conf->first != NULL) {
            if (n-- == 0)
                return true;
            struct entry *e = conf->first;
            conf->first = e->next;
            free_entry(e);
        }
        lib->unused = conf->next_unused;
        free_conf(conf);
    }
    return false;
}

void pp_tls_conf_unref(struct pp_tls_conf *conf)
{
    if (conf == NULL || --conf->refs > 0)
        return;
    conf->next_unused = conf->lib->unused;
    conf->lib->unused = conf;
    (void)pp_tls_conf_sweep(conf->lib, FREED_AT_ONCE);
}

struct pp_tls_lib *pp_tls_conf_lib(const struct pp_tls_conf *conf)
{
    return conf->lib;
}

/* ---- callbacks of the library ---- */

/* The entry for a host name as the client sent it. */
static struct entry *find(const struct pp_tls_conf *conf, const char *host)
{
    char name[NAME_BYTES];
    size_t n = host != NULL ? strlen(host) : 0;
    if (n > 0 && host[n - 1] == '.')
        n--;
    if (n == 0 || n >= sizeof(name))
        return conf->first;
    pp_span_copy_lower(name, pp_span(host, n));
    struct entry *e = pp_map_get(&conf->names, pp_span(name, n));
    if (e != NULL)
        return e;
    const char *dot = memchr(name, '.', n);
    if (dot != NULL && dot > name) {
        /* "*.example" stands where the end of the first label was. */
        char *star = name + (dot - name) - 1;
        *star = '*';
        e = pp_map_get(&conf->names, pp_span(star, n - (size_t)(star - name)));
    }
    return e != NULL ? e : conf->first;
}

/* The server's certificate is needed: not when a session resumes. */
static int on_certificate(struct ssl_st *ssl, void *arg)
{
    const struct pp_tls_conf *conf = arg;
    const struct pp_tls_api *api = &conf->lib->api;
    struct entry *e = find(conf, api->SSL_get_servername(ssl, PP_TLS_NAMETYPE_HOST));
    return e == conf->first || api->SSL_set_SSL_CTX(ssl, e->setup) != NULL;
}

/* Our first protocol that the client offers. None: RFC 7301 section 3.2 wants the handshake to end,
 * since the two would only misunderstand each other. */
static int on_alpn(struct ssl_st *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
    const struct pp_tls_conf *conf = arg;
    const unsigned char *ours = (const unsigned char *)conf->alpn;
    for (unsigned i = 0; i + 1 + ours[i] <= conf->alpn_n; i += 1u + ours[i]) {
        for (unsigned k = 0; k < in_n && k + 1 + in[k] <= in_n; k += 1u + in[k]) {
            if (ours[i] == in[k] && memcmp(ours + i + 1, in + k + 1, in[k]) == 0) {
                *out = ours + i + 1;
                *out_n = ours[i];
                return PP_TLS_EXT_OK;
            }
        }
    }
    return PP_TLS_EXT_ALERT_FATAL;
}

static bool digest_of(const struct pp_tls_lib *lib, const struct x509_st *cert, unsigned char *out)
{
    unsigned n = 0;
    const struct evp_md_st *md = lib->api.EVP_get_digestbyname("sha256");
    return md != NULL && lib->api.X509_digest(cert, md, out, &n) == 1 && n == DIGEST_BYTES;
}

/* The client asks for the OCSP response of the certificate that was chosen. */
static int on_status(struct ssl_st *ssl, void *arg)
{
    const struct entry *e = arg;
    const struct pp_tls_lib *lib = e->conf->lib;
    const struct x509_st *cert = lib->api.SSL_get_certificate(ssl);
    unsigned char leaf[DIGEST_BYTES];
    const struct staple *s = &e->staple[0];
    if (cert == NULL || !digest_of(lib, cert, leaf))
        return PP_TLS_EXT_NOACK;
    for (unsigned i = 0; i < e->n_pair; i++) {
        if (memcmp(e->staple[i].leaf, leaf, DIGEST_BYTES) == 0)
            s = &e->staple[i];
    }
    if (s->n == 0)
        return PP_TLS_EXT_NOACK;
    unsigned char *copy = lib->api.OPENSSL_malloc(s->n); /* the connection frees it */
    if (copy == NULL)
        return PP_TLS_EXT_NOACK;
    memcpy(copy, s->p, s->n);
    lib->api.SSL_set_tlsext_status_ocsp_resp(ssl, copy, (int)s->n);
    return PP_TLS_EXT_OK;
}

/* ---- building ---- */

int pp_tls_conf_add(struct pp_tls_conf *conf, struct pp_tls_why *why)
{
    const struct pp_tls_api *api = &conf->lib->api;
    struct entry *e = pp_mem_zalloc(sizeof(*e));
    if (e == NULL)
        return PP_ENOMEM;
    e->conf = conf;
    e->setup = api->SSL_CTX_new(api->TLS_server_method());
    if (e->setup == NULL) {
        pp_mem_free(e);
        return PP_ENOMEM;
    }
    if (conf->first == NULL)
        conf->first = e;
    else
        conf->last->next = e;
    conf->last = e;
    int rc = pp_tls_lib_apply(conf->lib, e->setup, &conf->params.settings, why);
    if (rc == PP_OK && conf->verify != 0) {
        rc = pp_tls_lib_trust(conf->lib, e->setup, conf->params.client_ca, true, why);
        api->SSL_CTX_set_verify(e->setup, conf->verify, NULL);
    }
    if (rc != PP_OK)
        return rc;
    api->SSL_CTX_set_session_id_context(e->setup, conf->scope, SCOPE_BYTES);
    api->SSL_CTX_set_cert_cb(e->setup, on_certificate, conf);
    api->SSL_CTX_set_tlsext_status_cb(e->setup, on_status);
    api->SSL_CTX_set_tlsext_status_arg(e->setup, e);
    if (conf->alpn_n > 0)
        api->SSL_CTX_set_alpn_select_cb(e->setup, on_alpn, conf);
    if (conf->params.key_log.n > 0)
        pp_tls_conf_log_keys(conf->lib, e->setup);
    return PP_OK;
}

int pp_tls_conf_set_by(struct pp_tls_conf *conf, struct pp_span text)
{
    pp_mem_free((char *)(uintptr_t)conf->last->by.p);
    return copy_of(text, &conf->last->by) ? PP_OK : PP_ENOMEM;
}

int pp_tls_conf_name(struct pp_tls_conf *conf, struct pp_span name, struct pp_tls_why *why)
{
    char lower[NAME_BYTES];
    if (name.n > 1 && name.p[name.n - 1] == '.')
        name.n--;
    if (name.n == 0 || name.n >= sizeof(lower))
        return pp_tls_lib_refuse(why, "not a host name: %.*s", (int)PP_MIN(name.n, 64), name.p);
    pp_span_copy_lower(lower, name);
    struct pp_span key = pp_span(lower, name.n);
    return pp_map_get(&conf->names, key) != NULL ? PP_OK
                                                 : pp_map_put(&conf->names, key, conf->last);
}

/* Remember whose staple it is. */
static int mark_leaf(const struct pp_tls_lib *lib, struct pp_span chain, struct staple *s)
{
    struct bio_st *bio = lib->api.BIO_new_mem_buf(chain.p, (int)chain.n);
    struct x509_st *cert = bio != NULL ? lib->api.PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    bool ok = cert != NULL && digest_of(lib, cert, s->leaf);
    lib->api.X509_free(cert);
    lib->api.BIO_free(bio);
    return ok ? PP_OK : PP_ENOMEM;
}

int pp_tls_conf_pair(struct pp_tls_conf *conf, struct pp_span chain, struct pp_span key,
                     struct pp_span ocsp, struct pp_tls_why *why)
{
    struct entry *e = conf->last;
    if (e->n_pair == PAIRS_MAX)
        return pp_tls_lib_refuse(why, "more than %d key pairs for the same names", PAIRS_MAX);
    if (ocsp.n > INT16_MAX)
        return pp_tls_lib_refuse(why, "the OCSP response is too large");
    int rc = pp_tls_lib_use_pair(conf->lib, e->setup, chain, key, why);
    if (rc != PP_OK)
        return rc;
    struct staple *s = &e->staple[e->n_pair];
    rc = mark_leaf(conf->lib, chain, s);
    if (rc == PP_OK && ocsp.n > 0) {
        s->p = pp_mem_dup(ocsp.p, ocsp.n);
        s->n = ocsp.n;
        rc = s->p == NULL ? PP_ENOMEM : PP_OK;
    }
    if (rc == PP_OK)
        e->n_pair++;
    else
        pp_mem_free(s->p);
    return rc;
}

/* ---- connections ---- */

struct pp_span pp_tls_conf_by(const struct pp_tls_conf *conf, const char *host)
{
    return find(conf, host)->by;
}

struct ssl_st *pp_tls_conf_open(struct pp_tls_conf *conf)
{
    const struct pp_tls_api *api = &conf->lib->api;
    if (conf->lib->unused != NULL)
        (void)pp_tls_conf_sweep(conf->lib, FREED_BY_THE_WAY);
    struct ssl_st *ssl = api->SSL_new(conf->lib->base);
    if (ssl == NULL)
        return NULL;
    /* Here already, for the session scope, the ciphers and ALPN; the names follow in
     * on_certificate. */
    bool ok = api->SSL_set_SSL_CTX(ssl, conf->first->setup) != NULL;
    if (conf->options != 0)
        api->SSL_set_options(ssl, conf->options);
    if (conf->verify != 0)
        api->SSL_set_verify(ssl, conf->verify, NULL);
    if (conf->groups != NULL)
        ok = api->SSL_set1_curves_list(ssl, conf->groups) == 1 && ok;
    if (!ok) {
        api->SSL_free(ssl);
        return NULL;
    }
    api->SSL_set_accept_state(ssl);
    return ssl;
}
