/* IP addresses as text, strictly: no leading zeros, no scope, no brackets, nothing around them. */
#ifndef PP_BASE_IP_H
#define PP_BASE_IP_H

#include "base/span.h"

/* Four decimal parts to <ip> (4 bytes). False: it is none, and <ip> may have been written to. */
bool pp_ip_parse_v4(struct pp_span s, uint8_t *ip);
/* RFC 4291 section 2.2: groups, at most one "::", perhaps an IPv4 tail; to <ip> (16 bytes). False:
 * it is none, and <ip> is as it was. */
bool pp_ip_parse_v6(struct pp_span s, uint8_t *ip);

#define PP_IP_TEXT 39
/* Write the 16 bytes at <ip> in the one recommended form (RFC 5952 section 4, without an IPv4 tail)
 * to <dst>, PP_IP_TEXT bytes at most; returns its length. No NUL. */
size_t pp_ip_format_v6(char *dst, const uint8_t *ip);

#endif
