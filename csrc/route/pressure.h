/* How hard pressed a worker is, from what was measured of one resource. Pure.
 *
 *   NONE ◄──► STOP_KEEP_ALIVE ◄──► SHED       up: at once, to the highest threshold that is reached
 *                                             down: after PP_PRESSURE_CALM_MS below 90 % of it
 *
 * The lag of an event loop is how late its timers run. What is judged is its mean, in which the
 * past fades with PP_PRESSURE_FADE_MS and a time counts by its length: one stall of 10 ms among
 * seconds is nothing, a whole second of them is. */
#ifndef PP_ROUTE_PRESSURE_H
#define PP_ROUTE_PRESSURE_H

#include "base/defs.h"

#define PP_PRESSURE_CALM_MS 1000
#define PP_PRESSURE_FADE_MS 500

enum pp_pressure_level {
    PP_PRESSURE_NONE = 0,
    PP_PRESSURE_STOP_KEEP_ALIVE = 1, /* connections end with their present exchange */
    PP_PRESSURE_SHED = 2,            /* new requests are refused, too */
    PP_PRESSURE_LEVELS = 3
};

/* From which value on each level holds; 0: never. at[PP_PRESSURE_NONE] is not looked at. */
struct pp_pressure_conf {
    uint64_t at[PP_PRESSURE_LEVELS];
};

/* Zeroed: none. */
struct pp_pressure {
    uint8_t level;     /* enum pp_pressure_level */
    uint64_t since_ms; /* since when the value is low enough for a lower level; 0: it is not */
};

/* Zeroed: none has been. */
struct pp_pressure_lag {
    uint64_t mean_us;
};

static inline bool pp_pressure_is_watched(const struct pp_pressure_conf *c)
{
    return (c->at[PP_PRESSURE_STOP_KEEP_ALIVE] | c->at[PP_PRESSURE_SHED]) != 0;
}

/* <value> was measured at <now_ms>, not 0. True: the level has changed. */
bool pp_pressure_note(struct pp_pressure *p, const struct pp_pressure_conf *c, uint64_t value,
                      uint64_t now_ms);

/* A timer ran <late_us> late, <span_us> after the one before. Stalls of more than twice the
 * highest threshold of <c> (microseconds) count as that: they do not echo for longer. */
void pp_pressure_add_lag(struct pp_pressure_lag *lag, const struct pp_pressure_conf *c,
                         uint64_t late_us, uint64_t span_us);

#endif
