// links: proxy/move.c
// links: base/arena.c base/buf.c base/check.c base/err.c base/hash.c base/map.c base/mem.c
// links: base/metric.c base/num.c base/rng.c base/slab.c base/span.c base/statseg.c base/wheel.c
// links: io/chan_tcp.c io/fd.c io/listener.c io/loop.c io/sink.c io/sock.c io/splice.c
// links: proxy/accesslog.c proxy/body.c proxy/cluster.c proxy/down.c proxy/down_h1.c proxy/drive.c
// links: proxy/exchange.c proxy/fault.c proxy/forward.c proxy/h1.c proxy/hook.c proxy/metrics.c
// links: proxy/phase.c proxy/pool.c proxy/reply.c proxy/retry.c proxy/snapshot.c proxy/template.c
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
#include "proxy/core.c"

#include "proxy/rig.h"

static const struct pp_core_sizes sizes = {.down = 100, .exchange = 100, .up = 100, .tunnel = 100};

static bool scenario(void)
{
    static struct pp_core core;
    if (pp_core_init(&core, &sizes, NULL, 0, 0, 1) != PP_OK)
        return false;
    PP_CHECK(core.scratch != NULL && core.bulk != NULL);
    PP_CHECK(pp_list_is_empty(&core.downs));
    pp_core_fini(&core);
    return true;
}

PP_TEST_CASE(memory_may_run_out_at_the_start)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_CASE(a_bad_segment_or_no_descriptors_leave_nothing_behind)
{
    static struct pp_core core;
    static _Alignas(8) char mem[64];
    struct rlimit old, tight;
    long live = pp_mem_live_for_test();
    int before = dup(0);
    PP_CHECK_EQ(pp_core_init(&core, &sizes, mem, sizeof mem, 0, 1), PP_EINVAL);
    getrlimit(RLIMIT_NOFILE, &old);
    for (rlim_t more = 1; more < 4; more++) {
        tight = old;
        tight.rlim_cur = (rlim_t)before + more;
        setrlimit(RLIMIT_NOFILE, &tight);
        PP_CHECK_EQ(pp_core_init(&core, &sizes, NULL, 0, 0, 1), PP_EMFILE);
        setrlimit(RLIMIT_NOFILE, &old);
    }
    int after = dup(0);
    PP_CHECK_EQ(after, before + 1);
    close(before);
    close(after);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_MAIN()
