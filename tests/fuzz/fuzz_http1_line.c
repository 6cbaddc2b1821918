// links: base/span.c wire/http_tok.c wire/http1_line.c
// dict: http1.dict
/* A line in pieces and whole: same verdict, same marks. */
#include "fuzz.h"
#include "wire/http1_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct pp_http1_line_limits limits = {4096, 1024, 512, false};
    struct pp_http1_line whole, cut;
    enum pp_http1_line_kind kind;
    size_t used = 0, at = 0;
    int rc, rc_cut = PP_EMORE;
    char *in;

    if (n < 2) {
        return 0;
    }
    kind = (enum pp_http1_line_kind)(bytes[0] % 3);
    limits.full = bytes[0] & 0x80;
    in = fuzz_copy(bytes + 2, n - 2);
    pp_http1_line_init(&whole, kind);
    rc = pp_http1_line_feed(&whole, in, n - 2, &limits, &used);
    pp_http1_line_init(&cut, kind);
    while (rc_cut == PP_EMORE && at < n - 2) {
        size_t end = fuzz_piece_end(at, n - 2, bytes[1]), taken = end - at;
        char *piece = fuzz_copy(in + at, end - at);
        rc_cut = pp_http1_line_feed(&cut, piece, end - at, &limits, &taken);
        at += taken;
        free(piece);
    }
    FUZZ_CHECK(rc == rc_cut);
    if (rc == PP_OK) {
        FUZZ_CHECK(used == whole.n && at == used && used >= 2);
        FUZZ_CHECK(memcmp(in + used - 2, "\r\n", 2) == 0);
        FUZZ_CHECK(whole.n == cut.n && whole.mark == cut.mark && whole.end == cut.end);
        FUZZ_CHECK(memchr(in, '\n', used) == in + used - 1 &&
                   memchr(in, '\r', used) == in + used - 2);
    }
    free(in);
    return 0;
}
