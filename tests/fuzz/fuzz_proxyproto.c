// links: base/check.c base/ip.c base/num.c base/span.c wire/proxyproto.c
/* The verdict is the same however the header is cut, nothing outside it is read, and what a header
 * says can be written again with the same meaning. */
#include "fuzz.h"
#include "wire/proxyproto.h"

static int is_inside(struct pp_span s, const char *p, size_t n)
{
    return s.n == 0 || (s.p >= p && s.n <= n && s.p + s.n <= p + n);
}

static void walk(const struct pp_proxyproto *h)
{
    struct pp_span rest = h->tlvs, ssl = pp_proxyproto_find(h, PP_PROXYPROTO_SSL);
    struct pp_proxyproto_tlv tlv;
    size_t n = 0;

    while (pp_proxyproto_next(&rest, &tlv)) {
        FUZZ_CHECK(is_inside(tlv.value, h->tlvs.p, h->tlvs.n));
        n += 3 + tlv.value.n;
    }
    FUZZ_CHECK(rest.n == 0 && n == h->tlvs.n);
    if (ssl.p != NULL) {
        rest = pp_proxyproto_ssl(ssl).tlvs;
        while (pp_proxyproto_next(&rest, &tlv))
            FUZZ_CHECK(is_inside(tlv.value, ssl.p, ssl.n));
        FUZZ_CHECK(rest.n == 0);
    }
}

static int same_end(const struct pp_proxyproto_end *a, const struct pp_proxyproto_end *b)
{
    return memcmp(a->ip, b->ip, sizeof a->ip) == 0 && a->port == b->port &&
           pp_span_eq(a->path, b->path);
}

static void write_again(const struct pp_proxyproto *h)
{
    char *dst = malloc(PP_PROXYPROTO_ENCODED_BYTES + h->tlvs.n);
    struct pp_proxyproto again;
    size_t used, n;

    FUZZ_CHECK(dst);
    n = pp_proxyproto_encode(h, dst);
    FUZZ_CHECK(n <= PP_PROXYPROTO_ENCODED_BYTES + h->tlvs.n);
    /* The checksum, where there is one, is of other bytes when a path had some behind its NUL. */
    int rc = pp_proxyproto_decode(pp_span(dst, n), &again, &used);
    if (rc != PP_EPROXY_CHECKSUM || pp_proxyproto_find(h, PP_PROXYPROTO_CRC32C).p == NULL) {
        FUZZ_CHECK(rc == PP_OK && used == n && again.version == h->version);
        FUZZ_CHECK(again.family == h->family && again.local == h->local);
        FUZZ_CHECK(again.datagram == h->datagram && pp_span_eq(again.tlvs, h->tlvs));
        FUZZ_CHECK(same_end(&again.source, &h->source));
        FUZZ_CHECK(same_end(&again.destination, &h->destination));
    }
    free(dst);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct pp_proxyproto h;
    size_t whole, used;
    char *copy = fuzz_copy(bytes, n);
    int rc = pp_proxyproto_decode(pp_span(copy, n), &h, &whole);

    FUZZ_CHECK(rc == PP_OK || rc == PP_EMORE || (rc <= PP_EPROXY_NONE && rc > PP_EPROXY_SOURCE));
    if (rc == PP_OK) {
        FUZZ_CHECK(whole > 0 && whole <= n && whole <= PP_PROXYPROTO_V2_BYTES);
        FUZZ_CHECK(is_inside(h.tlvs, copy, whole));
        FUZZ_CHECK(is_inside(h.source.path, copy, whole));
        walk(&h);
        write_again(&h);
    }
    for (size_t k = 0; k < n; k += 1 + k / 64) { /* every piece says less, or the same */
        char *piece = fuzz_copy(bytes, k);
        int part = pp_proxyproto_decode(pp_span(piece, k), &h, &used);
        FUZZ_CHECK(part == PP_EMORE || part == rc);
        FUZZ_CHECK(part != PP_OK || used == whole);
        free(piece);
    }
    free(copy);
    return 0;
}
