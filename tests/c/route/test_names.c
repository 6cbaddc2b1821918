#include "route/names.c"

#include "pp_test.h"

static char text[64][PP_NAMES_BYTES];
static struct pp_names_row rows[64];
static uint32_t n_row;

static int add(const char *name)
{
    size_t n;
    int rc = pp_names_normal(pp_span(name, strlen(name)), text[n_row], &n);
    if (rc == PP_OK) {
        rows[n_row] = (struct pp_names_row){pp_span(text[n_row], n), n_row};
        n_row++;
    }
    return rc;
}

static uint32_t find(const char *name)
{
    return pp_names_find(rows, n_row, pp_span(name, strlen(name)));
}

PP_TEST_CASE(exact_beats_wildcard_and_the_longest_wildcard_wins)
{
    n_row = 0;
    PP_REQUIRE(add("*.example") == PP_OK && add("a.b.example") == PP_OK &&
               add("*.B.example") == PP_OK && add("other.") == PP_OK);
    PP_REQUIRE(pp_names_sort(rows, n_row) == PP_OK);
    PP_CHECK_EQ(find("a.b.example"), 1);
    PP_CHECK_EQ(find("A.B.EXAMPLE"), 1);
    PP_CHECK_EQ(find("a.b.example."), 1);
    PP_CHECK_EQ(find("c.b.example"), 2);
    PP_CHECK_EQ(find("d.c.b.example"), 2);
    PP_CHECK_EQ(find("b.example"), 0);
    PP_CHECK_EQ(find("x.example"), 0);
    PP_CHECK_EQ(find("other"), 3);
    PP_CHECK_EQ(find("example"), PP_ID_NONE);
    PP_CHECK_EQ(find(".example"), PP_ID_NONE);
    PP_CHECK_EQ(find("another"), PP_ID_NONE);
    PP_CHECK_EQ(find("xexample"), PP_ID_NONE);
    PP_CHECK_EQ(find(""), PP_ID_NONE);
    PP_CHECK_EQ(find("."), PP_ID_NONE);
}

PP_TEST_CASE(what_is_no_host_name_is_refused)
{
    static const char *const bad[] = {
        "",         ".",   "*",   "*.",          "*a.example", "a.*.example", "a..b",
        ".example", "a b", "a..", "*.*.example", "[::1]",      "a/b"};
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++)
        PP_CHECK_EQ(add(bad[i]), PP_EINVAL);
    char dst[PP_NAMES_BYTES], name[300];
    size_t n;
    memset(name, 'a', sizeof name);
    PP_CHECK_EQ(pp_names_normal(pp_span(name, 255), dst, &n), PP_OK);
    PP_CHECK_EQ(pp_names_normal(pp_span(name, 256), dst, &n), PP_EINVAL);
    PP_CHECK_EQ(pp_names_find(rows, 0, pp_span(name, 256)), PP_ID_NONE);
}

PP_TEST_CASE(two_of_one_name_are_refused)
{
    n_row = 0;
    PP_CHECK(add("a.example") == PP_OK && add("b") == PP_OK && add("A.example.") == PP_OK);
    PP_CHECK_EQ(pp_names_sort(rows, n_row), PP_EEXIST);
}

/* Whatever the number and the order. */
PP_TEST_CASE(every_name_is_found_among_many)
{
    unsigned seed = 1;
    for (unsigned count = 0; count < 64; count++) {
        n_row = 0;
        for (unsigned i = 0; i < count; i++) {
            char name[32];
            seed = seed * 1103515245 + 12345;
            snprintf(name, sizeof name, "n%u.%u", seed >> 16 & 7, i);
            PP_REQUIRE(add(name) == PP_OK);
        }
        PP_REQUIRE(pp_names_sort(rows, n_row) == PP_OK);
        for (unsigned i = 0; i < count; i++)
            PP_CHECK_EQ(pp_names_find(rows, n_row, rows[i].name), rows[i].value);
        PP_CHECK_EQ(find("nowhere"), PP_ID_NONE);
    }
}

PP_TEST_MAIN()
