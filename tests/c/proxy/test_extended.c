#include "proxy/extended.c"

#include "extended_client.h"

static struct rig r;
static struct h2_client c;

static bool start(const struct rig_conf *conf)
{
    return rig_start(&r, conf) && h2_start(&c, &r, NULL);
}

static void done(int o)
{
    h2_stop(&c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r.w.core.stream_slab.n_live, 0);
    rig_stop(&r);
}

PP_TEST_CASE(the_endpoint_is_asked_for_an_upgrade)
{
    struct rig_conf conf = ext_defaults();
    PP_REQUIRE(start(&conf));
    ext_ask(&c, "websocket", false);
    int o = rig_accept(&r, 0);
    const char *head = ext_head(&r, o);
    PP_CHECK(strstr(head, "GET /chat HTTP/1.1\r\n") == head);
    PP_CHECK(strstr(head, "\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n") != NULL);
    PP_CHECK(strstr(head, "\r\nSec-WebSocket-Key: ") != NULL);
    PP_CHECK(strstr(head, "protocol") == NULL);
    done(o);
}

PP_TEST_CASE(another_protocol_has_no_key_and_is_not_asked_for_its_answer)
{
    struct rig_conf conf = ext_defaults();
    PP_REQUIRE(start(&conf));
    ext_ask(&c, "foo", false);
    h2_hear(&c, "1 response 501");
    done(-1); /* foo, which is every version, is not foo/2 */
}

PP_TEST_CASE(what_is_no_answer_to_the_key_is_a_fault)
{
    static const char *const cases[] = {
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo/2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 204 No Content\r\n\r\n",
    };
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        struct rig_conf conf = ext_defaults();
        PP_REQUIRE(start(&conf));
        ext_ask(&c, "websocket", false);
        int o = rig_accept(&r, 0);
        ext_head(&r, o);
        rig_send(&r, o, cases[i]);
        h2_hear(&c, "1 response 502");
        PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, TUNNELS), 0);
        done(o);
    }
}

PP_TEST_CASE(a_refusal_is_a_response)
{
    struct rig_conf conf = ext_defaults();
    PP_REQUIRE(start(&conf));
    ext_ask(&c, "websocket", false);
    int o = rig_accept(&r, 0);
    ext_head(&r, o);
    rig_send(&r, o, "HTTP/1.1 403 Forbidden\r\nDate: x\r\nContent-Length: 2\r\n\r\nno");
    h2_hear(&c, "1 data \"no\" end");
    done(o);
}

PP_TEST_CASE(a_route_that_allows_nothing_refuses)
{
    struct rig_conf conf = ext_defaults();
    conf.route.upgrade = PP_SPAN_NONE;
    PP_REQUIRE(start(&conf));
    ext_ask(&c, "websocket", false);
    h2_hear(&c, "1 response 501");
    PP_CHECK(rig_try_accept(&r, 0, 20) < 0);
    done(-1);
}

PP_TEST_MAIN()
