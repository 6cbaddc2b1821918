#include "proxy/pace.c"

#include "pp_test.h"

static struct pp_core core;
static struct pp_exchange x;
static unsigned drained;

static void on_drained(struct pp_exchange *at, enum pp_dir dir)
{
    PP_CHECK(at == &x);
    PP_CHECK_EQ(dir, PP_DIR_RESPONSE);
    drained++;
}

static const struct pp_exchange_events events = {.drained = on_drained};

static void begin(void)
{
    PP_REQUIRE(pp_loop_init(&core.loop, NULL) == PP_OK);
    memset(&x, 0, sizeof x);
    x.core = &core;
    x.events = &events;
    drained = 0;
}

/* What may be read until nothing more is granted. */
static uint64_t take_all(void)
{
    uint64_t n = 0;
    for (size_t k; (k = pp_pace_wait(&x, PP_DIR_RESPONSE)) > 0; n += k)
        pp_pace_took(&x, PP_DIR_RESPONSE, k);
    return n;
}

PP_TEST_CASE(a_bucket_gives_its_burst_and_the_rate)
{
    static const struct {
        uint64_t rate, burst;
    } limits[] = {{1, 1},
                  {10, 1000},
                  {1000, 7},
                  {123457, 99991},
                  {1000000, 1000000},
                  {PP_PACE_RATE_MAX, 1},
                  {PP_PACE_RATE_MAX, 65536},
                  {1, PP_PACE_BURST_MAX}};
    for (size_t i = 0; i < PP_COUNT_OF(limits); i++) {
        struct pp_pace_bucket b;
        struct pp_pace p;
        begin();
        pp_pace_bucket_init(&b, limits[i].rate, limits[i].burst);
        PP_CHECK(b.grant >= 1 && b.grant <= limits[i].burst);
        pp_pace_begin(&p, &x, PP_DIR_RESPONSE, &b);
        uint64_t from_us = core.loop.now_us, all = 0;
        for (int turn = 0; turn < 50; turn++) {
            all += take_all();
            PP_CHECK(pp_pace_holds(&x, PP_DIR_RESPONSE));
            /* Never more than it may be; and not much less, when its timer is heard. */
            double most = (double)limits[i].burst +
                          (double)limits[i].rate * (double)(core.loop.now_us - from_us) / 1e6;
            PP_CHECK((double)all <= most + 1);
            if (limits[i].burst > limits[i].rate / 100)
                PP_CHECK((double)all >= most * 0.999 - 2.0 * b.grant);
            core.loop.now_us = p.timer.due_ms * 1000;
            core.loop.now_ms = p.timer.due_ms;
            pp_loop_stop(&core.loop, &p.timer);
            on_time(&p.timer);
            PP_CHECK_EQ(p.left, b.grant);
            if (all > UINT64_C(1) << 33)
                break;
        }
        PP_CHECK(drained > 0);
        pp_pace_end(&p);
        pp_loop_fini(&core.loop);
    }
}

PP_TEST_CASE(what_was_not_used_goes_back)
{
    struct pp_pace_bucket b;
    struct pp_pace p, q;
    begin();
    pp_pace_bucket_init(&b, 1000, 1000);
    pp_pace_begin(&p, &x, PP_DIR_RESPONSE, &b);
    PP_CHECK_EQ(pp_pace_wait(&x, PP_DIR_RESPONSE), 1000);
    pp_pace_took(&x, PP_DIR_RESPONSE, 400);
    PP_CHECK(!pp_pace_holds(&x, PP_DIR_RESPONSE));
    pp_pace_end(&p);
    PP_CHECK_EQ(b.full_ns, core.loop.now_us * 1000 + 400000000);
    x.flow[PP_DIR_RESPONSE].pace = NULL;
    pp_pace_begin(&q, &x, PP_DIR_RESPONSE, &b);
    PP_CHECK_EQ(pp_pace_wait(&x, PP_DIR_RESPONSE), 0); /* reserved, and waits */
    PP_CHECK(pp_pace_holds(&x, PP_DIR_RESPONSE));
    pp_pace_end(&q);
    PP_CHECK(!pp_pace_holds(&x, PP_DIR_RESPONSE));
    PP_CHECK_EQ(b.full_ns, core.loop.now_us * 1000 + 400000000);
    PP_CHECK_EQ(pp_pace_room(&x, PP_DIR_REQUEST), SIZE_MAX); /* another body */
    pp_loop_fini(&core.loop);
}

PP_TEST_MAIN()
