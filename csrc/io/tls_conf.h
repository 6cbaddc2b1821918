/* TLS of a listener: its certificates, which of them a client gets, and what is agreed with it.
 *
 *   base context (tls_lib.h)  --SSL_new-->  connection
 *        ticket keys                            |  at once: the listener's first entry
 *                                               |  when the certificate is needed: by SNI
 *   entry 0 (default)  <-----SSL_set_SSL_CTX----+
 *   entry 1 "a.example" "*.b.example"  <--------+
 *
 * An entry holds one or more key pairs of different types for its names; the library chooses by
 * what the client can verify. Names: exact beats wildcard (one label), and the default serves what
 * no entry names. Ciphers, trust and callbacks come with the entry's context; versions, groups and
 * client authentication belong to the connection and are set on it, because it was made in the base
 * context. A session resumes only on the listener where it began, and no longer once its rules for
 * client certificates have changed.
 *
 * Immutable once it is complete and counted by reference: a new one replaces it, and connections
 * keep theirs. */
#ifndef PP_IO_TLS_CONF_H
#define PP_IO_TLS_CONF_H

#include "io/tls_lib.h"

enum pp_tls_client_auth {
    PP_TLS_CLIENT_NONE = 0,
    PP_TLS_CLIENT_OPTIONAL = 1, /* a certificate that is sent must be valid */
    PP_TLS_CLIENT_REQUIRED = 2
};

struct pp_tls_conf_params {
    struct pp_tls_settings settings;
    struct pp_span scope; /* sessions resume within it: the listener's name */
    struct pp_span alpn;  /* protocols in our order, each with its length before it (RFC 7301) */
    struct pp_span client_ca; /* PEM */
    struct pp_span key_log;   /* file of NSS key log lines, for debugging; empty: none */
    uint8_t client_auth;      /* enum pp_tls_client_auth */
};

struct pp_tls_conf;

/* A conf without certificates yet. PP_OK, PP_ENOMEM, or PP_EINVAL and <why>. <lib> must outlive it.
 */
int pp_tls_conf_new(struct pp_tls_lib *lib, const struct pp_tls_conf_params *params,
                    struct pp_tls_why *why, struct pp_tls_conf **out) PP_MUST_USE;
/* One more entry; the first is the default. */
int pp_tls_conf_add(struct pp_tls_conf *conf, struct pp_tls_why *why) PP_MUST_USE;
/* A name of the last entry: "a.example", "*.a.example". The first entry with a name keeps it. */
int pp_tls_conf_name(struct pp_tls_conf *conf, struct pp_span name, struct pp_tls_why *why)
    PP_MUST_USE;
/* What endpoints are told that the last entry's certificates say of us (pp_tls_conf_by). PP_OK or
 * PP_ENOMEM. */
int pp_tls_conf_set_by(struct pp_tls_conf *conf, struct pp_span text) PP_MUST_USE;
/* A key pair of the last entry (PEM), and its OCSP response (DER) or nothing. */
int pp_tls_conf_pair(struct pp_tls_conf *conf, struct pp_span chain, struct pp_span key,
                     struct pp_span ocsp, struct pp_tls_why *why) PP_MUST_USE;

/* One more reference to <conf>, which is returned. */
struct pp_tls_conf *pp_tls_conf_ref(struct pp_tls_conf *conf);
/* The last one frees it: a few certificates at once, and the rest, which would take as long as many
 * requests, little by little (pp_tls_conf_sweep). NULL is fine. */
void pp_tls_conf_unref(struct pp_tls_conf *conf);
/* Free <n> more certificates of those that nobody uses any more. True: there are others left. New
 * connections do so too. */
bool pp_tls_conf_sweep(struct pp_tls_lib *lib, uint32_t n);

/* A server connection, without BIOs. NULL when memory is out. */
struct ssl_st *pp_tls_conf_open(struct pp_tls_conf *conf) PP_MUST_USE;
/* That text, of the entry for a host name as the client sent it (NULL: none). Borrowed. */
struct pp_span pp_tls_conf_by(const struct pp_tls_conf *conf, const char *host);
struct pp_tls_lib *pp_tls_conf_lib(const struct pp_tls_conf *conf);

/* Open the key log <path> for all further handshakes of this process that were asked to be logged.
 * PP_OK, or PP_EINVAL and <why>. */
int pp_tls_conf_open_key_log(struct pp_span path, struct pp_tls_why *why) PP_MUST_USE;
/* The library's callback for <setup>: lines go to the file. */
void pp_tls_conf_log_keys(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup);

#endif
