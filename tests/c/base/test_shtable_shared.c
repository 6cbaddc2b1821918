/* The table under several threads and several processes, of which some are killed. */
// libs: pthread
#include "base/shtable.c"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pp_test.h"

#define SEC ((uint64_t)1000000000)
#define START (1000 * SEC)
#define WORKERS 4
#define NAMES 13
#define BYTES(n) (sizeof(struct header) + (size_t)(n)*PP_SHTABLE_BUCKET)

static void *shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

static struct pp_shtable table_of(size_t buckets)
{
    struct pp_shtable t;
    if (pp_shtable_format(&t, shared(BYTES(buckets)), BYTES(buckets),
                          (struct pp_hash_seed){3, 4}) != PP_OK)
        abort();
    return t;
}

static void add(const struct pp_shtable *t, unsigned name, uint64_t now)
{
    struct pp_shtable_key key;
    struct pp_shtable_ref ref;
    uint64_t value;
    pp_shtable_hash(t, 1, pp_span((const char *)&name, sizeof(name)), &key);
    do
        value = pp_shtable_get(t, &key, now, &ref);
    while (!pp_shtable_put(t, &ref, value + 1, now + 100 * SEC));
}

static uint64_t get(const struct pp_shtable *t, unsigned name)
{
    struct pp_shtable_key key;
    struct pp_shtable_ref ref;
    pp_shtable_hash(t, 1, pp_span((const char *)&name, sizeof(name)), &key);
    return pp_shtable_get(t, &key, START, &ref);
}

static struct pp_shtable common;
static pthread_barrier_t barrier;

/* Each round brings a name that nobody has seen, to all at the same moment. */
#define ROUNDS 3000
static void *bring_names(void *arg)
{
    (void)arg;
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        add(&common, round, START);
    }
    return NULL;
}

PP_TEST_CASE(names_that_all_bring_at_once_lose_nothing)
{
    pthread_t thread[WORKERS];
    common = table_of(4096);
    pthread_barrier_init(&barrier, NULL, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        PP_REQUIRE(pthread_create(&thread[i], NULL, bring_names, NULL) == 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&barrier);
    for (unsigned round = 0; round < ROUNDS; round++)
        PP_CHECK_EQ(get(&common, round), WORKERS);
    munmap(common.mem, BYTES(4096));
}

static void *add_often(void *arg)
{
    for (unsigned i = 0; i < 50000; i++)
        add(&common, (i + (unsigned)(uintptr_t)arg) % NAMES, START + i % 3 * SEC);
    return NULL;
}

PP_TEST_CASE(threads_add_exactly)
{
    pthread_t thread[WORKERS];
    uint64_t sum = 0;
    common = table_of(4);
    for (uintptr_t i = 0; i < WORKERS; i++)
        PP_REQUIRE(pthread_create(&thread[i], NULL, add_often, (void *)i) == 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < NAMES; i++)
        sum += get(&common, i);
    PP_CHECK_EQ(sum, WORKERS * 50000);
    munmap(common.mem, BYTES(4));
}

/* Add for ever; <done> counts what has certainly been added. */
static void work(const struct pp_shtable *t, uint64_t *done, unsigned from)
{
    for (unsigned i = from;; i++) {
        add(t, i % NAMES, START);
        __atomic_fetch_add(done, 1, __ATOMIC_SEQ_CST);
    }
}

PP_TEST_CASE(processes_that_are_killed_lose_at_most_what_was_in_hand)
{
    enum { KILLS = 60 };
    struct pp_shtable t = table_of(4);
    uint64_t *done = shared(sizeof(uint64_t) * KILLS), sum = 0, sure = 0;
    pid_t pid[KILLS];
    for (int i = 0; i < KILLS; i++) {
        pid[i] = fork();
        PP_REQUIRE(pid[i] >= 0);
        if (pid[i] == 0)
            work(&t, &done[i], (unsigned)i);
        if (i >= WORKERS) { /* while others go on */
            struct timespec moment = {0, 1000000 + i * 1000};
            nanosleep(&moment, NULL);
            kill(pid[i - WORKERS], SIGKILL);
            waitpid(pid[i - WORKERS], NULL, 0);
        }
    }
    for (int i = KILLS - WORKERS; i < KILLS; i++) {
        kill(pid[i], SIGKILL);
        waitpid(pid[i], NULL, 0);
    }
    for (int i = 0; i < KILLS; i++)
        sure += done[i];
    for (unsigned i = 0; i < NAMES; i++)
        sum += get(&t, i);
    PP_CHECK(sure > 0);
    PP_CHECK(sum >= sure && sum <= sure + KILLS);
    /* And the table works. */
    add(&t, 1, START);
    uint64_t after = 0;
    for (unsigned i = 0; i < NAMES; i++)
        after += get(&t, i);
    PP_CHECK_EQ(after, sum + 1);
    munmap(t.mem, BYTES(4));
    munmap(done, sizeof(uint64_t) * KILLS);
}

/* Far more names than cells: everything gives way all the time. */
static void *churn(void *arg)
{
    unsigned state = 1 + (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < 100000; i++) {
        state = state * 1664525 + 1013904223;
        add(&common, state >> 16 & 63, START + (i >> 8) * SEC);
    }
    return NULL;
}

PP_TEST_CASE(a_table_that_is_far_too_small_stays_in_order)
{
    pthread_t thread[WORKERS];
    common = table_of(2);
    for (uintptr_t i = 0; i < WORKERS; i++)
        PP_REQUIRE(pthread_create(&thread[i], NULL, churn, (void *)i) == 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    struct pp_shtable_fill fill;
    pp_shtable_look(&common, START, &fill);
    PP_CHECK(fill.evictions > 1000);
    for (int b = 0; b < 2; b++) {
        for (int i = 0; i < PP_SHTABLE_CELLS; i++)
            PP_CHECK(common.bucket[b].cell[i].word != 0);
    }
    munmap(common.mem, BYTES(2));
}

PP_TEST_MAIN()
