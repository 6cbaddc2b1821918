// links: base/span.c base/mem.c base/check.c wire/compress.c wire/compress_gzip.c
// links: wire/compress_brotli.c wire/compress_zstd.c
// libs: z brotlienc brotlidec zstd
/* Decompression of whatever comes: the memory keeps its limit, and no split of the input and no
 * size of the output matters. */
#include "fuzz.h"
#include "wire/compress.h"

#define OUT_MAX ((size_t)1 << 20) /* bombs are longer: their rest is not looked at */

struct result {
    int rc;
    size_t n;
    char *p;
};

static int piece(struct pp_compress *c, struct result *to, const char *p, size_t n, size_t step)
{
    struct pp_compress_io io = {.in = p, .in_n = n};
    int rc = PP_EMORE;
    while (rc == PP_EMORE && to->n < OUT_MAX) {
        io.out = to->p + to->n;
        io.out_n = OUT_MAX - to->n < step ? OUT_MAX - to->n : step;
        rc = pp_compress_run(c, &io, PP_COMPRESS_MORE);
        to->n = (size_t)(io.out - to->p);
        FUZZ_CHECK(pp_compress_memory(c) <= PP_COMPRESS_BYTES);
    }
    FUZZ_CHECK((rc != PP_OK && rc != PP_EEND) || io.in_n == 0);
    return rc;
}

static struct result decode(struct pp_compress *c, const char *p, size_t n, size_t cut, size_t step)
{
    struct result to = {.rc = PP_OK, .p = malloc(OUT_MAX)};
    for (size_t at = 0; at < n && (to.rc == PP_OK || to.rc == PP_EEND); at += cut)
        to.rc = piece(c, &to, p + at, n - at < cut ? n - at : cut, step);
    return to;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t codings[] = {PP_HTTP_CODING_GZIP, PP_HTTP_CODING_BROTLI,
                                      PP_HTTP_CODING_ZSTD, PP_HTTP_CODING_DEFLATE};
    if (size < 2)
        return 0;
    struct pp_compress_conf conf = {.coding = codings[data[0] % 4], .decodes = true};
    char *in = fuzz_copy((const char *)data + 2, size - 2);
    struct pp_compress *c = pp_compress_new(&conf);
    FUZZ_CHECK(c != NULL);
    struct result whole = decode(c, in, size - 2, size, OUT_MAX);
    FUZZ_CHECK(pp_compress_reset(c) == PP_OK);
    struct result parts =
        decode(c, in, size - 2, 1 + data[1] % 16, whole.n < 4096 ? 1 + data[1] / 16 : 4096);
    /* libzstd holds a frame to the size that it announces only when all of it is there at once. */
    bool held_to_size = conf.coding == PP_HTTP_CODING_ZSTD && whole.rc != PP_OK;
    FUZZ_CHECK((whole.rc == PP_EEND) == (parts.rc == PP_EEND) || whole.n == OUT_MAX ||
               (held_to_size && whole.rc != PP_EEND));
    if (whole.rc == PP_OK || whole.rc == PP_EEND)
        FUZZ_CHECK(whole.n == parts.n && memcmp(whole.p, parts.p, whole.n) == 0);
    pp_compress_free(c);
    free(whole.p);
    free(parts.p);
    free(in);
    return 0;
}
