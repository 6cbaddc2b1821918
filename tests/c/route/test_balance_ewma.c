#include "route/balance_ewma.c"

#include "balance_rig.h"

static struct rig r;
#define HALF 7000000

PP_TEST_CASE(it_keeps_to_what_may_be_chosen)
{
    rig_common(&pp_balance_ewma_ops);
}

PP_TEST_CASE(half_is_left_after_the_half_life)
{
    PP_CHECK_EQ(pp_balance_ewma_decay(1024000, 0, HALF), 1024000);
    PP_CHECK_EQ(pp_balance_ewma_decay(1024000, HALF, HALF), 512000);
    PP_CHECK_EQ(pp_balance_ewma_decay(1024000, 3 * HALF, HALF), 128000);
    PP_CHECK_EQ(pp_balance_ewma_decay(1024000, HALF / 2, HALF), 768000);
    PP_CHECK_EQ(pp_balance_ewma_decay(1024000, 100 * (uint64_t)HALF, HALF), 0);
    uint64_t last = UINT64_MAX;
    for (uint64_t t = 0; t < 20 * (uint64_t)HALF; t += 12345) {
        uint64_t now = pp_balance_ewma_decay(UINT64_MAX, t, HALF);
        PP_CHECK(now <= last);
        last = now;
    }
    PP_CHECK_EQ(pp_balance_ewma_decay(5, UINT64_MAX, HALF), 0);
}

PP_TEST_CASE(a_peak_counts_at_once_and_is_mended_by_time)
{
    uint64_t v = pp_balance_ewma_note(0, 0, HALF, 1000 << 8);
    PP_CHECK_EQ(v, 1000 << 8);
    v = pp_balance_ewma_note(v, 10, HALF, 900000 << 8);
    PP_CHECK_EQ(v, 900000 << 8);
    /* Many quick answers within a moment do not undo it, a half-life does by half. */
    uint64_t w = v;
    for (int k = 0; k < 100; k++)
        w = pp_balance_ewma_note(w, 100, HALF, 1000 << 8);
    PP_CHECK(w > v / 10 * 9);
    w = pp_balance_ewma_note(v, HALF, HALF, 1000 << 8);
    PP_CHECK_EQ(w, (900000ull << 8) / 2 + (1000 << 8) / 2);
    PP_CHECK(pp_balance_ewma_note(5, 0, HALF, 0) > 0); /* 0 means that nothing is known */
    PP_CHECK(pp_balance_ewma_note(UINT64_MAX, HALF, HALF, UINT64_MAX) > 0);
}

/* Ten endpoints of 1 ms, one of which becomes fifty times as slow: it gets little, but is not
 * forgotten. Each pick lasts as long as its endpoint takes; 10 at a time. */
PP_TEST_CASE(a_slow_endpoint_is_avoided)
{
    struct running {
        uint32_t endpoint;
        uint64_t end_us;
    } run[10];
    uint64_t ewma[10] = {0}, at[10] = {0}, now = 1;
    uint32_t got[10] = {0};
    rig_begin(&r, &pp_balance_ewma_ops, NULL, 10);
    rig_update(&r);
    for (int k = 0; k < 10; k++)
        run[k] = (struct running){PP_ID_NONE, 0};
    for (int step = 0; step < 60000; step++) {
        struct running *next = &run[0];
        for (int k = 1; k < 10; k++)
            if (run[k].end_us < next->end_us)
                next = &run[k];
        now = PP_MAX(now, next->end_us);
        uint32_t i = next->endpoint;
        if (i != PP_ID_NONE) {
            uint64_t took = i == 3 ? 50000 : 1000;
            r.view[i].active--;
            ewma[i] = pp_balance_ewma_note(ewma[i], now - at[i], HALF, took << 8);
            at[i] = now;
        }
        for (int k = 0; k < 10; k++)
            r.view[k].ewma_us = pp_balance_ewma_decay(ewma[k], now - at[k], HALF) >> 8;
        i = next->endpoint = rig_pick(&r, 0, 0);
        r.view[i].active++;
        next->end_us = now + (i == 3 ? 50000 : 1000);
        got[i]++;
    }
    PP_CHECK(got[3] > 0 && got[3] < 600); /* a fair share would be 6,000 */
    for (int k = 0; k < 10; k++)
        PP_CHECK(k == 3 || (got[k] > 5500 && got[k] < 7900));
    rig_end(&r);
}

PP_TEST_CASE(an_unknown_endpoint_is_asked_once_and_then_waited_for)
{
    rig_begin(&r, &pp_balance_ewma_ops, NULL, 2);
    r.view[0].ewma_us = 1000;
    rig_update(&r);
    PP_CHECK_EQ(rig_pick(&r, 0, 0), 1);
    r.view[1].active = 1;
    for (int k = 0; k < 50; k++)
        PP_CHECK_EQ(rig_pick(&r, 0, 0), 0);
    rig_end(&r);
}

RIG_CREATE_FAILS(pp_balance_ewma_ops)

PP_TEST_MAIN()
