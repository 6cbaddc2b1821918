#include "proxy/filter_ranges.c"

#include "base/options_text.h"
#include "pp_test.h"

static struct pp_arena arena;
static struct pp_filter_make m;
static struct pp_filter_ranges ranges;

static int make(const char *json)
{
    struct pp_options o;
    pp_arena_fini(&arena);
    pp_arena_init(&arena, NULL, 0, 1 << 26);
    memset(&m, 0, sizeof m);
    m.arena = &arena;
    PP_CHECK(options_of(&o, &arena, json));
    return pp_filter_ranges_make(&m, &o, "in", &ranges);
}

static bool has(const char *text)
{
    struct pp_cidr one;
    PP_CHECK_EQ(pp_cidr_parse(pp_span(text, strlen(text)), &one), PP_OK);
    struct pp_sock_addr a = {.family = one.v6 ? AF_INET6 : AF_INET};
    memcpy(a.ip, one.ip, one.v6 ? 16 : 4);
    return pp_filter_ranges_has(&ranges, &a);
}

PP_TEST_CASE(addresses_are_found_whatever_lies_in_what)
{
    PP_CHECK_EQ(make("{\"in\": [\"10.0.0.0/8\", \"10.1.0.0/16\", \"192.0.2.7\", \"10.0.0.0/24\","
                     " \"2001:db8::/32\", \"2001:db8:1::/48\", \"192.0.2.7\", \"9.0.0.0/8\"]}"),
                PP_OK);
    PP_CHECK(ranges.n4 == 3 && ranges.n6 == 1 && !ranges.unix_sockets);
    PP_CHECK(has("10.0.0.0") && has("10.255.255.255") && has("10.1.2.3") && has("9.1.1.1"));
    PP_CHECK(!has("11.0.0.0") && !has("8.255.255.255") && !has("192.0.2.6") && has("192.0.2.7"));
    PP_CHECK(has("2001:db8:ffff::1") && !has("2001:db9::") && has("::ffff:10.1.1.1"));
    PP_CHECK(!has("::ffff:11.1.1.1") && !has("::"));
    pp_arena_fini(&arena);
}

PP_TEST_CASE(any_number_of_ranges_is_searched)
{
    static char json[200000];
    size_t n = (size_t)sprintf(json, "{\"in\": [");
    for (int i = 0; i < 4096; i++) /* every second /24 of 10.0.0.0/11 */
        n += (size_t)sprintf(json + n, "%s\"10.%d.%d.0/24\"", i > 0 ? ", " : "", i >> 7,
                             (i & 127) * 2);
    sprintf(json + n, "]}");
    PP_CHECK_EQ(make(json), PP_OK);
    PP_CHECK_EQ(ranges.n4, 4096);
    for (int i = 0; i < 8192; i += 7) {
        char text[32];
        sprintf(text, "10.%d.%d.%d", i >> 8, i & 255, i & 255);
        PP_CHECK_EQ(has(text), (i & 1) == 0);
    }
    pp_arena_fini(&arena);
}

PP_TEST_CASE(unix_sockets_are_a_range_of_their_own)
{
    struct pp_sock_addr a = {.family = AF_UNIX}, none = {.family = 0};
    PP_CHECK_EQ(make("{\"in\": [\"0.0.0.0/0\", \"::/0\"]}"), PP_OK);
    PP_CHECK(!pp_filter_ranges_has(&ranges, &a) && !pp_filter_ranges_is_empty(&ranges));
    PP_CHECK(has("1.2.3.4") && has("fe80::1"));
    PP_CHECK_EQ(make("{\"in\": [\"unix\"]}"), PP_OK);
    PP_CHECK(pp_filter_ranges_has(&ranges, &a) && !pp_filter_ranges_has(&ranges, &none));
    PP_CHECK(!has("1.2.3.4"));
    PP_CHECK_EQ(make("{}"), PP_OK);
    PP_CHECK(pp_filter_ranges_is_empty(&ranges) && !pp_filter_ranges_has(&ranges, &a));
    pp_arena_fini(&arena);
}

PP_TEST_CASE(what_is_no_range_is_refused)
{
    PP_CHECK_EQ(make("{\"in\": [\"10.0.0.1/8\"]}"), PP_EINVAL);
    PP_CHECK(strcmp(m.why, "not a network: \"10.0.0.1/8\"") == 0);
    PP_CHECK_EQ(make("{\"in\": \"10.0.0.0/8\"}"), PP_OK);
    PP_CHECK_STR(m.fault.key, "in");
    pp_arena_fini(&arena);
}

PP_TEST_MAIN()
