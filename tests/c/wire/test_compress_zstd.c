#include "wire/compress_zstd.c"

#include "wire/compress_rig.h"

/* RFC 8878 section 3.1.1.1: a window of 2^(10 + <exponent>), and one raw block of 4 bytes that is
 * the last. */
static int decode_window(unsigned exponent)
{
    char frame[] = {0x28, (char)0xb5, 0x2f, (char)0xfd, 0,  (char)(exponent << 3), 0x21, 0,
                    0,    'a',        'b',  'c',        'd'};
    struct pp_compress *d = rig_decoder(PP_HTTP_CODING_ZSTD);
    struct bytes out = {0};
    if (d == NULL)
        return PP_ENOMEM;
    int rc = rig_piece(d, &out, frame, sizeof(frame), PP_COMPRESS_END, 100);
    PP_CHECK(rc != PP_EEND || (out.n == 4 && memcmp(out.p, "abcd", 4) == 0));
    PP_CHECK(pp_compress_memory(d) <= PP_COMPRESS_BYTES);
    rig_clear(&out);
    pp_compress_free(d);
    return rc;
}

PP_TEST_CASE(frames_that_want_a_large_window_are_refused)
{
    PP_CHECK_EQ(decode_window(0), PP_EEND);
    PP_CHECK_EQ(decode_window(PP_COMPRESS_DECODER_WINDOW - 10), PP_EEND);
    PP_CHECK_EQ(decode_window(PP_COMPRESS_DECODER_WINDOW - 9), PP_EINVAL);
    PP_CHECK_EQ(decode_window(31), PP_EINVAL);
}

PP_TEST_CASE(a_levels_tables_fit_its_window)
{
    for (int level = 1; level <= PP_COMPRESS_ZSTD_LEVEL_MAX; level++) {
        struct pp_compress *e = rig_encoder(PP_HTTP_CODING_ZSTD, (unsigned)level, 17);
        struct bytes out = {0};
        PP_REQUIRE(e != NULL);
        PP_CHECK_EQ(rig_all(e, &out, "abc", 3, 3, 100), PP_EEND);
        PP_CHECK(pp_compress_memory(e) < (size_t)4 << 20);
        rig_clear(&out);
        pp_compress_free(e);
    }
}

PP_TEST_MAIN()
