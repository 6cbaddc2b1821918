// links: proxy/move.c
// links: base/arena.c base/buf.c base/check.c base/err.c base/hash.c base/map.c base/mem.c
// links: base/metric.c base/num.c base/rng.c base/slab.c base/span.c base/statseg.c base/wheel.c
// links: io/chan_tcp.c io/fd.c io/listener.c io/loop.c io/sink.c io/sock.c io/splice.c
// links: proxy/accesslog.c proxy/body.c proxy/cluster.c proxy/core.c proxy/down.c proxy/down_h1.c
// links: proxy/drive.c proxy/exchange.c proxy/fault.c proxy/forward.c proxy/h1.c proxy/hook.c
// links: proxy/metrics.c proxy/phase.c proxy/reply.c proxy/retry.c proxy/snapshot.c
// links: proxy/template.c proxy/up.c proxy/up_h1.c route/balance.c route/balance_rr.c route/cidr.c
// links: route/pattern.c route/radix.c route/router.c route/router_draft.c route/router_explain.c
// links: wire/http1_body.c wire/http1_emit.c wire/http1_head.c wire/http1_line.c wire/http_msg.c
// links: wire/http_rules.c wire/http_tok.c wire/uri.c worker/builder.c worker/worker.c
// links: route/radix_build.c
// links: proxy/tunnel.c proxy/tunnel_door.c proxy/tunnel_move.c wire/tunnel_record.c
// links: proxy/step.c proxy/step_request.c proxy/step_response.c
// links: base/ip.c proxy/announced.c proxy/greet.c route/names.c wire/clienthello.c
// links: wire/proxyproto.c
// links: proxy/down_h2.c proxy/down_h2_stream.c wire/http2_codec.c wire/http2_codec_feed.c
// links: wire/http2_codec_send.c wire/http2_flood.c wire/http2_msg.c wire/http_priority.c
// libs: nghttp2
#include "proxy/pool.c"

#include "proxy/rig.h"

static struct pp_core core;
static uint64_t words[256];

static struct pp_cluster *make(struct pp_cluster_conf conf)
{
    struct pp_cluster *cl = pp_cluster_new(PP_SPAN("c"), &conf, &pp_balance_rr_ops, 1);
    core.metrics.words = words;
    cl->core = &core;
    return cl;
}

PP_TEST_CASE(the_warmest_connection_is_used_first)
{
    struct pp_cluster *cl = make((struct pp_cluster_conf){.max_idle = 2});
    struct pp_endpoint *ep = &cl->endpoint[0];
    struct pp_pooled p[3];
    for (int i = 0; i < 3; i++)
        pp_pool_init(&p[i], 0);
    PP_CHECK(pp_pool_acquire(ep) == NULL);
    PP_CHECK(pp_pool_release(ep, &p[0], 0) && pp_pool_release(ep, &p[1], 0));
    PP_CHECK(!pp_pool_release(ep, &p[2], 0)); /* full */
    PP_CHECK_EQ(ep->n_idle, 2);
    PP_CHECK_EQ(words[PP_METRIC_WORD(UPSTREAM, IDLE)], 2);
    PP_CHECK(pp_pool_acquire(ep) == &p[1]);
    PP_CHECK(pp_pool_release(ep, &p[2], 0));
    pp_pool_detach(ep, &p[2]);
    PP_CHECK(pp_pool_acquire(ep) == &p[0]);
    PP_CHECK_EQ(ep->n_idle, 0);
    PP_CHECK_EQ(words[PP_METRIC_WORD(UPSTREAM, IDLE)], 0);
    pp_cluster_unref(cl);
}

PP_TEST_CASE(the_old_and_the_used_up_are_refused)
{
    struct pp_cluster *cl =
        make((struct pp_cluster_conf){.max_idle = 2, .max_age_ms = 100, .max_requests = 3});
    struct pp_endpoint *ep = &cl->endpoint[0];
    struct pp_pooled p;
    pp_pool_init(&p, 1000);
    PP_CHECK(!pp_pool_release(ep, &p, 1100));
    PP_CHECK(pp_pool_release(ep, &p, 1099));
    PP_CHECK(pp_pool_acquire(ep) == &p);
    p.uses = 3;
    PP_CHECK(!pp_pool_release(ep, &p, 1001));
    pp_cluster_unref(cl);
}

PP_TEST_MAIN()
