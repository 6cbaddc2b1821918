#include "route/cidr.c"

#include "pp_test.h"

static bool is_range(const char *text)
{
    struct pp_cidr c;
    return pp_cidr_parse(pp_span(text, strlen(text)), &c) == PP_OK;
}

static bool has(const char *range, const char *address)
{
    struct pp_cidr c, a;
    PP_CHECK_EQ(pp_cidr_parse(pp_span(range, strlen(range)), &c), PP_OK);
    PP_CHECK_EQ(pp_cidr_parse(pp_span(address, strlen(address)), &a), PP_OK);
    return pp_cidr_has(&c, a.ip, a.v6);
}

PP_TEST_CASE(ranges_are_read)
{
    static const char *const good[] = {
        "0.0.0.0/0", "10.0.0.0/8", "192.0.2.1",       "192.0.2.1/32",    "255.255.255.255",
        "::/0",      "::1",        "2001:db8::/32",   "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4",
        "fe80::/10", "1::8",       "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8"};
    for (size_t i = 0; i < PP_COUNT_OF(good); i++) {
        if (!is_range(good[i]))
            printf("%s\n", good[i]);
        PP_CHECK(is_range(good[i]));
    }
}

PP_TEST_CASE(what_is_no_range_is_refused)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "1.2.3.256",
                                      "01.2.3.4",
                                      "1.2.3.4/33",
                                      "1.2.3.4/",
                                      "1.2.3.4/x",
                                      "1.2.3.4/-1",
                                      "/8",
                                      "10.0.0.1/8",
                                      " 1.2.3.4",
                                      "1.2.3.4 ",
                                      ":",
                                      ":::",
                                      "1:",
                                      ":1",
                                      "1::2::3",
                                      "12345::",
                                      "1:2:3:4:5:6:7",
                                      "::/129",
                                      "2001:db8::1/32",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1:2:3:4:5:6:7:8::",
                                      "::1.2.3",
                                      "::1.2.3.4:5",
                                      "g::",
                                      "1:2:3:4:5:6:7:1.2.3.4",
                                      "1.2.3.4/8/8",
                                      "localhost"};
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        if (is_range(bad[i]))
            printf("%s\n", bad[i]);
        PP_CHECK(!is_range(bad[i]));
    }
}

PP_TEST_CASE(addresses_are_found_in_their_ranges)
{
    PP_CHECK(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.0"));
    PP_CHECK(has("10.128.0.0/9", "10.128.0.1") && !has("10.128.0.0/9", "10.127.255.255"));
    PP_CHECK(has("0.0.0.0/0", "1.2.3.4") && !has("0.0.0.0/0", "::1"));
    PP_CHECK(has("192.0.2.1", "192.0.2.1") && !has("192.0.2.1", "192.0.2.0"));
    PP_CHECK(has("2001:db8::/33", "2001:db8:7fff::") && !has("2001:db8::/33", "2001:db8:8000::"));
    PP_CHECK(has("::/0", "::1") && !has("::/0", "1.2.3.4"));
    PP_CHECK(has("10.0.0.0/8", "::ffff:10.1.2.3") && !has("10.0.0.0/8", "::ffff:11.1.2.3"));
    PP_CHECK(!has("10.0.0.0/8", "::10.1.2.3"));
}

/* Every prefix length against a mask made bit by bit. */
PP_TEST_CASE(every_prefix_length_compares_just_its_bits)
{
    uint64_t seed = 3;
    for (int round = 0; round < 2000; round++) {
        uint8_t ip[16];
        struct pp_cidr c = {.v6 = round % 2 == 0};
        unsigned most = c.v6 ? 128 : 32;
        c.bits = (uint8_t)(pp_test_random(&seed) % (most + 1));
        for (unsigned i = 0; i < 16; i++)
            ip[i] = (uint8_t)pp_test_random(&seed);
        ip[0] |= 1; /* not an IPv4-mapped one */
        for (unsigned bit = 0; bit < c.bits; bit++)
            c.ip[bit / 8] |= (uint8_t)(ip[bit / 8] & 0x80 >> bit % 8);
        PP_CHECK(pp_cidr_has(&c, ip, c.v6));
        if (c.bits > 0) {
            unsigned bit = (unsigned)(pp_test_random(&seed) % c.bits);
            ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
            PP_CHECK(!pp_cidr_has(&c, ip, c.v6));
        }
    }
}

PP_TEST_MAIN()
