#include "proxy/core.h"

#include "base/mem.h"

/* Idle objects kept per slab. An endpoint's input buffer is mostly held within one turn; what an
 * exchange holds while it waits must be there for as many as one worker has in progress. */
#define KEEP_OBJECTS 1024
#define KEEP_INPUTS 128
#define KEEP_CHUNKS 64

int pp_core_init(struct pp_core *core, const struct pp_core_sizes *sizes, void *stats,
                 size_t stats_size, uint32_t slot, uint64_t seed)
{
    memset(core, 0, sizeof(*core));
    core->overload.fd = -1;
    int rc = pp_loop_init(&core->loop, core);
    if (rc != PP_OK)
        return rc;
    pp_slab_init(&core->down_slab, sizes->down, KEEP_OBJECTS);
    pp_slab_init(&core->stream_slab, sizes->stream, KEEP_OBJECTS);
    pp_slab_init(&core->exchange_slab, sizes->exchange, KEEP_OBJECTS);
    pp_slab_init(&core->head_slab, PP_CORE_HEAD_BYTES, KEEP_OBJECTS);
    pp_slab_init(&core->up_slab, sizes->up, KEEP_OBJECTS);
    pp_slab_init(&core->up_stream_slab, sizes->up_stream, KEEP_OBJECTS);
    pp_slab_init(&core->tunnel_slab, sizes->tunnel, KEEP_OBJECTS);
    pp_slab_init(&core->udp_slab, sizes->udp, KEEP_OBJECTS);
    pp_slab_init(&core->input_slab, PP_CORE_INPUT_BYTES, KEEP_INPUTS);
    pp_buf_slab_init(&core->chunk_slab, KEEP_CHUNKS);
    pp_splice_pool_init(&core->splice);
    pp_rng_init(&core->rng, seed);
    core->seed.k0 = pp_rng_next(&core->rng);
    core->seed.k1 = pp_rng_next(&core->rng);
    pp_map_init(&core->addresses, core->seed);
    pp_leases_init(&core->leases, &core->loop, &core->shared, &core->seed);
    pp_list_init(&core->in_use);
    pp_list_init(&core->downs);
    pp_list_init(&core->leaving.queue);
    pp_timer_init(&core->leaving.timer, NULL);
    pp_timer_init(&core->overload.timer, NULL);
    pp_timer_init(&core->warming.timer, NULL);
    pp_list_init(&core->warming.connecting);
    pp_list_init(&core->tunnels);
    pp_list_init(&core->greets);
    pp_list_init(&core->shadows);
    pp_list_init(&core->udp_spare);
    pp_list_init(&core->h2_kinds);
    core->scratch = pp_mem_alloc(PP_CORE_SCRATCH_BYTES);
    core->bulk = pp_mem_alloc(PP_CORE_BULK_BYTES);
    core->feed = pp_mem_alloc(PP_CORE_FEED_BYTES);
    rc = core->scratch == NULL || core->bulk == NULL || core->feed == NULL ? PP_ENOMEM : PP_OK;
    if (rc == PP_OK)
        rc = pp_metrics_init(&core->metrics, stats, stats_size, slot);
    if (rc != PP_OK)
        pp_core_fini(core);
    return rc;
}

void pp_core_fini(struct pp_core *core)
{
    pp_snapshot_release(core->snapshot);
    core->snapshot = NULL;
    pp_map_fini(&core->addresses);
    pp_leases_fini(&core->leases);
    pp_shared_fini(&core->shared);
    pp_splice_pool_fini(&core->splice);
    pp_slab_fini(&core->down_slab);
    pp_slab_fini(&core->stream_slab);
    pp_slab_fini(&core->exchange_slab);
    pp_slab_fini(&core->up_slab);
    pp_slab_fini(&core->up_stream_slab);
    pp_slab_fini(&core->tunnel_slab);
    pp_slab_fini(&core->udp_slab);
    pp_slab_fini(&core->head_slab);
    pp_slab_fini(&core->input_slab);
    pp_slab_fini(&core->chunk_slab);
    pp_metrics_fini(&core->metrics);
    pp_dgram_batch_free(core->replies.batch);
    core->replies.batch = NULL;
    pp_mem_free(core->scratch);
    pp_mem_free(core->bulk);
    pp_mem_free(core->feed);
    core->scratch = core->bulk = core->feed = NULL;
    pp_loop_fini(&core->loop);
}
