// links: base/check.c base/span.c wire/tunnel_record.c
/* What is read can be written again, byte for byte; nothing else is read. */
#include "fuzz.h"
#include "wire/tunnel_record.h"

static int is_inside(struct pp_span s, const char *blob, size_t n)
{
    return s.p >= blob && s.p <= blob + n && s.n <= (size_t)(blob + n - s.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct pp_tunnel_record r;
    char *blob = fuzz_copy(bytes, n);
    int rc = pp_tunnel_record_decode(pp_span(blob, n), &r);

    FUZZ_CHECK(rc == PP_OK || rc == PP_EINVAL);
    if (rc == PP_OK) {
        char *again;
        size_t k;
        FUZZ_CHECK(pp_tunnel_record_size(&r) == n);
        FUZZ_CHECK(r.listener.n > 0 && is_inside(r.listener, blob, n));
        FUZZ_CHECK(is_inside(r.upstream, blob, n) && is_inside(r.endpoint, blob, n));
        FUZZ_CHECK(is_inside(r.route, blob, n) || r.route.n == 0);
        FUZZ_CHECK(is_inside(r.request, blob, n) || r.route.n == 0);
        FUZZ_CHECK(is_inside(r.response, blob, n) || r.route.n == 0);
        again = malloc(n);
        FUZZ_CHECK(again);
        k = pp_tunnel_record_encode(&r, again);
        for (int i = 0; i < 2; i++) {
            struct pp_span held = r.flow[i].held;
            FUZZ_CHECK(is_inside(held, blob, n) && held.n <= PP_TUNNEL_RECORD_HELD);
            memcpy(again + k, held.p, held.n);
            k += held.n;
        }
        FUZZ_CHECK(k == n && memcmp(again, blob, n) == 0);
        free(again);
    }
    free(blob);
    return 0;
}
