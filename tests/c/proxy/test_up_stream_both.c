/* Streams to an endpoint whose client speaks HTTP/2 as well. */
#include "proxy/up_stream.c"

#include "proxy/h2_client.h"
#include "proxy/h2_origin.h"

static struct rig r;
static struct h2_client c;
static struct o2 o;

static bool start(const struct rig_conf *of)
{
    struct rig_conf conf = of != NULL ? *of : rig_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    o2_n = 0;
    return rig_start(&r, &conf) && h2_start(&c, &r, NULL);
}

static void done(void)
{
    h2_stop(&c);
    o2_close(&o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_stop(&r);
}

/* Until neither client nor endpoint has anything to say. */
static void settle(void)
{
    for (int i = 0; i < 3; i++) {
        h2_settle(&c);
        o2_step(&o);
    }
    h2_settle(&c);
}

static void trail(struct pp_http2_stream *s, struct pp_arena *a)
{
    struct pp_http_msg m;
    pp_http_msg_init(&m, a);
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("x-sum"), PP_NAME_OTHER, PP_SPAN("7")), PP_OK);
    PP_CHECK_EQ(pp_http2_codec_send_trailers(s, &m), PP_OK);
}

/* A body that was announced as empty may still have trailers. */
static void empty_with_trailers(const struct rig_conf *conf, const char *heard)
{
    static const struct pp_http1_framing nothing = {.body = PP_HTTP_BODY_LENGTH};
    struct pp_http_msg m;
    PP_REQUIRE(start(conf));
    struct peer_stream *s = peer_take(&c.p);
    peer_fill(s, &s->m, NULL);
    s->m.method = PP_SPAN("POST");
    s->m.method_id = PP_HTTP_POST;
    PP_CHECK_EQ(pp_http2_codec_send_request(c.p.h, &s->s, &s->m, PP_SPAN("http"), PP_SPAN("a.test"),
                                            PP_SPAN("/"), &nothing, false),
                PP_OK);
    h2_settle(&c);
    trail(&s->s, &s->arena);
    h2_step(&c);
    o2_accept(&o, &r, 0);
    settle();
    PP_REQUIRE(o2_n == 1);
    struct o2_stream *t = &o2_streams[0];
    PP_CHECK(t->end && t->n == 0);
    const struct pp_http_field *f = pp_http_msg_find(&t->trailers, PP_SPAN("x-sum"));
    PP_CHECK(f != NULL && pp_span_eq(pp_http_field_value(f), PP_SPAN("7")));
    pp_http_msg_init(&m, &t->arena);
    m.status = 200;
    PP_CHECK_EQ(pp_http2_codec_send_response(&t->s, &m, &nothing, false), PP_OK);
    o2_flush(&o);
    settle();
    trail(&t->s, &t->arena);
    o2_flush(&o);
    h2_hear(&c, heard);
    settle();
    PP_CHECK(s->s.received_end && !t->reset);
    done();
}

PP_TEST_CASE(a_refused_upload_is_sent_again)
{
    PP_REQUIRE(start(NULL));
    struct peer_stream *s = h2_post(&c, NULL);
    PP_CHECK_EQ(h2_data(&c, s, PP_SPAN("abc"), false), 3);
    o2_accept(&o, &r, 0);
    settle();
    PP_REQUIRE(o2_n == 1 && o2_streams[0].n == 3);
    pp_http2_codec_reset(&o2_streams[0].s, PP_HTTP2_REFUSED_STREAM);
    o2_flush(&o);
    PP_CHECK_EQ(h2_data(&c, s, PP_SPAN("def"), true), 3);
    settle();
    PP_REQUIRE(o2_n == 2);
    PP_CHECK_STR(pp_span(o2_streams[1].body, o2_streams[1].n), "abcdef");
    PP_CHECK(o2_streams[1].end);
    o2_respond(&o2_streams[1], 200, "hi", true);
    h2_hear(&c, "1 data \"\" end\n");
    done();
}

PP_TEST_CASE(trailers_of_empty_bodies_pass_both_ways)
{
    empty_with_trailers(NULL, "1 trailers\n  x-sum: 7\n");
}

PP_TEST_CASE(trailers_of_empty_bodies_pass_filters)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_REQUEST_BODY | 1u << PP_PHASE_RESPONSE_BODY;
    empty_with_trailers(&conf, "1 trailers\n  x-sum: 7\n");
    conf.buffer_request = conf.buffer_response = 100;
    empty_with_trailers(&conf, "1 trailers\n  x-sum: 7\n");
}

PP_TEST_MAIN()
