#include "wire/compress_brotli.c"

#include "wire/compress_rig.h"

PP_TEST_CASE(bytes_behind_the_end_are_refused)
{
    struct pp_compress *e = rig_encoder(PP_HTTP_CODING_BROTLI, 4, 18);
    struct pp_compress *d = rig_decoder(PP_HTTP_CODING_BROTLI);
    struct bytes out = {0}, again = {0};
    PP_REQUIRE(e != NULL && d != NULL);
    PP_CHECK_EQ(rig_all(e, &out, "abcabcabc", 9, 9, 100), PP_EEND);
    out.p[out.n] = 'x';
    PP_CHECK_EQ(rig_piece(d, &again, out.p, out.n + 1, PP_COMPRESS_END, 100), PP_EINVAL);
    PP_CHECK_EQ(pp_compress_reset(d), PP_OK);
    PP_CHECK_EQ(rig_piece(d, &again, out.p, out.n, PP_COMPRESS_END, 100), PP_EEND);
    rig_clear(&out);
    rig_clear(&again);
    pp_compress_free(e);
    pp_compress_free(d);
}

/* A quarter of the reserve is never touched, whatever comes: noise, text, pieces that grow. */
PP_TEST_CASE(the_reserve_does_for_every_level_and_window)
{
    size_t n = (size_t)1 << 20;
    char *text = rig_text(n), *noise = malloc(n);
    uint32_t x = 99;
    for (size_t i = 0; i < n; i++)
        noise[i] = (char)((x = x * 1103515245u + 12345u) >> 24);
    for (size_t i = 0; i + 2000 < n; i += 4000)
        memcpy(text + i, noise + i, 1000);
    for (unsigned level = 2; level <= PP_COMPRESS_BROTLI_LEVEL_MAX; level += 2) {
        for (unsigned window = 10; window <= PP_COMPRESS_BROTLI_WINDOW_MAX; window += 5) {
            struct pp_compress *e = rig_encoder(PP_HTTP_CODING_BROTLI, level, window);
            struct bytes out = {0};
            PP_REQUIRE(e != NULL);
            PP_CHECK_EQ(rig_piece(e, &out, text, n, PP_COMPRESS_MORE, 65536), PP_OK);
            PP_CHECK_EQ(rig_piece(e, &out, noise, n, PP_COMPRESS_MORE, 65536), PP_OK);
            for (size_t at = 0, k = 1; at + k < n; at += k, k += 3989)
                PP_CHECK_EQ(rig_piece(e, &out, text + at, k, PP_COMPRESS_SYNC, 65536), PP_OK);
            PP_CHECK_EQ(rig_piece(e, &out, "", 0, PP_COMPRESS_END, 65536), PP_EEND);
            if (e->peak > e->reserve_n / 4 * 3)
                printf("level %u, window %u: %zu of %zu\n", level, window, e->peak, e->reserve_n);
            PP_CHECK(e->peak <= e->reserve_n / 4 * 3);
            rig_clear(&out);
            pp_compress_free(e);
        }
    }
    free(text);
    free(noise);
}

PP_TEST_MAIN()
