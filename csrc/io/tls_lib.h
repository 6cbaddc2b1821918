/* The TLS library of a process: its functions, and the one base context.
 *
 * Every server connection begins in the base context and then takes the certificates of its
 * listener (tls_conf.h). Ticket keys belong to the base context: those that are given to it
 * (tls_ticket.h), or its own, which are made with it. So it is made before the first fork where
 * TLS is spoken from the start: every worker can resume the sessions of every other one even with
 * the library's own keys, on listeners too that a later configuration adds. */
#ifndef PP_IO_TLS_LIB_H
#define PP_IO_TLS_LIB_H

#include "base/err.h"
#include "base/span.h"
#include "io/tls_api.h"

#define PP_TLS_RECORD 16384 /* most plaintext in one record (RFC 8446 section 5.1) */
#define PP_TLS_RECORD_WIRE (PP_TLS_RECORD + 5 + 256)
#define PP_TLS_IN_BYTES (136 * 1024) /* one read of the socket at most */
#define PP_TLS_DRAIN_BYTES 8192

/* How long a client may come back to its session. */
#define PP_TLS_TICKET_SECONDS 7200

struct pp_tls_lib {
    struct pp_tls_api api;
    struct ssl_ctx_st *base;
    char *in;                       /* scratch: ciphertext as the socket gave it */
    char *stage;                    /* scratch: plaintext of one record, collected */
    char *drain;                    /* scratch: where bytes go that were sent */
    struct pp_tls_conf *unused;     /* whose certificates are still to be freed (tls_conf.h) */
    struct pp_tls_tickets *tickets; /* keys from outside (tls_ticket.h); NULL: the library's own */
};

/* Name of row <i> of the table, NULL past the end; *optional: 0 is a fine address. */
const char *pp_tls_lib_name(unsigned i, bool *optional);

/* Take over <address>[i] of pp_tls_lib_name(i), for all i, and make the base context. PP_OK,
 * PP_ENOMEM; PP_EINVAL: the library lacks *missing, or (*missing NULL) it refuses our settings. */
int pp_tls_lib_new(const uintptr_t *address, struct pp_tls_lib **out, const char **missing)
    PP_MUST_USE;
/* Nothing made with it may be left. NULL is fine. */
void pp_tls_lib_free(struct pp_tls_lib *lib);

/* Settings that contexts of both sides share: 0: the default version; texts "" : the defaults. */
struct pp_tls_settings {
    int min_version, max_version; /* PP_TLS_VERSION_*, 0: the default */
    struct pp_span ciphers, ciphersuites, groups;
};
/* What is wrong with what the operator gave: one sentence. */
#define PP_TLS_WHY 200
struct pp_tls_why {
    char text[PP_TLS_WHY];
};
/* Write the sentence; the result is PP_EINVAL. */
int pp_tls_lib_refuse(struct pp_tls_why *why, const char *fmt, ...) PP_PRINTF(2, 3);
/* Apply <s> to <setup>. PP_OK, PP_ENOMEM, or PP_EINVAL and <why>. */
int pp_tls_lib_apply(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup,
                     const struct pp_tls_settings *s, struct pp_tls_why *why) PP_MUST_USE;
/* Put the certificate chain (leaf first) and its key, both PEM, into <setup>. PP_OK, PP_ENOMEM, or
 * PP_EINVAL and <why>. */
int pp_tls_lib_use_pair(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup,
                        struct pp_span chain, struct pp_span key, struct pp_tls_why *why)
    PP_MUST_USE;
/* Trust the certificates of <pem> in <setup>, and with <announce> name them to clients. PP_OK,
 * PP_ENOMEM, or PP_EINVAL and <why>. */
int pp_tls_lib_trust(const struct pp_tls_lib *lib, struct ssl_ctx_st *setup, struct pp_span pem,
                     bool announce, struct pp_tls_why *why) PP_MUST_USE;
/* What the library last complained about, and forget it. Static storage. */
const char *pp_tls_lib_reason(const struct pp_tls_lib *lib);

#endif
