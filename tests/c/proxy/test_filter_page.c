#include "proxy/filter_page.c"

#include "proxy/rig.h"

static struct rig r;
static struct pp_arena arena;
static const struct pp_filter_page *page;
static char seen[4096];

/* A filter of the test's own that renders the page in hand. */
static int render(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f;
    (void)phase;
    struct pp_span out;
    int rc = pp_filter_page_render(page, x, &out);
    PP_CHECK_EQ(rc, PP_OK);
    if (rc == PP_OK)
        snprintf(seen, sizeof seen, "%.*s", (int)out.n, out.p);
    return PP_NEXT;
}

/* What the page <text> says to a request for <target>, which gets the status 404. */
static const char *said(enum pp_filter_page_form form, const char *text, const char *target)
{
    struct rig_conf conf = rig_defaults();
    struct pp_filter_make m = {.arena = &arena};
    char ask[1024];
    conf.phases = PP_PHASE_BIT(RESPONSE);
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 404;
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    seen[0] = 0;
    PP_CHECK_EQ(pp_filter_page_new(&m, form, rig_span(text), &page), PP_OK);
    if (!rig_start(&r, &conf))
        return "no rig";
    r.filter[0].run = render;
    int c = rig_connect(&r);
    snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: a\r\nX-U: \xc3\xbc\xff<\r\n\r\n", target);
    rig_send(&r, c, ask);
    rig_settle(&r);
    close(c);
    rig_settle(&r);
    rig_stop(&r);
    pp_arena_fini(&arena);
    return seen;
}

static void check(enum pp_filter_page_form form, const char *text, const char *target,
                  const char *wanted)
{
    pp_test_bytes(rig_span(said(form, text, target)), rig_span(wanted), text, __FILE__, __LINE__);
}

PP_TEST_CASE(values_are_escaped_as_the_form_wants)
{
    check(PP_PAGE_HTML, "<b>{query.q}</b>", "/?q=%3Ca%20b%3D%22%27%26%3E",
          "<b>&lt;a b=&quot;&#39;&amp;&gt;</b>");
    check(PP_PAGE_JSON, "{\"q\": \"{query.q}\"}", "/?q=%22%5C%0A%3C%2Fscript",
          "{\"q\": \"\\u0022\\u005c\\u000a\\u003c/script\"}");
    check(PP_PAGE_TEXT, "{query.q}", "/?q=%3C%22", "<\"");
}

PP_TEST_CASE(what_is_no_utf8_becomes_question_marks)
{
    check(PP_PAGE_HTML, "{header.x-u}", "/", "\xc3\xbc?&lt;");
    check(PP_PAGE_TEXT, "{query.q}", "/?q=%C0%80%ED%A0%80%F5%80%F0%80%80%80%E2%82%AC%E2%82",
          "???????????\xe2\x82\xac??");
}

PP_TEST_CASE(other_braces_stand_as_they_are)
{
    check(PP_PAGE_HTML, "p { color: red } {} {nope} {{path}} { {path} {status} {reason}", "/a",
          "p { color: red } {} {nope} {/a} { /a 404 Not Found");
    check(PP_PAGE_TEXT, "{path", "/a", "{path");
    check(PP_PAGE_TEXT, "}{", "/a", "}{");
    check(PP_PAGE_TEXT, "", "/a", "");
    check(PP_PAGE_TEXT, "[{error}{detail}{query.none}]", "/a", "[]");
}

PP_TEST_MAIN()
