/* A tunnel as a string of bytes, for the worker that takes it over (proxy/tunnel.h): who is at its
 * ends, what has passed, and the bytes that were read from one side and not yet taken by the other.
 * The two descriptors travel beside it.
 *
 * Little-endian, one version, no optional parts:
 *
 *   "ppt" version | flags family port scope ip | name lengths, attempts | times | byte counts
 *   | held lengths | [route length, statuses, head lengths, first_byte]
 *   | listener upstream endpoint | [route request response] | held, request direction first
 *
 * What stands in brackets is there in version 2 only, for a tunnel that began as a request: what
 * its log line is made from.
 *
 * Both ends of it are ours, but they may be different releases, and the bytes come through a
 * socket: decoding is strict, and a reader that does not know the version refuses it. */
#ifndef PP_WIRE_TUNNEL_RECORD_H
#define PP_WIRE_TUNNEL_RECORD_H

#include "base/err.h"
#include "base/ids.h"
#include "base/span.h"

#define PP_TUNNEL_RECORD_VERSION 1
#define PP_TUNNEL_RECORD_VERSION_HTTP 2
/* Everything before the names; and what version 2 has besides. */
#define PP_TUNNEL_RECORD_FIXED 84
#define PP_TUNNEL_RECORD_FIXED_HTTP 22
#define PP_TUNNEL_RECORD_HEAD 65535 /* bytes of one message head */
#define PP_TUNNEL_RECORD_NAME 1024  /* bytes of one name */
/* Bytes held for one direction: the most that a tunnel holds, and that a reader must store. */
#define PP_TUNNEL_RECORD_HELD (128 * 1024)

/* Of what kind the client's address is; 0: not known. */
#define PP_TUNNEL_RECORD_UNIX 1
#define PP_TUNNEL_RECORD_IP4 4
#define PP_TUNNEL_RECORD_IP6 6

/* One direction: 0 from the client, 1 from the endpoint. */
struct pp_tunnel_record_flow {
    uint64_t sent;       /* bytes that the sink has taken */
    bool source_ended;   /* the source has ended its stream: nothing follows what is held */
    bool shut;           /* and the sink was told */
    struct pp_span held; /* read and not yet sent, in order */
};

struct pp_tunnel_record {
    struct pp_span listener, upstream, endpoint; /* names; listener is never empty */
    uint8_t family;                              /* of the client: PP_TUNNEL_RECORD_... */
    uint8_t ip[16];                              /* IPv4 in the first 4 bytes, the rest zero */
    uint16_t port;
    uint32_t scope;
    uint16_t attempts;   /* connects that it took */
    uint64_t age_us;     /* since the client was accepted */
    uint64_t connect_us; /* what the connect that succeeded took */
    uint64_t quiet_ms;   /* since the last byte */
    struct pp_tunnel_record_flow flow[2];
    /* of a tunnel that began as a request: with a route, else nothing of it */
    struct pp_span route;             /* name */
    struct pp_span request, response; /* heads as HTTP/1 writes them; may be empty */
    uint16_t status;                  /* that the client got: 101 or 200 */
    uint16_t upstream_status;         /* 0: the endpoint was not asked */
    uint64_t first_byte_us;           /* from the request's sending to that status */
};

/* Bytes of the record; only the lengths of its spans are looked at. */
size_t pp_tunnel_record_size(const struct pp_tunnel_record *r);
/* Write everything but the held bytes to <dst>, which has room for pp_tunnel_record_size(). Returns
 * how many bytes that is: the held ones belong right behind, request direction first. */
size_t pp_tunnel_record_encode(const struct pp_tunnel_record *r, char *dst);
/* Take <blob> apart; the spans of *r point into it. PP_OK, or PP_EINVAL for anything that
 * pp_tunnel_record_encode cannot have written, another version included. */
int pp_tunnel_record_decode(struct pp_span blob, struct pp_tunnel_record *r) PP_MUST_USE;

#endif
