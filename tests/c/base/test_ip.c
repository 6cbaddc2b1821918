#include "base/ip.c"

#include "pp_test.h"

static bool is_v4(const char *text)
{
    uint8_t ip[4];
    return pp_ip_parse_v4(pp_span(text, strlen(text)), ip);
}

static bool is_v6(const char *text)
{
    uint8_t ip[16];
    return pp_ip_parse_v6(pp_span(text, strlen(text)), ip);
}

PP_TEST_CASE(an_ipv4_address_has_four_parts_without_leading_zeros)
{
    uint8_t ip[4];
    PP_REQUIRE(pp_ip_parse_v4(PP_SPAN("192.0.2.255"), ip));
    PP_CHECK(memcmp(ip, (uint8_t[]){192, 0, 2, 255}, 4) == 0);
    static const char *const bad[] = {
        "",       "1.2.3",    "1.2.3.4.5", "1.2.3.256", "1.2.3.04",   "1.2..4",    ".1.2.3",
        "1.2.3.", " 1.2.3.4", "1.2.3.4 ",  "1.2.3.4\n", "1.2.3.1000", "0x1.2.3.4", "+1.2.3.4"};
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++)
        PP_CHECK(!is_v4(bad[i]));
}

PP_TEST_CASE(an_ipv6_address_has_eight_groups_or_one_gap)
{
    uint8_t ip[16], want[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    PP_REQUIRE(pp_ip_parse_v6(PP_SPAN("2001:DB8::1"), ip));
    PP_CHECK(memcmp(ip, want, 16) == 0);
    PP_REQUIRE(pp_ip_parse_v6(PP_SPAN("2001:db8:0:0:0:0:0:1"), ip));
    PP_CHECK(memcmp(ip, want, 16) == 0);
    PP_REQUIRE(pp_ip_parse_v6(PP_SPAN("::ffff:1.2.3.4"), ip));
    PP_CHECK(memcmp(ip + 10, (uint8_t[]){255, 255, 1, 2, 3, 4}, 6) == 0);
    PP_CHECK(is_v6("::") && is_v6("1::") && is_v6("::1") && is_v6("1:2:3:4:5:6:7::"));
    static const char *const bad[] = {"",
                                      ":",
                                      ":::",
                                      "1::2::3",
                                      "1:2:3:4:5:6:7",
                                      "1:",
                                      ":1",
                                      "12345::",
                                      "1:2:3:4:5:6:7:8:9",
                                      "::1%eth0",
                                      "[::1]",
                                      "::g",
                                      " ::1",
                                      "::1 ",
                                      "1.2.3.4",
                                      "::1.2.3",
                                      "1:2:3:4:5:6:7:8::"};
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++)
        PP_CHECK(!is_v6(bad[i]));
}

/* RFC 5952 section 4, and its examples. */
PP_TEST_CASE(an_ipv6_address_is_written_in_one_form)
{
    static const char *const forms[] = {"::",
                                        "::1",
                                        "1::",
                                        "2001:db8::1",
                                        "2001:0:0:1::1",
                                        "2001:0:1:1:1:1:1:1",
                                        "1:2:3:4:5:6:7:8",
                                        "2001:db8:0:1:1:1:1:1",
                                        "1:0:2:0:3:0:4:0",
                                        "::ffff:a00:1",
                                        "1:2:3:4:5:6::",
                                        "::3:4:5:6:7:8",
                                        "1::4:0:0:7:8"};
    for (size_t i = 0; i < PP_COUNT_OF(forms); i++) {
        uint8_t ip[16];
        char got[PP_IP_TEXT];
        PP_CHECK(pp_ip_parse_v6(pp_span(forms[i], strlen(forms[i])), ip));
        size_t n = pp_ip_format_v6(got, ip);
        /* one zero group alone is no gap, and of two gaps the longer one is shortened */
        PP_CHECK_BYTES(pp_span(got, n), forms[i], strlen(forms[i]));
    }
    uint8_t all[16];
    char got[PP_IP_TEXT];
    memset(all, 0xff, sizeof all);
    PP_CHECK_EQ(pp_ip_format_v6(got, all), PP_IP_TEXT);
}

PP_TEST_MAIN()
