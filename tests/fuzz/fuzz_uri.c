// links: base/span.c base/num.c wire/uri.c
// dict: uri.dict
/* URIs: results are inside the input, normal forms are fixed points, the quick test is right. */
#include "fuzz.h"
#include "wire/uri.h"

static bool is_within(struct pp_span piece, struct pp_span s)
{
    return piece.p >= s.p && piece.p + piece.n <= s.p + s.n;
}

static void fuzz_path(struct pp_span s)
{
    char *out = fuzz_copy(s.p, s.n), *again;
    size_t n = 0, m = 0;
    bool changed, twice, plain = pp_uri_is_plain_path(s);

    if (pp_uri_normal_path(s, out, &n, &changed) == PP_OK) {
        FUZZ_CHECK(n >= 1 && n <= s.n && out[0] == '/');
        FUZZ_CHECK(changed == !pp_span_eq(s, pp_span(out, n)));
        FUZZ_CHECK(!plain || !changed);
        again = fuzz_copy(out, n);
        FUZZ_CHECK(pp_uri_normal_path(pp_span(again, n), again, &m, &twice) == PP_OK);
        FUZZ_CHECK(!twice && m == n && memcmp(again, out, n) == 0);
        for (size_t i = 0; i + 1 < n; i++) {
            bool dots = out[i] == '/' && out[i + 1] == '.' &&
                        (i + 2 == n || out[i + 2] == '/' ||
                         (out[i + 2] == '.' && (i + 3 == n || out[i + 3] == '/')));
            FUZZ_CHECK(!dots);
        }
        free(again);
    } else {
        FUZZ_CHECK(!plain);
    }
    free(out);
}

static void fuzz_authority(struct pp_span s)
{
    struct pp_uri_authority a;

    if (pp_uri_authority_parse(s, &a) == PP_OK) {
        FUZZ_CHECK(a.host.p == s.p && a.host.n > 0 && a.host.n <= s.n && a.port <= 65535);
        FUZZ_CHECK((a.port == 0) == (a.host.n == s.n));
        FUZZ_CHECK(!memchr(s.p, '@', s.n) && !memchr(s.p, '/', s.n) && !memchr(s.p, ' ', s.n));
        FUZZ_CHECK(pp_uri_authority_eq(&a, &a, 80));
    }
}

static void fuzz_absolute(struct pp_span s)
{
    struct pp_uri_split u;

    if (pp_uri_split_absolute(s, &u) == PP_OK) {
        FUZZ_CHECK(u.scheme.p == s.p && (u.scheme.n == 4 || u.scheme.n == 5));
        FUZZ_CHECK(is_within(u.authority, s) && u.authority.n > 0);
        FUZZ_CHECK(u.path.n > 0 && u.path.p[0] == '/');
        FUZZ_CHECK(!u.query.p || is_within(u.query, s));
    }
}

static void fuzz_query(struct pp_span s)
{
    char *out = fuzz_copy(s.p, s.n);
    struct pp_span rest = s, name, value;
    size_t n = 0;

    FUZZ_CHECK(pp_uri_decode(s, true, out, &n) != PP_OK || n <= s.n);
    while (pp_uri_next_arg(&rest, &name, &value)) {
        FUZZ_CHECK(is_within(name, s) && (!value.p || is_within(value, s)));
        FUZZ_CHECK(is_within(rest, s));
    }
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *in = fuzz_copy(bytes, n);
    struct pp_span s = pp_span(in, n);

    fuzz_path(s);
    fuzz_authority(s);
    fuzz_absolute(s);
    fuzz_query(s);
    free(in);
    return 0;
}
