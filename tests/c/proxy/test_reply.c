// links: proxy/move.c
// links: base/arena.c base/buf.c base/check.c base/err.c base/hash.c base/map.c base/mem.c
// links: base/metric.c base/num.c base/rng.c base/slab.c base/span.c base/statseg.c base/wheel.c
// links: io/chan_tcp.c io/fd.c io/listener.c io/loop.c io/sink.c io/sock.c io/splice.c
// links: proxy/accesslog.c proxy/body.c proxy/cluster.c proxy/core.c proxy/down.c proxy/down_h1.c
// links: proxy/drive.c proxy/exchange.c proxy/fault.c proxy/forward.c proxy/h1.c proxy/hook.c
// links: proxy/metrics.c proxy/phase.c proxy/pool.c proxy/retry.c proxy/snapshot.c proxy/template.c
// links: proxy/up.c proxy/up_h1.c route/balance.c route/balance_rr.c route/cidr.c route/pattern.c
// links: route/radix.c route/router.c route/router_draft.c route/router_explain.c wire/http1_body.c
// links: wire/http1_emit.c wire/http1_head.c wire/http1_line.c wire/http_msg.c wire/http_rules.c
// links: wire/http_tok.c wire/uri.c worker/builder.c worker/worker.c
// links: route/radix_build.c
// links: proxy/tunnel.c proxy/tunnel_door.c proxy/tunnel_move.c wire/tunnel_record.c
// links: proxy/step.c proxy/step_request.c proxy/step_response.c
// links: base/ip.c proxy/announced.c proxy/greet.c route/names.c wire/clienthello.c
// links: wire/proxyproto.c
// links: proxy/down_h2.c proxy/down_h2_stream.c wire/http2_codec.c wire/http2_codec_feed.c
// links: wire/http2_codec_send.c wire/http2_flood.c wire/http2_msg.c wire/http_priority.c
// libs: nghttp2
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
