/* The searches against their definitions. */
#include "wire/http1_scan.h"

#include "pp_test.h"

static size_t first_not(const char *p, size_t n, unsigned cls)
{
    size_t i = 0;

    while (i < n && pp_http_tok_is((unsigned char)p[i], cls)) {
        i++;
    }
    return i;
}

PP_TEST_CASE(searches_stop_at_the_first_byte_that_does_not_belong)
{
    for (size_t n = 0; n < 80; n++) {
        char *p = malloc(n ? n : 1);

        PP_REQUIRE(p);
        for (size_t at = 0; at < n; at++) {
            for (unsigned c = 0; c < 256; c++) {
                memset(p, 'a', n);
                p[at] = (char)c;
                PP_CHECK_EQ(pp_http1_scan_value(p, p + n) - p, first_not(p, n, PP_TOK_FIELD));
                PP_CHECK_EQ(pp_http1_scan_target(p, p + n) - p, first_not(p, n, PP_TOK_TARGET));
                PP_CHECK_EQ(pp_http1_scan_token(p, p + n) - p, first_not(p, n, PP_TOK_TCHAR));
            }
        }
        PP_CHECK(pp_http1_scan_value(p, p + n) <= p + n);
        free(p);
    }
}

#ifdef __SSE2__
PP_TEST_CASE(masks_have_a_bit_for_every_byte)
{
    char p[16];

    for (unsigned at = 0; at < 16; at++) {
        for (unsigned c = 0; c < 256; c++) {
            unsigned bit = 1u << at;

            memset(p, 'a', sizeof(p));
            p[at] = (char)c;
            PP_CHECK_EQ(pp_http1_scan_value_mask(p),
                        pp_http_tok_is((unsigned char)c, PP_TOK_FIELD) ? 0 : bit);
            PP_CHECK_EQ(pp_http1_scan_target_mask(p),
                        pp_http_tok_is((unsigned char)c, PP_TOK_TARGET) ? 0 : bit);
            PP_CHECK_EQ(pp_http1_scan_printable_mask(p) ^ 0xffff, c >= ' ' && c < 0x7f ? 0 : bit);
        }
    }
}
#endif

PP_TEST_MAIN()
