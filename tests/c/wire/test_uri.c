#include "wire/uri.c"

#include "pp_test.h"

/* Cases to read are in tests/data/uri; here are the many. */

static bool is_plain_by_definition(struct pp_span s)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/";

    if (s.n == 0 || s.p[0] != '/') {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!s.p[i] || !strchr(allowed, s.p[i]) || (i > 0 && s.p[i] == '.' && s.p[i - 1] == '/')) {
            return false;
        }
    }
    return true;
}

PP_TEST_CASE(plain_is_as_defined_for_every_byte_at_every_place)
{
    for (size_t n = 1; n <= 70; n++) {
        char *p = malloc(n);

        PP_REQUIRE(p);
        for (size_t at = 0; at < n; at++) {
            for (unsigned c = 0; c < 256; c++) {
                memset(p, 'a', n);
                p[0] = '/';
                p[at] = (char)c;
                PP_CHECK_EQ(pp_uri_is_plain_path(pp_span(p, n)),
                            is_plain_by_definition(pp_span(p, n)));
            }
            if (at > 0) {
                p[at] = '.';
                p[at - 1] = '/';
                PP_CHECK(!pp_uri_is_plain_path(pp_span(p, n)));
            }
        }
        free(p);
    }
    PP_CHECK(!pp_uri_is_plain_path(PP_SPAN_NONE));
}

PP_TEST_CASE(normal_form_is_a_fixed_point_and_can_be_made_in_place)
{
    static const char *const parts[] = {"/",   "a",   ".",   "..",  "%2e",  "%41",
                                        "%3a", "%3A", "/..", "%25", "b%20", "//"};
    uint64_t seed = 11;
    unsigned good = 0;

    for (int round = 0; round < 100000; round++) {
        char path[128] = "/", out[128], again[128];
        size_t len = 1, n = 0, m = 0, k = 0;
        bool changed, twice, in_place;
        int rc;

        for (uint64_t i = pp_test_random(&seed) % 8; i > 0; i--) {
            const char *part = parts[pp_test_random(&seed) % PP_COUNT_OF(parts)];
            memcpy(path + len, part, strlen(part));
            len += strlen(part);
        }
        rc = pp_uri_normal_path(pp_span(path, len), out, &n, &changed);
        PP_CHECK(rc == PP_OK || rc == PP_EURI_DOTS || rc == PP_EURI_PERCENT);
        PP_CHECK(!pp_uri_is_plain_path(pp_span(path, len)) || (rc == PP_OK && !changed));
        if (rc != PP_OK) {
            continue;
        }
        good++;
        PP_CHECK(n >= 1 && n <= len && out[0] == '/');
        PP_CHECK_EQ(changed, !pp_span_eq(pp_span(out, n), pp_span(path, len)));
        PP_CHECK_EQ(pp_uri_normal_path(pp_span(out, n), again, &m, &twice), PP_OK);
        PP_CHECK(!twice);
        PP_CHECK_BYTES(pp_span(again, m), out, n);
        PP_CHECK_EQ(pp_uri_normal_path(pp_span(path, len), path, &k, &in_place), PP_OK);
        PP_CHECK_BYTES(pp_span(path, k), out, n);
    }
    PP_CHECK(good > 1000);
}

PP_TEST_CASE(authorities_compare_by_host_in_any_case_and_by_port)
{
    struct pp_uri_authority a, b;

    PP_CHECK_EQ(pp_uri_authority_parse(PP_SPAN("A.b:80"), &a), PP_OK);
    PP_CHECK_EQ(pp_uri_authority_parse(PP_SPAN("a.B"), &b), PP_OK);
    PP_CHECK(pp_uri_authority_eq(&a, &b, 80));
    PP_CHECK(!pp_uri_authority_eq(&a, &b, 443));
    PP_CHECK(!pp_uri_authority_eq(&a, &b, 0));
    PP_CHECK(pp_uri_authority_eq(&b, &b, 0));
    PP_CHECK_EQ(pp_uri_authority_parse(PP_SPAN("a.c"), &b), PP_OK);
    PP_CHECK(!pp_uri_authority_eq(&a, &b, 80));
}

PP_TEST_CASE(decoding_in_place)
{
    char s[] = "a%20b+%2B";
    size_t n;

    PP_CHECK_EQ(pp_uri_decode(pp_span(s, sizeof(s) - 1), true, s, &n), PP_OK);
    PP_CHECK_STR(pp_span(s, n), "a b +");
}

PP_TEST_CASE(what_was_encoded_decodes_to_itself)
{
    char all[256], out[3 * 256], back[3 * 256];
    size_t n;

    for (int i = 0; i < 256; i++) {
        all[i] = (char)i;
    }
    size_t w = pp_uri_encode(pp_span(all, sizeof(all)), out);
    PP_CHECK_EQ(w, 66 + 190 * 3);
    PP_CHECK_EQ(pp_uri_decode(pp_span(out, w), true, back, &n), PP_OK);
    PP_CHECK_BYTES(pp_span(back, n), all, sizeof(all));
    w = pp_uri_encode(PP_SPAN("a/b?c=d&e f~"), out);
    PP_CHECK_STR(pp_span(out, w), "a%2Fb%3Fc%3Dd%26e%20f~");
}

PP_TEST_CASE(absent_queries_and_values_differ_from_empty_ones)
{
    struct pp_uri_split u;
    struct pp_span rest = PP_SPAN("a&b="), name, value;

    PP_CHECK_EQ(pp_uri_split_absolute(PP_SPAN("http://a/b"), &u), PP_OK);
    PP_CHECK(!u.query.p);
    PP_CHECK_EQ(pp_uri_split_absolute(PP_SPAN("http://a/b?"), &u), PP_OK);
    PP_CHECK(u.query.p && u.query.n == 0);
    PP_CHECK(pp_uri_next_arg(&rest, &name, &value));
    PP_CHECK(!value.p);
    PP_CHECK(pp_uri_next_arg(&rest, &name, &value));
    PP_CHECK(value.p && value.n == 0);
    PP_CHECK(!pp_uri_next_arg(&rest, &name, &value));
}

PP_TEST_MAIN()
