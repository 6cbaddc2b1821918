// links: base/span.c wire/grpc_web.c
/* Base64 of gRPC-Web: no split matters, and what was decoded encodes to something that decodes to
 * the same. */
#include "fuzz.h"
#include "wire/grpc_web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t n = size - 1, at = data[0] < n ? data[0] : n, whole = 0, a = 0, b = 0;
    char *text = fuzz_copy((const char *)data + 1, n);
    char *one = malloc(pp_grpc_web_decoded_max(n) + 1);
    char *two = malloc(pp_grpc_web_decoded_max(n) + 4);
    struct pp_grpc_web_decoder d = {0}, e = {0}, f = {0};

    int rc = pp_grpc_web_decode(&d, text, n, one, &whole);
    int first = pp_grpc_web_decode(&e, text, at, two, &a);
    int second = first != PP_OK ? first : pp_grpc_web_decode(&e, text + at, n - at, two + a, &b);
    FUZZ_CHECK(whole <= pp_grpc_web_decoded_max(n));
    FUZZ_CHECK(rc == second);
    FUZZ_CHECK(whole == a + b && memcmp(one, two, whole) == 0);
    if (rc == PP_OK) {
        char *again = malloc(pp_grpc_web_encoded(whole) + 1);
        pp_grpc_web_encode(again, one, whole);
        FUZZ_CHECK(pp_grpc_web_decode(&f, again, pp_grpc_web_encoded(whole), two, &a) == PP_OK);
        FUZZ_CHECK(a == whole && memcmp(one, two, whole) == 0 && pp_grpc_web_is_whole(&f));
        free(again);
    }
    free(text);
    free(one);
    free(two);
    return 0;
}
