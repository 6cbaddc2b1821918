/* What the first message of a TLS connection says in the clear: which server the client wants (SNI,
 * RFC 6066 section 3) and which protocols it offers (ALPN, RFC 7301). Nothing is decrypted, nothing
 * is kept, and the bytes stay as they are for the server that they are meant for.
 *
 *   record(22) | version | length | handshake(1) | length(3) | version random(32) id ciphers
 *                                   compressions extensions
 *
 * The message may be cut into several records, and those into any segments (RFC 8446 section 5.1).
 * Reading is strict about everything that is read, and steps over what it does not know: ciphers,
 * groups and extensions that are made up on purpose (GREASE, RFC 8701) are among that. With
 * encrypted ClientHello the name is that of the client-facing server, which is the one to route by.
 */
#ifndef PP_WIRE_CLIENTHELLO_H
#define PP_WIRE_CLIENTHELLO_H

#include "base/err.h"
#include "base/span.h"

/* Most bytes of the message. One of today has 2 KiB; a client that announces more than this and
 * sends it slowly would have it waited for and kept (memory exhaustion by slow handshakes). */
#define PP_CLIENTHELLO_BYTES 32768
/* Most bytes on the wire, record headers included: records of one byte each would blow the message
 * up sixfold (fragmentation attack). */
#define PP_CLIENTHELLO_WIRE_BYTES 49152
#define PP_CLIENTHELLO_NAME_BYTES 255

struct pp_clienthello {
    struct pp_span server_name; /* letters, digits, "-", "_" and "."; n 0: none was sent */
    struct pp_span alpn;        /* ProtocolNameList: length(1) name, ...; n 0: none was sent */
};

/* Read the ClientHello at the beginning of the <n> bytes at <data>, which are the caller's copy:
 * the message is joined in place, and the spans of *out point into it. PP_OK: all is there.
 * PP_EMORE: valid so far; call again with all bytes, from the first on, in a fresh copy.
 * PP_ETLS_NONE: this is no TLS handshake. Otherwise a verdict PP_ETLS_*. */
int pp_clienthello_decode(char *data, size_t n, struct pp_clienthello *out) PP_MUST_USE;

/* The next protocol off the front of *rest, which is a decoded <alpn>. False at the end. */
bool pp_clienthello_next_protocol(struct pp_span *rest, struct pp_span *out);

/* The alert that answers a name that nobody serves (RFC 6066 section 3: unrecognized_name, fatal),
 * as a record. */
#define PP_CLIENTHELLO_ALERT_BYTES 7
extern const char pp_clienthello_unrecognized_name[PP_CLIENTHELLO_ALERT_BYTES];

#endif
