#include "proxy/snapshot.h"

#include "base/mem.h"
#include "io/sink.h"

/* Routes are many and small: the arena's blocks come from the heap, and only the configuration
 * bounds them. */
#define SNAPSHOT_BYTES_MAX ((size_t)4 << 30)

struct pp_snapshot *pp_snapshot_new(void)
{
    struct pp_snapshot *sn = pp_mem_zalloc(sizeof(*sn));
    if (sn == NULL)
        return NULL;
    sn->refs = 1;
    pp_list_init(&sn->in_use);
    pp_arena_init(&sn->arena, NULL, 0, SNAPSHOT_BYTES_MAX);
    return sn;
}

void pp_snapshot_unref(struct pp_snapshot *sn)
{
    if (sn == NULL || --sn->refs > 0)
        return;
    pp_router_free(sn->router);
    pp_arena_fini(&sn->arena);
    pp_mem_free(sn);
}

void pp_snapshot_close_logs(struct pp_snapshot *sn)
{
    for (uint32_t i = 0; i < sn->n_log; i++) {
        if (sn->log[i]->sink == NULL)
            continue;
        pp_sink_close(sn->log[i]->sink);
        pp_mem_free(sn->log[i]->sink);
        sn->log[i]->sink = NULL;
    }
}

void pp_snapshot_release(struct pp_snapshot *sn)
{
    if (sn == NULL)
        return;
    if (--sn->users == 0) {
        pp_list_detach(&sn->in_use);
        pp_snapshot_close_logs(sn);
    }
    pp_snapshot_unref(sn);
}

static const char *const phase_names[PP_PHASE_COUNT] = {
#define PP_PHASE_TEXT(phase, name) name,
    PP_PHASE_LIST(PP_PHASE_TEXT)
#undef PP_PHASE_TEXT
};

const char *pp_snapshot_phase_name(enum pp_phase phase)
{
    return phase_names[phase];
}

int pp_snapshot_phase_find(struct pp_span name)
{
    for (int i = 0; i < PP_PHASE_COUNT; i++) {
        if (pp_span_eq(name, pp_span(phase_names[i], strlen(phase_names[i]))))
            return i;
    }
    return -1;
}
