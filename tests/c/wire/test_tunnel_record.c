#include "wire/tunnel_record.c"

#include "pp_test.h"

static char blob[4096];

static struct pp_tunnel_record sample(void)
{
    struct pp_tunnel_record r = {
        .listener = PP_SPAN("db"),
        .upstream = PP_SPAN("pg"),
        .endpoint = PP_SPAN("pg/10.0.0.7:5432"),
        .family = PP_TUNNEL_RECORD_IP4,
        .ip = {192, 0, 2, 1},
        .port = 40000,
        .attempts = 2,
        .age_us = 5000000,
        .connect_us = 1500,
        .quiet_ms = 1234,
        .flow = {{.sent = UINT64_C(1) << 40, .held = PP_SPAN("select")},
                 {.sent = 77, .source_ended = true, .held = PP_SPAN("rows")}},
    };
    return r;
}

static size_t pack(const struct pp_tunnel_record *r)
{
    size_t n = pp_tunnel_record_encode(r, blob);
    for (int i = 0; i < 2; i++) {
        if (r->flow[i].held.n > 0)
            memcpy(blob + n, r->flow[i].held.p, r->flow[i].held.n);
        n += r->flow[i].held.n;
    }
    PP_CHECK_EQ(n, pp_tunnel_record_size(r));
    return n;
}

static int unpack(size_t n)
{
    struct pp_tunnel_record out;
    return pp_tunnel_record_decode(pp_span(blob, n), &out);
}

PP_TEST_CASE(what_was_written_is_read)
{
    struct pp_tunnel_record in = sample(), out;
    PP_REQUIRE(pp_tunnel_record_decode(pp_span(blob, pack(&in)), &out) == PP_OK);
    PP_CHECK_STR(out.listener, "db");
    PP_CHECK_STR(out.upstream, "pg");
    PP_CHECK_STR(out.endpoint, "pg/10.0.0.7:5432");
    PP_CHECK_EQ(out.family, PP_TUNNEL_RECORD_IP4);
    PP_CHECK(memcmp(out.ip, in.ip, sizeof in.ip) == 0);
    PP_CHECK_EQ(out.port, 40000);
    PP_CHECK_EQ(out.attempts, 2);
    PP_CHECK_EQ(out.age_us, 5000000);
    PP_CHECK_EQ(out.connect_us, 1500);
    PP_CHECK_EQ(out.quiet_ms, 1234);
    PP_CHECK_EQ(out.flow[0].sent, UINT64_C(1) << 40);
    PP_CHECK_EQ(out.flow[1].sent, 77);
    PP_CHECK(!out.flow[0].source_ended && !out.flow[0].shut);
    PP_CHECK(out.flow[1].source_ended && !out.flow[1].shut);
    PP_CHECK_STR(out.flow[0].held, "select");
    PP_CHECK_STR(out.flow[1].held, "rows");
}

/* The layout is a contract between releases: this one is version 1. */
PP_TEST_CASE(the_layout_is_what_it_was)
{
    struct pp_tunnel_record in = sample();
    size_t n = pack(&in);
    static const unsigned char head[] = {'p', 'p', 't', 1, 2,   4, 0x40, 0x9c,
                                         0,   0,   0,   0, 192, 0, 2,    1};
    PP_CHECK_EQ(n, PP_TUNNEL_RECORD_FIXED + 2 + 2 + 16 + 6 + 4);
    PP_CHECK_BYTES(pp_span(blob, sizeof head), (const char *)head, sizeof head);
    PP_CHECK_STR(pp_span(blob + PP_TUNNEL_RECORD_FIXED, n - PP_TUNNEL_RECORD_FIXED),
                 "dbpgpg/10.0.0.7:5432selectrows");
}

PP_TEST_CASE(anything_else_is_refused)
{
    struct pp_tunnel_record in = sample();
    size_t n = pack(&in);
    for (size_t k = 0; k < n; k++)
        PP_CHECK_EQ(unpack(k), PP_EINVAL);
    PP_CHECK_EQ(unpack(n + 1), PP_EINVAL);
    PP_CHECK_EQ(unpack(n), PP_OK);
    blob[3] = PP_TUNNEL_RECORD_VERSION_HTTP; /* lengths that are not there */
    PP_CHECK_EQ(unpack(n), PP_EINVAL);
    blob[3] = PP_TUNNEL_RECORD_VERSION_HTTP + 1;
    PP_CHECK_EQ(unpack(n), PP_EINVAL);
    pack(&in);
    blob[4] |= 0x10; /* a flag that nobody knows */
    PP_CHECK_EQ(unpack(n), PP_EINVAL);
    pack(&in);
    blob[5] = 5; /* a family that nobody knows */
    PP_CHECK_EQ(unpack(n), PP_EINVAL);
    pack(&in);
    blob[16] = 1; /* a fifth byte of IPv4 */
    PP_CHECK_EQ(unpack(n), PP_EINVAL);
}

#define REFUSED(change)                                                                            \
    do {                                                                                           \
        struct pp_tunnel_record r = sample();                                                      \
        change;                                                                                    \
        PP_CHECK_EQ(unpack(pack(&r)), PP_EINVAL);                                                  \
    } while (0)

PP_TEST_CASE(states_that_cannot_be_are_refused)
{
    REFUSED(r.flow[1].shut = true);                       /* with bytes held */
    REFUSED(r.flow[0].held.n = 0; r.flow[0].shut = true); /* without the source's end */
    REFUSED(for (int i = 0; i < 2; i++) {
        r.flow[i].held.n = 0;
        r.flow[i].source_ended = r.flow[i].shut = true;
    });
    REFUSED(r.listener.n = 0);
    REFUSED(r.connect_us = r.age_us + 1);
    REFUSED(r.flow[0].sent = UINT64_MAX);
    REFUSED(r.family = 0);
    REFUSED(r.family = PP_TUNNEL_RECORD_UNIX);
    REFUSED(r.scope = 1);
}

/* No length leads out of the blob, or to more than a tunnel may hold. */
PP_TEST_CASE(lengths_are_bounded)
{
    struct pp_tunnel_record in = sample();
    size_t n = pack(&in);
    for (size_t at = 28; at < PP_TUNNEL_RECORD_FIXED; at++) {
        if (at >= 34 && at < 76)
            continue; /* numbers that are no lengths */
        pack(&in);
        blob[at] ^= 0x41;
        PP_CHECK_EQ(unpack(n), PP_EINVAL);
    }
    static char large[PP_TUNNEL_RECORD_FIXED + 2 + PP_TUNNEL_RECORD_HELD + 1];
    struct pp_tunnel_record r = {.listener = PP_SPAN("db")}, out;
    r.flow[0].held.n = PP_TUNNEL_RECORD_HELD;
    pp_tunnel_record_encode(&r, large);
    PP_CHECK_EQ(pp_tunnel_record_decode(pp_span(large, sizeof large - 1), &out), PP_OK);
    r.flow[0].held.n++;
    pp_tunnel_record_encode(&r, large);
    PP_CHECK_EQ(pp_tunnel_record_decode(pp_span(large, sizeof large), &out), PP_EINVAL);
}

static struct pp_tunnel_record http_sample(void)
{
    struct pp_tunnel_record r = sample();
    r.route = PP_SPAN("chat");
    r.request = PP_SPAN("GET /chat HTTP/1.1\r\nHost: a\r\n\r\n");
    r.response = PP_SPAN("HTTP/1.1 101 Switching Protocols\r\n\r\n");
    r.status = 101;
    r.upstream_status = 101;
    r.first_byte_us = 900;
    return r;
}

PP_TEST_CASE(a_tunnel_that_began_as_a_request_says_so)
{
    struct pp_tunnel_record in = http_sample(), out;
    size_t n = pack(&in);
    static const unsigned char more[] = {4, 0, 101, 0,    101, 0, 31, 0, 0, 0, 36,
                                         0, 0, 0,   0x84, 3,   0, 0,  0, 0, 0, 0};
    PP_CHECK_EQ(blob[3], PP_TUNNEL_RECORD_VERSION_HTTP);
    PP_CHECK_EQ(sizeof more, PP_TUNNEL_RECORD_FIXED_HTTP);
    PP_CHECK_BYTES(pp_span(blob + PP_TUNNEL_RECORD_FIXED, sizeof more), (const char *)more,
                   sizeof more);
    PP_REQUIRE(pp_tunnel_record_decode(pp_span(blob, n), &out) == PP_OK);
    PP_CHECK_STR(out.route, "chat");
    PP_CHECK_STR(out.request, "GET /chat HTTP/1.1\r\nHost: a\r\n\r\n");
    PP_CHECK_STR(out.response, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    PP_CHECK_EQ(out.status, 101);
    PP_CHECK_EQ(out.upstream_status, 101);
    PP_CHECK_EQ(out.first_byte_us, 900);
    PP_CHECK_STR(out.flow[1].held, "rows");
    for (size_t k = 0; k < n; k++)
        PP_CHECK_EQ(unpack(k), PP_EINVAL);
    PP_CHECK_EQ(unpack(n + 1), PP_EINVAL);
    blob[PP_TUNNEL_RECORD_FIXED] = 0; /* without a route it would be version 1 */
    PP_CHECK_EQ(unpack(n), PP_EINVAL);
    pack(&in);
    blob[PP_TUNNEL_RECORD_FIXED + 9] = 1; /* a head of 16 MiB */
    PP_CHECK_EQ(unpack(n), PP_EINVAL);
}

PP_TEST_MAIN()
