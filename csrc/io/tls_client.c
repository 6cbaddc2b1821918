#include "io/tls_client.h"

#include <arpa/inet.h>

#include "base/hash.h"
#include "base/mem.h"
#include "io/tls_conf.h"

#define NAME_BYTES 256
#define TWO_SHARES "*X25519MLKEM768:*X25519:P-256:P-384"

struct pp_tls_client {
    struct pp_tls_lib *lib;
    struct ssl_ctx_st *setup;
    uint32_t refs;
    bool verify;
    char *name;         /* NULL: each endpoint has its own */
    uint64_t digest[2]; /* of all parameters */
};

/* A digest of what <digest> stands for and <s> after it: lengths count, so no two lists of spans
 * are the same text. */
static void mix(uint64_t digest[2], struct pp_span s)
{
    struct pp_hash_seed seed = {digest[0], digest[1]};
    pp_hash_wide(&seed, s, digest);
}

static void digest_of(const struct pp_tls_client_params *p, uint64_t digest[2])
{
    const struct pp_tls_settings *s = &p->settings;
    const struct pp_span spans[] = {s->ciphers, s->ciphersuites, s->groups, p->name, p->ca,
                                    p->ca_dir,  p->chain,        p->key,    p->alpn, p->key_log};
    int numbers[] = {s->min_version, s->max_version, p->verify};
    digest[0] = digest[1] = 0;
    mix(digest, pp_span((const char *)numbers, sizeof(numbers)));
    for (size_t i = 0; i < PP_COUNT_OF(spans); i++)
        mix(digest, spans[i]);
}

static int load_trust(struct pp_tls_client *c, const struct pp_tls_client_params *p,
                      struct pp_tls_why *why)
{
    const struct pp_tls_api *api = &c->lib->api;
    char dir[4096];
    int rc = PP_OK;
    if (p->ca.n > 0)
        rc = pp_tls_lib_trust(c->lib, c->setup, p->ca, false, why);
    if (rc != PP_OK || p->ca_dir.n == 0)
        return rc;
    if (p->ca_dir.n >= sizeof(dir))
        return pp_tls_lib_refuse(why, "the CA directory's path is too long");
    memcpy(dir, p->ca_dir.p, p->ca_dir.n);
    dir[p->ca_dir.n] = '\0';
    if (api->SSL_CTX_load_verify_locations(c->setup, NULL, dir) != 1)
        return pp_tls_lib_refuse(why, "the CA directory %s: %s", dir, pp_tls_lib_reason(c->lib));
    return PP_OK;
}

/* A key share for the post-quantum group and one for the classic: a server that does not know the
 * first can go on at once, instead of asking for another hello. */
static void offer_both(const struct pp_tls_client *c)
{
    if (c->lib->api.SSL_CTX_set1_curves_list(c->setup, TWO_SHARES) != 1)
        c->lib->api.ERR_clear_error(); /* an older library: its defaults stay */
}

static int configure(struct pp_tls_client *c, const struct pp_tls_client_params *p,
                     struct pp_tls_why *why)
{
    const struct pp_tls_api *api = &c->lib->api;
    int rc = pp_tls_lib_apply(c->lib, c->setup, &p->settings, why);
    if (rc == PP_OK && p->settings.groups.n == 0)
        offer_both(c);
    if (rc == PP_OK && p->chain.n > 0)
        rc = pp_tls_lib_use_pair(c->lib, c->setup, p->chain, p->key, why);
    if (rc == PP_OK && p->verify) {
        if (p->ca.n == 0 && p->ca_dir.n == 0)
            return pp_tls_lib_refuse(why, "verifying endpoints needs CA certificates");
        rc = load_trust(c, p, why);
        api->SSL_CTX_set_verify(c->setup, PP_TLS_VERIFY_PEER, NULL);
    }
    if (rc == PP_OK && p->alpn.n > 0 &&
        api->SSL_CTX_set_alpn_protos(c->setup, (const unsigned char *)p->alpn.p,
                                     (unsigned)p->alpn.n) != 0)
        return pp_tls_lib_refuse(why, "the list of ALPN protocols is malformed");
    if (rc == PP_OK && p->key_log.n > 0) {
        rc = pp_tls_conf_open_key_log(p->key_log, why);
        if (rc == PP_OK)
            pp_tls_conf_log_keys(c->lib, c->setup);
    }
    return rc;
}

/* The endpoint must prove that it is <name>; a host name is also asked for (SNI). */
static bool expect(const struct pp_tls_client *c, struct ssl_st *ssl, const char *name)
{
    const struct pp_tls_api *api = &c->lib->api;
    struct X509_VERIFY_PARAM_st *param = api->SSL_get0_param(ssl);
    unsigned char ip[16];
    bool v4 = inet_pton(AF_INET, name, ip) == 1;
    if (v4 || inet_pton(AF_INET6, name, ip) == 1)
        return !c->verify || api->X509_VERIFY_PARAM_set1_ip(param, ip, v4 ? 4 : 16) == 1;
    api->SSL_set_tlsext_host_name(ssl, name);
    if (!c->verify)
        return true;
    api->X509_VERIFY_PARAM_set_hostflags(param, PP_TLS_HOSTFLAG_NO_PARTIAL_WILDCARDS);
    return api->X509_VERIFY_PARAM_set1_host(param, name, strlen(name)) == 1;
}

/* A name that the library refuses is a mistake of the configuration, not of a connection. */
static int try_name(const struct pp_tls_client *c, struct pp_tls_why *why)
{
    if (c->name == NULL)
        return PP_OK;
    struct ssl_st *ssl = c->lib->api.SSL_new(c->setup);
    if (ssl == NULL)
        return PP_ENOMEM;
    bool ok = expect(c, ssl, c->name);
    c->lib->api.SSL_free(ssl);
    c->lib->api.ERR_clear_error();
    return ok ? PP_OK : pp_tls_lib_refuse(why, "not a host name: %.64s", c->name);
}

int pp_tls_client_new(struct pp_tls_lib *lib, const struct pp_tls_client_params *params,
                      struct pp_tls_why *why, struct pp_tls_client **out)
{
    struct pp_tls_client *c = pp_mem_zalloc(sizeof(*c));
    if (c == NULL)
        return PP_ENOMEM;
    c->lib = lib;
    c->refs = 1;
    c->verify = params->verify;
    digest_of(params, c->digest);
    c->setup = lib->api.SSL_CTX_new(lib->api.TLS_client_method());
    int rc = c->setup == NULL ? PP_ENOMEM : PP_OK;
    if (params->name.n >= NAME_BYTES)
        rc = pp_tls_lib_refuse(why, "the server name is too long");
    if (rc == PP_OK && params->name.n > 0) {
        c->name = pp_mem_dup(params->name.p, params->name.n);
        rc = c->name == NULL ? PP_ENOMEM : PP_OK;
    }
    if (rc == PP_OK)
        rc = configure(c, params, why);
    if (rc == PP_OK)
        rc = try_name(c, why);
    if (rc != PP_OK) {
        pp_tls_client_unref(c);
        return rc;
    }
    *out = c;
    return PP_OK;
}

struct pp_tls_client *pp_tls_client_ref(struct pp_tls_client *client)
{
    client->refs++;
    return client;
}

void pp_tls_client_unref(struct pp_tls_client *client)
{
    if (client == NULL || --client->refs > 0)
        return;
    if (client->setup != NULL)
        client->lib->api.SSL_CTX_free(client->setup);
    pp_mem_free(client->name);
    pp_mem_free(client);
}

bool pp_tls_client_is_alike(const struct pp_tls_client *a, const struct pp_tls_client *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return a->digest[0] == b->digest[0] && a->digest[1] == b->digest[1];
}

struct pp_tls_lib *pp_tls_client_lib(const struct pp_tls_client *client)
{
    return client->lib;
}

void pp_tls_client_free_ticket(const struct pp_tls_client *client, struct ssl_session_st *ticket)
{
    if (ticket != NULL)
        client->lib->api.SSL_SESSION_free(ticket);
}

struct ssl_st *pp_tls_client_open(struct pp_tls_client *client, struct pp_span name,
                                  struct ssl_session_st *ticket)
{
    const struct pp_tls_api *api = &client->lib->api;
    char text[NAME_BYTES];
    struct ssl_st *ssl = api->SSL_new(client->setup);
    if (ssl == NULL)
        return NULL;
    size_t n = PP_MIN(name.n, sizeof(text) - 1);
    if (n > 0)
        memcpy(text, name.p, n);
    text[n] = '\0';
    const char *who = client->name != NULL ? client->name : text;
    /* Nothing to compare with would be everything accepted. */
    bool ok = who[0] != '\0' ? expect(client, ssl, who) : !client->verify;
    if (ok && ticket != NULL)
        ok = api->SSL_set_session(ssl, ticket) == 1;
    if (!ok) {
        api->ERR_clear_error();
        api->SSL_free(ssl);
        return NULL;
    }
    api->SSL_set_connect_state(ssl);
    return ssl;
}
