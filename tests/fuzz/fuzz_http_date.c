// links: wire/http_date.c base/span.c base/check.c
/* Dates: what is read can be written and read again, and is the same second. */
#include "fuzz.h"
#include "wire/http_date.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *in = fuzz_copy(bytes, n), out[PP_HTTP_DATE_CHARS];
    int64_t s = 0, again = -1;
    int rc = pp_http_date_parse(pp_span(in, n), &s);
    FUZZ_CHECK(rc == PP_OK || rc == PP_EINVAL);
    if (rc == PP_OK && s >= 0) {
        pp_http_date_format(out, s);
        rc = pp_http_date_parse(pp_span(out, sizeof out), &again);
        FUZZ_CHECK(rc == PP_OK || s > INT64_C(253402300799)); /* a leap second at the very end */
        FUZZ_CHECK(again == s || s > INT64_C(253402300799));
    }
    free(in);
    return 0;
}
