/* TLS towards endpoints: what is verified, offered and remembered. One for each upstream: every
 * connection made with it has the same identity and the same trust.
 *
 * The certificate of an endpoint must be signed by a known CA and made for its name, unless that is
 * turned off. Immutable and counted by reference. */
#ifndef PP_IO_TLS_CLIENT_H
#define PP_IO_TLS_CLIENT_H

#include "io/tls_lib.h"

struct pp_tls_client_params {
    struct pp_tls_settings settings;
    struct pp_span name;       /* of every endpoint; empty: each has its own */
    struct pp_span ca, ca_dir; /* PEM, and a directory of hashed names, looked up when needed */
    struct pp_span chain, key; /* our own certificate, PEM; empty: none */
    struct pp_span alpn;       /* each protocol with its length before it (RFC 7301) */
    struct pp_span key_log;    /* as in pp_tls_conf_params */
    bool verify;
};

struct pp_tls_client;
struct ssl_session_st;

/* PP_OK, PP_ENOMEM, or PP_EINVAL and <why>. <lib> must outlive it. */
int pp_tls_client_new(struct pp_tls_lib *lib, const struct pp_tls_client_params *params,
                      struct pp_tls_why *why, struct pp_tls_client **out) PP_MUST_USE;
/* One more reference to <client>, which is returned. */
struct pp_tls_client *pp_tls_client_ref(struct pp_tls_client *client);
/* The last one frees it. NULL is fine. */
void pp_tls_client_unref(struct pp_tls_client *client);

/* A client connection, without BIOs, to an endpoint of that <name> (host name or IP address without
 * port and brackets; the client's own name comes first), which tries to resume <ticket> (NULL:
 * none). NULL when memory is out. */
struct ssl_st *pp_tls_client_open(struct pp_tls_client *client, struct pp_span name,
                                  struct ssl_session_st *ticket) PP_MUST_USE;
/* Were both made with the same parameters? Then a connection of one may be used for the other. NULL
 * is alike with NULL. */
bool pp_tls_client_is_alike(const struct pp_tls_client *a, const struct pp_tls_client *b);
struct pp_tls_lib *pp_tls_client_lib(const struct pp_tls_client *client);
/* Forget a session that pp_chan_tls_ticket gave. NULL is fine. */
void pp_tls_client_free_ticket(const struct pp_tls_client *client, struct ssl_session_st *ticket);

#endif
