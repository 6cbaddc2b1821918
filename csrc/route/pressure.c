#include "route/pressure.h"

/* The highest level whose threshold, in <percent>, <value> has reached. */
static uint8_t level_of(const struct pp_pressure_conf *c, uint64_t value, unsigned percent)
{
    for (uint8_t level = PP_PRESSURE_LEVELS - 1; level > PP_PRESSURE_NONE; level--) {
        uint64_t at = c->at[level];
        if (at != 0 && value >= at - at / 100 * (100 - percent))
            return level;
    }
    return PP_PRESSURE_NONE;
}

bool pp_pressure_note(struct pp_pressure *p, const struct pp_pressure_conf *c, uint64_t value,
                      uint64_t now_ms)
{
    uint8_t level = level_of(c, value, 100);
    if (level > p->level) {
        *p = (struct pp_pressure){.level = level};
        return true;
    }
    level = level_of(c, value, 90);
    if (level >= p->level) {
        p->since_ms = 0;
        return false;
    }
    if (p->since_ms == 0)
        p->since_ms = now_ms;
    if (now_ms - p->since_ms < PP_PRESSURE_CALM_MS)
        return false;
    *p = (struct pp_pressure){.level = level};
    return true;
}

void pp_pressure_add_lag(struct pp_pressure_lag *lag, const struct pp_pressure_conf *c,
                         uint64_t late_us, uint64_t span_us)
{
    const uint64_t fade = PP_PRESSURE_FADE_MS * (uint64_t)1000;
    uint64_t most = 2 * PP_MAX(c->at[PP_PRESSURE_STOP_KEEP_ALIVE], c->at[PP_PRESSURE_SHED]);
    uint64_t late = PP_MIN(late_us, most), span = PP_MIN(span_us, 100 * fade);
    lag->mean_us = (lag->mean_us * fade + late * span) / (fade + span);
}
