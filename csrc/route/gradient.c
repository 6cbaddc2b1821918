#include "route/gradient.h"

/* ---- times in classes ---- */

/* Below two steps exact; above, the leading bits. What is longer than all is of the last class. */
static uint32_t class_of(uint64_t us)
{
    uint32_t octave = 0;
    while (us >= 2 * PP_GRADIENT_STEPS) {
        us >>= 1;
        octave++;
    }
    uint64_t i = octave * PP_GRADIENT_STEPS + us;
    return (uint32_t)PP_MIN(i, PP_GRADIENT_CLASSES - 1);
}

/* The longest time of a class. */
static uint64_t time_of(uint32_t i)
{
    if (i < 2 * PP_GRADIENT_STEPS)
        return i;
    uint32_t octave = i / PP_GRADIENT_STEPS - 1;
    uint64_t step = i - octave * PP_GRADIENT_STEPS;
    return ((step + 1) << octave) - 1;
}

static uint64_t percentile(const struct pp_gradient *g, const struct pp_gradient_conf *c)
{
    uint64_t below = 0, want = ((uint64_t)g->n * c->percentile + 99) / 100;
    for (uint32_t i = 0; i < PP_GRADIENT_CLASSES; i++) {
        below += g->count[i];
        if (below >= want)
            return PP_MAX(time_of(i), 1u);
    }
    return time_of(PP_GRADIENT_CLASSES - 1);
}

static void forget(struct pp_gradient *g)
{
    g->n = 0;
    memset(g->count, 0, sizeof(g->count));
}

/* ---- the limit ---- */

static uint32_t root_of(uint32_t n)
{
    uint32_t root = 0;
    while ((uint64_t)(root + 1) * (root + 1) <= n)
        root++;
    return root;
}

static uint32_t bounded(const struct pp_gradient_conf *c, uint64_t limit)
{
    return (uint32_t)PP_MAX(PP_MIN(limit, c->most), c->least);
}

/* In thousandths. */
static uint64_t gradient_of(const struct pp_gradient *g, const struct pp_gradient_conf *c,
                            uint64_t sample_us)
{
    uint64_t gradient = g->min_rtt_us * (100 + c->buffer_percent) * 10 / sample_us;
    return PP_MAX(PP_MIN(gradient, 2000u), 500u);
}

static void measure(struct pp_gradient *g, const struct pp_gradient_conf *c, uint64_t now_us)
{
    forget(g);
    g->measures = true;
    g->kept = g->limit;
    g->limit = c->least;
    g->began_us = now_us;
    g->stuck = 0;
}

void pp_gradient_start(struct pp_gradient *g, const struct pp_gradient_conf *c, uint64_t now_us)
{
    measure(g, c, now_us);
}

void pp_gradient_bound(struct pp_gradient *g, const struct pp_gradient_conf *c)
{
    g->limit = g->measures ? c->least : bounded(c, g->limit);
}

static void end_measuring(struct pp_gradient *g, const struct pp_gradient_conf *c, uint64_t now_us,
                          uint64_t chance)
{
    uint64_t jitter_us = (uint64_t)c->min_rtt_ms * c->jitter_percent * 10;
    g->min_rtt_us = percentile(g, c);
    g->measures = false;
    g->limit = bounded(c, g->kept);
    g->window_us = now_us + (uint64_t)c->window_ms * 1000;
    g->measure_us =
        now_us + (uint64_t)c->min_rtt_ms * 1000 + (jitter_us > 0 ? chance % jitter_us : 0);
    forget(g);
}

static void end_window(struct pp_gradient *g, const struct pp_gradient_conf *c, uint64_t now_us)
{
    uint64_t limit = g->limit * gradient_of(g, c, percentile(g, c)) / 1000;
    g->limit = bounded(c, limit + root_of((uint32_t)limit));
    g->stuck = g->limit == c->least ? (uint8_t)(g->stuck + 1) : 0;
    g->window_us = now_us + (uint64_t)c->window_ms * 1000;
    forget(g);
}

bool pp_gradient_note(struct pp_gradient *g, const struct pp_gradient_conf *c, uint64_t sent_us,
                      uint64_t now_us, uint64_t chance)
{
    uint32_t was = g->limit;
    if (g->measures && sent_us < g->began_us) /* there were more of them at once */
        return false;
    g->count[class_of(now_us > sent_us ? now_us - sent_us : 0)]++;
    g->n++;
    if (g->measures) {
        if (g->n >= c->requests)
            end_measuring(g, c, now_us, chance);
    } else if (now_us >= g->window_us) {
        end_window(g, c, now_us);
        if (now_us >= g->measure_us || g->stuck >= PP_GRADIENT_STUCK)
            measure(g, c, now_us);
    }
    return g->limit != was;
}
