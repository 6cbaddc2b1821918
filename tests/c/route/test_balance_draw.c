#include "route/balance_draw.c"

#include "balance_rig.h"

static struct rig r;
static uint64_t mem[RIG_MOST * 3];
static struct pp_balance_draw d;

static void begin(uint32_t n)
{
    memset(&r, 0, sizeof(r));
    r.n = n;
    for (uint32_t i = 0; i < n; i++)
        r.view[i] = (struct pp_balance_view){.weight = 1, .usable = true};
    pp_rng_init(&r.rng, 11);
    PP_CHECK(PP_BALANCE_DRAW_BYTES(n) <= sizeof(mem));
    pp_balance_draw_init(&d, mem, n);
}

static struct pp_balance_pick pick_of(uint64_t tried)
{
    return (struct pp_balance_pick){.view = r.view, .tried = tried, .rng = &r.rng};
}

/* What the table means, exactly: the chance of each endpoint, of 2^32 for each column. */
PP_TEST_CASE(the_columns_add_up_to_the_weights)
{
    uint64_t state = 1;
    for (int round = 0; round < 300; round++) {
        double chance[64] = {0}, sum = 0;
        begin(1 + (uint32_t)(pp_test_random(&state) % 64));
        uint32_t most = round % 3 == 0 ? 65535000 : round % 3 == 1 ? 3 : UINT32_MAX;
        for (uint32_t i = 0; i < r.n; i++) {
            r.view[i].weight = 1 + (uint32_t)(pp_test_random(&state) % most);
            r.view[i].usable = i == 0 || pp_test_random(&state) % 5 != 0;
            sum += r.view[i].usable ? r.view[i].weight : 0;
        }
        pp_balance_draw_update(&d, r.view, r.n);
        for (uint32_t k = 0; k < d.n; k++) {
            double own = d.equal ? 1 : d.chance[k] / 4294967296.0;
            chance[d.index[k]] += own / d.n;
            if (!d.equal)
                chance[d.index[d.other[k]]] += (1 - own) / d.n;
        }
        for (uint32_t i = 0; i < r.n; i++) {
            double want = r.view[i].usable ? r.view[i].weight / sum : 0;
            PP_CHECK(chance[i] > want - 1e-7 && chance[i] < want + 1e-7);
        }
    }
}

PP_TEST_CASE(another_one_is_another_one_however_light)
{
    begin(3);
    r.view[0].weight = UINT32_MAX; /* nearly every draw */
    pp_balance_draw_update(&d, r.view, 3);
    uint32_t got[3] = {0};
    for (int k = 0; k < 2000; k++) {
        struct pp_balance_pick p = pick_of(0);
        got[pp_balance_draw_other(&d, &p, 0)]++;
    }
    PP_CHECK(got[0] == 0 && got[1] > 500 && got[2] > 500);
    struct pp_balance_pick p = pick_of(6);
    PP_CHECK_EQ(pp_balance_draw_one(&d, &p), 0);
    PP_CHECK_EQ(pp_balance_draw_other(&d, &p, 0), PP_ID_NONE);
}

PP_TEST_CASE(with_one_endpoint_there_is_no_other)
{
    begin(1);
    struct pp_balance_pick p = pick_of(0);
    PP_CHECK_EQ(pp_balance_draw_one(&d, &p), PP_ID_NONE);
    pp_balance_draw_update(&d, r.view, 1);
    PP_CHECK_EQ(pp_balance_draw_one(&d, &p), 0);
    PP_CHECK_EQ(pp_balance_draw_other(&d, &p, 0), PP_ID_NONE);
}

PP_TEST_MAIN()
