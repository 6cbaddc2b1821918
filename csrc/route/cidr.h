/* Address ranges: "10.0.0.0/8", "2001:db8::/32", "192.0.2.1". Pure: addresses come as bytes. */
#ifndef PP_ROUTE_CIDR_H
#define PP_ROUTE_CIDR_H

#include "base/err.h"
#include "base/span.h"

struct pp_cidr {
    uint8_t ip[16]; /* IPv4 in the first 4 bytes */
    uint8_t bits;   /* length of the prefix */
    bool v6;
};

/* An address with or without "/bits". Host bits must be zero. PP_OK or PP_EINVAL. */
int pp_cidr_parse(struct pp_span text, struct pp_cidr *out) PP_MUST_USE;

/* Is the address <ip> (4 or 16 bytes) in <c>? IPv4-mapped IPv6 addresses match IPv4 ranges. */
bool pp_cidr_has(const struct pp_cidr *c, const uint8_t *ip, bool v6);

#endif
