#include "route/breaker.h"

/* Forget the slices that the window has left behind. */
static struct pp_breaker_slice *slice_at(struct pp_breaker *b, const struct pp_breaker_conf *c,
                                         uint64_t now_ms)
{
    uint64_t slice = now_ms / PP_MAX(c->window_ms / PP_BREAKER_SLICES, 1u);
    if (slice - b->slice >= PP_BREAKER_SLICES && slice > b->slice)
        b->slice = slice - PP_BREAKER_SLICES;
    while (b->slice < slice) {
        b->slice++;
        b->slices[b->slice % PP_BREAKER_SLICES] = (struct pp_breaker_slice){0};
    }
    return &b->slices[b->slice % PP_BREAKER_SLICES];
}

static bool has_share(const struct pp_breaker *b, const struct pp_breaker_conf *c)
{
    uint64_t all = 0, bad = 0;
    for (int i = 0; i < PP_BREAKER_SLICES; i++) {
        all += b->slices[i].all;
        bad += b->slices[i].bad;
    }
    return c->percent != 0 && all >= c->least && bad * 100 >= all * c->percent;
}

static bool open_it(struct pp_breaker *b, const struct pp_breaker_conf *c, uint64_t now_ms,
                    enum pp_breaker_why why)
{
    *b = (struct pp_breaker){
        .state = PP_BREAKER_OPEN, .why = (uint8_t)why, .until_ms = now_ms + c->open_ms};
    return true;
}

bool pp_breaker_admit(struct pp_breaker *b, const struct pp_breaker_conf *c, uint64_t now_ms)
{
    if (b->state == PP_BREAKER_CLOSED)
        return true;
    if (now_ms >= b->until_ms) {
        b->state = PP_BREAKER_HALF_OPEN;
        b->let = 0;
        b->until_ms = now_ms + c->open_ms;
    }
    if (b->state == PP_BREAKER_OPEN || b->let >= c->probes)
        return false;
    b->let++;
    return true;
}

static bool note_closed(struct pp_breaker *b, const struct pp_breaker_conf *c, uint64_t now_ms,
                        bool failed)
{
    struct pp_breaker_slice *s = slice_at(b, c, now_ms);
    s->all++;
    s->bad += failed;
    b->in_a_row = failed ? b->in_a_row + 1 : 0;
    if (failed && c->in_a_row != 0 && b->in_a_row >= c->in_a_row)
        return open_it(b, c, now_ms, PP_BREAKER_IN_A_ROW);
    return failed && has_share(b, c) && open_it(b, c, now_ms, PP_BREAKER_SHARE);
}

bool pp_breaker_note(struct pp_breaker *b, const struct pp_breaker_conf *c, uint64_t now_ms,
                     bool failed)
{
    if (b->state == PP_BREAKER_CLOSED)
        return note_closed(b, c, now_ms, failed);
    if (b->state == PP_BREAKER_OPEN) /* one that began before */
        return false;
    if (failed)
        return open_it(b, c, now_ms, PP_BREAKER_PROBE);
    if (++b->good >= c->probes)
        *b = (struct pp_breaker){.state = PP_BREAKER_CLOSED};
    return false;
}
