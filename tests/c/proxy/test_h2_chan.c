#include "proxy/h2_chan.c"

#include "pp_test.h"
#include "wire/http2_peer.h"

/* A stream at the server, which is the channel under test; at the client its other end. */
static struct peer client, server;
static struct peer_stream *far, *near;
static struct pp_buf in;
static struct pp_slab chunks;
static struct pp_chan ch;
static char got[100000];

static const struct pp_chan_ops ops = {.name = "test"};

static bool begin(const struct pp_http2_limits *of_client)
{
    int rc;
    if (!peer_start(&client, PP_HTTP2_CLIENT, of_client) ||
        !peer_start(&server, PP_HTTP2_SERVER, NULL))
        return false;
    far = peer_request(&client, "POST", "/", NULL, false, &rc);
    if (far == NULL || peer_settle(&client, &server, 0) != PP_OK || server.n_streams != 1)
        return false;
    near = &server.streams[0];
    near->keeps = true;
    memset(&in, 0, sizeof in);
    pp_buf_slab_init(&chunks, 4);
    pp_h2_chan_open(&ch, &ops, NULL, NULL, near);
    return peer_respond(near, 200, NULL, NULL, false) == PP_OK;
}

static void end(void)
{
    pp_buf_fini(&in, &chunks);
    PP_CHECK_EQ(chunks.n_live, 0);
    pp_slab_fini(&chunks);
    peer_stop(&client);
    peer_stop(&server);
}

static int get(bool ended, size_t cap, size_t *n)
{
    struct pp_h2_chan_source from = {.s = &near->s, .in = &in, .slab = &chunks, .ended = ended};
    return pp_h2_chan_read(&ch, &from, got, cap, n);
}

static int put(size_t bytes, size_t *n)
{
    static char zeros[100000];
    struct iovec iov[2] = {{zeros, bytes / 2}, {zeros, bytes - bytes / 2}};
    return pp_h2_chan_writev(&ch, &near->s, iov, 2, n);
}

PP_TEST_CASE(a_new_one_is_ready_and_has_no_descriptor)
{
    PP_REQUIRE(begin(NULL));
    PP_CHECK(!pp_chan_is_open(&ch) && ch.stream == near && ch.readable && ch.writable);
    end();
}

PP_TEST_CASE(what_waits_is_read_in_order_and_opens_the_window)
{
    static char sent[30000];
    size_t n, taken;
    PP_REQUIRE(begin(NULL));
    PP_CHECK_EQ(get(false, 10, &n), PP_EAGAIN);
    PP_CHECK(!ch.readable);
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)('a' + i % 26);
    PP_CHECK_EQ(pp_http2_codec_send_data(&far->s, pp_span(sent, sizeof sent), false, &taken),
                PP_OK);
    PP_CHECK_EQ(taken, sizeof sent);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_EQ(pp_buf_write(&in, &chunks, sent, sizeof sent, SIZE_MAX), PP_OK);
    PP_CHECK_EQ(near->s.held, sizeof sent);
    PP_CHECK_EQ(get(true, 7, &n), PP_OK);
    PP_CHECK_STR(pp_span(got, n), "abcdefg");
    PP_CHECK_EQ(get(true, sizeof got, &n), PP_OK); /* over the borders of chunks */
    PP_CHECK_BYTES(pp_span(got, n), sent + 7, sizeof sent - 7);
    PP_CHECK_EQ(near->s.held, 0);
    PP_CHECK_EQ(get(true, 1, &n), PP_EEOF);
    PP_CHECK_EQ(get(true, 1, &n), PP_EEOF);
    end();
}

PP_TEST_CASE(what_came_before_a_reset_is_read_before_it)
{
    size_t n;
    PP_REQUIRE(begin(NULL));
    PP_CHECK_EQ(pp_buf_write(&in, &chunks, "last", 4, SIZE_MAX), PP_OK);
    pp_http2_codec_reset(&near->s, PP_HTTP2_CANCEL);
    PP_CHECK_EQ(get(false, sizeof got, &n), PP_OK);
    PP_CHECK_STR(pp_span(got, n), "last");
    PP_CHECK_EQ(get(false, 1, &n), PP_ERESET);
    PP_CHECK_EQ(put(2, &n), PP_ERESET);
    pp_h2_chan_send_end(&near->s); /* nothing to say it to */
    end();
}

PP_TEST_CASE(what_the_window_does_not_allow_is_not_taken)
{
    static const struct pp_http2_limits narrow = {.stream_window = 20000};
    size_t n;
    PP_REQUIRE(begin(&narrow));
    far->keeps = true;
    PP_CHECK_EQ(put(30000, &n), PP_OK);
    PP_CHECK_EQ(n, 20000);
    PP_CHECK(!ch.writable);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_EQ(far->got, 20000);
    server.log_n = 0;
    pp_http2_codec_consume(&far->s, 20000);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK_STR(peer_heard(&server), "1 writable\n");
    ch.writable = true;
    PP_CHECK_EQ(put(10000, &n), PP_OK);
    PP_CHECK_EQ(n, 10000);
    PP_CHECK(ch.writable);
    end();
}

PP_TEST_CASE(the_end_is_said_once)
{
    PP_REQUIRE(begin(NULL));
    pp_h2_chan_send_end(&near->s);
    pp_h2_chan_send_end(&near->s);
    PP_CHECK_EQ(peer_settle(&client, &server, 0), PP_OK);
    PP_CHECK(near->s.sent_end && far->s.received_end);
    end();
}

PP_TEST_MAIN()
