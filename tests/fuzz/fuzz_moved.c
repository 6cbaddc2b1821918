// links: base/span.c proxy/moved.c
/* The record of a connection that moves: whatever is accepted packs to the same bytes again. */
#include "fuzz.h"
#include "proxy/moved.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct pp_moved m;
    char *in = fuzz_copy(bytes, n);

    if (pp_moved_unpack(pp_span(in, n), &m) == PP_OK) {
        FUZZ_CHECK(m.fd == -1 && m.listener.n > 0 && m.waited_ms <= m.age_ms);
        FUZZ_CHECK(pp_moved_size(&m) == n);
        char *again = malloc(n);
        pp_moved_pack(&m, again);
        FUZZ_CHECK(memcmp(again, in, n) == 0);
        free(again);
    }
    free(in);
    return 0;
}
