#include "wire/http2_codec.c"
#include "wire/http2_codec_feed.c"
#include "wire/http2_codec_send.c"

#include "http2_peer.h"
#include "pp_test.h"

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
        PP_CHECK_EQ(client.h->n_open, 0);
        PP_CHECK_EQ(server.h->n_open, 0);
        pp_http2_codec_release(&c->s);
        pp_http2_codec_release(&server.streams[0].s);
        PP_CHECK_EQ(pp_http2_codec_pending(client.h), 0);
        stop();
    }
}

/* A request that is open on both sides: the client's stream and, in *on_server, the server's. */
static struct peer_stream *open_stream(const char *method, bool end, struct peer_stream **on_server)
{
    int rc;
    uint32_t n = server.n_streams;
    struct peer_stream *c = peer_request(&client, method, "/", NULL, end, &rc);

    if (!c || peer_settle(&client, &server, 0) != PP_OK || server.n_streams != n + 1) {
        return NULL;
    }
    *on_server = &server.streams[n];
    peer_heard(&client);
    peer_heard(&server);
    return c;
}

PP_TEST_CASE(both_sides_greet_each_other)
{
    struct pp_http2_limits limits = {.max_streams = 7, .connect_protocol = true};

    PP_REQUIRE(start(&limits));
    PP_CHECK_EQ(pp_http2_codec_max_streams(client.h), 100);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_max_streams(client.h), 7);
    PP_CHECK(pp_http2_codec_has_connect_protocol(client.h));
    PP_CHECK(pp_http2_codec_can_open(client.h));
    PP_CHECK(!pp_http2_codec_is_over(client.h) && !pp_http2_codec_is_over(server.h));
    stop();
}

PP_TEST_CASE(interim_responses_trailers_and_bodies_both_ways)
{
    const char *hint[] = {"Link: </a.css>", NULL};
    const char *trailers[] = {"Grpc-Status: 0", "TE: trailers", NULL};
    struct pp_http1_framing te = {.te_trailers = true};
    struct peer_stream *s, *c;
    struct pp_http_msg m;
    size_t taken;

    PP_REQUIRE(start(NULL));
    c = open_stream("POST", false, &s);
    PP_REQUIRE(c);
    (void)te;
    PP_CHECK_EQ(pp_http2_codec_send_data(&c->s, PP_SPAN("abc"), false, &taken), PP_OK);
    peer_fill(c, &m, trailers);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&c->s, &m), PP_OK);
    PP_CHECK(c->s.sent_end);
    PP_CHECK_EQ(pp_http2_codec_send_data(&c->s, PP_SPAN("x"), false, &taken), PP_EINVAL);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&server), "1 data \"abc\"\n1 trailers\n  grpc-status: 0\n");
    PP_CHECK_EQ(peer_respond(s, 103, hint, NULL, false), PP_OK);
    PP_CHECK_EQ(peer_respond(s, 200, NULL, NULL, false), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, PP_SPAN("de"), false, &taken), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&s->s, &m), PP_OK);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "1 response 103 body=none\n"
                                      "  link: </a.css>\n"
                                      "1 response 200 body=chunked\n"
                                      "1 data \"de\"\n"
                                      "1 trailers\n  grpc-status: 0\n");
    PP_CHECK(c->s.over && s->s.over);
    stop();
}

PP_TEST_CASE(trailers_without_fields_are_an_empty_end)
{
    struct peer_stream *s, *c;
    struct pp_http_msg m;

    PP_REQUIRE(start(NULL));
    c = open_stream("POST", false, &s);
    PP_REQUIRE(c);
    peer_fill(c, &m, NULL);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&c->s, &m), PP_OK);
    PP_CHECK_EQ(peer_respond(s, 200, NULL, NULL, false), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&s->s, NULL), PP_OK);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&server), "1 data \"\" end\n");
    PP_CHECK_STR(peer_heard(&client), "1 response 200 body=chunked\n1 data \"\" end\n");
    stop();
}

PP_TEST_CASE(secret_and_mixed_fields_arrive_as_they_should)
{
    const char *asked[] = {"AUTHORIZATION: Basic x", "X-Secret: s",   "Host: other",
                           "Upgrade: h2c",           "Keep-Alive: 5", NULL};
    struct pp_http1_framing fr = {.te_trailers = true};
    struct peer_stream *c;
    int rc;

    PP_REQUIRE(start(NULL));
    c = peer_take(&client);
    peer_fill(c, &c->m, asked);
    c->m.method = PP_SPAN("GET");
    c->m.method_id = PP_HTTP_GET;
    c->m.field[1].flags |= PP_HTTP_FIELD_SECRET;
    rc = pp_http2_codec_send_request(client.h, &c->s, &c->m, PP_SPAN("http"), PP_SPAN("a"),
                                     PP_SPAN("/"), &fr, true);
    PP_CHECK_EQ(rc, PP_OK);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&server), "settings\n1 request GET http://a path=/ query= protocol= "
                                      "body=none te-trailers end\n"
                                      "  authorization: Basic x (secret)\n"
                                      "  x-secret: s (secret)\n"
                                      "  te: trailers (hop)\n"
                                      "  host: a\n");
    stop();
}

PP_TEST_CASE(windows_open_only_when_the_sink_took_the_bytes)
{
    static char big[200000];
    struct pp_http2_limits limits = {.stream_window = 70000, .connection_window = 100000};
    struct peer_stream *s, *c, *s2, *c2;
    size_t taken, all = 0;

    memset(big, 'x', sizeof(big));
    PP_REQUIRE(start(&limits));
    server.keeps = true;
    c = open_stream("POST", false, &s);
    PP_REQUIRE(c);
    c2 = open_stream("POST", false, &s2);
    PP_REQUIRE(c2);
    for (int i = 0; i < 10; i++) {
        PP_CHECK_EQ(pp_http2_codec_send_data(&c->s, pp_span(big, sizeof(big) - all), true, &taken),
                    PP_OK);
        all += taken;
        PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    }
    PP_CHECK_EQ(all, 70000); /* the stream's window */
    PP_CHECK_EQ(s->s.held, 70000);
    PP_CHECK_EQ(pp_http2_codec_room(&c->s), 0);
    for (int i = 0; i < 10; i++) {
        PP_CHECK_EQ(pp_http2_codec_send_data(&c2->s, pp_span(big, 70000), false, &taken), PP_OK);
        all += taken;
        PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    }
    PP_CHECK_EQ(all, 100000); /* the connection's */
    peer_heard(&client);
    pp_http2_codec_consume(&s->s, 60000);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "1 writable\n3 writable\n");
    PP_CHECK(pp_http2_codec_room(&c->s) > 0);
    /* What the owner keeps of a stream goes back to the connection when the stream goes. */
    pp_http2_codec_reset(&s->s, PP_HTTP2_CANCEL);
    pp_http2_codec_reset(&s2->s, PP_HTTP2_CANCEL);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "1 reset 8 by peer\n3 reset 8 by peer\n");
    PP_CHECK(nghttp2_session_get_remote_window_size(client.h->ng) >= 50000);
    PP_CHECK_EQ(client.h->n_open, 0);
    stop();
}

PP_TEST_CASE(an_end_without_data_needs_no_window)
{
    /* The smaller table makes HPACK say so in the next section, whatever is in it. */
    static const struct pp_http2_limits limits[] = {{.stream_window = 10},
                                                    {.stream_window = 10, .table_bytes = 100}};
    static const char *const heard[] = {"1 data \"0123456789\"\n1 data \"\" end\n",
                                        "1 data \"0123456789\"\n1 trailers\n"};
    struct peer_stream *s, *c;
    size_t taken;

    for (unsigned i = 0; i < PP_COUNT_OF(limits); i++) {
        PP_REQUIRE(peer_start(&client, PP_HTTP2_CLIENT, &limits[i]));
        PP_REQUIRE(peer_start(&server, PP_HTTP2_SERVER, &limits[i]));
        server.keeps = client.keeps = true;
        c = open_stream("POST", false, &s);
        PP_REQUIRE(c);
        peer_heard(&client);
        PP_CHECK_EQ(pp_http2_codec_send_data(&c->s, PP_SPAN("0123456789"), false, &taken), PP_OK);
        PP_CHECK_EQ(taken, 10);
        PP_CHECK_EQ(pp_http2_codec_send_data(&c->s, PP_SPAN_NONE, true, &taken), PP_OK);
        PP_CHECK(c->s.sent_end);
        PP_CHECK_EQ(pp_http2_codec_send_data(&c->s, PP_SPAN_NONE, true, &taken), PP_EINVAL);
        PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
        PP_CHECK_BYTES(peer_heard(&server), heard[i], strlen(heard[i]));
        PP_CHECK_EQ(peer_respond(s, 200, NULL, NULL, false), PP_OK);
        PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, PP_SPAN("0123456789"), false, &taken), PP_OK);
        PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, PP_SPAN_NONE, true, &taken), PP_OK);
        PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
        PP_CHECK(c->s.received_end && s->s.over && c->s.over);
        PP_CHECK_EQ(nghttp2_session_get_outbound_queue_size(server.h->ng), 0);
        stop();
    }
}

PP_TEST_CASE(output_is_bounded_and_streams_take_turns)
{
    static char big[300000];
    struct pp_http2_limits limits = {.output_bytes = 20000};
    struct pp_http2_limits wide = {.stream_window = 1 << 20, .connection_window = 1 << 24};
    struct peer_stream *s[3];
    size_t taken;
    int rc;

    PP_REQUIRE(peer_start(&client, PP_HTTP2_CLIENT, &wide));
    PP_REQUIRE(peer_start(&server, PP_HTTP2_SERVER, &limits));
    for (int i = 0; i < 3; i++) {
        PP_REQUIRE(open_stream("GET", true, &s[i]));
        PP_CHECK_EQ(peer_respond(s[i], 200, NULL, NULL, false), PP_OK);
    }
    PP_CHECK(pp_http2_codec_wants_input(server.h));
    PP_CHECK_EQ(pp_http2_codec_send_data(&s[0]->s, pp_span(big, sizeof(big)), true, &taken), PP_OK);
    PP_CHECK_EQ(taken, 20000);
    PP_CHECK(!pp_http2_codec_wants_input(server.h));
    PP_CHECK_EQ(pp_http2_codec_send_data(&s[1]->s, pp_span(big, sizeof(big)), true, &taken), PP_OK);
    PP_CHECK_EQ(taken, 0);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s[2]->s, PP_SPAN_NONE, true, &taken), PP_OK);
    PP_CHECK(!s[2]->s.sent_end);
    PP_CHECK(pp_http2_codec_pending(server.h) < 20000 + 3 * 100);
    pp_http2_codec_wake(server.h);
    PP_CHECK_STR(peer_heard(&server), "");
    peer_carry(&server, &client, 0, &rc);
    PP_CHECK_STR(peer_heard(&server), "1 writable\n3 writable\n5 writable\n");
    PP_CHECK_EQ(peer_streams_got(&client), 20000);
    stop();
}

PP_TEST_CASE(urgent_streams_come_first_and_whole_ones_one_by_one)
{
    struct pp_http2_limits limits = {.output_bytes = 1000};
    static const char *const said[] = {"priority: u=5", "priority: u=1", "priority: u=5, i",
                                       "priority: u=5", NULL};
    static char big[3000];
    struct peer_stream *s[5];
    size_t taken;
    int rc;

    PP_REQUIRE(start(&limits));
    for (int i = 0; i < 5; i++) {
        const char *fields[] = {said[i], NULL};
        PP_REQUIRE(peer_request(&client, "GET", "/", fields, true, &rc));
        PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
        s[i] = &server.streams[i];
        PP_CHECK_EQ(peer_respond(s[i], 200, NULL, NULL, false), PP_OK);
    }
    PP_CHECK_EQ(s[1]->s.urgency, 1);
    PP_CHECK(s[2]->s.incremental && !s[0]->s.incremental);
    PP_CHECK_EQ(s[4]->s.urgency, 3);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s[4]->s, pp_span(big, 3000), false, &taken), PP_OK);
    for (int i = 3; i >= 0; i--) {
        PP_CHECK_EQ(pp_http2_codec_send_data(&s[i]->s, pp_span(big, 3000), false, &taken), PP_OK);
    }
    peer_heard(&server);
    peer_carry(&server, &client, 0, &rc);
    PP_CHECK_STR(peer_heard(&server),
                 "3 writable\n9 writable\n1 writable\n7 writable\n5 writable\n");
    stop();
}

PP_TEST_CASE(resets_tell_both_owners)
{
    struct peer_stream *s, *c;
    size_t taken;

    PP_REQUIRE(start(NULL));
    c = open_stream("POST", false, &s);
    PP_REQUIRE(c);
    pp_http2_codec_reset(&c->s, PP_HTTP2_CANCEL);
    PP_CHECK(!c->s.codec);
    pp_http2_codec_reset(&c->s, PP_HTTP2_CANCEL); /* no harm */
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&server), "1 reset 8 by peer\n");
    PP_CHECK(!s->s.codec);
    PP_CHECK_EQ(peer_respond(s, 200, NULL, NULL, true), PP_EINVAL);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, PP_SPAN("x"), true, &taken), PP_EINVAL);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&s->s, NULL), PP_EINVAL);
    PP_CHECK_EQ(pp_http2_codec_room(&s->s), 0);

    /* A server that has answered does not want the rest of the body. */
    c = open_stream("POST", false, &s);
    PP_REQUIRE(c);
    PP_CHECK_EQ(peer_respond(s, 413, NULL, NULL, true), PP_OK);
    pp_http2_codec_release(&s->s);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "3 response 413 body=length 0 end\n3 reset 0 by peer\n");
    PP_CHECK(c->s.received_end);
    PP_CHECK_EQ(client.h->n_open, 0);
    PP_CHECK_EQ(server.h->n_open, 0);

    /* Released before there was an answer. */
    c = open_stream("GET", true, &s);
    PP_REQUIRE(c);
    pp_http2_codec_release(&s->s);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "5 reset 8 by peer\n");
    stop();
}

PP_TEST_CASE(a_server_without_room_refuses)
{
    struct peer_stream *c;
    int rc;

    PP_REQUIRE(start(NULL));
    server.refuses = true;
    c = peer_request(&client, "GET", "/", NULL, true, &rc);
    PP_REQUIRE(c);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "settings\n1 reset 7 by peer\n");
    PP_CHECK_STR(peer_heard(&server), "settings\n");
    PP_CHECK_EQ(server.h->n_open, 0);
    stop();
}

PP_TEST_CASE(a_client_opens_as_many_streams_as_are_allowed)
{
    struct pp_http2_limits limits = {.max_streams = 2};
    struct peer_stream *s;
    int rc;

    PP_REQUIRE(start(&limits));
    PP_REQUIRE(open_stream("GET", true, &s));
    PP_REQUIRE(open_stream("GET", true, &s));
    PP_CHECK(!pp_http2_codec_can_open(client.h));
    PP_CHECK(!peer_request(&client, "GET", "/", NULL, true, &rc));
    PP_CHECK_EQ(rc, PP_ELIMIT);
    PP_CHECK_EQ(peer_respond(s, 204, NULL, NULL, true), PP_OK);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK(pp_http2_codec_can_open(client.h));
    stop();
}

PP_TEST_CASE(going_away_takes_two_steps)
{
    struct peer_stream *s, *c, *late;
    int rc;

    PP_REQUIRE(start(NULL));
    c = open_stream("GET", true, &s);
    PP_REQUIRE(c);
    late = peer_request(&client, "GET", "/late", NULL, true, &rc); /* on its way */
    PP_REQUIRE(late);
    pp_http2_codec_goaway(server.h, true, PP_HTTP2_NO_ERROR);
    PP_CHECK_EQ(peer_settle(&server, &client, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "goaway 0 last 2147483647\n");
    PP_CHECK(!pp_http2_codec_can_open(client.h));
    PP_CHECK_EQ(server.n_streams, 2); /* it was accepted all the same */
    pp_http2_codec_goaway(server.h, false, PP_HTTP2_NO_ERROR);
    PP_CHECK_EQ(peer_settle(&server, &client, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "goaway 0 last 3\n");
    PP_CHECK(!pp_http2_codec_is_over(server.h));
    PP_CHECK_EQ(peer_respond(&server.streams[0], 204, NULL, NULL, true), PP_OK);
    PP_CHECK_EQ(peer_respond(&server.streams[1], 204, NULL, NULL, true), PP_OK);
    PP_CHECK_EQ(peer_settle(&server, &client, 0), PP_EEND);
    PP_CHECK_STR(peer_heard(&client),
                 "1 response 204 body=none end\n3 response 204 body=none end\n");
    PP_CHECK(pp_http2_codec_is_over(server.h));
    PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_NO_ERROR);
    stop();
}

PP_TEST_CASE(streams_that_a_leaving_server_did_not_see_are_refused)
{
    struct peer_stream *s, *c, *late;
    int rc;

    PP_REQUIRE(start(NULL));
    c = open_stream("GET", true, &s);
    PP_REQUIRE(c);
    late = peer_request(&client, "GET", "/late", NULL, true, &rc);
    PP_REQUIRE(late);
    pp_http2_codec_goaway(server.h, false, PP_HTTP2_NO_ERROR);
    PP_CHECK_EQ(peer_settle(&server, &client, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "goaway 0 last 1\n3 reset 7\n");
    PP_CHECK(!late->s.codec && c->s.codec);
    stop();
}

PP_TEST_CASE(pings_come_back)
{
    PP_REQUIRE(start(NULL));
    pp_http2_codec_ping(client.h, 77);
    PP_CHECK_EQ(peer_settle(&client, &server, 3), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "settings\npong 77\n");
    stop();
}

PP_TEST_CASE(extended_connect)
{
    struct pp_http2_limits limits = {.connect_protocol = true};
    struct pp_http1_framing none = {.body = PP_HTTP_BODY_NONE};
    struct peer_stream *c;
    size_t taken;

    PP_REQUIRE(start(&limits));
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    c = peer_take(&client);
    peer_fill(c, &c->m, NULL);
    c->m.method = PP_SPAN("CONNECT");
    c->m.method_id = PP_HTTP_CONNECT;
    c->m.protocol = PP_SPAN("websocket");
    PP_CHECK_EQ(pp_http2_codec_send_request(client.h, &c->s, &c->m, PP_SPAN("https"), PP_SPAN("a"),
                                            PP_SPAN("/chat"), &none, false),
                PP_OK);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&server),
                 "settings\n1 request CONNECT https://a path=/chat query= protocol=websocket "
                 "body=chunked\n  host: a\n");
    PP_CHECK_EQ(peer_respond(&server.streams[0], 200, NULL, NULL, false), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_data(&server.streams[0].s, PP_SPAN("hi"), false, &taken),
                PP_OK);
    peer_heard(&client);
    PP_CHECK_EQ(peer_settle(&server, &client, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&client), "1 response 200 body=chunked\n1 data \"hi\"\n");
    stop();
}

static bool an_exchange(void)
{
    const char *asked[] = {"Accept: */*", "X-Mixed: Case", NULL};
    static char big[40000];
    bool ok = start(NULL);
    struct peer_stream *c;
    size_t taken;
    int rc;

    ok = ok && (c = peer_request(&client, "POST", "/a?b", asked, false, &rc)) &&
         pp_http2_codec_send_data(&c->s, pp_span(big, sizeof(big)), true, &taken) == PP_OK &&
         peer_settle(&client, &server, 0) == PP_OK && server.n_streams == 1 &&
         server.streams[0].got == sizeof(big) &&
         peer_respond(&server.streams[0], 200, asked, NULL, false) == PP_OK &&
         pp_http2_codec_send_data(&server.streams[0].s, pp_span(big, sizeof(big)), true, &taken) ==
             PP_OK &&
         peer_settle(&client, &server, 0) == PP_OK && c->got == sizeof(big);
    if (client.h && server.h) {
        pp_http2_codec_goaway(client.h, false, PP_HTTP2_NO_ERROR);
        pp_http2_codec_ping(client.h, 1);
        ok = peer_settle(&client, &server, 0) != PP_ENOMEM && ok;
    }
    if (client.n_streams > 0) {
        pp_http2_codec_release(&client.streams[0].s);
    }
    stop();
    return ok;
}

PP_TEST_CASE(memory_may_run_out_anywhere)
{
    PP_CHECK_FAIL_EACH(an_exchange);
}

PP_TEST_MAIN()
