/* What is known of a client's connection before its first byte, beyond what accept says: what a
 * proxy in front has announced (PROXY protocol), and the server name that it asked for (SNI).
 * Shared by the connection and its exchanges; most connections have none.
 *
 * And the way on: the header that tells an endpoint the same. */
#ifndef PP_PROXY_ANNOUNCED_H
#define PP_PROXY_ANNOUNCED_H

#include "io/sock.h"
#include "wire/proxyproto.h"

struct pp_announced {
    uint32_t refs;
    struct pp_span raw;          /* the header as it came, in <bytes>; n 0: none */
    struct pp_proxyproto header; /* version 0: none came; its spans lie in <bytes> */
    struct pp_span server_name;  /* as the client sent it, in <bytes>; n 0: none */
    char bytes[];
};

/* A connection that is about to begin; filled by whoever accepted it. */
struct pp_arrival {
    struct pp_sock_addr client;
    struct pp_announced *announced; /* a reference, which goes over; may be NULL */
    uint64_t waited_ms;             /* since it was accepted */
};

/* With one reference. <header>: a valid one, as it came, or empty. NULL: memory is out. */
struct pp_announced *pp_announced_new(struct pp_span header, struct pp_span server_name);
static inline struct pp_announced *pp_announced_ref(struct pp_announced *a)
{
    if (a != NULL)
        a->refs++;
    return a;
}
/* The last one frees it. NULL is fine. */
void pp_announced_unref(struct pp_announced *a);

/* Put the address that <h> announces in place of the connection's own, when it announces one of IP.
 * The paths of unix sockets of another machine mean nothing here. */
void pp_announced_client(const struct pp_proxyproto *h, struct pp_sock_addr *client);

/* Send the header of <version> (1 or 2) as the first bytes of the connection <fd> to an endpoint:
 * the client <client>, which has connected to <local> or to the announced destination; in version 2
 * also the server name, or the announced one, and the announced unique id. <a> may be NULL. PP_OK,
 * PP_ERESET or PP_EIO. */
int pp_announced_send(const struct pp_announced *a, unsigned version,
                      const struct pp_sock_addr *client, const struct pp_sock_addr *local, int fd)
    PP_MUST_USE;

#endif
