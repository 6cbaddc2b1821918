#include "wire/proxyproto.h"

#include "base/check.h"
#include "base/ip.h"
#include "base/num.h"

/* Section 2.2: begins as no other protocol does. */
static const char signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

#define V2_FIXED 16
#define COMMAND_LOCAL 0x20
#define COMMAND_PROXY 0x21
#define UNIX_PATH 108
#define SSL_FIXED 5 /* of the value: client(1) verify(4) */

static unsigned get16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static uint32_t get32(const char *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static char *put16(char *p, unsigned v)
{
    p[0] = (char)(unsigned char)(v >> 8);
    p[1] = (char)(unsigned char)v;
    return p + 2;
}

/* ---- version 1 ---- */

/* The next word of *rest, which one SP ends; the last one ends with the line. */
static bool take_word(struct pp_span *rest, bool last, struct pp_span *word)
{
    size_t n = pp_span_find(*rest, ' ');
    if ((n == rest->n) != last)
        return false;
    *word = pp_span(rest->p, n);
    if (!last)
        n++;
    *rest = pp_span(rest->p + n, rest->n - n);
    return true;
}

static bool parse_port(struct pp_span s, uint16_t *port)
{
    uint64_t v;
    if (s.n > 5 || (s.n > 1 && s.p[0] == '0') || pp_num_parse_u64(s, &v) != PP_OK || v > 65535)
        return false;
    *port = (uint16_t)v;
    return true;
}

static bool parse_ip(struct pp_span s, uint8_t family, uint8_t *ip)
{
    return family == PP_PROXYPROTO_IP4 ? pp_ip_parse_v4(s, ip) : pp_ip_parse_v6(s, ip);
}

/* What follows "PROXY ", without CRLF. */
static int decode_words(struct pp_span rest, struct pp_proxyproto *h)
{
    struct pp_span family, ip[2], port[2];
    size_t n = pp_span_find(rest, ' ');
    if (pp_span_eq(pp_span(rest.p, n), PP_SPAN("UNKNOWN")))
        return PP_OK; /* the rest of the line is to be ignored */
    if (!take_word(&rest, false, &family) || !take_word(&rest, false, &ip[0]) ||
        !take_word(&rest, false, &ip[1]) || !take_word(&rest, false, &port[0]) ||
        !take_word(&rest, true, &port[1]))
        return PP_EPROXY_LINE;
    if (pp_span_eq(family, PP_SPAN("TCP4")))
        h->family = PP_PROXYPROTO_IP4;
    else if (pp_span_eq(family, PP_SPAN("TCP6")))
        h->family = PP_PROXYPROTO_IP6;
    else
        return PP_EPROXY_LINE;
    if (!parse_ip(ip[0], h->family, h->source.ip) || !parse_ip(ip[1], h->family, h->destination.ip))
        return PP_EPROXY_ADDRESS;
    return parse_port(port[0], &h->source.port) && parse_port(port[1], &h->destination.port)
               ? PP_OK
               : PP_EPROXY_ADDRESS;
}

static int decode_v1(struct pp_span bytes, struct pp_proxyproto *h, size_t *used)
{
    static const size_t prefix = 6;
    size_t n = PP_MIN(bytes.n, PP_PROXYPROTO_V1_BYTES);
    if (n < prefix)
        return PP_EMORE;
    size_t cr = pp_span_find(pp_span(bytes.p, n), '\r');
    if (cr + 1 < n && bytes.p[cr + 1] != '\n')
        return PP_EPROXY_LINE;
    if (cr + 1 >= n)
        return n < PP_PROXYPROTO_V1_BYTES ? PP_EMORE : PP_EPROXY_BYTES;
    h->version = 1;
    *used = cr + 2;
    return decode_words(pp_span(bytes.p + prefix, cr - prefix), h);
}

/* ---- version 2 ---- */

/* The reflected polynomial of CRC-32C (RFC 3720 appendix B.4), four bits at a time. */
static uint32_t crc32c(uint32_t crc, const char *p, size_t n)
{
    static const uint32_t step[16] = {0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
                                      0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                                      0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
                                      0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)p[i];
        crc = crc >> 4 ^ step[crc & 15];
        crc = crc >> 4 ^ step[crc & 15];
    }
    return crc;
}

/* Of the whole header, with zeros in place of the checksum itself. */
static bool checksum_holds(struct pp_span header, struct pp_span value)
{
    static const char zeros[4];
    size_t before = (size_t)(value.p - header.p);
    uint32_t crc = crc32c(UINT32_MAX, header.p, before);
    crc = crc32c(crc, zeros, sizeof(zeros));
    crc = crc32c(crc, value.p + 4, header.n - before - 4);
    return ~crc == get32(value.p);
}

bool pp_proxyproto_next(struct pp_span *rest, struct pp_proxyproto_tlv *out)
{
    if (rest->n < 3 || rest->n - 3 < get16(rest->p + 1))
        return false;
    out->type = (uint8_t)rest->p[0];
    out->value = pp_span(rest->p + 3, get16(rest->p + 1));
    *rest = pp_span(rest->p + 3 + out->value.n, rest->n - 3 - out->value.n);
    return true;
}

struct pp_proxyproto_ssl pp_proxyproto_ssl(struct pp_span value)
{
    unsigned client = (unsigned char)value.p[0];
    struct pp_proxyproto_ssl ssl = {.tls = client & 1,
                                    .certificate = (client & 6) != 0,
                                    .verify = get32(value.p + 1),
                                    .tlvs = pp_span(value.p + SSL_FIXED, value.n - SSL_FIXED)};
    return ssl;
}

/* A row of nothing but whole TLVs. */
static bool is_row(struct pp_span rest)
{
    struct pp_proxyproto_tlv tlv;
    while (pp_proxyproto_next(&rest, &tlv))
        ;
    return rest.n == 0;
}

/* Bit of a type that may stand in a header once: two readers of two would take two different ones.
 * 0: any number of them. */
static unsigned once(uint8_t type)
{
    switch (type) {
    case PP_PROXYPROTO_ALPN:
    case PP_PROXYPROTO_AUTHORITY:
    case PP_PROXYPROTO_CRC32C:
    case PP_PROXYPROTO_UNIQUE_ID:
        return 1u << type;
    case PP_PROXYPROTO_SSL:
        return 1u << 30;
    case PP_PROXYPROTO_NETNS:
        return 1u << 31;
    default:
        return 0;
    }
}

static int check_tlv(struct pp_span header, const struct pp_proxyproto_tlv *tlv)
{
    switch (tlv->type) {
    case PP_PROXYPROTO_CRC32C:
        if (tlv->value.n != 4)
            return PP_EPROXY_TLV;
        return checksum_holds(header, tlv->value) ? PP_OK : PP_EPROXY_CHECKSUM;
    case PP_PROXYPROTO_UNIQUE_ID:
        return tlv->value.n <= PP_PROXYPROTO_UNIQUE_ID_BYTES ? PP_OK : PP_EPROXY_TLV;
    case PP_PROXYPROTO_SSL:
        return tlv->value.n >= SSL_FIXED && is_row(pp_proxyproto_ssl(tlv->value).tlvs)
                   ? PP_OK
                   : PP_EPROXY_TLV;
    default:
        return PP_OK;
    }
}

static int check_tlvs(struct pp_span header, struct pp_span rest)
{
    struct pp_proxyproto_tlv tlv;
    unsigned seen = 0;
    while (pp_proxyproto_next(&rest, &tlv)) {
        unsigned bit = once(tlv.type);
        int rc = (seen & bit) != 0 ? PP_EPROXY_TLV : check_tlv(header, &tlv);
        if (rc != PP_OK)
            return rc;
        seen |= bit;
    }
    return rest.n == 0 ? PP_OK : PP_EPROXY_TLV;
}

/* A path ends at its first NUL; an abstract name, which begins with one, at its last other byte. */
static struct pp_span unix_path(const char *p)
{
    size_t n = pp_span_find(pp_span(p, UNIX_PATH), '\0');
    if (n == 0) {
        for (n = UNIX_PATH; n > 0 && p[n - 1] == '\0';)
            n--;
    }
    return pp_span(p, n);
}

/* Bytes of the addresses of a family, and the family. SIZE_MAX: the protocol has no such one. */
static size_t address_bytes(unsigned char family, struct pp_proxyproto *h)
{
    h->datagram = (family & 15) == 2;
    switch (family) {
    case 0x00:
        h->family = PP_PROXYPROTO_NONE;
        return 0;
    case 0x11:
    case 0x12:
        h->family = PP_PROXYPROTO_IP4;
        return 12;
    case 0x21:
    case 0x22:
        h->family = PP_PROXYPROTO_IP6;
        return 36;
    case 0x31:
    case 0x32:
        h->family = PP_PROXYPROTO_UNIX;
        return 2 * (size_t)UNIX_PATH;
    default:
        return SIZE_MAX;
    }
}

static void take_addresses(const char *p, struct pp_proxyproto *h)
{
    size_t ip = h->family == PP_PROXYPROTO_IP4 ? 4 : 16;
    if (h->family == PP_PROXYPROTO_NONE)
        return;
    if (h->family == PP_PROXYPROTO_UNIX) {
        h->source.path = unix_path(p);
        h->destination.path = unix_path(p + UNIX_PATH);
        return;
    }
    memcpy(h->source.ip, p, ip);
    memcpy(h->destination.ip, p + ip, ip);
    h->source.port = (uint16_t)get16(p + 2 * ip);
    h->destination.port = (uint16_t)get16(p + 2 * ip + 2);
}

static int decode_v2(struct pp_span bytes, struct pp_proxyproto *h, size_t *used)
{
    if (bytes.n < sizeof(signature) + 1)
        return PP_EMORE;
    unsigned char command = (unsigned char)bytes.p[12];
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return PP_EPROXY_COMMAND;
    if (bytes.n < V2_FIXED)
        return PP_EMORE;
    size_t n = V2_FIXED + get16(bytes.p + 14), ips = 0;
    if (n > PP_PROXYPROTO_V2_BYTES)
        return PP_EPROXY_BYTES;
    h->version = 2;
    h->local = command == COMMAND_LOCAL;
    if (!h->local) { /* the family of LOCAL, and all that follows it, is to be ignored */
        ips = address_bytes((unsigned char)bytes.p[13], h);
        if (ips == SIZE_MAX)
            return PP_EPROXY_COMMAND;
        if (ips > n - V2_FIXED)
            return PP_EPROXY_ADDRESS;
    }
    if (bytes.n < n)
        return PP_EMORE;
    *used = n;
    if (h->local)
        return PP_OK;
    take_addresses(bytes.p + V2_FIXED, h);
    h->tlvs = pp_span(bytes.p + V2_FIXED + ips, n - V2_FIXED - ips);
    return check_tlvs(pp_span(bytes.p, n), h->tlvs);
}

/* ---- both ---- */

static bool begins(struct pp_span bytes, const char *with, size_t n)
{
    return memcmp(bytes.p, with, PP_MIN(bytes.n, n)) == 0;
}

int pp_proxyproto_decode(struct pp_span bytes, struct pp_proxyproto *out, size_t *used)
{
    memset(out, 0, sizeof(*out));
    *used = 0;
    if (bytes.n == 0)
        return PP_EMORE;
    if (begins(bytes, signature, sizeof(signature)))
        return decode_v2(bytes, out, used);
    if (begins(bytes, "PROXY ", 6))
        return decode_v1(bytes, out, used);
    return PP_EPROXY_NONE;
}

struct pp_span pp_proxyproto_find(const struct pp_proxyproto *h, enum pp_proxyproto_type type)
{
    struct pp_span rest = h->tlvs;
    struct pp_proxyproto_tlv tlv;
    while (pp_proxyproto_next(&rest, &tlv)) {
        if (tlv.type == (uint8_t)type)
            return tlv.value;
    }
    return PP_SPAN_NONE;
}

/* ---- writing ---- */

static char *put_text(char *p, const char *text)
{
    size_t n = strlen(text);
    memcpy(p, text, n);
    return p + n;
}

static char *put_ip(char *p, uint8_t family, const uint8_t *ip)
{
    if (family == PP_PROXYPROTO_IP6)
        p += pp_ip_format_v6(p, ip);
    for (int i = 0; i < 4 && family == PP_PROXYPROTO_IP4; i++) {
        if (i > 0)
            *p++ = '.';
        p += pp_num_format_u64(p, ip[i]);
    }
    *p++ = ' ';
    return p;
}

static size_t encode_v1(const struct pp_proxyproto *h, char *dst)
{
    char *p = put_text(dst, "PROXY ");
    if (h->local || (h->family != PP_PROXYPROTO_IP4 && h->family != PP_PROXYPROTO_IP6))
        return (size_t)(put_text(p, "UNKNOWN\r\n") - dst);
    p = put_text(p, h->family == PP_PROXYPROTO_IP4 ? "TCP4 " : "TCP6 ");
    p = put_ip(p, h->family, h->source.ip);
    p = put_ip(p, h->family, h->destination.ip);
    p += pp_num_format_u64(p, h->source.port);
    *p++ = ' ';
    p += pp_num_format_u64(p, h->destination.port);
    p = put_text(p, "\r\n");
    PP_ASSERT(p - dst <= PP_PROXYPROTO_V1_BYTES);
    return (size_t)(p - dst);
}

static char *put_path(char *p, struct pp_span path)
{
    size_t n = PP_MIN(path.n, UNIX_PATH);
    if (n > 0)
        memcpy(p, path.p, n);
    memset(p + n, 0, UNIX_PATH - n);
    return p + UNIX_PATH;
}

static char *put_addresses(char *p, const struct pp_proxyproto *h)
{
    size_t ip = h->family == PP_PROXYPROTO_IP4 ? 4 : 16;
    if (h->family == PP_PROXYPROTO_UNIX)
        return put_path(put_path(p, h->source.path), h->destination.path);
    if (h->family == PP_PROXYPROTO_NONE)
        return p;
    memcpy(p, h->source.ip, ip);
    memcpy(p + ip, h->destination.ip, ip);
    return put16(put16(p + 2 * ip, h->source.port), h->destination.port);
}

static size_t encode_v2(const struct pp_proxyproto *h, char *dst)
{
    static const char kinds[] = {[PP_PROXYPROTO_NONE] = 0x00,
                                 [PP_PROXYPROTO_IP4] = 0x10,
                                 [PP_PROXYPROTO_IP6] = 0x20,
                                 [PP_PROXYPROTO_UNIX] = 0x30};
    char *p = dst + V2_FIXED;
    memcpy(dst, signature, sizeof(signature));
    dst[12] = h->local ? COMMAND_LOCAL : COMMAND_PROXY;
    dst[13] = 0;
    if (!h->local) {
        dst[13] = kinds[h->family];
        if (h->family != PP_PROXYPROTO_NONE)
            dst[13] |= h->datagram ? 2 : 1;
        p = put_addresses(p, h);
        if (h->tlvs.n > 0)
            memcpy(p, h->tlvs.p, h->tlvs.n);
        p += h->tlvs.n;
    }
    put16(dst + 14, (unsigned)(p - dst - V2_FIXED));
    return (size_t)(p - dst);
}

size_t pp_proxyproto_encode(const struct pp_proxyproto *h, char *dst)
{
    return h->version == 1 ? encode_v1(h, dst) : encode_v2(h, dst);
}

size_t pp_proxyproto_put(char *dst, enum pp_proxyproto_type type, struct pp_span value)
{
    dst[0] = (char)type;
    char *p = put16(dst + 1, (unsigned)value.n);
    if (value.n > 0)
        memcpy(p, value.p, value.n);
    return 3 + value.n;
}
