/* The PROXY protocol, versions 1 and 2: what a proxy in front says about its client, before the
 * client's first byte (haproxy.org, proxy-protocol.txt).
 *
 *   v1   "PROXY" SP ("TCP4" | "TCP6") SP source SP destination SP port SP port CRLF
 *        "PROXY" SP "UNKNOWN" [anything] CRLF
 *   v2   signature(12) version|command(1) family|transport(1) length(2) addresses TLVs
 *
 * A header announces addresses, or says that there are none (UNKNOWN, LOCAL, UNSPEC): then those of
 * the connection itself hold. Bytes are refused at the first one that cannot be of a header, so a
 * peer that speaks something else is known by its first bytes. */
#ifndef PP_WIRE_PROXYPROTO_H
#define PP_WIRE_PROXYPROTO_H

#include "base/err.h"
#include "base/span.h"

/* The longest line of version 1, CRLF included: given by the protocol. */
#define PP_PROXYPROTO_V1_BYTES 107
/* The longest header of version 2. Its length field could say 64 KiB: a peer that announces them
 * and never sends them would have them waited for and kept (memory exhaustion by slow headers).
 * What carries a client's certificate is below this. */
#define PP_PROXYPROTO_V2_BYTES 16384
#define PP_PROXYPROTO_UNIQUE_ID_BYTES 128 /* given by the protocol */
/* Room for what pp_proxyproto_encode writes beside its TLVs: fixed part and the longest addresses.
 */
#define PP_PROXYPROTO_ENCODED_BYTES 232

enum pp_proxyproto_family {
    PP_PROXYPROTO_NONE = 0, /* no addresses */
    PP_PROXYPROTO_IP4 = 4,
    PP_PROXYPROTO_IP6 = 6,
    PP_PROXYPROTO_UNIX = 1
};

/* Types of TLVs (section 2.2), and of those within SSL. */
enum pp_proxyproto_type {
    PP_PROXYPROTO_ALPN = 0x01,
    PP_PROXYPROTO_AUTHORITY = 0x02,
    PP_PROXYPROTO_CRC32C = 0x03,
    PP_PROXYPROTO_NOOP = 0x04,
    PP_PROXYPROTO_UNIQUE_ID = 0x05,
    PP_PROXYPROTO_SSL = 0x20,
    PP_PROXYPROTO_SSL_VERSION = 0x21,
    PP_PROXYPROTO_SSL_CN = 0x22,
    PP_PROXYPROTO_SSL_CIPHER = 0x23,
    PP_PROXYPROTO_NETNS = 0x30
};

/* One end of the connection that is announced. */
struct pp_proxyproto_end {
    uint8_t ip[16];      /* IPv4 in the first 4 bytes, the rest zero */
    uint16_t port;       /* host order */
    struct pp_span path; /* unix: without its NULs; an abstract name begins with one */
};

struct pp_proxyproto {
    uint8_t version; /* 1 or 2 */
    uint8_t family;  /* enum pp_proxyproto_family */
    bool local;      /* the proxy speaks for itself (health checks): no client, and nothing else */
    bool datagram;   /* the announced connection is none: UDP */
    struct pp_proxyproto_end source, destination;
    struct pp_span tlvs; /* walk with pp_proxyproto_next; valid as a whole */
};

struct pp_proxyproto_tlv {
    uint8_t type; /* enum pp_proxyproto_type, or any other */
    struct pp_span value;
};

/* What TLV SSL says before its own TLVs. */
struct pp_proxyproto_ssl {
    bool tls;            /* the client spoke TLS */
    bool certificate;    /* and gave a certificate, on this connection or an earlier one */
    uint32_t verify;     /* 0: the certificate was verified */
    struct pp_span tlvs; /* walk with pp_proxyproto_next */
};

/* Read the header at the beginning of <bytes>; the spans of *out point into them. PP_OK: it is
 * whole and valid, its length in *used. PP_EMORE: valid so far. Otherwise a verdict PP_EPROXY_*.
 * The verdict is the same however many bytes follow the header. */
int pp_proxyproto_decode(struct pp_span bytes, struct pp_proxyproto *out, size_t *used) PP_MUST_USE;

/* The next TLV off the front of *rest, which is the <tlvs> of a header or of its SSL. False at
 * the end. */
bool pp_proxyproto_next(struct pp_span *rest, struct pp_proxyproto_tlv *out);
/* The value of the TLV of <type>; its p is NULL when there is none. */
struct pp_span pp_proxyproto_find(const struct pp_proxyproto *h, enum pp_proxyproto_type type);
/* The value of TLV SSL of a decoded header, taken apart. */
struct pp_proxyproto_ssl pp_proxyproto_ssl(struct pp_span value);

/* Write the header to <dst>: PP_PROXYPROTO_ENCODED_BYTES and, in version 2, h->tlvs must fit.
 * Returns its length. Version 1 has no TLVs, and says UNKNOWN for anything but IP. */
size_t pp_proxyproto_encode(const struct pp_proxyproto *h, char *dst);
/* Append one TLV to <dst>, which has room for 3 bytes more than the value; its length. <value> has
 * at most 65535 bytes. */
size_t pp_proxyproto_put(char *dst, enum pp_proxyproto_type type, struct pp_span value);

#endif
