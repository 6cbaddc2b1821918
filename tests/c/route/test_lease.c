#include "route/lease.c"

#include "base/rng.h"
#include "pp_test.h"

#define TERM PP_LEASE_TERM_NS
#define START (100 * TERM + 5)

static bool take(uint64_t *word, struct pp_lease *held, uint64_t now, uint32_t limit)
{
    struct pp_lease_step step;
    if (!pp_lease_take(*word, *held, now, limit, &step))
        return false;
    *word = step.word;
    *held = step.held;
    return true;
}

static void give_back(uint64_t *word, struct pp_lease *held, uint64_t now)
{
    struct pp_lease_step step;
    pp_lease_give_back(*word, *held, now, &step);
    *word = step.word;
    *held = step.held;
}

static uint32_t renewed(uint64_t *word, struct pp_lease *held, uint64_t now)
{
    struct pp_lease_step step;
    pp_lease_renew(*word, *held, now, &step);
    *word = step.word;
    *held = step.held;
    return step.count;
}

PP_TEST_CASE(no_more_than_the_limit_at_once)
{
    uint64_t word = 0;
    struct pp_lease a = {0}, b = {0};
    PP_CHECK(take(&word, &a, START, 3));
    PP_CHECK(take(&word, &b, START, 3));
    PP_CHECK(take(&word, &a, START, 3));
    PP_CHECK(!take(&word, &b, START, 3));
    give_back(&word, &a, START + 1);
    PP_CHECK(take(&word, &b, START + 2, 3));
    PP_CHECK(!take(&word, &a, START + 2, 3));
    PP_CHECK_EQ(a.n, 1);
    PP_CHECK_EQ(b.n, 2);
}

PP_TEST_CASE(leases_last_as_long_as_they_are_renewed)
{
    uint64_t word = 0;
    struct pp_lease a = {0}, b = {0};
    PP_CHECK(take(&word, &a, START, 2));
    for (int i = 1; i < 100; i++) {
        PP_CHECK_EQ(renewed(&word, &a, START + (uint64_t)i * TERM), 1);
        PP_CHECK_EQ(renewed(&word, &a, START + (uint64_t)i * TERM + TERM / 3), 1);
    }
    PP_CHECK(take(&word, &b, START + 100 * TERM, 2));
    PP_CHECK(!take(&word, &b, START + 100 * TERM, 2));
    give_back(&word, &a, START + 100 * TERM);
    PP_CHECK(take(&word, &b, START + 100 * TERM, 2));
}

PP_TEST_CASE(what_a_dead_process_held_is_gone_after_two_terms)
{
    uint64_t word = 0;
    struct pp_lease dead = {0}, a = {0};
    PP_CHECK(take(&word, &dead, START, 3));
    PP_CHECK(take(&word, &dead, START, 3));
    PP_CHECK(take(&word, &a, START, 3));
    PP_CHECK_EQ(renewed(&word, &a, START + TERM), 3);
    PP_CHECK_EQ(renewed(&word, &a, START + 2 * TERM), 1);
    PP_CHECK(take(&word, &a, START + 2 * TERM, 3));
    PP_CHECK(take(&word, &a, START + 2 * TERM, 3));
    PP_CHECK(!take(&word, &a, START + 2 * TERM, 3));
    /* Where nobody else came, too. */
    word = 0;
    dead = (struct pp_lease){0};
    PP_CHECK(take(&word, &dead, START, 1));
    struct pp_lease late = {0};
    PP_CHECK(!take(&word, &late, START + TERM, 1));
    PP_CHECK(take(&word, &late, START + 2 * TERM, 1));
}

PP_TEST_CASE(a_holder_that_was_stopped_adds_its_leases_again)
{
    uint64_t word = 0;
    struct pp_lease slow = {0}, a = {0};
    PP_CHECK(take(&word, &slow, START, 2));
    PP_CHECK(take(&word, &slow, START, 2));
    PP_CHECK(take(&word, &a, START + 3 * TERM, 2));
    PP_CHECK(take(&word, &a, START + 3 * TERM, 2));
    PP_CHECK_EQ(renewed(&word, &slow, START + 3 * TERM), 4);
    give_back(&word, &slow, START + 3 * TERM);
    give_back(&word, &a, START + 3 * TERM);
    PP_CHECK(!take(&word, &a, START + 3 * TERM, 2));
    give_back(&word, &slow, START + 4 * TERM); /* without renewing first */
    give_back(&word, &a, START + 4 * TERM);
    PP_CHECK_EQ(slow.n, 0);
    PP_CHECK_EQ(a.n, 0);
    PP_CHECK_EQ(renewed(&word, &a, START + 4 * TERM), 0);
}

PP_TEST_CASE(a_word_that_was_lost_is_whole_again_after_a_term)
{
    uint64_t word = 0;
    struct pp_lease a = {0}, b = {0};
    PP_CHECK(take(&word, &a, START, 9));
    PP_CHECK(take(&word, &a, START, 9));
    PP_CHECK(take(&word, &b, START, 9));
    word = 0;
    give_back(&word, &a, START); /* no number below zero */
    PP_CHECK(take(&word, &b, START, 9));
    (void)renewed(&word, &a, START + TERM);
    PP_CHECK_EQ(renewed(&word, &b, START + TERM), 3);
}

PP_TEST_CASE(a_clock_that_lies_behind_counts_in_the_same_term)
{
    uint64_t word = 0, border = (START / TERM + 1) * TERM;
    struct pp_lease a = {0}, b = {0};
    PP_CHECK(take(&word, &a, border + 1, 9));
    PP_CHECK(take(&word, &b, border - 1, 9));
    PP_CHECK_EQ(renewed(&word, &b, border + 2), 2);
    give_back(&word, &b, border - 1);
    give_back(&word, &a, border + 3);
    PP_CHECK_EQ(renewed(&word, &a, border + 3), 0);
}

PP_TEST_CASE(no_limit_is_above_what_can_be_counted)
{
    struct pp_lease_step step;
    struct pp_lease held = {0};
    uint64_t word = (uint64_t)(uint16_t)(START >> TERM_BITS) << 48 | PP_LEASE_MAX;
    PP_CHECK(!pp_lease_take(word, held, START, UINT32_MAX, &step));
    PP_CHECK(!pp_lease_take(word | UINT64_C(0xffffff) << 24, held, START, UINT32_MAX, &step));
    held.n = PP_LEASE_MAX;
    pp_lease_renew(word, held, START, &step);
    PP_CHECK(step.count <= PP_LEASE_MAX);
}

/* Holders that take, give back and renew in any order: the count is theirs together, while each
 * renews once a term. */
PP_TEST_CASE(the_count_is_the_sum_of_what_is_held)
{
    enum { HOLDERS = 5 };
    struct pp_lease held[HOLDERS] = {{0}};
    struct pp_rng rng;
    uint64_t word = 0, now = START;
    pp_rng_init(&rng, 3);
    for (int i = 0; i < 20000; i++) {
        struct pp_lease *h = &held[pp_rng_below(&rng, HOLDERS)];
        uint64_t before = now / TERM;
        now += pp_rng_below(&rng, (uint32_t)(TERM / 20));
        for (int k = 0; now / TERM != before && k < HOLDERS; k++)
            (void)renewed(&word, &held[k], now);
        if (h->n > 0 && pp_rng_below(&rng, 2) == 0)
            give_back(&word, h, now);
        else
            (void)take(&word, h, now, 12);
        uint32_t sum = 0;
        for (int k = 0; k < HOLDERS; k++)
            sum += held[k].n;
        struct count c = read_word(word, now);
        PP_CHECK(sum <= 12);
        PP_CHECK_EQ(c.before + c.now, sum);
    }
}

PP_TEST_MAIN()
