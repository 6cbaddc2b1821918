// links: proxy/move.c
// links: base/arena.c base/buf.c base/check.c base/err.c base/hash.c base/map.c base/mem.c
// links: base/metric.c base/num.c base/rng.c base/slab.c base/span.c base/statseg.c base/wheel.c
// links: io/chan_tcp.c io/fd.c io/listener.c io/loop.c io/sink.c io/sock.c io/splice.c
// links: proxy/accesslog.c proxy/body.c proxy/cluster.c proxy/core.c proxy/down.c proxy/down_h1.c
// links: proxy/drive.c proxy/exchange.c proxy/fault.c proxy/forward.c proxy/h1.c proxy/hook.c
// links: proxy/metrics.c proxy/phase.c proxy/pool.c proxy/reply.c proxy/retry.c proxy/template.c
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
#include "proxy/snapshot.c"

#include "proxy/rig.h"

static unsigned released;

static void release(void *arg)
{
    released++;
}

PP_TEST_CASE(the_last_reference_runs_the_clean_ups)
{
    long live = pp_mem_live_for_test();
    struct pp_snapshot *sn = pp_snapshot_new();
    PP_REQUIRE(sn != NULL);
    PP_CHECK_EQ(pp_arena_on_reset(&sn->arena, release, NULL), PP_OK);
    PP_CHECK(pp_snapshot_ref(sn) == sn);
    pp_snapshot_unref(sn);
    PP_CHECK_EQ(released, 0);
    pp_snapshot_unref(sn);
    PP_CHECK_EQ(released, 1);
    pp_snapshot_unref(NULL);
    pp_snapshot_release(NULL);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(phases_have_their_names)
{
    for (int phase = 0; phase < PP_PHASE_COUNT; phase++)
        PP_CHECK_EQ(pp_snapshot_phase_find(rig_span(pp_snapshot_phase_name((enum pp_phase)phase))),
                    phase);
    PP_CHECK_EQ(pp_snapshot_phase_find(PP_SPAN("early_request")), PP_PHASE_EARLY_REQUEST);
    PP_CHECK_EQ(pp_snapshot_phase_find(PP_SPAN("nothing")), -1);
    PP_CHECK_EQ(pp_snapshot_phase_find(PP_SPAN_NONE), -1);
}

static bool scenario(void)
{
    struct pp_snapshot *sn = pp_snapshot_new();
    pp_snapshot_unref(sn);
    return sn != NULL;
}

PP_TEST_CASE(memory_may_run_out)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_MAIN()
