#include "wire/http2_flood.c"

#include "pp_test.h"

static unsigned take_all(struct pp_http2_floods *f, enum pp_http2_flood kind, unsigned quarters,
                         uint64_t now_ms)
{
    unsigned n = 0;

    while (n < 100000 && pp_http2_flood_take(f, kind, quarters, now_ms)) {
        n++;
    }
    return n;
}

PP_TEST_CASE(a_bucket_holds_its_tokens_and_no_more)
{
    struct pp_http2_floods f;

    pp_http2_flood_init(&f, 5);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_PING, 4, 5), 500);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_SETTINGS, 4, 5), 50);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_RAPID_RESET, 1, 5), 800);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_HEADER_LIST, 4, 5), 0);
}

PP_TEST_CASE(time_gives_tokens_back)
{
    struct pp_http2_floods f;

    pp_http2_flood_init(&f, 0);
    take_all(&f, PP_HTTP2_FLOOD_PING, 4, 0);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_PING, 4, 100), 5);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_PING, 4, 1100), 50);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_PING, 4, 1000000), 500);
    /* Asked every millisecond, as often as it takes: what is too little to give is not lost. */
    unsigned n = 0;
    for (uint64_t t = 1000001; t <= 1001000; t++) {
        n += take_all(&f, PP_HTTP2_FLOOD_PING, 4, t);
    }
    PP_CHECK(n >= 45 && n <= 50);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_CONTINUATION, 4, 0), 8);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_CONTINUATION, 4, 9000000), 0);
    pp_http2_flood_fill(&f, PP_HTTP2_FLOOD_CONTINUATION);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_CONTINUATION, 4, 9000000), 8);
}

PP_TEST_CASE(useful_work_gives_tokens_back)
{
    struct pp_http2_floods f;

    pp_http2_flood_init(&f, 0);
    pp_http2_flood_refund(&f, PP_HTTP2_FLOOD_WINDOW_UPDATE, 50);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_WINDOW_UPDATE, 4, 0), 1000);
    pp_http2_flood_refund(&f, PP_HTTP2_FLOOD_WINDOW_UPDATE, 50);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_WINDOW_UPDATE, 4, 0), 50);
    pp_http2_flood_refund(&f, PP_HTTP2_FLOOD_WINDOW_UPDATE, 0xffffffffu);
    PP_CHECK_EQ(take_all(&f, PP_HTTP2_FLOOD_WINDOW_UPDATE, 4, 0), 1000);
}

PP_TEST_CASE(every_flood_has_a_word)
{
    PP_CHECK_EQ(strcmp(pp_http2_flood_name(PP_HTTP2_FLOOD_NONE), ""), 0);
    PP_CHECK_EQ(strcmp(pp_http2_flood_name(PP_HTTP2_FLOOD_MADE_RESET), "made_you_reset"), 0);
    PP_CHECK_EQ(strcmp(pp_http2_flood_name(PP_HTTP2_FLOOD_COUNT), ""), 0);
    for (unsigned i = 1; i < PP_HTTP2_FLOOD_COUNT; i++) {
        PP_CHECK(pp_http2_flood_name((enum pp_http2_flood)i)[0] != '\0');
    }
}

PP_TEST_MAIN()
