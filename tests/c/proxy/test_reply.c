#include "proxy/reply.c"

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

PP_TEST_CASE(a_405_names_the_methods_that_are_allowed)
{
    struct rig_conf conf = rig_defaults();
    char got[1024];
    int end;
    conf.methods = 1u << PP_HTTP_GET | 1u << PP_HTTP_HEAD;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "DELETE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    size_t n = rig_read(&r, c, got, sizeof got - 1, &end);
    got[n] = '\0';
    PP_CHECK(strncmp(got, "HTTP/1.1 405 Method Not Allowed\r\n", 33) == 0);
    PP_CHECK(strstr(got, "Content-Type: application/json\r\n") != NULL);
    PP_CHECK(strstr(got, "Allow: GET, HEAD\r\n") != NULL);
    const char *body =
        strstr(got, "\r\n\r\n{\"status\":405,\"error\":\"method_not_allowed\",\"detail\":\"");
    PP_CHECK(body != NULL && strcmp(got + n - 3, "\"}\n") == 0);
    stop_all(c, -1);
}

PP_TEST_CASE(answers_to_head_have_the_length_and_no_body)
{
    struct rig_conf conf = rig_defaults();
    char got[1024];
    int end;
    conf.route.action = PP_ROUTE_ACTION_NONE;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    size_t n = rig_read(&r, c, got, sizeof got - 1, &end);
    got[n] = '\0';
    PP_CHECK(strncmp(got, "HTTP/1.1 503 ", 13) == 0);
    PP_CHECK(strstr(got, "Content-Length: ") != NULL && strstr(got, "Content-Length: 0") == NULL);
    PP_CHECK(strcmp(got + n - 4, "\r\n\r\n") == 0);
    stop_all(c, -1);
}

PP_TEST_CASE(statuses_without_a_body_have_none)
{
    static const unsigned statuses[] = {204, 304};
    for (size_t i = 0; i < PP_COUNT_OF(statuses); i++) {
        struct rig_conf conf = rig_defaults();
        char got[1024];
        int end;
        conf.route.action = PP_ROUTE_ACTION_RESPOND;
        conf.route.status = statuses[i];
        conf.route.body = PP_SPAN("not sent");
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r);
        rig_send(&r, c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        size_t n = rig_read(&r, c, got, sizeof got - 1, &end);
        got[n] = '\0';
        PP_CHECK(strstr(got, "Content-Length") == NULL && strstr(got, "not sent") == NULL);
        PP_CHECK(n > 4 && strcmp(got + n - 4, "\r\n\r\n") == 0);
        stop_all(c, -1);
    }
}

PP_TEST_MAIN()
