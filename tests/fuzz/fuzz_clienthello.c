// links: base/span.c wire/clienthello.c
/* The verdict is the same however the message is cut, into segments or into records, and nothing
 * outside it is read. */
#include "fuzz.h"
#include "wire/clienthello.h"

static int is_inside(struct pp_span s, const char *p, size_t n)
{
    return s.n == 0 || (s.p >= p && s.n <= n && s.p + s.n <= p + n);
}

/* The message of the first record of <bytes>, cut into records of <size> bytes. */
static void cut_into_records(const uint8_t *bytes, size_t n, size_t size,
                             const struct pp_clienthello *want)
{
    size_t length = (size_t)bytes[3] << 8 | bytes[4], at = 0;
    char *cut = malloc(6 * length);
    struct pp_clienthello got;

    FUZZ_CHECK(cut && length <= n - 5);
    for (size_t from = 0; from < length; from += size) {
        size_t k = length - from < size ? length - from : size;
        memcpy(cut + at, bytes, 3);
        cut[at + 3] = (char)(k >> 8);
        cut[at + 4] = (char)k;
        memcpy(cut + at + 5, bytes + 5 + from, k);
        at += 5 + k;
    }
    int rc = pp_clienthello_decode(cut, at, &got);
    FUZZ_CHECK(rc == PP_OK || (rc == PP_ETLS_HELLO_BYTES && at > PP_CLIENTHELLO_WIRE_BYTES));
    if (rc == PP_OK) {
        FUZZ_CHECK(pp_span_eq(got.server_name, want->server_name));
        FUZZ_CHECK(pp_span_eq(got.alpn, want->alpn));
    }
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct pp_clienthello hello, other;
    char *copy = fuzz_copy(bytes, n);
    int rc = pp_clienthello_decode(copy, n, &hello);

    FUZZ_CHECK(rc == PP_OK || rc == PP_EMORE || (rc <= PP_ETLS_NONE && rc >= PP_ETLS_SERVER_NAME));
    if (rc == PP_OK) {
        struct pp_span rest = hello.alpn, name;
        FUZZ_CHECK(is_inside(hello.server_name, copy, n) && is_inside(hello.alpn, copy, n));
        FUZZ_CHECK(hello.server_name.n <= PP_CLIENTHELLO_NAME_BYTES);
        while (pp_clienthello_next_protocol(&rest, &name))
            FUZZ_CHECK(name.n > 0);
        FUZZ_CHECK(rest.n == 0);
        if (((size_t)bytes[3] << 8 | bytes[4]) ==
            4 + ((size_t)bytes[6] << 16 | (size_t)bytes[7] << 8 | bytes[8])) {
            cut_into_records(bytes, n, 1, &hello);
            cut_into_records(bytes, n, 7, &hello);
        }
    }
    for (size_t k = 0; k < n; k += 1 + k / 64) { /* every piece says less, or the same */
        char *piece = fuzz_copy(bytes, k);
        int part = pp_clienthello_decode(piece, k, &other);
        FUZZ_CHECK(part == PP_EMORE || part == rc);
        free(piece);
    }
    free(copy);
    return 0;
}
