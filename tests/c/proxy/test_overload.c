#include "proxy/overload.c"

#include "proxy/h2_client.h"

#include "proxy/drive_test.h"

#define HI_CLOSE "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\nConnection: close\r\n\r\nhi"
/* More than anybody has. */
#define HUGE_BYTES ((uint64_t)1 << 50)

static struct pp_overload_conf *thresholds(void)
{
    return &r.w.core.snapshot->overload;
}

static struct rig_conf memory_conf(uint64_t memory_stop, uint64_t memory_shed)
{
    struct rig_conf conf = rig_defaults();
    conf.overload.memory = (struct pp_pressure_conf){{0, memory_stop, memory_shed}};
    return conf;
}

static void measure_once(void)
{
    rig_sleep(&r, PP_OVERLOAD_MEMORY_MS);
}

/* Long enough for pressure to fall, without any lag. */
static void stay_calm(void)
{
    for (int i = 0; i < 25; i++)
        rig_sleep(&r, 100);
}

PP_TEST_CASE(without_configuration_nothing_is_measured)
{
    PP_REQUIRE(start(0));
    PP_CHECK(!pp_timer_is_pending(&r.w.core.overload.timer));
    measure_once();
    PP_CHECK_EQ(r.w.core.overload.fd, -1);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, MEMORY), 0);
    stop_all(-1, -1);
}

PP_TEST_CASE(memory_over_the_first_threshold_ends_connections)
{
    struct rig_conf conf = memory_conf(HUGE_BYTES, 0);
    PP_REQUIRE(rig_start(&r, &conf));
    int idle = rig_connect(&r), busy = rig_connect(&r);
    int o = rig_simple(&r, idle, -1);
    measure_once();
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_NONE);
    PP_CHECK(RIG_COUNT(&r, WORKER, MEMORY) > 0);
    rig_send(&r, busy, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    thresholds()->memory.at[PP_PRESSURE_STOP_KEEP_ALIVE] = 1;
    measure_once();
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_STOP_KEEP_ALIVE);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, OVERLOAD_MEMORY_STOP), 1);
    rig_sleep(&r, PP_MOVE_RELIEF_MS);
    rig_expect_eof(&r, idle);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, busy, HI_CLOSE);
    rig_expect_eof(&r, busy);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, OVERLOAD_CLOSED), 2);
    /* New ones are served, once each. */
    int late = rig_connect(&r);
    rig_send(&r, late, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, late, HI_CLOSE);
    close(idle);
    close(busy);
    stop_all(late, o);
}

PP_TEST_CASE(it_is_over_when_memory_is_free_again)
{
    struct rig_conf conf = memory_conf(1, 0);
    PP_REQUIRE(rig_start(&r, &conf));
    measure_once();
    PP_CHECK(r.w.core.leaving.on && r.w.core.leaving.relief);
    thresholds()->memory.at[PP_PRESSURE_STOP_KEEP_ALIVE] = HUGE_BYTES;
    stay_calm();
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_NONE);
    PP_CHECK(!r.w.core.leaving.on && !r.w.core.leaving.relief);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, OVERLOAD_MEMORY_STOP), 0);
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    o = rig_simple(&r, c, o);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, OVERLOAD_CLOSED), 0);
    stop_all(c, o);
}

/* Its time to go was set, but by then the reason has gone. */
PP_TEST_CASE(who_is_still_there_when_it_is_over_stays)
{
    struct rig_conf conf = memory_conf(HUGE_BYTES, 0);
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    pp_move_relieve(&r.w.core, true);
    rig_turn(&r, 0);
    pp_move_relieve(&r.w.core, false);
    rig_sleep(&r, PP_MOVE_RELIEF_MS);
    o = rig_simple(&r, c, o);
    rig_sleep(&r, conf.listener.idle_timeout_ms);
    rig_expect_eof(&r, c);
    stop_all(c, o);
}

PP_TEST_CASE(a_drain_goes_on_when_pressure_ends)
{
    struct rig_conf conf = memory_conf(HUGE_BYTES, 0);
    PP_REQUIRE(rig_start(&r, &conf));
    pp_move_relieve(&r.w.core, true);
    pp_move_drain(&r.w.core, 0);
    pp_move_relieve(&r.w.core, false);
    PP_CHECK(r.w.core.leaving.on);
    stop_all(-1, -1);
}

PP_TEST_CASE(memory_that_cannot_be_measured_presses_nobody)
{
    struct rig_conf conf = memory_conf(1, 1);
    PP_REQUIRE(rig_start(&r, &conf));
    r.w.core.overload.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    measure_once();
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_NONE);
    stop_all(-1, -1);
}

/* ---- lag ---- */

static struct rig_conf lag_conf(void)
{
    struct rig_conf conf = rig_defaults();
    conf.overload.lag = (struct pp_pressure_conf){{0, 400000, 800000}};
    return conf;
}

PP_TEST_CASE(timers_that_run_late_are_lag)
{
    struct rig_conf conf = lag_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    stay_calm();
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_NONE);
    PP_CHECK_EQ(r.w.core.overload.fd, -1); /* memory is nobody's business here */
    rig_sleep(&r, 900);
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_STOP_KEEP_ALIVE);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, OVERLOAD_LAG_STOP), 1);
    PP_CHECK(RIG_COUNT(&r, WORKER, LAG_US) > 400000);
    rig_sleep(&r, 5000);
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_SHED);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, OVERLOAD_LAG_STOP), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, OVERLOAD_LAG_SHED), 1);
    stay_calm();
    stay_calm();
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_NONE);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, OVERLOAD_LAG_SHED), 0);
    stop_all(-1, -1);
}

/* ---- who is told, and reloads ---- */

static struct {
    unsigned times;
    bool lag;
    enum pp_pressure_level level;
    uint64_t value;
} told;

static void note(void *owner, bool lag, enum pp_pressure_level level, uint64_t value)
{
    PP_CHECK(owner == &r);
    told.times++;
    told.lag = lag;
    told.level = level;
    told.value = value;
}

static const struct pp_hook_ops telling = {
    .run = rig_hook_run, .body = rig_hook_body, .end = rig_hook_end, .pressed = note};

static void install(const struct rig_conf *conf)
{
    r.conf = *conf;
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL && pp_worker_install(&r.w, sn) == PP_OK);
    pp_snapshot_unref(sn);
}

PP_TEST_CASE(each_change_is_told_once)
{
    struct rig_conf conf = memory_conf(1, HUGE_BYTES);
    PP_REQUIRE(rig_start(&r, &conf));
    pp_worker_set_hook(&r.w, &telling, &r);
    memset(&told, 0, sizeof told);
    measure_once();
    measure_once();
    PP_CHECK_EQ(told.times, 1);
    PP_CHECK(!told.lag && told.level == PP_PRESSURE_STOP_KEEP_ALIVE && told.value > 1);
    thresholds()->memory.at[PP_PRESSURE_SHED] = 2;
    measure_once();
    PP_CHECK_EQ(told.times, 2);
    PP_CHECK_EQ(told.level, PP_PRESSURE_SHED);
    stop_all(-1, -1);
}

PP_TEST_CASE(a_configuration_that_does_not_look_ends_it)
{
    struct rig_conf conf = memory_conf(1, 1), none = rig_defaults(), lag = lag_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    pp_worker_set_hook(&r.w, &telling, &r);
    measure_once();
    rig_sleep(&r, 100);
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_SHED);
    memset(&told, 0, sizeof told);
    install(&lag);
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_NONE);
    PP_CHECK(told.times == 1 && told.level == PP_PRESSURE_NONE && !told.lag);
    PP_CHECK(!r.w.core.leaving.on);
    rig_sleep(&r, 5000);
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_SHED);
    install(&none);
    PP_CHECK_EQ(r.w.core.overload.level, PP_PRESSURE_NONE);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, OVERLOAD_LAG_SHED), 0);
    PP_CHECK(!pp_timer_is_pending(&r.w.core.overload.timer));
    stop_all(-1, -1);
}

/* ---- HTTP/2 ---- */

static struct h2_client h2;

PP_TEST_CASE(http2_connections_are_told_to_go_away)
{
    struct rig_conf conf = memory_conf(HUGE_BYTES, 0);
    PP_REQUIRE(rig_start(&r, &conf));
    PP_REQUIRE(h2_start(&h2, &r, NULL));
    h2_get(&h2, "/");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, H2_GOT);
    thresholds()->memory.at[PP_PRESSURE_STOP_KEEP_ALIVE] = 1;
    measure_once();
    rig_sleep(&r, PP_MOVE_RELIEF_MS);
    h2_hear(&h2, "goaway 0 last 2147483647\n");
    h2_hear(&h2, "goaway 0 last 1\n");
    rig_send(&r, o, RIG_HI);
    h2_hear(&h2, "1 data \"hi\" end\n");
    h2_expect_end(&h2);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, OVERLOAD_CLOSED), 1);
    h2_stop(&h2);
    /* One that begins now, likewise. */
    PP_REQUIRE(h2_start(&h2, &r, NULL));
    h2_get(&h2, "/");
    rig_expect(&r, o, H2_GOT);
    rig_sleep(&r, PP_MOVE_RELIEF_MS);
    h2_hear(&h2, "goaway 0 last 1\n");
    rig_send(&r, o, RIG_HI);
    h2_hear(&h2, "1 data \"hi\" end\n");
    h2_expect_end(&h2);
    h2_stop(&h2);
    stop_all(-1, o);
}

PP_TEST_MAIN()
