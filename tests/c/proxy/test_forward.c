#include "proxy/forward.c"

#include "proxy/rig.h"

static struct rig r;

static void stop_all(int c, int o)
{
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_stop(&r);
}

/* What the origin gets of <sent>. */
static void forwards(const struct rig_conf *conf, const char *sent, const char *got)
{
    if (!rig_start(&r, conf))
        return;
    int c = rig_connect(&r);
    rig_send(&r, c, sent);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, got);
    rig_expect_quiet(&r, o);
    stop_all(c, o);
}

static const char spoofed[] =
    "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n"
    "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: for=3.3.3.3\r\n"
    "X-Real-IP: 4.4.4.4\r\nVia: 1.0 x\r\n\r\n";

PP_TEST_CASE(an_untrusted_client_says_nothing_about_itself)
{
    struct rig_conf conf = rig_defaults();
    conf.trusted = "10.0.0.0/8";
    forwards(
        &conf, spoofed,
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n"
        "X-Forwarded-Host: a\r\nVia: 1.0 x\r\n\r\n");
}

PP_TEST_CASE(a_trusted_client_is_appended_to)
{
    struct rig_conf conf = rig_defaults();
    conf.trusted = "127.0.0.0/8";
    conf.via = "gate";
    forwards(&conf, spoofed,
             "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1\r\n"
             "X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nForwarded: "
             "for=3.3.3.3\r\nX-Real-IP: 4.4.4.4\r\n"
             "Via: 1.0 x, 1.1 gate\r\n\r\n");
    forwards(&conf, RIG_GET, "GET / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Via: 1.1 gate\r\n\r\n");
}

PP_TEST_CASE(targets_and_hosts_are_rewritten)
{
    struct rig_conf conf = rig_defaults();
    conf.route.rewrite_path = PP_SPAN("/v1{path}");
    conf.route.rewrite_host = PP_SPAN("in.{host}");
    forwards(&conf, "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /v1/a?b=c HTTP/1.1\r\nHost: in.a\r\n" RIG_FWD "\r\n");
    conf.route.rewrite_path = PP_SPAN("{none}");
    conf.route.rewrite_host = PP_SPAN_NONE;
    forwards(&conf, "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /?b HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n");
}

PP_TEST_CASE(a_query_without_a_path_stays_in_bounds)
{
    struct rig_conf conf = rig_defaults();
    forwards(&conf, "GET http://a?b=c HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /?b=c HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n");
    forwards(&conf, "GET http://a? HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET /? HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n");
}

PP_TEST_CASE(an_answer_gets_a_date_and_the_server_name)
{
    struct rig_conf conf = rig_defaults();
    conf.server = "gate";
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), end;
    char got[64];
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 0\r\n\r\n");
    rig_expect(&r, c, "HTTP/1.1 200 OK\r\nServer: gate\r\nDate: ");
    PP_CHECK_EQ(rig_read(&r, c, got, 29, &end), 29);
    PP_CHECK(memcmp(got + 25, " GMT", 4) == 0);
    rig_expect(&r, c, "\r\nContent-Length: 0\r\n\r\n");
    stop_all(c, o);
}

PP_TEST_CASE(redirects_are_rendered)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_REDIRECT;
    conf.route.status = 308;
    conf.route.location = PP_SPAN("https://{host}{path}{query}");
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "GET /a/./b?c=d HTTP/1.1\r\nHost: A:80\r\n\r\n");
    rig_expect(&r, c,
               "HTTP/1.1 308 Permanent Redirect\r\nLocation: https://A:80/a/b?c=d\r\nDate: ");
    stop_all(c, -1);
}

PP_TEST_MAIN()
