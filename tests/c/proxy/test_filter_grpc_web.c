#include "proxy/filter_grpc_web.c"

#include "proxy/h2_origin.h"

#define ASK(type, length)                                                                          \
    "POST /s/m HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: " type                    \
    "\r\nContent-Length: " length "\r\n\r\n"

static struct rig r;
static struct o2 o;
static char got[4096];
static size_t n_got;

static int park_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                     struct pp_span piece, bool last, struct pp_span *out);

/* <phases>: of a filter that parks with the piece it is shown. */
static int begin_with(uint32_t phases, const char *sent)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    conf.cluster.retries = 0;
    conf.route.grpc_web = true;
    conf.phases = phases;
    o2_n = 0;
    if (!rig_start(&r, &conf))
        return -1;
    r.filter[0].body = park_body;
    int c = rig_connect(&r);
    rig_send(&r, c, sent);
    o2_serve(&o, &r, 0);
    return c;
}

static int begin(const char *sent)
{
    return begin_with(0, sent);
}

static void end(int c)
{
    close(c);
    o2_close(&o);
    rig_settle(&r);
    rig_stop(&r);
}

/* The origin answers with <type> and one message, */
static void begin_answer(const char *type)
{
    struct o2_stream *s = &o2_streams[0];
    struct pp_http_msg m;
    struct pp_http1_framing fr = {0};
    size_t taken;
    pp_http_msg_init(&m, &s->arena);
    m.status = 200;
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("content-type"), PP_NAME_CONTENT_TYPE, rig_span(type)),
                PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_response(&s->s, &m, &fr, false), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, pp_span("\0\0\0\0\1x", 6), false, &taken), PP_OK);
    o2_flush(&o);
}

/* and trailers. */
static void answer(const char *type)
{
    struct o2_stream *s = &o2_streams[0];
    struct pp_http_msg trailers;
    begin_answer(type);
    pp_http_msg_init(&trailers, &s->arena);
    PP_CHECK_EQ(pp_http_msg_add(&trailers, PP_SPAN("grpc-status"), PP_NAME_OTHER, PP_SPAN("0")),
                PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(&s->s, &trailers), PP_OK);
    o2_flush(&o);
}

/* All that the client gets, with its chunks joined. */
static void hear(int c)
{
    int how;
    static char raw[4096];
    size_t n = rig_read(&r, c, raw, sizeof raw - 1, &how), at = 0;
    raw[n] = '\0';
    char *body = strstr(raw, "\r\n\r\n");
    n_got = 0;
    PP_REQUIRE(body != NULL);
    body += 4;
    bool chunked = strstr(raw, "Transfer-Encoding: chunked") != NULL;
    memcpy(got, raw, (size_t)(body - raw));
    n_got = (size_t)(body - raw);
    while (chunked && body < raw + n) {
        char *data;
        at = strtoul(body, &data, 16);
        memcpy(got + n_got, data + 2, at);
        n_got += at;
        body = data + 2 + at + 2;
    }
    got[n_got] = '\0';
}

PP_TEST_CASE(binary_calls_get_their_trailers_in_the_body)
{
    int c = begin(ASK("application/grpc-web+proto", "6") "12345\n");
    PP_REQUIRE(o2_n == 1);
    struct o2_stream *s = &o2_streams[0];
    const struct pp_http_field *type = pp_http_msg_find_id(&s->request, PP_NAME_CONTENT_TYPE);
    PP_CHECK_STR(pp_http_field_value(type), "application/grpc+proto");
    PP_CHECK(s->request.te_trailers && s->end);
    PP_CHECK_STR(pp_span(s->body, s->n), "12345\n");
    answer("application/grpc+proto");
    hear(c);
    static const char tail[] = "\r\n\r\n\0\0\0\0\1x\x80\0\0\0\x10grpc-status: 0\r\n";
    PP_CHECK(strstr(got, "content-type: application/grpc-web+proto\r\n") != NULL);
    PP_CHECK(n_got > sizeof tail &&
             memcmp(got + n_got - (sizeof tail - 1), tail, sizeof tail - 1) == 0);
    end(c);
}

PP_TEST_CASE(text_calls_are_base64_both_ways)
{
    int c = begin(ASK("application/grpc-web-text", "12") "YWI=Y2RlZg==");
    PP_REQUIRE(o2_n == 1);
    PP_CHECK_STR(pp_span(o2_streams[0].body, o2_streams[0].n), "abcdef");
    answer("application/grpc");
    hear(c);
    PP_CHECK(strstr(got, "content-type: application/grpc-web-text\r\n") != NULL);
    PP_CHECK(strstr(got, "\r\n\r\nAAAAAAF4gAAAABBncnBjLXN0YXR1czogMA0K") != NULL ||
             strstr(got, "gAAAABBncnBjLXN0YXR1czogMA0K") != NULL);
    end(c);
}

static struct pp_span parked;

static int park_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                     struct pp_span piece, bool last, struct pp_span *out)
{
    parked = piece; /* without a copy, as it may */
    return PP_PARK;
}

PP_TEST_CASE(both_directions_of_a_call_may_have_a_piece_in_hand)
{
    int c = begin_with(1u << PP_PHASE_REQUEST_BODY,
                       ASK("application/grpc-web-text", "24") "YWJjZGVmYWJjZGVmYWJjZGVm");
    PP_REQUIRE(o2_n == 1);
    begin_answer("application/grpc");
    o2_settle(&o);
    PP_CHECK_STR(parked, "abcdefabcdefabcdef");
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, parked);
    o2_settle(&o);
    PP_CHECK_STR(pp_span(o2_streams[0].body, o2_streams[0].n), "abcdefabcdefabcdef");
    end(c);
}

PP_TEST_CASE(text_that_is_no_base64_is_refused)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    conf.route.grpc_web = true;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, ASK("application/grpc-web-text", "4") "YW!=");
    hear(c);
    PP_CHECK(strstr(got, "application/grpc-web-text\r\n") != NULL);
    PP_CHECK(strstr(got, "grpc-status: 2\r\n") != NULL);
    close(c);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(other_types_pass_untouched)
{
    int c = begin(ASK("application/grpc-webby", "4") "YWJj");
    PP_REQUIRE(o2_n == 1);
    PP_CHECK_STR(pp_span(o2_streams[0].body, o2_streams[0].n), "YWJj");
    answer("application/grpc");
    hear(c);
    PP_CHECK(strstr(got, "content-type: application/grpc\r\n") != NULL);
    end(c);
}

PP_TEST_CASE(an_error_page_stays_one)
{
    int c = begin(ASK("application/grpc-web", "0"));
    PP_REQUIRE(o2_n == 1);
    answer("text/html");
    hear(c);
    PP_CHECK(strstr(got, "content-type: text/html\r\n") != NULL);
    PP_CHECK(memcmp(got + n_got - 6, "\0\0\0\0\1x", 6) == 0);
    end(c);
}

PP_TEST_MAIN()
