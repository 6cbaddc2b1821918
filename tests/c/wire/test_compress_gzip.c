#include "wire/compress_gzip.c"

#include "wire/compress_rig.h"

PP_TEST_CASE(the_wrapper_is_that_of_the_coding)
{
    struct pp_compress *gzip = rig_encoder(PP_HTTP_CODING_GZIP, 1, 15);
    struct pp_compress *deflate_ = rig_encoder(PP_HTTP_CODING_DEFLATE, 1, 15);
    struct bytes out = {0};
    PP_REQUIRE(gzip != NULL && deflate_ != NULL);
    PP_CHECK_EQ(rig_all(gzip, &out, "abc", 3, 3, 100), PP_EEND);
    PP_CHECK(out.n > 2 && memcmp(out.p, "\x1f\x8b\x08", 3) == 0);
    out.n = 0;
    PP_CHECK_EQ(rig_all(deflate_, &out, "abc", 3, 3, 100), PP_EEND);
    PP_CHECK(out.n > 2 && out.p[0] == 0x78);
    rig_clear(&out);
    pp_compress_free(gzip);
    pp_compress_free(deflate_);
}

PP_TEST_CASE(a_small_window_takes_little_memory)
{
    struct pp_compress *large = rig_encoder(PP_HTTP_CODING_GZIP, 6, 15);
    struct pp_compress *small = rig_encoder(PP_HTTP_CODING_GZIP, 6, 10);
    PP_REQUIRE(large != NULL && small != NULL);
    PP_CHECK(pp_compress_memory(large) < 300000);
    PP_CHECK(pp_compress_memory(small) < 20000);
    pp_compress_free(large);
    pp_compress_free(small);
}

PP_TEST_CASE(a_wrong_checksum_is_refused)
{
    struct pp_compress *e = rig_encoder(PP_HTTP_CODING_GZIP, 1, 15);
    struct pp_compress *d = rig_decoder(PP_HTTP_CODING_GZIP);
    struct bytes out = {0}, again = {0};
    PP_REQUIRE(e != NULL && d != NULL);
    PP_CHECK_EQ(rig_all(e, &out, "abc", 3, 3, 100), PP_EEND);
    out.p[out.n - 5] ^= 1;
    PP_CHECK_EQ(rig_all(d, &again, out.p, out.n, 100, 100), PP_EINVAL);
    rig_clear(&out);
    rig_clear(&again);
    pp_compress_free(e);
    pp_compress_free(d);
}

PP_TEST_MAIN()
