#include "wire/proxyproto.c"

#include "pp_test.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct pp_proxyproto h;
static size_t used;

static int decode(const char *p, size_t n)
{
    char *copy = malloc(n + (n == 0)); /* of exactly that size: a byte read too many is seen */
    memcpy(copy, p, n);
    int rc = pp_proxyproto_decode(pp_span(copy, n), &h, &used);
    free(copy);
    return rc;
}

#define DECODE(literal) decode(literal, sizeof(literal) - 1)

/* Decode whole and at every shorter length; <p> goes on with something else. */
static int decode_all(const char *p, size_t n, size_t header)
{
    for (size_t k = 0; k < header; k++)
        PP_CHECK_EQ(decode(p, k), PP_EMORE);
    int rc = pp_proxyproto_decode(pp_span(p, n), &h, &used);
    if (rc == PP_OK)
        PP_CHECK_EQ(used, header);
    return rc;
}

/* ---- version 1 ---- */

PP_TEST_CASE(a_line_announces_both_ends)
{
    static const char line[] = "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET / HTTP/1.1\r\n";
    PP_REQUIRE(decode_all(line, sizeof line - 1, 45) == PP_OK);
    PP_CHECK_EQ(h.version, 1);
    PP_CHECK_EQ(h.family, PP_PROXYPROTO_IP4);
    PP_CHECK(!h.local && !h.datagram && h.tlvs.n == 0);
    PP_CHECK(memcmp(h.source.ip, (uint8_t[16]){192, 0, 2, 1}, 16) == 0);
    PP_CHECK(memcmp(h.destination.ip, (uint8_t[16]){198, 51, 100, 7}, 16) == 0);
    PP_CHECK_EQ(h.source.port, 56324);
    PP_CHECK_EQ(h.destination.port, 443);
}

PP_TEST_CASE(a_line_may_be_of_ipv6)
{
    PP_REQUIRE(DECODE("PROXY TCP6 2001:db8::1 ::ffff:1.2.3.4 0 65535\r\n") == PP_OK);
    PP_CHECK_EQ(h.family, PP_PROXYPROTO_IP6);
    PP_CHECK_EQ(h.source.ip[0], 0x20);
    PP_CHECK_EQ(h.destination.ip[15], 4);
    PP_CHECK_EQ(h.destination.port, 65535);
}

/* "the receiver must ignore anything presented before the CRLF is found" */
PP_TEST_CASE(an_unknown_line_announces_nothing)
{
    PP_CHECK_EQ(DECODE("PROXY UNKNOWN\r\n"), PP_OK);
    PP_CHECK_EQ(h.family, PP_PROXYPROTO_NONE);
    PP_CHECK_EQ(DECODE("PROXY UNKNOWN ffff::1 x y \t z\r\n"), PP_OK);
    PP_CHECK_EQ(h.family, PP_PROXYPROTO_NONE);
    PP_CHECK_EQ(DECODE("PROXY UNKNOWNS\r\n"), PP_EPROXY_LINE);
}

PP_TEST_CASE(a_line_has_107_bytes_at_most)
{
    char line[200];
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + 105, "\r\n", 2);
    PP_CHECK_EQ(decode_all(line, 107, 107), PP_OK);
    memcpy(line + 105, "x\r\n", 3);
    PP_CHECK_EQ(decode_all(line, 108, 107), PP_EPROXY_BYTES);
    memset(line + 14, 'x', sizeof line - 14);
    PP_CHECK_EQ(decode(line, 106), PP_EMORE);
    PP_CHECK_EQ(decode(line, 107), PP_EPROXY_BYTES);
    PP_CHECK_EQ(decode(line, 200), PP_EPROXY_BYTES);
}

PP_TEST_CASE(a_line_is_nothing_else)
{
    static const char *const lines[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rx",
    };
    for (size_t i = 0; i < PP_COUNT_OF(lines); i++)
        PP_CHECK_EQ(decode(lines[i], strlen(lines[i])), PP_EPROXY_LINE);
    static const char *const addresses[] = {
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",  "PROXY TCP4 1.2.3.4 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 ::1 1 2\r\n",       "PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",  "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",  "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 1 \t2\r\n",
    };
    for (size_t i = 0; i < PP_COUNT_OF(addresses); i++)
        PP_CHECK(decode(addresses[i], strlen(addresses[i])) <= PP_EPROXY_LINE);
}

PP_TEST_CASE(what_is_no_header_is_known_by_its_first_other_byte)
{
    PP_CHECK_EQ(decode("", 0), PP_EMORE);
    PP_CHECK_EQ(DECODE("G"), PP_EPROXY_NONE);
    PP_CHECK_EQ(DECODE("PROX "), PP_EPROXY_NONE);
    PP_CHECK_EQ(DECODE("PROXY\t"), PP_EPROXY_NONE);
    PP_CHECK_EQ(DECODE("PRI * HTTP/2.0\r\n"), PP_EPROXY_NONE);
    PP_CHECK_EQ(DECODE("\r\n\r\nG"), PP_EPROXY_NONE);
    PP_CHECK_EQ(DECODE("\x16\x03\x01"), PP_EPROXY_NONE);
}

/* ---- version 2 ---- */

#define IP4 SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"

PP_TEST_CASE(a_binary_header_announces_both_ends)
{
    PP_REQUIRE(decode_all(IP4 "x", 29, 28) == PP_OK);
    PP_CHECK_EQ(h.version, 2);
    PP_CHECK_EQ(h.family, PP_PROXYPROTO_IP4);
    PP_CHECK(memcmp(h.source.ip, (uint8_t[16]){192, 0, 2, 1}, 16) == 0);
    PP_CHECK_EQ(h.source.port, 56324);
    PP_CHECK_EQ(h.destination.port, 443);
}

PP_TEST_CASE(the_kinds_that_the_protocol_has)
{
    char header[400] = {0};
    static const struct {
        unsigned char kind;
        size_t bytes;
        unsigned family;
        bool datagram;
    } known[] = {{0x00, 0, PP_PROXYPROTO_NONE, false}, {0x11, 12, PP_PROXYPROTO_IP4, false},
                 {0x12, 12, PP_PROXYPROTO_IP4, true},  {0x21, 36, PP_PROXYPROTO_IP6, false},
                 {0x22, 36, PP_PROXYPROTO_IP6, true},  {0x31, 216, PP_PROXYPROTO_UNIX, false},
                 {0x32, 216, PP_PROXYPROTO_UNIX, true}};
    memcpy(header, SIGNATURE "\x21", 13);
    unsigned good = 0;
    for (unsigned kind = 0; kind < 256; kind++) {
        header[13] = (char)kind;
        header[15] = (char)216;
        memset(header + 16, 4 /* NOOP */, sizeof header - 16);
        for (size_t i = 16; i < sizeof header; i += 3)
            memcpy(header + i, "\x04\0\0", 3); /* whatever is no address is one */
        int rc = decode(header, 16 + 216);
        for (size_t i = 0; i < PP_COUNT_OF(known); i++) {
            if (known[i].kind != kind)
                continue;
            good++;
            PP_CHECK_EQ(rc, PP_OK);
            PP_CHECK_EQ(h.family, known[i].family);
            PP_CHECK_EQ(h.datagram, known[i].datagram);
            rc = PP_EPROXY_COMMAND;
            if (known[i].bytes > 0) {
                header[15] = (char)(known[i].bytes - 1);
                PP_CHECK_EQ(decode(header, 16), PP_EPROXY_ADDRESS);
            }
        }
        PP_CHECK_EQ(rc, PP_EPROXY_COMMAND);
    }
    PP_CHECK_EQ(good, PP_COUNT_OF(known));
}

PP_TEST_CASE(other_versions_and_commands_are_refused)
{
    char header[28];
    memcpy(header, IP4, 28);
    for (unsigned command = 0; command < 256; command++) {
        header[12] = (char)command;
        int want = command == 0x20 || command == 0x21 ? PP_OK : PP_EPROXY_COMMAND;
        PP_CHECK_EQ(decode(header, 28), want);
        if (want != PP_OK)
            PP_CHECK_EQ(decode(header, 13), want);
    }
}

/* "the receiver must [...] discard the protocol block including the family which is ignored" */
PP_TEST_CASE(a_local_header_announces_nothing_whatever_it_says)
{
    PP_REQUIRE(DECODE(SIGNATURE "\x20\xff\x00\x05hello") == PP_OK);
    PP_CHECK(h.local);
    PP_CHECK_EQ(used, 21);
    PP_CHECK_EQ(h.family, PP_PROXYPROTO_NONE);
    PP_CHECK_EQ(h.tlvs.n, 0);
}

PP_TEST_CASE(a_binary_header_has_a_limit_of_ours)
{
    PP_CHECK_EQ(DECODE(SIGNATURE "\x21\x11\x3f\xf0"), PP_EMORE);
    PP_CHECK_EQ(DECODE(SIGNATURE "\x21\x11\x3f\xf1"), PP_EPROXY_BYTES);
    PP_CHECK_EQ(DECODE(SIGNATURE "\x20\x00\xff\xff"), PP_EPROXY_BYTES);
}

PP_TEST_CASE(unix_paths_end_at_their_nul)
{
    char header[16 + 216] = SIGNATURE "\x21\x31\x00\xd8/run/a";
    memcpy(header + 16 + 108, "\0abstract", 9);
    PP_REQUIRE(pp_proxyproto_decode(pp_span(header, sizeof header), &h, &used) == PP_OK);
    PP_CHECK_STR(h.source.path, "/run/a");
    PP_CHECK_BYTES(h.destination.path, "\0abstract", 9);
    memset(header + 16, 'p', 108);
    PP_REQUIRE(pp_proxyproto_decode(pp_span(header, sizeof header), &h, &used) == PP_OK);
    PP_CHECK_EQ(h.source.path.n, 108);
}

/* ---- TLVs ---- */

static char made[4096];

/* A header of IPv4 with those TLVs. */
static int with_tlvs(const char *tlvs, size_t n)
{
    memcpy(made, IP4, 28);
    memcpy(made + 28, tlvs, n);
    put16(made + 14, (unsigned)(12 + n));
    int rc = decode(made, 28 + n); /* in memory of exactly its size */
    return rc == PP_OK ? pp_proxyproto_decode(pp_span(made, 28 + n), &h, &used) : rc;
}
#define WITH(literal) with_tlvs(literal, sizeof(literal) - 1)

PP_TEST_CASE(tlvs_are_found)
{
    PP_REQUIRE(WITH("\x01\x00\x02h2"
                    "\x02\x00\x09"
                    "a.example"
                    "\x04\x00\x03pad"
                    "\x04\x00\x00"
                    "\x05\x00\x02id"
                    "\x30\x00\x02ns"
                    "\xe0\x00\x01x") == PP_OK);
    PP_CHECK_STR(pp_proxyproto_find(&h, PP_PROXYPROTO_ALPN), "h2");
    PP_CHECK_STR(pp_proxyproto_find(&h, PP_PROXYPROTO_AUTHORITY), "a.example");
    PP_CHECK_STR(pp_proxyproto_find(&h, PP_PROXYPROTO_UNIQUE_ID), "id");
    PP_CHECK_STR(pp_proxyproto_find(&h, PP_PROXYPROTO_NETNS), "ns");
    PP_CHECK(pp_proxyproto_find(&h, PP_PROXYPROTO_SSL).p == NULL);
    struct pp_span rest = h.tlvs;
    struct pp_proxyproto_tlv tlv;
    unsigned n = 0, last = 0;
    while (pp_proxyproto_next(&rest, &tlv))
        n++, last = tlv.type;
    PP_CHECK_EQ(n, 7);
    PP_CHECK_EQ(last, 0xe0);
}

PP_TEST_CASE(tlvs_fill_the_header_exactly)
{
    PP_CHECK_EQ(WITH("\x02"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x02\x00"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x02\x00\x02x"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x02\x00\x01xy"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x02\xff\xffx"), PP_EPROXY_TLV);
}

PP_TEST_CASE(what_can_be_said_once_is_said_once)
{
    PP_CHECK_EQ(WITH("\x01\x00\x01x\x01\x00\x01x"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x02\x00\x01x\x02\x00\x01x"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x05\x00\x01x\x05\x00\x01x"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x30\x00\x01x\x30\x00\x01x"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\xe0\x00\x01x\xe0\x00\x01x"), PP_OK);
}

PP_TEST_CASE(a_unique_id_has_128_bytes_at_most)
{
    char tlv[3 + 129] = {5, 0, (char)129};
    PP_CHECK_EQ(with_tlvs(tlv, sizeof tlv), PP_EPROXY_TLV);
    tlv[2] = (char)128;
    PP_CHECK_EQ(with_tlvs(tlv, sizeof tlv - 1), PP_OK);
}

PP_TEST_CASE(what_is_said_about_tls)
{
    PP_REQUIRE(WITH("\x20\x00\x16\x05\0\0\0\0"
                    "\x21\x00\x07TLSv1.3"
                    "\x22\x00\x04user") == PP_OK);
    struct pp_proxyproto_ssl ssl = pp_proxyproto_ssl(pp_proxyproto_find(&h, PP_PROXYPROTO_SSL));
    struct pp_proxyproto_tlv tlv;
    PP_CHECK(ssl.tls && ssl.certificate && ssl.verify == 0);
    PP_REQUIRE(pp_proxyproto_next(&ssl.tlvs, &tlv));
    PP_CHECK_EQ(tlv.type, PP_PROXYPROTO_SSL_VERSION);
    PP_CHECK_STR(tlv.value, "TLSv1.3");
    PP_REQUIRE(pp_proxyproto_next(&ssl.tlvs, &tlv));
    PP_CHECK_EQ(tlv.type, PP_PROXYPROTO_SSL_CN);
    PP_CHECK(!pp_proxyproto_next(&ssl.tlvs, &tlv));
    PP_CHECK_EQ(WITH("\x20\x00\x04\x01\0\0\0"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x20\x00\x07\x01\0\0\0\0\x21\x00"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x20\x00\x05\x01\0\0\0\0\x20\x00\x05\x01\0\0\0\0"), PP_EPROXY_TLV);
}

/* The check value of CRC-32C, and a header that carries one. */
PP_TEST_CASE(a_checksum_must_hold)
{
    PP_CHECK_EQ(~crc32c(UINT32_MAX, "123456789", 9), 0xe3069283);
    PP_CHECK_EQ(WITH("\x03\x00\x03xxx"), PP_EPROXY_TLV);
    PP_CHECK_EQ(WITH("\x03\x00\x04\0\0\0\0\x02\x00\x01x"), PP_EPROXY_CHECKSUM);
    uint32_t crc = ~crc32c(UINT32_MAX, made, 28 + 11);
    for (int i = 0; i < 4; i++)
        made[28 + 3 + i] = (char)(unsigned char)(crc >> (24 - 8 * i));
    PP_CHECK_EQ(decode(made, 28 + 11), PP_OK);
    for (size_t i = 0; i < 28 + 11; i++) { /* one bit anywhere, but in what makes it LOCAL */
        if (i == 12)
            continue;
        made[i] ^= 1;
        PP_CHECK(decode(made, 28 + 11) != PP_OK);
        made[i] ^= 1;
    }
}

/* ---- writing ---- */

static void reads_back(const struct pp_proxyproto *in)
{
    char dst[PP_PROXYPROTO_ENCODED_BYTES + 64];
    size_t n = pp_proxyproto_encode(in, dst);
    PP_CHECK(n <= PP_PROXYPROTO_ENCODED_BYTES + in->tlvs.n);
    PP_REQUIRE(pp_proxyproto_decode(pp_span(dst, n), &h, &used) == PP_OK);
    PP_CHECK_EQ(used, n);
    PP_CHECK_EQ(h.version, in->version);
    PP_CHECK_EQ(h.family, in->family);
    PP_CHECK_EQ(h.local, in->local);
    PP_CHECK_EQ(h.datagram, in->datagram);
    PP_CHECK(memcmp(h.source.ip, in->source.ip, 16) == 0);
    PP_CHECK(memcmp(h.destination.ip, in->destination.ip, 16) == 0);
    PP_CHECK_EQ(h.source.port, in->source.port);
    PP_CHECK_EQ(h.destination.port, in->destination.port);
    PP_CHECK(pp_span_eq(h.source.path, in->source.path));
    PP_CHECK(pp_span_eq(h.destination.path, in->destination.path));
    PP_CHECK(pp_span_eq(h.tlvs, in->tlvs));
}

PP_TEST_CASE(what_is_written_is_read)
{
    char tlvs[64];
    size_t n = pp_proxyproto_put(tlvs, PP_PROXYPROTO_AUTHORITY, PP_SPAN("a.example"));
    n += pp_proxyproto_put(tlvs + n, PP_PROXYPROTO_UNIQUE_ID, PP_SPAN_NONE);
    struct pp_proxyproto in = {.version = 2,
                               .family = PP_PROXYPROTO_IP4,
                               .source = {.ip = {192, 0, 2, 1}, .port = 65535},
                               .destination = {.ip = {255, 255, 255, 255}, .port = 0},
                               .tlvs = pp_span(tlvs, n)};
    reads_back(&in);
    in.datagram = true;
    reads_back(&in);
    in.datagram = false;
    in.tlvs = PP_SPAN_NONE;
    in.version = 1;
    reads_back(&in);
    in.family = PP_PROXYPROTO_IP6;
    memset(in.source.ip, 0xff, 16);
    in.destination.port = 65535;
    reads_back(&in);
    in.version = 2;
    reads_back(&in);
    struct pp_proxyproto none = {.version = 1};
    reads_back(&none);
    none.version = 2;
    reads_back(&none);
    none.local = true;
    reads_back(&none);
    struct pp_proxyproto path = {.version = 2,
                                 .family = PP_PROXYPROTO_UNIX,
                                 .source = {.path = PP_SPAN("/run/client")},
                                 .destination = {.path = PP_SPAN("\0x")}};
    reads_back(&path);
}

PP_TEST_CASE(the_longest_line_is_the_limit)
{
    char dst[PP_PROXYPROTO_ENCODED_BYTES];
    struct pp_proxyproto in = {.version = 1, .family = PP_PROXYPROTO_IP6};
    memset(in.source.ip, 0xff, 16);
    memset(in.destination.ip, 0xff, 16);
    in.source.port = in.destination.port = 65535;
    PP_CHECK_EQ(pp_proxyproto_encode(&in, dst), 104);
    in.family = PP_PROXYPROTO_UNIX;
    PP_CHECK_EQ(pp_proxyproto_encode(&in, dst), 15);
    PP_CHECK_BYTES(pp_span(dst, 15), "PROXY UNKNOWN\r\n", 15);
}

PP_TEST_MAIN()
