#include "route/router_draft.c"

#include "pp_test.h"

static int add_host(struct pp_router_draft *d, const char *host, char *why)
{
    why[0] = 0;
    return pp_router_draft_add(d, pp_span(host, strlen(host)), PP_SPAN("/"), PP_ROUTER_ANY_METHOD,
                               0, 1, why);
}

static struct pp_span last_host(const struct pp_router_draft *d)
{
    const struct pp_router_addition *a = &d->addition[d->n - 1];
    return pp_span(d->text + a->host_at, a->host_n);
}

PP_TEST_CASE(hosts_are_brought_into_one_form)
{
    static const struct {
        const char *text, *form;
    } host[] = {{"", ""},
                {"*", ""},
                {"Example.COM", "example.com"},
                {"example.com.", "example.com"},
                {"*.Example.com", ".example.com"},
                {"localhost", "localhost"},
                {"10.0.0.1", "10.0.0.1"},
                {"[::1]", "[::1]"},
                {"[2001:DB8::1]", "[2001:db8::1]"},
                {"a_b-c.x", "a_b-c.x"}};
    char why[160];
    struct pp_router_draft *d = pp_router_draft_new();
    for (size_t i = 0; i < PP_COUNT_OF(host); i++) {
        PP_CHECK_EQ(add_host(d, host[i].text, why), PP_OK);
        PP_CHECK_BYTES(last_host(d), host[i].form, strlen(host[i].form));
    }
    pp_router_draft_free(d);
}

PP_TEST_CASE(bad_hosts_are_refused_with_a_sentence)
{
    static const char *const bad[] = {"a:80",
                                      "a..b",
                                      ".a",
                                      "*.",
                                      "*..a",
                                      "*a.b",
                                      "a.*.b",
                                      "a b",
                                      "a/b",
                                      "**",
                                      "*.*",
                                      "[::1",
                                      "[]",
                                      "[::1]:80",
                                      "[x]",
                                      "b\xc3\xbc"
                                      "cher.de",
                                      ".",
                                      "[::1%eth0]"};
    char why[160];
    struct pp_router_draft *d = pp_router_draft_new();
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        int rc = add_host(d, bad[i], why);
        if (rc != PP_EINVAL)
            printf("    accepted: %s\n", bad[i]);
        PP_CHECK_EQ(rc, PP_EINVAL);
        PP_CHECK(strncmp(why, "host: ", 6) == 0);
    }
    char longest[PP_ROUTER_HOST_BYTES_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[PP_ROUTER_HOST_BYTES_MAX] = 0;
    PP_CHECK_EQ(add_host(d, longest, why), PP_OK);
    longest[PP_ROUTER_HOST_BYTES_MAX] = 'a';
    longest[PP_ROUTER_HOST_BYTES_MAX + 1] = 0;
    PP_CHECK_EQ(add_host(d, longest, why), PP_EINVAL);
    PP_CHECK_EQ(d->n, 1);
    pp_router_draft_free(d);
}

PP_TEST_CASE(bad_paths_and_no_methods_are_refused)
{
    char why[160];
    struct pp_router_draft *d = pp_router_draft_new();
    PP_CHECK_EQ(pp_router_draft_add(d, PP_SPAN(""), PP_SPAN("x"), 1, 0, 1, why), PP_EINVAL);
    PP_CHECK_EQ(pp_router_draft_add(d, PP_SPAN(""), PP_SPAN("/x"), 0, 0, 1, why), PP_EINVAL);
    PP_CHECK_EQ(d->n, 0);
    pp_router_draft_free(d);
    pp_router_draft_free(NULL);
}

static bool add_many(void)
{
    char why[160];
    struct pp_router_draft *d = pp_router_draft_new();
    bool ok = d != NULL;
    for (uint32_t i = 0; ok && i < 200; i++) {
        uint32_t before = d->n;
        int rc =
            pp_router_draft_add(d, PP_SPAN("h.example"), PP_SPAN("/some/{path}"), 1, 0, i, why);
        ok = rc == PP_OK;
        PP_CHECK(ok || (rc == PP_ENOMEM && d->n == before));
    }
    pp_router_draft_free(d);
    return ok;
}

PP_TEST_CASE(adding_survives_every_failed_allocation)
{
    PP_CHECK_FAIL_EACH(add_many);
}

PP_TEST_MAIN()
