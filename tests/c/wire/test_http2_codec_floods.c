/* Peers that cause work and do none: each flood ends the connection, under its name, with GOAWAY
 * ENHANCE_YOUR_CALM; and what honest peers do is none. Frames are written by hand. */
#include "http2_peer.h"

static struct peer server;

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define GET                                                                                        \
    "\x82\x87\x84\x41\x01"                                                                         \
    "a"
#define POST                                                                                       \
    "\x83\x87\x84\x41\x01"                                                                         \
    "a"
enum { DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION };

static bool connect_to_server(const struct pp_http2_limits *limits)
{
    if (!peer_start(&server, PP_HTTP2_SERVER, limits)) {
        return false;
    }
    server.quiet = true;
    server.now_ms = 1000;
    return pp_http2_codec_feed(server.h, PREFACE, sizeof(PREFACE) - 1, 1000) == PP_OK;
}

static int send_frame(unsigned type, unsigned flags, uint32_t id, const void *p, size_t n)
{
    static char frame[9 + 70000];
    unsigned char head[9] = {
        (unsigned char)(n >> 16),  (unsigned char)(n >> 8),  (unsigned char)n,
        (unsigned char)type,       (unsigned char)flags,     0,
        (unsigned char)(id >> 16), (unsigned char)(id >> 8), (unsigned char)id};

    memcpy(frame, head, 9);
    memcpy(frame + 9, p, n);
    return pp_http2_codec_feed(server.h, frame, 9 + n, server.now_ms);
}

#define FRAME(type, flags, id, literal) send_frame(type, flags, id, literal, sizeof(literal) - 1)

static char said[1 << 20]; /* what the server said last */
static size_t said_n;

/* The socket takes all that there is to send. */
static void flush(void)
{
    for (size_t n; (n = peer_output(&server, said, sizeof(said))) > 0;) {
        said_n = n;
    }
}

/* Does the output end with GOAWAY ENHANCE_YOUR_CALM? */
static bool is_calmed(void)
{
    flush();
    return said_n >= 17 && said[said_n - 17 + 3] == GOAWAY &&
           memcmp(said + said_n - 4, "\0\0\0\x0b", 4) == 0;
}

/* Do <step> until the connection is over: after <least> to <most> times, as the flood <kind>. */
#define CHECK_FLOOD(kind, least, most, step)                                                       \
    do {                                                                                           \
        unsigned times = 0;                                                                        \
        int rc = PP_OK;                                                                            \
        for (; rc == PP_OK && times < 20000; times++) {                                            \
            rc = (step);                                                                           \
        }                                                                                          \
        PP_CHECK_EQ(rc, PP_EEND);                                                                  \
        PP_CHECK(times >= (least) && times <= (most));                                             \
        PP_CHECK_EQ(pp_http2_codec_flood(server.h), kind);                                         \
        PP_CHECK(pp_http2_codec_is_over(server.h));                                                \
        PP_CHECK(is_calmed());                                                                     \
        PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_ENHANCE_YOUR_CALM);                   \
        PP_CHECK_EQ(FRAME(PING, 0, 0, "12345678"), PP_EEND);                                       \
        peer_stop(&server);                                                                        \
    } while (0)

static uint32_t next_id;

static struct peer_stream *newest(void)
{
    return &server.streams[server.n_streams - 1];
}

/* Streams are used once, their storage again. */
static void recycle(void)
{
    while (server.n_streams > 0 && !newest()->s.codec) {
        pp_arena_fini(&newest()->arena);
        server.n_streams--;
    }
}

static int open_and_reset(bool answer)
{
    int rc = FRAME(HEADERS, 5, next_id, GET);

    if (rc == PP_OK && answer) {
        (void)!peer_respond(newest(), 200, NULL, NULL, false);
    }
    rc = rc == PP_OK ? FRAME(RST, 0, next_id, "\0\0\0\x08") : rc;
    next_id += 2;
    recycle();
    flush();
    return rc;
}

PP_TEST_CASE(rapid_reset)
{
    next_id = 1;
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_RAPID_RESET, 200, 202, open_and_reset(false));
    next_id = 1;
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_RAPID_RESET, 800, 802, open_and_reset(true));
}

PP_TEST_CASE(resets_now_and_then_are_no_flood)
{
    next_id = 1;
    PP_REQUIRE(connect_to_server(NULL));
    for (int i = 0; i < 3000; i++) {
        server.now_ms += 60;
        PP_CHECK_EQ(open_and_reset(false), PP_OK);
    }
    peer_stop(&server);
}

/* The peer makes the server reset its streams: a window that is opened too far. */
static int make_reset(void)
{
    int rc = FRAME(HEADERS, 4, next_id, POST);

    rc = rc == PP_OK ? FRAME(WINDOW, 0, next_id, "\x7f\xff\xff\xff") : rc;
    next_id += 2;
    recycle();
    flush();
    return rc;
}

/* The same by a malformed message: a body that is too long. */
static int make_reject(void)
{
    int rc = FRAME(HEADERS, 4, next_id,
                   POST "\x5c\x01"
                        "3");

    rc = rc == PP_OK ? FRAME(DATA, 0, next_id, "abcd") : rc;
    next_id += 2;
    recycle();
    flush();
    return rc;
}

PP_TEST_CASE(made_you_reset)
{
    next_id = 1;
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_MADE_RESET, 100, 102, make_reset());
    next_id = 1;
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_MADE_RESET, 100, 102, make_reject());
}

PP_TEST_CASE(continuation)
{
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(HEADERS, 1, 1, GET), PP_OK);
    CHECK_FLOOD(PP_HTTP2_FLOOD_CONTINUATION, 9, 9, FRAME(CONTINUATION, 0, 1, "\x00\x01x\x01y"));
    /* As many as a head of the largest size needs are none. */
    PP_REQUIRE(connect_to_server(NULL));
    for (uint32_t id = 1; id < 40; id += 2) {
        PP_CHECK_EQ(FRAME(HEADERS, 1, id, GET), PP_OK);
        for (int i = 0; i < 7; i++) {
            PP_CHECK_EQ(FRAME(CONTINUATION, 0, id, "\x00\x01x\x01y"), PP_OK);
        }
        PP_CHECK_EQ(FRAME(CONTINUATION, 4, id, ""), PP_OK);
        PP_CHECK_EQ(newest()->m.n_field, 8);
    }
    peer_stop(&server);
}

static int settings(void)
{
    flush();
    return FRAME(SETTINGS, 0, 0, "\0\3\0\0\0\x64");
}

static int ping(bool reads)
{
    if (reads) {
        flush();
    }
    return FRAME(PING, 0, 0, "12345678");
}

PP_TEST_CASE(settings_and_pings)
{
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_SETTINGS, 49, 51, settings());
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_PING, 500, 502, ping(true));
}

PP_TEST_CASE(answers_that_nobody_reads)
{
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_OUTPUT, 990, 1002, (server.now_ms += 30, ping(false)));
}

PP_TEST_CASE(frames_without_content)
{
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(HEADERS, 4, 1, POST), PP_OK);
    CHECK_FLOOD(PP_HTTP2_FLOOD_EMPTY, 200, 202, FRAME(DATA, 0, 1, ""));
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(HEADERS, 4, 1, POST), PP_OK);
    CHECK_FLOOD(PP_HTTP2_FLOOD_EMPTY, 200, 202, FRAME(DATA, 8, 1, "\x03\0\0\0"));
}

/* A body goes on coming after its stream was reset: for a while, but not for ever. */
PP_TEST_CASE(frames_for_nobody)
{
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(HEADERS, 4, 1, POST), PP_OK);
    pp_http2_codec_reset(&newest()->s, PP_HTTP2_CANCEL);
    CHECK_FLOOD(PP_HTTP2_FLOOD_EMPTY, 200, 202, FRAME(DATA, 0, 1, ""));
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(HEADERS, 4, 1, POST), PP_OK);
    pp_http2_codec_reset(&newest()->s, PP_HTTP2_CANCEL);
    CHECK_FLOOD(PP_HTTP2_FLOOD_EMPTY, 800, 802, FRAME(DATA, 0, 1, "some bytes"));
}

PP_TEST_CASE(priorities_and_unknown_frames)
{
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_PRIORITY, 500, 502, FRAME(PRIORITY, 0, 3, "\0\0\0\1\x10"));
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_PRIORITY, 500, 502, FRAME(0x10, 0, 0, "\0\0\0\1u=1"));
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_UNKNOWN, 200, 202, FRAME(0x77, 0, 0, "x"));
}

PP_TEST_CASE(window_updates)
{
    PP_REQUIRE(connect_to_server(NULL));
    CHECK_FLOOD(PP_HTTP2_FLOOD_WINDOW_UPDATE, 1000, 1002, FRAME(WINDOW, 0, 0, "\0\0\0\1"));
}

static int tiny_window(void)
{
    static char body[100000];
    size_t taken;

    (void)!pp_http2_codec_send_data(&server.streams[0].s, pp_span(body, sizeof(body)), true,
                                    &taken);
    flush();
    return FRAME(WINDOW, 0, 1, "\0\0\0\1");
}

PP_TEST_CASE(windows_of_a_byte)
{
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(SETTINGS, 0, 0, "\0\4\0\0\0\1"), PP_OK);
    PP_CHECK_EQ(FRAME(HEADERS, 5, 1, GET), PP_OK);
    PP_CHECK_EQ(peer_respond(&server.streams[0], 200, NULL, NULL, false), PP_OK);
    CHECK_FLOOD(PP_HTTP2_FLOOD_TINY_WINDOW, 200, 203, tiny_window());
}

PP_TEST_CASE(hpack_bomb)
{
    /* One field of 4,000 bytes goes into the table, and then one byte each names it again. */
    static char block[16000] = GET "\x40\x01x\x7f\xa1\x1e";
    size_t n = sizeof(GET "\x40\x01x\x7f\xa1\x1e") - 1;
    struct pp_http2_limits limits = {.head_bytes = 20000};

    memset(block + n, 'y', 4000);
    memset(block + n + 4000, 0xbe, sizeof(block) - n - 4000);
    PP_REQUIRE(connect_to_server(&limits));
    CHECK_FLOOD(PP_HTTP2_FLOOD_HEADER_LIST, 1, 1, send_frame(HEADERS, 5, 1, block, sizeof(block)));
    /* A little too much is an error of one request only. */
    PP_REQUIRE(connect_to_server(&limits));
    server.quiet = false;
    PP_CHECK_EQ(send_frame(HEADERS, 5, 1, block, n + 4000 + 5), PP_OK);
    PP_CHECK_STR(peer_heard(&server), "1 bad head head_too_large\n");
    PP_CHECK_EQ(peer_respond(newest(), 431, NULL, NULL, true), PP_OK);
    pp_http2_codec_release(&newest()->s);
    PP_CHECK_EQ(FRAME(HEADERS, 5, 3, GET), PP_OK);
    PP_CHECK(newest()->s.head_done);
    peer_stop(&server);
}

/* Frames on streams that are closed, or that were skipped, end the connection (RFC 9113
 * section 5.1); but not on those that we have reset, where they may have been on their way. */
PP_TEST_CASE(frames_on_closed_streams)
{
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(HEADERS, 5, 5, GET), PP_OK);
    PP_CHECK_EQ(FRAME(HEADERS, 5, 3, GET), PP_EEND);
    PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_STREAM_CLOSED);
    peer_stop(&server);

    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(HEADERS, 4, 1, POST), PP_OK);
    PP_CHECK_EQ(FRAME(RST, 0, 1, "\0\0\0\x08"), PP_OK);
    PP_CHECK_EQ(FRAME(DATA, 0, 1, "abc"), PP_EEND);
    PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_STREAM_CLOSED);
    peer_stop(&server);

    PP_REQUIRE(connect_to_server(NULL));
    for (uint32_t id = 1; id < 100; id += 2) {
        PP_CHECK_EQ(FRAME(HEADERS, 4, id, POST), PP_OK);
        pp_http2_codec_reset(&newest()->s, PP_HTTP2_CANCEL);
    }
    for (uint32_t id = 1; id < 100; id += 2) {
        server.now_ms += 20;
        PP_CHECK_EQ(FRAME(DATA, 0, id, "abc"), PP_OK);
        PP_CHECK_EQ(FRAME(HEADERS, 5, id, "\x00\x01x\x01y"), PP_OK);
    }
    /* Refused in the same piece of input, the reset not written yet. */
    server.refuses = true;
    PP_CHECK_EQ(FRAME(HEADERS, 4, 101, POST), PP_OK);
    PP_CHECK_EQ(FRAME(DATA, 0, 101, "abc"), PP_OK);
    peer_stop(&server);
}

PP_TEST_CASE(priorities_of_nothing_and_of_themselves)
{
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(PRIORITY, 0, 0, "\0\0\0\1\x10"), PP_EEND);
    PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_PROTOCOL_ERROR);
    peer_stop(&server);
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(PRIORITY, 0, 3, "\0\0\0\1\x10"), PP_OK);
    PP_CHECK_EQ(FRAME(PRIORITY, 0, 3, "\x80\0\0\3\x10"), PP_EEND);
    PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_PROTOCOL_ERROR);
    peer_stop(&server);
    PP_REQUIRE(connect_to_server(NULL));
    PP_CHECK_EQ(FRAME(PRIORITY, 0, 3, "\0\0\0"), PP_EEND); /* too short */
    PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_FRAME_SIZE_ERROR);
    peer_stop(&server);
}

PP_TEST_CASE(a_bad_preface_ends_the_connection)
{
    PP_REQUIRE(peer_start(&server, PP_HTTP2_SERVER, NULL));
    PP_CHECK_EQ(pp_http2_codec_feed(server.h, "PRI * HTTP/3.0\r\n", 16, 0), PP_EEND);
    PP_CHECK_EQ(pp_http2_codec_error(server.h), PP_HTTP2_PROTOCOL_ERROR);
    PP_CHECK(pp_http2_codec_is_over(server.h));
    peer_stop(&server);
}

PP_TEST_CASE(what_honest_peers_do_is_no_flood)
{
    static char body[16384];

    PP_REQUIRE(connect_to_server(NULL));
    for (uint32_t id = 1; id < 4001; id += 2) {
        size_t taken;
        PP_CHECK_EQ(FRAME(HEADERS, 5, id, GET), PP_OK);
        PP_CHECK_EQ(FRAME(PRIORITY, 0, id, "\0\0\0\0\x10"), PP_OK);
        PP_CHECK_EQ(peer_respond(newest(), 200, NULL, NULL, false), PP_OK);
        for (int i = 0; i < 4; i++) {
            PP_CHECK_EQ(
                pp_http2_codec_send_data(&newest()->s, pp_span(body, sizeof(body)), i == 3, &taken),
                PP_OK);
            PP_CHECK_EQ(taken, sizeof(body));
            if (i == 3) {
                break;
            }
            PP_CHECK_EQ(FRAME(WINDOW, 0, 0, "\0\0\x40\0"), PP_OK);
            PP_CHECK_EQ(FRAME(WINDOW, 0, id, "\0\0\x40\0"), PP_OK);
            PP_CHECK_EQ(FRAME(PING, 0, 0, "12345678"), PP_OK);
            flush();
        }
        PP_CHECK_EQ(FRAME(WINDOW, 0, 0, "\0\0\x40\0"), PP_OK);
        flush();
        pp_http2_codec_release(&newest()->s);
        recycle();
    }
    PP_CHECK_EQ(pp_http2_codec_flood(server.h), PP_HTTP2_FLOOD_NONE);
    peer_stop(&server);
}

PP_TEST_MAIN()
