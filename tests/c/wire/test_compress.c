#include "wire/compress.c"

#include "wire/compress_rig.h"

#define TEXT 300000

static const unsigned codings[] = {PP_HTTP_CODING_GZIP, PP_HTTP_CODING_BROTLI, PP_HTTP_CODING_ZSTD,
                                   PP_HTTP_CODING_DEFLATE};
static const uint8_t level_max[PP_HTTP_CODING_COUNT] = {
    [PP_HTTP_CODING_GZIP] = PP_COMPRESS_GZIP_LEVEL_MAX,
    [PP_HTTP_CODING_DEFLATE] = PP_COMPRESS_GZIP_LEVEL_MAX,
    [PP_HTTP_CODING_BROTLI] = PP_COMPRESS_BROTLI_LEVEL_MAX,
    [PP_HTTP_CODING_ZSTD] = PP_COMPRESS_ZSTD_LEVEL_MAX};

static unsigned window_max(unsigned coding)
{
    if (coding == PP_HTTP_CODING_BROTLI)
        return PP_COMPRESS_BROTLI_WINDOW_MAX;
    return coding == PP_HTTP_CODING_ZSTD ? PP_COMPRESS_ZSTD_WINDOW_MAX
                                         : PP_COMPRESS_GZIP_WINDOW_MAX;
}

/* There and back; the streams stay at their ends. */
static void check_round(struct pp_compress *e, struct pp_compress *d, const char *text, size_t n,
                        size_t cut, size_t step)
{
    struct bytes small = {0}, again = {0};
    PP_CHECK_EQ(rig_all(e, &small, text, n, cut, step), PP_EEND);
    PP_CHECK(n < 1000 || small.n < n / 2);
    PP_CHECK_EQ(rig_all(d, &again, small.p, small.n, cut, step), PP_EEND);
    PP_CHECK(again.n == n && memcmp(again.p, text, n) == 0);
    rig_clear(&small);
    rig_clear(&again);
}

PP_TEST_CASE(what_was_compressed_comes_back_whatever_the_pieces)
{
    static const size_t steps[][2] = {{TEXT, TEXT * 2}, {4096, 100}, {7, 8192}, {65536, 16}};
    char *text = rig_text(TEXT);
    long live = pp_mem_live_for_test();
    for (size_t i = 0; i < PP_COUNT_OF(codings); i++) {
        struct pp_compress *e = rig_encoder(codings[i], 4, 15), *d = rig_decoder(codings[i]);
        PP_REQUIRE(e != NULL && d != NULL);
        for (size_t k = 0; k < PP_COUNT_OF(steps); k++) {
            check_round(e, d, text, k == 2 ? 20000 : TEXT, steps[k][0], steps[k][1]);
            PP_CHECK_EQ(pp_compress_reset(e), PP_OK);
            PP_CHECK_EQ(pp_compress_reset(d), PP_OK);
        }
        check_round(e, d, "", 0, 1, 100);
        pp_compress_free(e);
        pp_compress_free(d);
    }
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
    free(text);
}

PP_TEST_CASE(all_that_was_given_is_there_after_a_sync)
{
    char *text = rig_text(10000);
    for (size_t i = 0; i < PP_COUNT_OF(codings); i++) {
        struct pp_compress *e = rig_encoder(codings[i], 4, 15), *d = rig_decoder(codings[i]);
        struct bytes small = {0}, again = {0};
        size_t at = 0;
        PP_REQUIRE(e != NULL && d != NULL);
        for (size_t n = 0; n < 10000; n += 1000) {
            PP_CHECK_EQ(rig_piece(e, &small, text + n, 1000, PP_COMPRESS_SYNC, 64), PP_OK);
            PP_CHECK_EQ(rig_piece(d, &again, small.p + at, small.n - at, PP_COMPRESS_MORE, 64),
                        PP_OK);
            at = small.n;
            PP_CHECK_EQ(again.n, n + 1000);
        }
        /* Nothing is new: at most a few bytes say so, and not for ever. */
        PP_CHECK_EQ(rig_piece(e, &small, "", 0, PP_COMPRESS_SYNC, 64), PP_OK);
        PP_CHECK(small.n - at < 16);
        PP_CHECK_EQ(rig_piece(e, &small, "", 0, PP_COMPRESS_END, 64), PP_EEND);
        PP_CHECK_EQ(rig_piece(d, &again, small.p + at, small.n - at, PP_COMPRESS_END, 64), PP_EEND);
        PP_CHECK(again.n == 10000 && memcmp(again.p, text, again.n) == 0);
        rig_clear(&small);
        rig_clear(&again);
        pp_compress_free(e);
        pp_compress_free(d);
    }
    free(text);
}

PP_TEST_CASE(every_level_and_window_keeps_the_limit)
{
    char *text = rig_text(100000);
    for (size_t i = 0; i < PP_COUNT_OF(codings); i++) {
        unsigned coding = codings[i];
        for (unsigned level = 1; level <= level_max[coding]; level++) {
            unsigned windows[] = {PP_COMPRESS_WINDOW_MIN, window_max(coding)};
            for (int w = 0; w < 2; w++) {
                struct pp_compress *e = rig_encoder(coding, level, windows[w]);
                struct bytes small = {0};
                PP_REQUIRE(e != NULL);
                PP_CHECK_EQ(rig_all(e, &small, text, 100000, 30000, 5000), PP_EEND);
                PP_CHECK(pp_compress_memory(e) <= PP_COMPRESS_BYTES);
                rig_clear(&small);
                pp_compress_free(e);
            }
        }
    }
    free(text);
}

PP_TEST_CASE(a_kept_stream_asks_for_no_new_memory)
{
    char *text = rig_text(100000);
    for (size_t i = 0; i < 2 * PP_COUNT_OF(codings); i++) {
        unsigned coding = codings[i / 2];
        struct pp_compress *e = rig_encoder(coding, 4, 15), *d = rig_decoder(coding);
        struct bytes small = {0}, again = {0};
        PP_REQUIRE(e != NULL && d != NULL);
        PP_CHECK_EQ(rig_all(e, &small, text, 100000, 30000, 5000), PP_EEND);
        PP_CHECK_EQ(rig_all(d, &again, small.p, small.n, 30000, 5000), PP_EEND);
        again.n = 0;
        pp_mem_fail_after_for_test(0);
        PP_CHECK_EQ(pp_compress_reset(e), PP_OK);
        PP_CHECK_EQ(pp_compress_reset(d), PP_OK);
        PP_CHECK_EQ(rig_all(d, &again, small.p, small.n, 30000, 5000), PP_EEND);
        small.n = 0;
        PP_CHECK_EQ(rig_all(e, &small, text, 100000, 30000, 5000), PP_EEND);
        pp_mem_fail_after_for_test(-1);
        PP_CHECK(again.n == 100000 && memcmp(again.p, text, again.n) == 0);
        rig_clear(&small);
        rig_clear(&again);
        pp_compress_free(e);
        pp_compress_free(d);
    }
    free(text);
}

PP_TEST_CASE(truncated_garbled_and_doubled_streams)
{
    char *text = rig_text(5000);
    for (size_t i = 0; i < PP_COUNT_OF(codings); i++) {
        struct pp_compress *e = rig_encoder(codings[i], 4, 15), *d = rig_decoder(codings[i]);
        struct bytes small = {0}, again = {0};
        PP_REQUIRE(e != NULL && d != NULL);
        PP_CHECK_EQ(rig_all(e, &small, text, 5000, 5000, 5000), PP_EEND);
        /* Cut anywhere, it is not at its end. */
        for (size_t n = 0; n < small.n; n += 37) {
            PP_CHECK_EQ(pp_compress_reset(d), PP_OK);
            PP_CHECK_EQ(rig_piece(d, &again, small.p, n, PP_COMPRESS_END, 4096), PP_OK);
        }
        /* What follows the end is another member, or wrong. */
        PP_CHECK_EQ(pp_compress_reset(d), PP_OK);
        again.n = 0;
        PP_CHECK_EQ(rig_piece(d, &again, small.p, small.n, PP_COMPRESS_END, 777), PP_EEND);
        int rc = rig_piece(d, &again, small.p, small.n, PP_COMPRESS_END, 777);
        bool many = codings[i] == PP_HTTP_CODING_GZIP || codings[i] == PP_HTTP_CODING_ZSTD;
        PP_CHECK_EQ(rc, many ? PP_EEND : PP_EINVAL);
        PP_CHECK_EQ(again.n, many ? 10000 : 5000);
        PP_CHECK_EQ(pp_compress_reset(d), PP_OK);
        PP_CHECK_EQ(
            rig_piece(d, &again, "\x99nothing of the kind\xff\xff\xff", 23, PP_COMPRESS_END, 4096),
            PP_EINVAL);
        PP_CHECK_EQ(pp_compress_reset(d), PP_OK);
        again.n = 0;
        PP_CHECK_EQ(rig_all(d, &again, small.p, small.n, 100, 100), PP_EEND);
        PP_CHECK_EQ(again.n, 5000);
        rig_clear(&small);
        rig_clear(&again);
        pp_compress_free(e);
        pp_compress_free(d);
    }
    free(text);
}

PP_TEST_CASE(memory_that_is_out_is_told_and_nothing_leaks)
{
    char *text = rig_text(50000);
    for (size_t i = 0; i < PP_COUNT_OF(codings); i++) {
        struct pp_compress *whole = rig_encoder(codings[i], 4, 15);
        struct bytes small = {0}, out = {0};
        PP_REQUIRE(whole != NULL);
        PP_CHECK_EQ(rig_all(whole, &small, text, 50000, 50000, 5000), PP_EEND);
        pp_compress_free(whole);
        long live = pp_mem_live_for_test();
        for (int way = 0; way < 2; way++) {
            int rc = PP_ENOMEM;
            for (long n = 0; rc == PP_ENOMEM; n++) {
                pp_mem_fail_after_for_test(n);
                struct pp_compress *c =
                    way ? rig_decoder(codings[i]) : rig_encoder(codings[i], 4, 15);
                if (c != NULL)
                    rc = way ? rig_all(c, &out, small.p, small.n, 9000, 5000)
                             : rig_all(c, &out, text, 50000, 9000, 5000);
                pp_compress_free(c);
                pp_mem_fail_after_for_test(-1);
                PP_CHECK_EQ(pp_mem_live_for_test(), live);
                PP_REQUIRE(n < 1000);
            }
            PP_CHECK_EQ(rc, PP_EEND);
        }
        rig_clear(&small);
        rig_clear(&out);
    }
    free(text);
}

PP_TEST_CASE(there_is_no_stream_of_nothing)
{
    PP_CHECK(rig_decoder(PP_HTTP_CODING_IDENTITY) == NULL);
    PP_CHECK(rig_decoder(PP_HTTP_CODING_COUNT) == NULL);
    pp_compress_free(NULL);
}

PP_TEST_MAIN()
