#include "proxy/variable.c"

#include "proxy/rig.h"

static struct rig r;

static struct pp_exchange *begin(void)
{
    struct rig_conf conf = rig_defaults();
    if (!rig_start(&r, &conf))
        return NULL;
    pp_loop_enter(&r.w.core.loop);
    return pp_exchange_new(&r.w.core, r.w.core.snapshot->listener[0], NULL);
}

static void end(struct pp_exchange *x)
{
    pp_exchange_free(x);
    pp_loop_leave(&r.w.core.loop);
    rig_stop(&r);
}

static void add(struct pp_exchange *x, const char *name, const char *text)
{
    PP_CHECK_EQ(pp_http_msg_add(&x->request, pp_span(name, strlen(name)),
                                pp_http_tok_name(name, strlen(name)), pp_span(text, strlen(text))),
                PP_OK);
}

static int get(struct pp_exchange *x, const char *name, struct pp_span *out)
{
    struct pp_variable v;
    PP_CHECK_EQ(pp_variable_compile(pp_span(name, strlen(name)), &v), PP_OK);
    *out = PP_SPAN_NONE;
    return pp_variable_get(x, &v, out);
}

#define HAS(x, name, text)                                                                         \
    do {                                                                                           \
        struct pp_span has_value;                                                                  \
        PP_CHECK_EQ(get(x, name, &has_value), PP_OK);                                              \
        PP_CHECK_STR(has_value, text);                                                             \
    } while (0)
#define LACKS(x, name)                                                                             \
    do {                                                                                           \
        struct pp_span lacks_value;                                                                \
        PP_CHECK_EQ(get(x, name, &lacks_value), PP_ENOENT);                                        \
    } while (0)

PP_TEST_CASE(a_bare_request_has_little)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    LACKS(x, "host");
    LACKS(x, "query");
    LACKS(x, "query.a");
    LACKS(x, "cookie.a");
    LACKS(x, "header.x");
    LACKS(x, "param.x");
    LACKS(x, "tls.sni");
    LACKS(x, "client.address");
    LACKS(x, "server.port");
    LACKS(x, "upstream");
    HAS(x, "scheme", "http");
    HAS(x, "protocol", "HTTP/1.0");
    HAS(x, "request.id", "1");
    end(x);
}

PP_TEST_CASE(fields_arguments_and_cookies_are_found)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    x->request.minor = 1;
    x->request.method = PP_SPAN("GET");
    x->request.authority = PP_SPAN("A.example:81");
    x->host = PP_SPAN("a.example");
    x->path = PP_SPAN("/p");
    x->request.query = PP_SPAN("name=j%61ck&name=2");
    add(x, "X-User", "ann");
    add(x, "Accept", "a");
    add(x, "x-user", "bob");
    add(x, "Cookie", "sid=1; lang=de");
    HAS(x, "header.x-user", "ann, bob");
    HAS(x, "header.accept", "a");
    HAS(x, "query.name", "jack");
    HAS(x, "query", "name=j%61ck&name=2");
    HAS(x, "cookie.lang", "de");
    HAS(x, "cookie.sid", "1");
    LACKS(x, "cookie.x");
    HAS(x, "host", "a.example");
    HAS(x, "authority", "A.example:81");
    HAS(x, "path", "/p");
    HAS(x, "method", "GET");
    HAS(x, "protocol", "HTTP/1.1");
    /* What was joined is kept: asking again takes no memory. */
    const struct pp_joined *joined = x->joined;
    PP_CHECK(joined != NULL && joined->next == NULL);
    HAS(x, "header.x-user", "ann, bob");
    PP_CHECK(x->joined == joined);
    const struct pp_args *split = x->query;
    HAS(x, "query.name", "jack");
    PP_CHECK(x->query == split);
    /* A filter has changed it: what is found is what is there. */
    PP_CHECK_EQ(pp_exchange_set_field(x, &x->request, PP_SPAN("Cookie"), PP_SPAN("sid=2")), PP_OK);
    HAS(x, "cookie.sid", "2");
    add(x, "cookie", "more=3");
    HAS(x, "cookie.more", "3");
    HAS(x, "cookie.sid", "2");
    end(x);
}

PP_TEST_CASE(addresses_are_text)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    x->client = (struct pp_sock_addr){.ip = {10, 0, 0, 7}, .port = 81, .family = AF_INET};
    HAS(x, "client.address", "10.0.0.7");
    HAS(x, "client.port", "81");
    x->client = (struct pp_sock_addr){.family = AF_UNIX};
    HAS(x, "client.address", "unix");
    LACKS(x, "client.port");
    end(x);
}

PP_TEST_CASE(too_many_arguments_are_an_error)
{
    static char query[2 * PP_ARGS_MAX + 2], cookies[4 * PP_ARGS_MAX + 4];
    struct pp_exchange *x = begin();
    struct pp_span value;
    PP_REQUIRE(x != NULL);
    for (size_t i = 0; i < sizeof(query); i += 2)
        memcpy(query + i, "a&", 2);
    for (size_t i = 0; i < sizeof(cookies); i += 4)
        memcpy(cookies + i, "a=b;", 4);
    x->request.query = pp_span(query, sizeof(query));
    PP_CHECK_EQ(get(x, "query.a", &value), PP_EHTTP_ARGUMENTS);
    PP_CHECK_EQ(get(x, "query.a", &value), PP_EHTTP_ARGUMENTS);
    PP_CHECK_EQ(pp_http_msg_add(&x->request, PP_SPAN("Cookie"), PP_NAME_COOKIE,
                                pp_span(cookies, sizeof(cookies))),
                PP_OK);
    PP_CHECK_EQ(get(x, "cookie.a", &value), PP_EHTTP_ARGUMENTS);
    PP_CHECK_EQ(get(x, "cookie.a", &value), PP_EHTTP_ARGUMENTS);
    end(x);
}

PP_TEST_MAIN()
