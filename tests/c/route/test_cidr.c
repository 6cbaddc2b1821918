// links: base/span.c base/num.c
#include <arpa/inet.h>

#include "route/cidr.c"

#include "pp_test.h"

static int parse(const char *text, struct pp_cidr *out)
{
    return pp_cidr_parse(pp_span(text, strlen(text)), out);
}

static bool has(const char *range, const char *address)
{
    struct pp_cidr c;
    uint8_t ip[16];
    bool v6 = strchr(address, ':') != NULL;
    PP_CHECK_EQ(parse(range, &c), PP_OK);
    PP_CHECK_EQ(inet_pton(v6 ? AF_INET6 : AF_INET, address, ip), 1);
    return pp_cidr_has(&c, ip, v6);
}

PP_TEST_CASE(ranges_hold_their_addresses)
{
    PP_CHECK(has("10.0.0.0/8", "10.255.0.1"));
    PP_CHECK(!has("10.0.0.0/8", "11.0.0.0"));
    PP_CHECK(has("192.0.2.128/25", "192.0.2.128"));
    PP_CHECK(!has("192.0.2.128/25", "192.0.2.127"));
    PP_CHECK(has("192.0.2.1", "192.0.2.1"));
    PP_CHECK(!has("192.0.2.1", "192.0.2.0"));
    PP_CHECK(has("0.0.0.0/0", "255.1.2.3"));
    PP_CHECK(has("2001:db8::/33", "2001:db8:7fff::1"));
    PP_CHECK(!has("2001:db8::/33", "2001:db8:8000::"));
    PP_CHECK(has("::1", "::1"));
    PP_CHECK(has("::/0", "fe80::1"));
}

PP_TEST_CASE(families_differ_but_for_mapped_addresses)
{
    PP_CHECK(has("10.0.0.0/8", "::ffff:10.1.2.3"));
    PP_CHECK(!has("10.0.0.0/8", "::10.1.2.3"));
    PP_CHECK(!has("::/0", "10.1.2.3"));
    PP_CHECK(!has("0.0.0.0/0", "::1"));
    PP_CHECK(has("::ffff:0:0/96", "::ffff:10.1.2.3"));
}

PP_TEST_CASE(bad_ranges_are_refused)
{
    static const char *const bad[] = {
        "",         "/8",          "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",  "10.0.0/8",
        "01.0.0.0", "256.0.0.0",   "1.2.3.4.5", "1.2.3.",      "::/129",      "::1/127",
        ":",        ":::",         "1::2::3",   "1:2:3:4:5:6", "12345::",     "1:2:3:4:5:6:7:8:9",
        "::1.2.3",  "1:",          "::g",       " ::1",        "10.0.0.0/+8", "10.0.0.0/8 ",
        "[::1]",    "fe80::1%eth", "1.2.3.4::", "::/",         "/",           "a.b.c.d",
    };
    struct pp_cidr c;
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        if (parse(bad[i], &c) != PP_EINVAL)
            printf("    accepted: %s\n", bad[i]);
        PP_CHECK_EQ(parse(bad[i], &c), PP_EINVAL);
    }
}

PP_TEST_CASE(addresses_are_read_as_the_system_reads_them)
{
    static const char alphabet[] = "::::....0123456789afAF";
    uint64_t state = 1;
    unsigned accepted = 0;
    for (int i = 0; i < 300000; i++) {
        char text[48];
        uint8_t raw[16], ip[16];
        size_t n = 0;
        /* Half of them begin as good addresses, so that not all are refused. */
        if (i % 2) {
            for (size_t k = 0; k < sizeof(raw); k++)
                raw[k] = pp_test_random(&state) % 3 ? 0 : (uint8_t)pp_test_random(&state);
            inet_ntop(i % 4 == 1 ? AF_INET : AF_INET6, raw, text, sizeof(text));
            n = strlen(text);
            if (pp_test_random(&state) % 2)
                text[pp_test_random(&state) % n] =
                    alphabet[pp_test_random(&state) % (sizeof(alphabet) - 1)];
        } else {
            n = 1 + pp_test_random(&state) % 16;
            for (size_t k = 0; k < n; k++)
                text[k] = alphabet[pp_test_random(&state) % (sizeof(alphabet) - 1)];
        }
        text[n] = 0;
        bool v6 = strchr(text, ':') != NULL;
        bool good = inet_pton(v6 ? AF_INET6 : AF_INET, text, ip) == 1;
        struct pp_cidr c;
        int rc = parse(text, &c);
        if ((rc == PP_OK) != good)
            printf("    %s\n", text);
        PP_CHECK_EQ(rc == PP_OK, good);
        if (rc == PP_OK && good) {
            accepted++;
            PP_CHECK(memcmp(c.ip, ip, v6 ? 16 : 4) == 0);
            PP_CHECK_EQ(c.bits, v6 ? 128 : 32);
        }
    }
    PP_CHECK(accepted > 50000);
}

PP_TEST_CASE(a_range_holds_exactly_the_addresses_with_its_prefix)
{
    uint64_t state = 2;
    for (int i = 0; i < 20000; i++) {
        struct pp_cidr c = {{0}, 0, i % 2};
        uint8_t ip[16];
        unsigned total = c.v6 ? 128 : 32;
        c.bits = (uint8_t)(pp_test_random(&state) % (total + 1));
        for (unsigned k = 0; k < total / 8; k++)
            c.ip[k] = ip[k] = (uint8_t)pp_test_random(&state);
        for (unsigned bit = c.bits; bit < total; bit++)
            c.ip[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
        PP_CHECK(pp_cidr_has(&c, ip, c.v6));
        unsigned flip = (unsigned)(pp_test_random(&state) % total);
        ip[flip / 8] ^= (uint8_t)(0x80 >> flip % 8);
        PP_CHECK_EQ(pp_cidr_has(&c, ip, c.v6), flip >= c.bits);
    }
}

PP_TEST_MAIN()
