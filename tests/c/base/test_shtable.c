#include "base/shtable.c"

#include "pp_test.h"

#define SEC ((uint64_t)1000000000)
#define START (1000 * SEC)
#define BYTES(n) (sizeof(struct header) + (size_t)(n)*PP_SHTABLE_BUCKET)

static _Alignas(64) char memory[BYTES(64)];

static struct pp_shtable table_of(size_t buckets)
{
    struct pp_shtable t;
    memset(memory, 0, sizeof(memory));
    PP_CHECK_EQ(pp_shtable_format(&t, memory, BYTES(buckets), (struct pp_hash_seed){1, 2}), PP_OK);
    return t;
}

static struct pp_shtable_key key_of(const struct pp_shtable *t, unsigned number)
{
    struct pp_shtable_key key;
    pp_shtable_hash(t, 7, pp_span((const char *)&number, sizeof(number)), &key);
    return key;
}

static uint64_t get(const struct pp_shtable *t, unsigned number, uint64_t now)
{
    struct pp_shtable_ref ref;
    struct pp_shtable_key key = key_of(t, number);
    return pp_shtable_get(t, &key, now, &ref);
}

static bool set(const struct pp_shtable *t, unsigned number, uint64_t now, uint64_t value,
                uint64_t expires)
{
    struct pp_shtable_ref ref;
    struct pp_shtable_key key = key_of(t, number);
    (void)pp_shtable_get(t, &key, now, &ref);
    return pp_shtable_put(t, &ref, value, expires);
}

static uint64_t evictions_of(const struct pp_shtable *t)
{
    struct pp_shtable_fill fill;
    pp_shtable_look(t, START, &fill);
    return fill.evictions;
}

/* Cells in which the name is alive. */
static int times(const struct pp_shtable *t, unsigned number, uint64_t now)
{
    struct pp_shtable_key key = key_of(t, number);
    int n = 0;
    for (int i = 0; i < PP_SHTABLE_CELLS; i++) {
        uint64_t word = bucket_of(t, key.hash[0])->cell[i].word;
        n += (word & ~TIME_MASK) == tag_of(&key) && left_of(word, unit_of(now)) > 0;
    }
    return n;
}

PP_TEST_CASE(format_wants_room_and_alignment)
{
    struct pp_shtable t;
    struct pp_hash_seed seed = {1, 2};
    PP_CHECK_EQ(pp_shtable_format(&t, memory, BYTES(1) - 1, seed), PP_EINVAL);
    PP_CHECK_EQ(pp_shtable_format(&t, memory + 8, BYTES(2), seed), PP_EINVAL);
    PP_CHECK_EQ(pp_shtable_format(&t, NULL, BYTES(2), seed), PP_EINVAL);
    PP_CHECK_EQ(pp_shtable_format(&t, memory, BYTES(1), seed), PP_OK);
    PP_CHECK_EQ(t.n_bucket, 1);
    PP_CHECK_EQ(pp_shtable_format(&t, memory, BYTES(3) + 5, seed), PP_OK);
    PP_CHECK_EQ(t.n_bucket, 3);
}

PP_TEST_CASE(open_finds_what_format_wrote_and_refuses_the_rest)
{
    struct pp_shtable made = table_of(64), t;
    PP_CHECK(set(&made, 1, START, 11, START + SEC));
    PP_CHECK_EQ(pp_shtable_open(&t, memory, BYTES(64)), PP_OK);
    PP_CHECK_EQ(get(&t, 1, START), 11);
    PP_CHECK_EQ(pp_shtable_open(&t, memory, BYTES(64) - 1), PP_EINVAL);
    PP_CHECK_EQ(pp_shtable_open(&t, NULL, 0), PP_EINVAL);
    struct header *h = (struct header *)memory;
    h->layout++;
    PP_CHECK_EQ(pp_shtable_open(&t, memory, BYTES(64)), PP_EINVAL);
    h->layout--;
    h->n_bucket = 0;
    PP_CHECK_EQ(pp_shtable_open(&t, memory, BYTES(64)), PP_EINVAL);
    h->n_bucket = 65;
    PP_CHECK_EQ(pp_shtable_open(&t, memory, BYTES(64)), PP_EINVAL);
    h->n_bucket = 64;
    h->magic = 0;
    PP_CHECK_EQ(pp_shtable_open(&t, memory, BYTES(64)), PP_EINVAL);
}

PP_TEST_CASE(values_stay_until_they_expire)
{
    struct pp_shtable t = table_of(64);
    PP_CHECK_EQ(get(&t, 1, START), 0);
    PP_CHECK(set(&t, 1, START, 11, START + 10 * SEC));
    PP_CHECK(set(&t, 2, START, 22, START + 60 * SEC));
    PP_CHECK_EQ(get(&t, 1, START), 11);
    PP_CHECK_EQ(get(&t, 1, START + 10 * SEC), 11);
    PP_CHECK_EQ(get(&t, 1, START + 15 * SEC), 0);
    PP_CHECK_EQ(get(&t, 2, START + 15 * SEC), 22);
    PP_CHECK(set(&t, 1, START + 15 * SEC, 12, START + 20 * SEC));
    PP_CHECK_EQ(get(&t, 1, START + 15 * SEC), 12);
    /* A clock that lies a little behind still finds it. */
    PP_CHECK_EQ(get(&t, 1, START + 14 * SEC), 12);
    PP_CHECK_EQ(evictions_of(&t), 0);
}

PP_TEST_CASE(times_out_of_range_are_brought_into_it)
{
    struct pp_shtable t = table_of(64);
    PP_CHECK(set(&t, 1, START, 11, UINT64_MAX));
    PP_CHECK_EQ(get(&t, 1, START), 11);
    PP_CHECK_EQ(get(&t, 1, START + PP_SHTABLE_LIFE_MAX - 4 * SEC), 11);
    PP_CHECK_EQ(get(&t, 1, START + PP_SHTABLE_LIFE_MAX + 4 * SEC), 0);
    PP_CHECK(set(&t, 2, START, 22, 0));
    PP_CHECK_EQ(get(&t, 2, START), 22);
    PP_CHECK_EQ(get(&t, 2, START + 5 * SEC), 0);
}

PP_TEST_CASE(spaces_do_not_meet)
{
    struct pp_shtable t = table_of(64);
    struct pp_shtable_key a, b, c;
    pp_shtable_hash(&t, 1, PP_SPAN("x"), &a);
    pp_shtable_hash(&t, 2, PP_SPAN("x"), &b);
    pp_shtable_hash(&t, 1, PP_SPAN("x"), &c);
    PP_CHECK(a.hash[0] != b.hash[0] && a.hash[1] != b.hash[1]);
    PP_CHECK(a.hash[0] == c.hash[0] && a.hash[1] == c.hash[1]);
}

PP_TEST_CASE(put_fails_when_somebody_was_faster)
{
    struct pp_shtable t = table_of(64);
    struct pp_shtable_ref mine, theirs;
    struct pp_shtable_key key = key_of(&t, 1);
    /* both bring it */
    PP_CHECK_EQ(pp_shtable_get(&t, &key, START, &mine), 0);
    PP_CHECK_EQ(pp_shtable_get(&t, &key, START, &theirs), 0);
    PP_CHECK(pp_shtable_put(&t, &theirs, 5, START + SEC));
    PP_CHECK(!pp_shtable_put(&t, &mine, 6, START + SEC));
    PP_CHECK_EQ(times(&t, 1, START), 1);
    /* both change it */
    PP_CHECK_EQ(pp_shtable_get(&t, &key, START, &mine), 5);
    PP_CHECK_EQ(pp_shtable_get(&t, &key, START, &theirs), 5);
    PP_CHECK(pp_shtable_put(&t, &theirs, 7, START + SEC));
    PP_CHECK(!pp_shtable_put(&t, &mine, 8, START + SEC));
    PP_CHECK_EQ(get(&t, 1, START), 7);
    /* both find it expired */
    uint64_t later = START + 100 * SEC;
    PP_CHECK_EQ(pp_shtable_get(&t, &key, later, &mine), 0);
    PP_CHECK_EQ(pp_shtable_get(&t, &key, later, &theirs), 0);
    PP_CHECK(pp_shtable_put(&t, &theirs, 9, later + SEC));
    PP_CHECK(!pp_shtable_put(&t, &mine, 10, later + SEC));
    PP_CHECK_EQ(get(&t, 1, later), 9);
}

/* Of one bucket, so every name meets every other. Name <i> ends after (i + 1) * 10 s. */
static struct pp_shtable full(void)
{
    struct pp_shtable t = table_of(1);
    for (unsigned i = 0; i < PP_SHTABLE_CELLS; i++)
        PP_CHECK(set(&t, i, START, 100 + i, START + (i + 1) * 10 * SEC));
    return t;
}

PP_TEST_CASE(a_full_bucket_gives_up_what_ends_first)
{
    struct pp_shtable t = full();
    for (unsigned i = 0; i < PP_SHTABLE_CELLS; i++)
        PP_CHECK_EQ(get(&t, i, START), 100 + i);
    PP_CHECK(set(&t, 1, START, 101, START + 200 * SEC));
    PP_CHECK(set(&t, 50, START, 5, START + 300 * SEC)); /* in the place of 0 */
    PP_CHECK(set(&t, 51, START, 6, START + 300 * SEC)); /* of 2, for 1 ends later now */
    PP_CHECK_EQ(get(&t, 0, START), 0);
    PP_CHECK_EQ(get(&t, 1, START), 101);
    PP_CHECK_EQ(get(&t, 2, START), 0);
    PP_CHECK_EQ(get(&t, 3, START), 103);
    PP_CHECK_EQ(get(&t, 50, START), 5);
    PP_CHECK_EQ(evictions_of(&t), 2);
}

PP_TEST_CASE(what_has_expired_gives_way_without_being_counted)
{
    struct pp_shtable t = full();
    PP_CHECK(set(&t, 50, START + 15 * SEC, 5, START + 300 * SEC));
    PP_CHECK_EQ(evictions_of(&t), 0);
    PP_CHECK_EQ(get(&t, 50, START + 15 * SEC), 5);
    PP_CHECK_EQ(get(&t, 1, START + 15 * SEC), 101);
}

PP_TEST_CASE(what_was_evicted_meanwhile_is_not_written_over)
{
    struct pp_shtable t = full();
    struct pp_shtable_ref mine;
    struct pp_shtable_key key = key_of(&t, 0);
    PP_CHECK_EQ(pp_shtable_get(&t, &key, START, &mine), 100);
    PP_CHECK(set(&t, 50, START, 100, START + 10 * SEC)); /* the same value, even */
    PP_CHECK(!pp_shtable_put(&t, &mine, 6, START + SEC));
    PP_CHECK_EQ(get(&t, 50, START), 100);
}

/* Two find a full bucket and choose different cells, because a value changes between their looks.
 */
PP_TEST_CASE(a_name_that_two_bring_into_a_full_bucket_stays_once)
{
    struct pp_shtable t = full();
    struct pp_shtable_ref mine, theirs;
    struct pp_shtable_key key = key_of(&t, 50);
    PP_CHECK_EQ(pp_shtable_get(&t, &key, START, &mine), 0);
    PP_CHECK(set(&t, 0, START, 100, START + 500 * SEC));
    PP_CHECK_EQ(pp_shtable_get(&t, &key, START, &theirs), 0);
    PP_CHECK(mine.cell != theirs.cell);
    PP_CHECK(!pp_shtable_put(&t, &mine, 5, START + 50 * SEC)); /* 0 has changed */
    mine.word = t.bucket[0].cell[0].word; /* the change came before its look after all */
    PP_CHECK(pp_shtable_put(&t, &theirs, 6, START + 50 * SEC));
    PP_CHECK(!pp_shtable_put(&t, &mine, 5, START + 50 * SEC));
    PP_CHECK_EQ(times(&t, 50, START), 1);
    PP_CHECK_EQ(get(&t, 50, START), 6);
    /* The cell that was taken back is the next to give way. */
    PP_CHECK(set(&t, 51, START, 7, START + 50 * SEC));
    PP_CHECK_EQ(times(&t, 50, START), 1);
    PP_CHECK_EQ(get(&t, 51, START), 7);
    PP_CHECK_EQ(get(&t, 3, START), 103);
}

PP_TEST_CASE(the_living_is_found_before_the_dead_of_the_same_name)
{
    struct pp_shtable t = full();
    struct pp_shtable_key key = key_of(&t, 5);
    struct cell *c = t.bucket[0].cell;
    c[1].word = tag_of(&key) | (unit_of(START) - 3);
    c[1].value = 77;
    PP_CHECK_EQ(get(&t, 5, START), 105);
    PP_CHECK(set(&t, 5, START, 106, START + 100 * SEC));
    PP_CHECK_EQ(c[1].value, 77);
    PP_CHECK_EQ(get(&t, 5, START), 106);
}

/* A killed process may have left it so. */
PP_TEST_CASE(a_name_that_stands_twice_is_found_in_one_place)
{
    struct pp_shtable t = full();
    t.bucket[0].cell[1] = t.bucket[0].cell[5];
    PP_CHECK(set(&t, 5, START, 900, START + 100 * SEC));
    PP_CHECK_EQ(get(&t, 5, START), 900);
    PP_CHECK(set(&t, 5, START, 901, START + 100 * SEC));
    PP_CHECK_EQ(get(&t, 5, START), 901);
    PP_CHECK_EQ(t.bucket[0].cell[1].value, 901);
    PP_CHECK_EQ(t.bucket[0].cell[5].value, 105);
}

PP_TEST_CASE(any_memory_is_survived)
{
    struct pp_shtable t = table_of(4);
    uint64_t state = 88172645463325252u;
    for (int round = 0; round < 200; round++) {
        for (char *p = (char *)t.bucket; p < memory + BYTES(4); p++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            *p = (char)state;
        }
        for (unsigned i = 0; i < 200; i++) {
            (void)set(&t, i, START, i + 1, START + i * SEC);
            PP_CHECK(get(&t, i, START) == i + 1 || get(&t, i, START) == 0);
        }
    }
}

PP_TEST_CASE(the_look_counts_the_living)
{
    struct pp_shtable t = table_of(64);
    struct pp_shtable_fill fill;
    for (unsigned i = 0; i < 40; i++)
        PP_CHECK(set(&t, i, START, 1, START + (i < 10 ? 5 : 100) * SEC));
    pp_shtable_look(&t, START, &fill);
    PP_CHECK_EQ(fill.cells, 64 * 8);
    PP_CHECK_EQ(fill.seen, 64 * 8);
    PP_CHECK_EQ(fill.alive, 40);
    pp_shtable_look(&t, START + 20 * SEC, &fill);
    PP_CHECK_EQ(fill.alive, 30);
}

PP_TEST_CASE(names_spread_over_all_buckets)
{
    struct pp_shtable t = table_of(64);
    unsigned n[64] = {0};
    for (unsigned i = 0; i < 64 * 1000; i++) {
        struct pp_shtable_key key = key_of(&t, i);
        n[bucket_of(&t, key.hash[0]) - t.bucket]++;
    }
    for (int i = 0; i < 64; i++)
        PP_CHECK(n[i] > 800 && n[i] < 1200); /* 6 sigma */
}

PP_TEST_MAIN()
