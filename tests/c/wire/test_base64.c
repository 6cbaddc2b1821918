#include "wire/base64.c"

#include "pp_test.h"

static bool decodes(const char *text, const char *bytes, bool whole)
{
    /* Whole, and at each split. */
    size_t n = strlen(text), want = strlen(bytes);
    for (size_t at = 0; at <= n; at++) {
        struct pp_base64_decoder d = {0};
        char out[64];
        size_t a, b;
        if (pp_base64_decode(&d, text, at, out, &a) != PP_OK ||
            pp_base64_decode(&d, text + at, n - at, out + a, &b) != PP_OK || a + b != want ||
            memcmp(out, bytes, want) != 0 || pp_base64_is_whole(&d) != whole)
            return false;
    }
    return true;
}

static bool is_refused(const char *text)
{
    struct pp_base64_decoder d = {0};
    char out[64];
    size_t n;
    return pp_base64_decode(&d, text, strlen(text), out, &n) == PP_EINVAL;
}

PP_TEST_CASE(base64_comes_in_pieces_of_any_size)
{
    PP_CHECK(decodes("", "", true));
    PP_CHECK(decodes("YWJj", "abc", true));
    PP_CHECK(decodes("YQ==", "a", true));
    PP_CHECK(decodes("YWI=", "ab", true));
    PP_CHECK(decodes("YQ==YWI=YWJj", "aababc", true)); /* each piece with its own padding */
    PP_CHECK(decodes("YWJjZA", "abc", false));
}

PP_TEST_CASE(what_is_no_base64_is_refused)
{
    PP_CHECK(is_refused("=YWJ"));
    PP_CHECK(is_refused("Y==="));
    PP_CHECK(is_refused("YQ=a"));
    PP_CHECK(is_refused("YW Jj"));
    PP_CHECK(is_refused("YWJj\n"));
    PP_CHECK(is_refused("YW-_"));
}

PP_TEST_CASE(encoding_is_what_decoding_reads)
{
    char bytes[300], text[404], back[404];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct pp_base64_decoder d = {0};
        size_t k;
        pp_base64_encode(text, bytes, n);
        PP_CHECK_EQ(pp_base64_decode(&d, text, pp_base64_encoded(n), back, &k), PP_OK);
        PP_CHECK(k == n && memcmp(back, bytes, n) == 0 && pp_base64_is_whole(&d));
    }
    pp_base64_encode(text, "any carnal pleas", 16);
    PP_CHECK(memcmp(text, "YW55IGNhcm5hbCBwbGVhcw==", 24) == 0);
}

PP_TEST_MAIN()
