#include "proxy/upgrade.c"

#include "proxy/rig.h"

static struct rig r;

#define HEAD "GET / HTTP/1.1\r\nHost: a\r\n"
#define PLAIN HEAD RIG_FWD "\r\n"
#define OFFERED(protocols) HEAD RIG_FWD "Upgrade: " protocols "\r\nConnection: upgrade\r\n\r\n"
#define REFUSED "HTTP/1.1 403 Forbidden\r\n" RIG_DATE "Content-Length: 2\r\n\r\nno"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"

/* A route that allows <allowed> passes <sent> on as <got>; a refusal leaves the connection open. */
static void offer(const char *allowed, const char *sent, const char *got)
{
    struct rig_conf conf = rig_defaults();
    conf.route.upgrade = rig_span(allowed);
    if (!rig_start(&r, &conf))
        return;
    int c = rig_connect(&r);
    rig_send(&r, c, sent);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, got);
    rig_expect_quiet(&r, o);
    rig_send(&r, o, REFUSED);
    rig_expect(&r, c, REFUSED);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT); /* and the endpoint's goes back to the pool */
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(only_what_the_route_allows_is_offered)
{
    offer("websocket", HEAD "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
          OFFERED("websocket"));
    offer("websocket", HEAD "Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
          OFFERED("WebSocket"));
    offer("websocket", HEAD "Connection: Upgrade\r\nUpgrade: h2c, websocket, x/1\r\n\r\n",
          OFFERED("websocket"));
    offer("websocket, x",
          HEAD "Connection: upgrade\r\nUpgrade: x/1, h2c\r\nUpgrade: y, websocket\r\n\r\n",
          OFFERED("x/1, websocket"));
    offer("websocket", HEAD "Connection: Upgrade\r\nUpgrade: x\r\n\r\n", PLAIN);
    offer("x/2", HEAD "Connection: Upgrade\r\nUpgrade: x/1\r\n\r\n", PLAIN);
    offer("", HEAD "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", PLAIN);
    offer("h2c",
          HEAD "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
               "AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
          PLAIN);
}

PP_TEST_CASE(what_does_not_ask_in_order_offers_nothing)
{
    offer("websocket", HEAD "Upgrade: websocket\r\n\r\n", PLAIN);
    offer("websocket", HEAD "Connection: upgrade\r\n\r\n", PLAIN);
    offer("websocket",
          HEAD "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
          HEAD RIG_FWD "Content-Length: 3\r\n\r\nabc");
    offer("websocket",
          HEAD "Connection: upgrade\r\nUpgrade: websocket\r\n"
               "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          HEAD RIG_FWD "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    offer("websocket",
          HEAD "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
          HEAD RIG_FWD "Content-Length: 0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
}

/* The endpoint answers <head> to an offer of websocket and x/1, and that is no answer. */
static void no_switch(const char *head)
{
    struct rig_conf conf = rig_defaults();
    conf.route.upgrade = PP_SPAN("websocket, x/1");
    if (!rig_start(&r, &conf))
        return;
    int c = rig_connect(&r);
    rig_send(&r, c, HEAD "Connection: upgrade\r\nUpgrade: x/1\r\n\r\nearly");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, OFFERED("x/1"));
    rig_send(&r, o, head);
    rig_expect_fault(&r, c, "502", "upstream_bad_response", false);
    rig_expect_eof(&r, o); /* no early byte has come */
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(a_switch_is_to_what_was_offered)
{
    no_switch(SWITCH "\r\n");
    no_switch(SWITCH "Upgrade: x/1\r\n\r\n");
    no_switch(SWITCH "Connection: upgrade\r\n\r\n");
    no_switch(SWITCH "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    no_switch(SWITCH "Connection: upgrade\r\nUpgrade: x/1, websocket\r\n\r\n");
    no_switch(SWITCH "Connection: upgrade\r\nUpgrade: x/1\r\nUpgrade: h2c\r\n\r\n");
    no_switch(SWITCH "Connection: upgrade\r\nUpgrade: x/1\r\nContent-Length: 5\r\n\r\n");
    no_switch(SWITCH "Connection: upgrade\r\nUpgrade: x/1\r\nTransfer-Encoding: chunked\r\n\r\n");
    no_switch("HTTP/1.0 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x/1\r\n\r\n");
}

PP_TEST_MAIN()
