// links: base/arena.c base/buf.c base/check.c base/err.c base/mem.c base/num.c base/slab.c
// links: base/span.c wire/http2_flood.c wire/http2_msg.c wire/http_msg.c wire/http_priority.c
// links: wire/http_rules.c wire/http_tok.c wire/uri.c
// libs: nghttp2
#include "wire/http2_codec.c"
#include "wire/http2_codec_feed.c"
#include "wire/http2_codec_send.c"

#include "http2_peer.h"

static struct peer client, server;

static bool start(const struct pp_http2_limits *server_limits)
{
    return peer_start(&client, PP_HTTP2_CLIENT, NULL) &&
           peer_start(&server, PP_HTTP2_SERVER, server_limits);
}

static void stop(void)
{
    peer_stop(&client);
    peer_stop(&server);
}

PP_TEST_CASE(a_request_and_its_response)
{
    static const size_t steps[] = {0, 1, 2, 3, 7, 10, 64};

    for (size_t i = 0; i < PP_COUNT_OF(steps); i++) {
        const char *asked[] = {"Accept: */*", "X-Mixed: Case", "cookie: a=1", "cookie: b=2", NULL};
        const char *said[] = {"Server: gate", "content-length: 99", "connection: close", NULL};
        struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = 5};
        struct peer_stream *c;
        size_t taken;
        int rc;

        PP_REQUIRE(start(NULL));
        c = peer_request(&client, "GET", "/a?b", asked, true, &rc);
        PP_REQUIRE(c);
        PP_CHECK_EQ(peer_settle(&client, &server, steps[i]), PP_OK);
        PP_CHECK_STR(peer_heard(&server),
                     "settings\n"
                     "1 request GET https://a.test path=/a query=b protocol= body=none end\n"
                     "  accept: */*\n"
                     "  x-mixed: Case\n"
                     "  cookie: a=1; b=2 (secret)\n" /* short cookies are never indexed */
                     "  host: a.test\n");
        PP_CHECK_EQ(server.streams[0].m.major, 2);
        PP_CHECK_EQ(server.streams[0].m.minor, 1);
        PP_CHECK_EQ(peer_respond(&server.streams[0], 200, said, &fr, false), PP_OK);
        PP_CHECK_EQ(pp_http2_codec_send_data(&server.streams[0].s, PP_SPAN("hello"), true, &taken),
                    PP_OK);
        PP_CHECK_EQ(taken, 5);
        PP_CHECK(server.streams[0].s.sent_end && server.streams[0].s.received_end);
        PP_CHECK_EQ(peer_settle(&server, &client, steps[i]), PP_OK);
        if (steps[i] == 0) {
            PP_CHECK_STR(peer_heard(&client), "settings\n"
                                              "1 response 200 body=length 5\n"
                                              "  server: gate\n"
                                              "  content-length: 5 (hop)\n"
                                              "1 data \"hello\" end\n");
        }
        PP_CHECK_EQ(c->got, 5);
        PP_CHECK(c->s.received_end && c->s.sent_end && c->s.declared);
        PP_CHECK_EQ(pp_http2_codec_open_streams(client.h), 0);
        PP_CHECK_EQ(pp_http2_codec_open_streams(server.h), 0);
        pp_http2_codec_release(&c->s);
        pp_http2_codec_release(&server.streams[0].s);
        PP_CHECK_EQ(pp_http2_codec_pending(client.h), 0);
        stop();
    }
}

PP_TEST_MAIN()
