#include "proxy/cluster_outlier.c"

#include "base/mem.h"
#include "proxy/rig.h"

#define SEG_BYTES (1 << 20)
#define N 20

static struct pp_core core[2]; /* two workers over one segment */
static uint64_t segment[SEG_BYTES / 8];
static struct pp_statseg seg;
static long live;

static void at(uint64_t ms)
{
    for (int i = 0; i < 2; i++) {
        core[i].loop.now_ms = ms;
        core[i].loop.now_us = ms * 1000;
    }
}

static void begin_worker(struct pp_core *c, uint32_t column, bool shared)
{
    memset(c, 0, sizeof(*c));
    PP_CHECK_EQ(pp_loop_init(&c->loop, NULL), PP_OK);
    pp_wheel_init(&c->loop.wheel, 0);
    pp_rng_init(&c->rng, column);
    PP_CHECK_EQ(
        pp_metrics_init(&c->metrics, shared ? segment : NULL, shared ? sizeof(segment) : 0, column),
        PP_OK);
}

static void begin(bool shared)
{
    char text[32];
    uint32_t base;
    live = pp_mem_live_for_test();
    memset(segment, 0, sizeof(segment));
    PP_CHECK_EQ(
        pp_statseg_format(&seg, segment, sizeof(segment), 4, 4096, 65536, pp_metric_schema()),
        PP_OK);
    for (uint32_t kind = 0; kind < PP_METRIC_KIND_COUNT; kind++)
        PP_CHECK_EQ(
            pp_statseg_define(&seg, kind, pp_metric_shared(kind), pp_metric_words(kind), &base),
            PP_OK);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof(text), "127.0.0.1:%d", i + 1);
        PP_CHECK_EQ(pp_statseg_define(&seg, PP_METRIC_ENDPOINT, rig_span(text),
                                      pp_metric_words(PP_METRIC_ENDPOINT), &base),
                    PP_OK);
    }
    begin_worker(&core[0], 1, shared);
    begin_worker(&core[1], 2, shared);
    at(1000);
}

static void end(void)
{
    for (int i = 0; i < 2; i++) {
        pp_metrics_fini(&core[i].metrics);
        pp_loop_fini(&core[i].loop);
    }
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

static struct pp_cluster_conf conf_of(void)
{
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    conf.outlier = (struct pp_outlier_conf){.interval_ms = 10000,
                                            .base_ms = 30000,
                                            .max_ms = 300000,
                                            .consecutive_5xx = 5,
                                            .consecutive_gateway = 3,
                                            .min_hosts = 5,
                                            .min_volume = 100,
                                            .stdev_factor = 1900,
                                            .max_percent = 10};
    return conf;
}

/* <n> endpoints 127.0.0.1:1 ..., all but the first <names> of them aliases of the last of those. */
static struct pp_cluster *make(struct pp_core *c, const struct pp_cluster_conf *conf, uint32_t n,
                               uint32_t names)
{
    char address[32], name[32];
    struct pp_cluster *cl = pp_cluster_new(PP_SPAN("up"), conf, &pp_balance_rr_ops, n);
    PP_CHECK(cl != NULL);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(address, sizeof(address), "127.0.0.1:%u", i + 1);
        snprintf(name, sizeof(name), "127.0.0.1:%u", PP_MIN(i + 1, names));
        PP_CHECK_EQ(pp_cluster_set_endpoint(cl, i, rig_span(address), rig_span(name), 1), PP_OK);
    }
    pp_cluster_attach(cl, c);
    return cl;
}

static void fail(struct pp_cluster *cl, uint32_t i, int n)
{
    while (n-- > 0)
        pp_cluster_outlier_answer(&cl->endpoint[i], 503);
}

/* Endpoints that the cluster does not choose. */
static uint32_t out(struct pp_cluster *cl)
{
    uint32_t n = 0;
    (void)pp_cluster_pick(cl, 0, 0); /* looks at what was told */
    for (uint32_t i = 0; i < cl->n; i++)
        n += (cl->endpoint[i].out & PP_CLUSTER_EJECTED) != 0;
    return n;
}

static uint64_t counted(uint32_t i, uint32_t word)
{
    char text[32];
    uint32_t base, n;
    snprintf(text, sizeof(text), "127.0.0.1:%u", i + 1);
    PP_CHECK_EQ(pp_statseg_find(&seg, PP_METRIC_ENDPOINT, rig_span(text), &base, &n), PP_OK);
    return pp_statseg_sum(&seg, base + word);
}
#define COUNTED(i, word) counted(i, PP_METRIC_WORD(ENDPOINT, word))

static void advance(uint64_t ms)
{
    at(ms);
    for (int i = 0; i < 2; i++)
        pp_wheel_advance(&core[i].loop.wheel, ms);
}

PP_TEST_CASE(without_a_word_of_it_nothing_is_judged)
{
    begin(true);
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make(&core[0], &conf, 2, 2);
    struct pp_fault f = pp_fault_make(PP_FAULT_CONNECT_REFUSED, PP_SIDE_UP, true, PP_EREFUSED);
    PP_CHECK(cl->outlier == NULL);
    fail(cl, 0, 100);
    pp_cluster_outlier_fault(&cl->endpoint[0], &f);
    PP_CHECK_EQ(out(cl), 0);
    PP_CHECK_EQ(COUNTED(0, RESULTS_ERROR), 0);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(a_streak_of_all_workers_ejects_in_all_workers)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *a = make(&core[0], &conf, 4, 4), *b = make(&core[1], &conf, 4, 4);
    fail(a, 0, 2);
    pp_cluster_outlier_answer(&b->endpoint[0], 200); /* the streak is broken by the other one */
    fail(a, 0, 1);
    PP_CHECK_EQ(out(a), 0);
    fail(b, 0, 1);
    PP_CHECK_EQ(out(a) + out(b), 0);
    fail(a, 0, 1);
    PP_CHECK_EQ(out(a), 1);
    PP_CHECK_EQ(out(b), 1);
    PP_CHECK_EQ(COUNTED(0, EJECTIONS_GATEWAY), 1);
    PP_CHECK_EQ(COUNTED(0, RESULTS_ERROR), 5);
    PP_CHECK_EQ(COUNTED(0, RESULTS_OK), 1);
    fail(b, 0, 10); /* in panic it may be asked: it is out already */
    PP_CHECK_EQ(COUNTED(0, EJECTIONS_GATEWAY), 1);
    PP_CHECK_EQ(COUNTED(0, EJECTIONS_PREVENTED), 0);
    pp_cluster_unref(a);
    pp_cluster_unref(b);
    end();
}

PP_TEST_CASE(it_comes_back_by_itself_and_stays_out_longer_the_next_time)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *a = make(&core[0], &conf, 4, 4), *b = make(&core[1], &conf, 4, 4);
    uint64_t now = 1000;
    for (uint64_t i = 1; i <= 3; i++) {
        fail(a, 1, 3);
        PP_CHECK_EQ(out(b), 1);
        advance(now + 30000 * i - 1);
        PP_CHECK_EQ(out(b), 1);
        now += 30000 * i;
        advance(now);
        PP_CHECK_EQ(out(a), 0);
        PP_CHECK_EQ(out(b), 0);
    }
    PP_CHECK_EQ(COUNTED(1, EJECTIONS_GATEWAY), 3);
    pp_cluster_unref(a);
    pp_cluster_unref(b);
    end();
}

PP_TEST_CASE(another_worker_ends_the_ejection_when_its_author_is_gone)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *a = make(&core[0], &conf, 4, 4), *b = make(&core[1], &conf, 4, 4);
    fail(a, 0, 3);
    pp_cluster_unref(a);
    PP_CHECK_EQ(out(b), 1);
    advance(31000);
    advance(41000); /* at the latest at the end of an interval of its own */
    PP_CHECK_EQ(out(b), 0);
    pp_cluster_unref(b);
    end();
}

PP_TEST_CASE(never_more_than_the_cap)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *a = make(&core[0], &conf, N, N), *b = make(&core[1], &conf, N, N);
    for (uint32_t i = 0; i < N; i++)
        fail(i % 2 == 0 ? a : b, i, 3);
    PP_CHECK_EQ(out(a), 2);
    PP_CHECK_EQ(out(b), 2);
    PP_CHECK_EQ(COUNTED(2, EJECTIONS_PREVENTED), 1);
    advance(31000);
    fail(b, 7, 1); /* its streak goes on */
    PP_CHECK_EQ(out(a), 1);
    PP_CHECK_EQ(COUNTED(7, EJECTIONS_GATEWAY), 1);
    pp_cluster_unref(a);
    pp_cluster_unref(b);
    end();
}

PP_TEST_CASE(an_only_endpoint_is_never_ejected)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *cl = make(&core[0], &conf, 3, 1); /* three addresses of one name */
    fail(cl, 2, 50);
    PP_CHECK_EQ(out(cl), 0);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(addresses_of_one_name_go_together)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *cl = make(&core[0], &conf, 4, 2);
    fail(cl, 3, 3);
    PP_CHECK_EQ(out(cl), 3);
    fail(cl, 0, 3); /* one of two names is all that may be out */
    PP_CHECK_EQ(out(cl), 3);
    advance(31000);
    PP_CHECK_EQ(out(cl), 0);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(without_a_segment_a_worker_judges_for_itself)
{
    begin(false);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *cl = make(&core[0], &conf, 4, 4);
    fail(cl, 0, 3);
    fail(cl, 1, 3);
    PP_CHECK_EQ(out(cl), 1);
    advance(31000);
    PP_CHECK_EQ(out(cl), 0);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(faults_count_when_they_are_the_endpoint_s)
{
    static const struct {
        enum pp_fault_code code;
        bool counts;
    } rows[] = {
        {PP_FAULT_CONNECT_REFUSED, true},       {PP_FAULT_CONNECT_TIMEOUT, true},
        {PP_FAULT_CONNECT_FAILED, true},        {PP_FAULT_UPSTREAM_TLS, true},
        {PP_FAULT_UPSTREAM_RESET, true},        {PP_FAULT_FIRST_BYTE_TIMEOUT, true},
        {PP_FAULT_UPSTREAM_BAD_RESPONSE, true}, {PP_FAULT_TOTAL_TIMEOUT, true},
        {PP_FAULT_UPSTREAM_REFUSED, false},     {PP_FAULT_NO_MEMORY, false},
        {PP_FAULT_CLIENT_ABORT, false},         {PP_FAULT_FILTER_ERROR, false},
    };
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *cl = make(&core[0], &conf, 4, 4);
    uint64_t expected = 0;
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct pp_fault f = pp_fault_make(rows[i].code, PP_SIDE_UP, false, PP_OK);
        pp_cluster_outlier_fault(&cl->endpoint[0], &f);
        expected += rows[i].counts;
        PP_CHECK_EQ(COUNTED(0, RESULTS_ERROR), expected);
    }
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(a_bad_success_rate_ejects_at_the_end_of_an_interval)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *a = make(&core[0], &conf, 10, 10), *b = make(&core[1], &conf, 10, 10);
    for (int round = 0; round < 60; round++) {
        for (uint32_t i = 0; i < 10; i++) {
            struct pp_cluster *cl = round % 2 == 0 ? a : b;
            pp_cluster_outlier_answer(&cl->endpoint[i], i == 4 && round % 3 == 0 ? 500 : 200);
            pp_cluster_outlier_answer(&cl->endpoint[i], 404);
        }
    }
    PP_CHECK_EQ(out(a), 0);
    advance(11000);
    PP_CHECK_EQ(out(a), 1);
    PP_CHECK_EQ(out(b), 1);
    PP_CHECK((a->endpoint[4].out & PP_CLUSTER_EJECTED) != 0);
    PP_CHECK_EQ(COUNTED(4, EJECTIONS_SUCCESS_RATE), 1);
    advance(21000); /* nothing new was seen */
    advance(41000);
    advance(51000);
    PP_CHECK_EQ(out(a), 0);
    PP_CHECK_EQ(COUNTED(4, EJECTIONS_SUCCESS_RATE), 1);
    pp_cluster_unref(a);
    pp_cluster_unref(b);
    end();
}

PP_TEST_CASE(a_cluster_that_was_replaced_looks_no_more)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    struct pp_cluster *old = make(&core[0], &conf, 4, 4);
    fail(old, 0, 3);
    struct pp_cluster *next = make(&core[0], &conf, 4, 4);
    struct pp_snapshot sn = {.cluster = &next, .n_cluster = 1};
    core[0].snapshot = &sn;
    PP_CHECK_EQ(out(next), 1); /* it is known from the start */
    advance(31000);
    PP_CHECK(!pp_timer_is_pending(&old->outlier->timer));
    PP_CHECK(pp_timer_is_pending(&next->outlier->timer));
    PP_CHECK_EQ(out(next), 0);
    core[0].snapshot = NULL;
    pp_cluster_unref(old);
    pp_cluster_unref(next);
    end();
}

PP_TEST_CASE(memory_that_is_out_is_told)
{
    begin(true);
    struct pp_cluster_conf conf = conf_of();
    bool failed = false;
    for (long nth = 0; nth < 8; nth++) {
        pp_mem_fail_after_for_test(nth);
        struct pp_cluster *cl = pp_cluster_new(PP_SPAN("up"), &conf, &pp_balance_rr_ops, 4);
        pp_mem_fail_after_for_test(-1);
        failed |= cl == NULL;
        pp_cluster_unref(cl);
    }
    PP_CHECK(failed);
    end();
}

PP_TEST_MAIN()
