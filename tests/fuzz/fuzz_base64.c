// links: base/span.c wire/base64.c
/* Base64: no split matters, and what was decoded encodes to something that decodes to
 * the same. */
#include "fuzz.h"
#include "wire/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    size_t n = size - 1, at = data[0] < n ? data[0] : n, whole = 0, a = 0, b = 0;
    char *text = fuzz_copy((const char *)data + 1, n);
    char *one = malloc(pp_base64_decoded_max(n) + 1);
    char *two = malloc(pp_base64_decoded_max(n) + 4);
    struct pp_base64_decoder d = {0}, e = {0}, f = {0};

    int rc = pp_base64_decode(&d, text, n, one, &whole);
    int first = pp_base64_decode(&e, text, at, two, &a);
    int second = first != PP_OK ? first : pp_base64_decode(&e, text + at, n - at, two + a, &b);
    FUZZ_CHECK(whole <= pp_base64_decoded_max(n));
    FUZZ_CHECK(rc == second);
    FUZZ_CHECK(whole == a + b && memcmp(one, two, whole) == 0);
    if (rc == PP_OK) {
        char *again = malloc(pp_base64_encoded(whole) + 1);
        pp_base64_encode(again, one, whole);
        FUZZ_CHECK(pp_base64_decode(&f, again, pp_base64_encoded(whole), two, &a) == PP_OK);
        FUZZ_CHECK(a == whole && memcmp(one, two, whole) == 0 && pp_base64_is_whole(&f));
        free(again);
    }
    free(text);
    free(one);
    free(two);
    return 0;
}
