#include "route/outlier.h"

#define HALF 32
#define LOW ((uint64_t)UINT32_MAX)
#define COUNT_MAX 0xffffu
#define UNTIL_MAX (((uint64_t)1 << 44) - 1)

static uint64_t one_more(uint64_t n)
{
    return n < LOW ? n + 1 : n;
}

uint64_t pp_outlier_streak(uint64_t streak, enum pp_outlier_result result)
{
    if (result == PP_OUTLIER_OK)
        return 0;
    uint64_t any = one_more(streak & LOW);
    uint64_t gateway = result == PP_OUTLIER_FAILURE ? one_more(streak >> HALF) : 0;
    return gateway << HALF | any;
}

static bool is_reached(uint64_t n, uint32_t limit)
{
    return limit > 0 && n >= limit;
}

enum pp_outlier_reason pp_outlier_judge(const struct pp_outlier_conf *c, uint64_t streak)
{
    if (is_reached(streak >> HALF, c->consecutive_gateway))
        return PP_OUTLIER_GATEWAY;
    return is_reached(streak & LOW, c->consecutive_5xx) ? PP_OUTLIER_5XX : PP_OUTLIER_NONE;
}

uint32_t pp_outlier_cap(const struct pp_outlier_conf *c, uint32_t n)
{
    if (n < 2)
        return 0;
    uint64_t part = (uint64_t)n * PP_MIN(c->max_percent, 100) / 100;
    return part < 1 ? 1 : (uint32_t)part;
}

uint64_t pp_outlier_eject(const struct pp_outlier_conf *c, uint64_t ejection, uint64_t now_ms,
                          enum pp_outlier_reason why)
{
    uint64_t count = ejection & COUNT_MAX;
    uint64_t until = pp_outlier_until(ejection);
    uint64_t good = now_ms > until ? (now_ms - until) / PP_MAX(c->interval_ms, 1) : 0;
    count -= PP_MIN(count, good);
    count = PP_MIN(count + 1, COUNT_MAX);
    uint64_t most = PP_MAX(c->base_ms, c->max_ms);
    uint64_t lasts = c->base_ms > most / count ? most : c->base_ms * count;
    return PP_MIN(now_ms + lasts, UNTIL_MAX) << 20 | (uint64_t)why << 16 | count;
}

/* The whole part of a square root. */
static uint64_t root(uint64_t n)
{
    uint64_t found = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit > 0; bit >>= 1)
        if ((found | bit) * (found | bit) <= n)
            found |= bit;
    return found;
}

static bool has_volume(const struct pp_outlier_conf *c, const struct pp_outlier_sample *s)
{
    return s->all > 0 && s->all >= c->min_volume;
}

static uint64_t rate_of(const struct pp_outlier_sample *s)
{
    return (uint64_t)((double)PP_MIN(s->ok, s->all) / (double)s->all * PP_OUTLIER_WHOLE);
}

bool pp_outlier_compare(const struct pp_outlier_conf *c, const struct pp_outlier_sample *sample,
                        uint32_t n, uint32_t *least)
{
    uint64_t hosts = 0, sum = 0, squares = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (has_volume(c, &sample[i])) {
            hosts++;
            sum += rate_of(&sample[i]);
        }
    }
    if (c->min_hosts == 0 || hosts < c->min_hosts)
        return false;
    uint64_t mean = sum / hosts;
    for (uint32_t i = 0; i < n; i++) {
        if (has_volume(c, &sample[i])) {
            uint64_t rate = rate_of(&sample[i]);
            uint64_t far = rate > mean ? rate - mean : mean - rate;
            squares += far * far;
        }
    }
    uint64_t below = root(squares / hosts) * c->stdev_factor / 1000;
    *least = (uint32_t)(mean - PP_MIN(mean, below));
    return true;
}

bool pp_outlier_is_below(const struct pp_outlier_conf *c, const struct pp_outlier_sample *s,
                         uint32_t least)
{
    return has_volume(c, s) && rate_of(s) < least;
}
