/* Keys of session tickets that are given from outside.
 *
 * A ticket is the session itself, encrypted with one of these keys: whoever has the key can go on
 * with the session, in whichever process of whichever generation, and read it. So the keys change
 * from time to time, and are shared by all workers:
 *
 *   key[0]      makes tickets
 *   key[1 ..]   only open them: of the past, and the one that comes next, which a sibling may use
 *               a moment earlier than we hear of it
 *
 * Without keys from here the library uses its own, made with the base context (tls_lib.h). */
#ifndef PP_IO_TLS_TICKET_H
#define PP_IO_TLS_TICKET_H

#include "io/tls_lib.h"

/* What a ticket shows of its key (RFC 5077 section 4), then the keys themselves. */
#define PP_TLS_TICKET_KEYS 3
struct pp_tls_ticket_key {
    unsigned char name[16], hmac[32], aes[32];
};
#define PP_TLS_TICKET_KEY_BYTES sizeof(struct pp_tls_ticket_key)

/* Make and open tickets with <n> keys from now on, one behind the other in <keys>; those from
 * before are forgotten. PP_OK; PP_EINVAL: not 1 to PP_TLS_TICKET_KEYS whole keys; PP_ENOENT: the
 * functions for it cannot be had of this library, and it goes on with its own keys. */
int pp_tls_ticket_use(struct pp_tls_lib *lib, struct pp_span keys) PP_MUST_USE;
/* Forget them: the library is freed. */
void pp_tls_ticket_drop(struct pp_tls_lib *lib);

#endif
