/* What is known of a client's TLS connection. Made when the handshake is done, and shared with the
 * connection's exchanges: the log of the last one may come after its end. */
#ifndef PP_PROXY_CLIENT_TLS_H
#define PP_PROXY_CLIENT_TLS_H

#include "io/chan_tls.h"

struct pp_client_tls {
    uint32_t refs;
    struct pp_chan_tls_facts facts;
    /* The client's certificate, verified; empty: it has sent none. */
    struct pp_span der;
    unsigned char sha256[PP_CHAN_TLS_SHA256];
    char text[]; /* of <facts> */
};

/* Of an open channel. NULL when memory is out. */
struct pp_client_tls *pp_client_tls_new(const struct pp_chan *ch);

/* One more reference; NULL is fine. */
static inline struct pp_client_tls *pp_client_tls_ref(struct pp_client_tls *ct)
{
    if (ct != NULL)
        ct->refs++;
    return ct;
}
/* The last one frees it. NULL is fine. */
void pp_client_tls_unref(struct pp_client_tls *ct);

#endif
