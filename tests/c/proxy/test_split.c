#include "proxy/split.c"

#include "proxy/rig.h"

static struct rig r;
static struct pp_arm arms[3];
static struct pp_split split;
static struct pp_route route;
static struct pp_variable by;

static struct pp_exchange *begin(const uint32_t *weight, uint32_t n, const char *variable)
{
    struct rig_conf conf = rig_defaults();
    if (!rig_start(&r, &conf))
        return NULL;
    pp_loop_enter(&r.w.core.loop);
    struct pp_exchange *x = pp_exchange_new(&r.w.core, r.w.core.snapshot->listener[0], NULL);
    split = (struct pp_split){.n = n, .arm = arms};
    for (uint32_t i = 0; i < n; i++) {
        split.total += weight[i];
        arms[i] = (struct pp_arm){.until = split.total, .cluster = (void *)&arms[i]};
    }
    if (variable != NULL) {
        PP_CHECK_EQ(pp_variable_compile(pp_span(variable, strlen(variable)), &by), PP_OK);
        split.by = &by;
    }
    route = (struct pp_route){.name = PP_SPAN("r"), .split = &split};
    if (x != NULL)
        x->route = &route;
    return x;
}

static void end(struct pp_exchange *x)
{
    x->route = x->snapshot->route[0];
    x->cluster = NULL;
    pp_exchange_free(x);
    pp_loop_leave(&r.w.core.loop);
    rig_stop(&r);
}

static unsigned choose(struct pp_exchange *x)
{
    pp_split_choose(x);
    PP_CHECK(x->cluster == (void *)x->arm);
    return (unsigned)(x->arm - arms);
}

/* Arm of the user with that number. */
static unsigned choose_for(struct pp_exchange *x, unsigned user)
{
    static char text[16];
    int n = snprintf(text, sizeof(text), "user%u", user);
    x->request.n_field = 0;
    x->request.seen = x->request.twice = 0;
    PP_CHECK_EQ(
        pp_http_msg_add(&x->request, PP_SPAN("x-user"), PP_NAME_OTHER, pp_span(text, (size_t)n)),
        PP_OK);
    return choose(x);
}

/* 20,000 draws of probability 0.05 have a standard deviation of 31: six of them are 185. */
PP_TEST_CASE(shares_are_the_weights)
{
    static const uint32_t weight[] = {95, 5, 0};
    unsigned count[3] = {0};
    struct pp_exchange *x = begin(weight, 3, NULL);
    PP_REQUIRE(x != NULL);
    for (unsigned i = 0; i < 20000; i++)
        count[choose(x)]++;
    PP_CHECK(count[1] > 1000 - 185 && count[1] < 1000 + 185);
    PP_CHECK_EQ(count[2], 0);
    end(x);
}

PP_TEST_CASE(a_key_keeps_its_arm)
{
    static const uint32_t weight[] = {95, 5};
    static unsigned before[2000];
    unsigned canary = 0, moved = 0;
    struct pp_exchange *x = begin(weight, 2, "header.x-user");
    PP_REQUIRE(x != NULL);
    for (unsigned i = 0; i < 2000; i++) {
        before[i] = choose_for(x, i);
        canary += before[i];
    }
    PP_CHECK(canary > 50 && canary < 160); /* 100 of 2,000, six times their deviation of 10 */
    for (unsigned i = 0; i < 2000; i++)
        PP_CHECK_EQ(choose_for(x, i), before[i]);
    /* More for the canary: those who had it keep it, and just the difference comes over. */
    arms[0].until = 80;
    for (unsigned i = 0; i < 2000; i++) {
        unsigned now = choose_for(x, i);
        PP_CHECK(now >= before[i]);
        moved += now != before[i];
    }
    PP_CHECK(moved > 200 && moved < 400); /* 300, deviation 16 */
    end(x);
}

PP_TEST_CASE(arms_without_weight_are_never_chosen)
{
    static const uint32_t weight[] = {0, 7, 0};
    struct pp_exchange *x = begin(weight, 3, "header.x-user");
    PP_REQUIRE(x != NULL);
    for (unsigned i = 0; i < 1000; i++)
        PP_CHECK_EQ(choose_for(x, i), 1);
    /* Without the key it is chance. */
    x->request.n_field = 0;
    x->request.seen = 0;
    for (unsigned i = 0; i < 1000; i++)
        PP_CHECK_EQ(choose(x), 1);
    end(x);
}

PP_TEST_MAIN()
