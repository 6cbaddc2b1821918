#include "io/tls_ticket.h"

#include "base/mem.h"

/* struct ossl_param_st, which is ABI. */
struct param {
    const char *key;
    unsigned data_type;
    void *data;
    size_t data_size, return_size;
};
#define UTF8_STRING 4
#define OCTET_STRING 5
#define UNMODIFIED SIZE_MAX

#define IV_BYTES 16 /* of AES in CBC mode */

enum { FAILED = -1, UNKNOWN = 0, GOOD = 1, TO_BE_RENEWED = 2 };

struct pp_tls_tickets {
    struct pp_tls_lib *lib;
    unsigned n;
    struct pp_tls_ticket_key key[PP_TLS_TICKET_KEYS];
};

/* The library gives its callback no argument: one set of keys for the process. */
static struct pp_tls_tickets *current;

static bool set_hmac(const struct pp_tls_api *api, struct evp_mac_ctx_st *mac,
                     struct pp_tls_ticket_key *key)
{
    char digest[] = "SHA256";
    struct param params[] = {
        {"digest", UTF8_STRING, digest, sizeof(digest) - 1, UNMODIFIED},
        {"key", OCTET_STRING, key->hmac, sizeof(key->hmac), UNMODIFIED},
        {NULL, 0, NULL, 0, 0},
    };
    return api->EVP_MAC_CTX_set_params(mac, (const struct ossl_param_st *)params) == 1;
}

/* A ticket is made, or (<seal> 0) shown by a client: with which key? */
static int on_ticket(struct ssl_st *ssl, unsigned char *name, unsigned char *iv,
                     struct evp_cipher_ctx_st *cipher, struct evp_mac_ctx_st *mac, int seal)
{
    struct pp_tls_tickets *t = current;
    if (t == NULL)
        return UNKNOWN;
    const struct pp_tls_api *api = &t->lib->api;
    unsigned i = 0;
    if (seal) {
        if (api->RAND_bytes(iv, IV_BYTES) != 1)
            return FAILED;
        memcpy(name, t->key[0].name, sizeof(t->key[0].name));
    } else {
        while (i < t->n && memcmp(t->key[i].name, name, sizeof(t->key[i].name)) != 0)
            i++;
        if (i == t->n)
            return UNKNOWN; /* a full handshake, and a new ticket */
    }
    struct pp_tls_ticket_key *key = &t->key[i];
    if (api->EVP_CipherInit_ex(cipher, api->EVP_aes_256_cbc(), NULL, key->aes, iv, seal) != 1 ||
        !set_hmac(api, mac, key))
        return FAILED;
    /* A ticket of TLS 1.3 is good for one connection (RFC 8446 appendix C.4): there is a new one.
     */
    bool once = strcmp(api->SSL_get_version(ssl), "TLSv1.3") == 0;
    return i == 0 && (seal || !once) ? GOOD : TO_BE_RENEWED;
}

static bool is_able(const struct pp_tls_api *api)
{
#define HAS(name, returns, parameters) &&api->name != NULL
    return true PP_TLS_API_TICKETS(HAS);
#undef HAS
}

int pp_tls_ticket_use(struct pp_tls_lib *lib, struct pp_span keys)
{
    size_t n = keys.n / PP_TLS_TICKET_KEY_BYTES;
    if (n < 1 || n > PP_TLS_TICKET_KEYS || keys.n % PP_TLS_TICKET_KEY_BYTES != 0)
        return PP_EINVAL;
    if (!is_able(&lib->api))
        return PP_ENOENT;
    struct pp_tls_tickets *t = lib->tickets;
    if (t == NULL) {
        t = pp_mem_zalloc(sizeof(*t));
        if (t == NULL)
            return PP_ENOMEM;
        if (lib->api.SSL_CTX_set_tlsext_ticket_key_evp_cb(lib->base, on_ticket) != 1) {
            pp_mem_free(t);
            return PP_ENOENT;
        }
        t->lib = lib;
        lib->tickets = current = t;
    }
    memset(t->key, 0, sizeof(t->key));
    memcpy(t->key, keys.p, keys.n);
    t->n = (unsigned)n;
    return PP_OK;
}

void pp_tls_ticket_drop(struct pp_tls_lib *lib)
{
    if (lib->tickets == NULL)
        return;
    if (current == lib->tickets)
        current = NULL;
    memset(lib->tickets, 0, sizeof(*lib->tickets));
    pp_mem_free(lib->tickets);
    lib->tickets = NULL;
}
