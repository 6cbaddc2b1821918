// links: wire/http_range.c base/span.c base/check.c
/* Ranges: a part lies within the whole, whatever its size; the first eight bytes are the size. */
#include "fuzz.h"
#include "wire/http_range.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    uint64_t size, first, part;
    if (n < sizeof size)
        return 0;
    memcpy(&size, bytes, sizeof size);
    char *in = fuzz_copy(bytes + sizeof size, n - sizeof size);
    int rc = pp_http_range_parse(pp_span(in, n - sizeof size), size, &first, &part);
    FUZZ_CHECK(rc == PP_OK || rc == PP_EINVAL || rc == PP_ENOENT);
    if (rc == PP_OK)
        FUZZ_CHECK(part > 0 && part <= size && first <= size - part);
    free(in);
    return 0;
}
