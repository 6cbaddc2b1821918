#include "proxy/overload.h"

#include "io/fd.h"
#include "io/memory.h"
#include "proxy/hook.h"
#include "proxy/move.h"

static const struct pp_overload_conf *conf_of(const struct pp_core *core)
{
    return &core->snapshot->overload;
}

static uint64_t interval_ms(const struct pp_overload_conf *c)
{
    const uint64_t *at = c->lag.at;
    uint64_t us = at[PP_PRESSURE_STOP_KEEP_ALIVE] != 0 ? at[PP_PRESSURE_STOP_KEEP_ALIVE]
                                                       : at[PP_PRESSURE_SHED];
    if (us == 0)
        return PP_OVERLOAD_MEMORY_MS;
    return PP_MAX(PP_MIN(us / 4000, PP_OVERLOAD_LAG_MOST_MS), PP_OVERLOAD_LAG_LEAST_MS);
}

/* ---- what it leads to ---- */

static void show(struct pp_core *core)
{
    const struct pp_overload *o = &core->overload;
    uint64_t *w = core->metrics.words + core->metrics.fallback[PP_METRIC_WORKER];
    for (uint8_t level = PP_PRESSURE_STOP_KEEP_ALIVE; level < PP_PRESSURE_LEVELS; level++) {
        uint8_t at = (uint8_t)(level - PP_PRESSURE_STOP_KEEP_ALIVE);
        w[PP_METRIC_WORD(WORKER, OVERLOAD_MEMORY_STOP) + at] = o->memory.level == level;
        w[PP_METRIC_WORD(WORKER, OVERLOAD_LAG_STOP) + at] = o->lag.level == level;
    }
    w[PP_METRIC_WORD(WORKER, MEMORY)] = o->resident;
    w[PP_METRIC_WORD(WORKER, LAG_US)] = o->lateness.mean_us;
}

static void settle(struct pp_core *core)
{
    struct pp_overload *o = &core->overload;
    uint8_t was = o->level;
    o->level = PP_MAX(o->memory.level, o->lag.level);
    if ((o->level != PP_PRESSURE_NONE) != (was != PP_PRESSURE_NONE))
        pp_move_relieve(core, o->level != PP_PRESSURE_NONE);
}

static void tell(const struct pp_core *core, bool lag, const struct pp_pressure *p, uint64_t value)
{
    if (core->hook != NULL && core->hook->pressed != NULL)
        core->hook->pressed(core->hook_owner, lag, (enum pp_pressure_level)p->level, value);
}

/* ---- measuring ---- */

static void measure_memory(struct pp_core *core)
{
    struct pp_overload *o = &core->overload;
    uint64_t now = core->loop.now_ms;
    o->memory_due_ms = now + PP_OVERLOAD_MEMORY_MS;
    /* What cannot be measured for want of a descriptor is as it was. */
    if (pp_memory_resident(&o->fd, &o->resident) != PP_OK)
        return;
    if (pp_pressure_note(&o->memory, &conf_of(core)->memory, o->resident, now))
        tell(core, false, &o->memory, o->resident);
    if (o->memory.level != PP_PRESSURE_NONE && now >= o->trim_due_ms) {
        o->trim_due_ms = now + PP_OVERLOAD_TRIM_MS;
        pp_memory_trim();
    }
}

static void measure_lag(struct pp_core *core, uint64_t due_ms)
{
    struct pp_overload *o = &core->overload;
    uint64_t now_us = core->loop.now_us, due_us = due_ms * 1000;
    const struct pp_pressure_conf *c = &conf_of(core)->lag;
    pp_pressure_add_lag(&o->lateness, c, now_us > due_us ? now_us - due_us : 0,
                        now_us - o->last_us);
    if (pp_pressure_note(&o->lag, c, o->lateness.mean_us, core->loop.now_ms))
        tell(core, true, &o->lag, o->lateness.mean_us);
}

static void on_timer(struct pp_timer *t)
{
    struct pp_overload *o = PP_CONTAINER_OF(t, struct pp_overload, timer);
    struct pp_core *core = PP_CONTAINER_OF(o, struct pp_core, overload);
    const struct pp_overload_conf *c = conf_of(core);
    if (pp_pressure_is_watched(&c->lag))
        measure_lag(core, t->due_ms);
    if (pp_pressure_is_watched(&c->memory) && core->loop.now_ms >= o->memory_due_ms)
        measure_memory(core);
    settle(core);
    show(core);
    o->last_us = core->loop.now_us;
    pp_loop_start(&core->loop, t, core->loop.now_ms + interval_ms(c));
}

/* ---- life ---- */

/* Nobody looks at it any more. */
static void forget(struct pp_core *core, bool lag, struct pp_pressure *p)
{
    bool was = p->level != PP_PRESSURE_NONE;
    *p = (struct pp_pressure){0};
    if (was)
        tell(core, lag, p, 0);
}

void pp_overload_apply(struct pp_core *core)
{
    struct pp_overload *o = &core->overload;
    const struct pp_overload_conf *c = conf_of(core);
    bool memory = pp_pressure_is_watched(&c->memory), lag = pp_pressure_is_watched(&c->lag);
    if (!memory) {
        o->resident = 0;
        forget(core, false, &o->memory);
    }
    if (!lag) {
        o->lateness.mean_us = 0;
        forget(core, true, &o->lag);
    }
    settle(core);
    show(core);
    pp_overload_stop(core);
    if (!memory && !lag)
        return;
    o->timer.fn = on_timer;
    o->last_us = core->loop.now_us;
    o->memory_due_ms = 0;
    pp_loop_start(&core->loop, &o->timer, core->loop.now_ms + interval_ms(c));
}

void pp_overload_stop(struct pp_core *core)
{
    pp_loop_stop(&core->loop, &core->overload.timer);
    pp_fd_close(&core->overload.fd);
}
