// libs: pthread
#include "base/statseg.c"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "pp_test.h"

enum { SCHEMA = 77 };

/* Memory of exactly the size asked for, so that AddressSanitizer sees the first byte past it. */
static struct pp_statseg fresh(uint32_t columns, uint32_t words, uint32_t dir_bytes)
{
    struct pp_statseg s = {0};
    size_t size = pp_statseg_size(columns, words, dir_bytes);
    void *mem = calloc(1, size);
    PP_CHECK_EQ(pp_statseg_format(&s, mem, size, columns, words, dir_bytes, SCHEMA), PP_OK);
    return s;
}

static struct pp_span name_of(uint32_t i)
{
    static char text[32];
    return pp_span(text, (size_t)snprintf(text, sizeof(text), "record-%u", i));
}

PP_TEST_CASE(records_get_words_one_after_the_other)
{
    struct pp_statseg s = fresh(2, 100, 4096);
    uint32_t base = 99, n = 99;

    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("a"), 10, &base), PP_OK);
    PP_CHECK_EQ(base, 0);
    PP_CHECK_EQ(pp_statseg_define(&s, 2, PP_SPAN("a"), 5, &base), PP_OK);
    PP_CHECK_EQ(base, 10);
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN(""), 3, &base), PP_OK);
    PP_CHECK_EQ(base, 15);
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("a"), 10, &base), PP_OK);
    PP_CHECK_EQ(base, 0);
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("a"), 11, &base), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("b"), 0, &base), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_find(&s, 2, PP_SPAN("a"), &base, &n), PP_OK);
    PP_CHECK(base == 10 && n == 5);
    PP_CHECK_EQ(pp_statseg_find(&s, 1, PP_SPAN_NONE, &base, &n), PP_OK);
    PP_CHECK(base == 15 && n == 3);
    PP_CHECK_EQ(pp_statseg_find(&s, 3, PP_SPAN("a"), &base, &n), PP_ENOENT);
    PP_CHECK_EQ(pp_statseg_find(&s, 1, PP_SPAN("aa"), &base, &n), PP_ENOENT);
    free(s.mem);
}

PP_TEST_CASE(words_run_out_exactly_and_find_goes_on)
{
    struct pp_statseg s = fresh(1, 10, 4096);
    uint32_t base, n;

    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("a"), 6, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("b"), 5, &base), PP_ELIMIT);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("b"), UINT32_MAX, &base), PP_ELIMIT);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("b"), 4, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("c"), 1, &base), PP_ELIMIT);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("a"), 6, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_find(&s, 0, PP_SPAN("c"), &base, &n), PP_ENOENT);
    pp_statseg_words(&s, 0)[9] = 1; /* the last word is inside */
    free(s.mem);
}

PP_TEST_CASE(directory_runs_out_exactly)
{
    uint32_t dir = (uint32_t)(PP_STATSEG_RECORD_BYTES(8) + PP_STATSEG_RECORD_BYTES(9));
    struct pp_statseg s = fresh(1, 10, dir);
    uint32_t base;

    PP_CHECK_EQ(PP_STATSEG_RECORD_BYTES(8), 32);
    PP_CHECK_EQ(PP_STATSEG_RECORD_BYTES(9), 40);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, pp_span(s.mem, dir + 1), 1, &base), PP_ELIMIT);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("12345678"), 1, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("12345678901234567"), 1, &base), PP_ELIMIT);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN("123456789"), 1, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, 0, PP_SPAN(""), 1, &base), PP_ELIMIT);
    free(s.mem);
}

PP_TEST_CASE(next_lists_records_in_the_order_of_definition)
{
    struct pp_statseg s = fresh(1, 100, 4096);
    uint32_t base, n, kind, pos = 0;
    struct pp_span name;

    PP_CHECK(!pp_statseg_next(&s, &pos, &kind, &name, &base, &n));
    PP_CHECK_EQ(pp_statseg_define(&s, 3, PP_SPAN("api"), 2, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, 4, PP_SPAN("a longer name"), 7, &base), PP_OK);
    pos = 0;
    PP_CHECK(pp_statseg_next(&s, &pos, &kind, &name, &base, &n));
    PP_CHECK(kind == 3 && base == 0 && n == 2);
    PP_CHECK_STR(name, "api");
    PP_CHECK(pp_statseg_next(&s, &pos, &kind, &name, &base, &n));
    PP_CHECK(kind == 4 && base == 2 && n == 7);
    PP_CHECK_STR(name, "a longer name");
    PP_CHECK(!pp_statseg_next(&s, &pos, &kind, &name, &base, &n));
    PP_CHECK_EQ(pp_statseg_define(&s, 4, PP_SPAN("later"), 1, &base), PP_OK);
    PP_CHECK(pp_statseg_next(&s, &pos, &kind, &name, &base, &n));
    PP_CHECK_STR(name, "later");
    free(s.mem);
}

PP_TEST_CASE(columns_are_apart_and_sums_add_them)
{
    struct pp_statseg s = fresh(3, 7, 256);

    PP_CHECK_EQ(s.columns, 3);
    for (uint32_t column = 0; column < 3; column++) {
        PP_REQUIRE(pp_statseg_words(&s, column));
        PP_CHECK_EQ(((char *)pp_statseg_words(&s, column) - (char *)s.mem) % LINE, 0);
        for (uint32_t i = 0; i < 7; i++)
            pp_statseg_words(&s, column)[i] += column * 100 + i;
        pp_statseg_reach(&s, column, 7);
    }
    for (uint32_t i = 0; i < 7; i++)
        PP_CHECK_EQ(pp_statseg_sum(&s, i), 300 + 3 * i);
    PP_CHECK_EQ(pp_statseg_sum(&s, 7), 0);
    PP_CHECK_EQ(pp_statseg_sum(&s, UINT32_MAX), 0);
    PP_CHECK(!pp_statseg_words(&s, 3));
    PP_CHECK(!pp_statseg_words(&s, UINT32_MAX));
    free(s.mem);
}

PP_TEST_CASE(second_mapping_sees_what_the_first_defined)
{
    struct pp_statseg a = fresh(2, 50, 1000), b;
    uint32_t base, n;

    PP_CHECK_EQ(pp_statseg_open(&b, a.mem, a.size), PP_OK);
    PP_CHECK_EQ(b.columns, 2);
    PP_CHECK_EQ(b.schema, SCHEMA);
    PP_CHECK_EQ(pp_statseg_find(&b, 1, PP_SPAN("x"), &base, &n), PP_ENOENT);
    PP_CHECK_EQ(pp_statseg_define(&a, 1, PP_SPAN("x"), 4, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_find(&b, 1, PP_SPAN("x"), &base, &n), PP_OK);
    PP_CHECK(pp_statseg_words(&b, 1) == pp_statseg_words(&a, 1));
    PP_CHECK_EQ(pp_statseg_define(&b, 1, PP_SPAN("y"), 4, &base),
                PP_OK); /* a new definer goes on */
    PP_CHECK_EQ(base, 4);
    free(a.mem);
}

PP_TEST_CASE(format_refuses_what_does_not_fit)
{
    struct pp_statseg s;
    size_t size = pp_statseg_size(2, 10, 100);
    char *mem = calloc(1, size + 8);

    PP_CHECK_EQ(pp_statseg_format(&s, mem, size - 1, 2, 10, 100, SCHEMA), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_format(&s, mem + 4, size, 2, 10, 100, SCHEMA), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_format(&s, NULL, size, 2, 10, 100, SCHEMA), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_format(&s, mem, size, 0, 10, 100, SCHEMA), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_format(&s, mem, size, 2, 0, 100, SCHEMA), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_format(&s, mem, size, UINT32_MAX, UINT32_MAX, UINT32_MAX, SCHEMA),
                PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_size(UINT32_MAX, UINT32_MAX, UINT32_MAX), SIZE_MAX);
    PP_CHECK_EQ(pp_statseg_open(&s, mem, size), PP_EINVAL); /* none of them wrote a header */
    PP_CHECK_EQ(pp_statseg_format(&s, mem, size, 2, 10, 0, SCHEMA), PP_OK);
    uint32_t base;
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("x"), 1, &base), PP_ELIMIT);
    free(mem);
}

PP_TEST_CASE(open_refuses_bad_headers)
{
    struct pp_statseg s = fresh(2, 10, 100), t;
    struct header *h = s.mem, good = *h;

    PP_CHECK_EQ(pp_statseg_open(&t, s.mem, s.size), PP_OK);
    for (size_t size = 0; size < s.size; size++)
        PP_CHECK_EQ(pp_statseg_open(&t, s.mem, size), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_open(&t, NULL, s.size), PP_EINVAL);
    h->magic ^= 1;
    PP_CHECK_EQ(pp_statseg_open(&t, s.mem, s.size), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_layout(s.mem, s.size), 0);
    *h = good;
    h->layout++; /* of a newer release: it can be told apart from what is no segment */
    PP_CHECK_EQ(pp_statseg_open(&t, s.mem, s.size), PP_EINVAL);
    PP_CHECK_EQ(pp_statseg_layout(s.mem, s.size), PP_STATSEG_LAYOUT + 1);
    PP_CHECK_EQ(pp_statseg_layout(s.mem, sizeof(*h) - 1), 0);
    *h = good;
    h->columns = 0;
    PP_CHECK_EQ(pp_statseg_open(&t, s.mem, s.size), PP_EINVAL);
    *h = good;
    h->columns = 1u << 31;
    PP_CHECK_EQ(pp_statseg_open(&t, s.mem, s.size), PP_EINVAL);
    *h = good;
    h->words = UINT32_MAX;
    PP_CHECK_EQ(pp_statseg_open(&t, s.mem, s.size), PP_EINVAL);
    *h = good;
    h->dir_bytes = UINT32_MAX;
    PP_CHECK_EQ(pp_statseg_open(&t, s.mem, s.size), PP_EINVAL);
    free(s.mem);
}

PP_TEST_CASE(ten_thousand_records_are_found_in_short_chains)
{
    enum { RECORDS = 10000 };
    struct pp_statseg s = fresh(1, RECORDS * 3, RECORDS * 48);
    uint32_t base, n, longest = 0, listed = 0, pos = 0, kind;
    struct pp_span name;

    for (uint32_t i = 0; i < RECORDS; i++) {
        PP_CHECK_EQ(pp_statseg_define(&s, i % 3, name_of(i), 3, &base), PP_OK);
        PP_CHECK_EQ(base, i * 3);
    }
    for (uint32_t i = 0; i < RECORDS; i++) {
        PP_CHECK_EQ(pp_statseg_find(&s, i % 3, name_of(i), &base, &n), PP_OK);
        PP_CHECK(base == i * 3 && n == 3);
        PP_CHECK_EQ(pp_statseg_find(&s, i % 3 + 1, name_of(i), &base, &n), PP_ENOENT);
    }
    while (pp_statseg_next(&s, &pos, &kind, &name, &base, &n))
        listed++;
    PP_CHECK_EQ(listed, RECORDS);
    for (uint32_t c = 0; c < chain_count(s.dir_bytes); c++) {
        uint32_t length = 0;
        for (uint32_t link = *chain(&s, c); link; link = record_at(&s, (link - 1) * 8)->next)
            length++;
        longest = PP_MAX(longest, length);
    }
    PP_CHECK(longest <= 48);
    free(s.mem);
}

/* --- memory that somebody else scribbles over ------------------------------------------------ */

/* Every reading function once; what they return must stay inside, whatever the memory holds. */
static void read_all(const struct pp_statseg *s)
{
    uint32_t pos = 0, kind, base, n, seen = 0;
    struct pp_span name;
    unsigned char sink = 0;

    while (pp_statseg_next(s, &pos, &kind, &name, &base, &n)) {
        PP_CHECK(n > 0 && base < s->words && n <= s->words - base);
        for (size_t i = 0; i < name.n; i++)
            sink ^= (unsigned char)name.p[i];
        sink ^= (unsigned char)pp_statseg_sum(s, base + n - 1);
        sink ^= (unsigned char)pp_statseg_get(s, s->columns - 1, base);
        seen++;
    }
    for (uint32_t i = 0; i <= s->columns; i++) {
        PP_CHECK(pp_statseg_reached(s, i) <= s->words);
        sink ^= (unsigned char)pp_statseg_owner(s, i);
    }
    __asm__ volatile("" : : "r"(sink)); /* the bytes were really read */
    PP_CHECK(seen <= s->dir_bytes / sizeof(struct record));
    for (uint32_t i = 0; i < 12; i++)
        if (pp_statseg_find(s, i % 3, name_of(i), &base, &n) == PP_OK)
            PP_CHECK(n > 0 && base < s->words && n <= s->words - base);
}

static struct pp_statseg filled(void)
{
    struct pp_statseg s = fresh(2, 40, 400);
    uint32_t base;
    for (uint32_t i = 0; i < 8; i++)
        PP_CHECK_EQ(pp_statseg_define(&s, i % 3, name_of(i), 4, &base), PP_OK);
    return s;
}

PP_TEST_CASE(readers_survive_any_garbage)
{
    static const uint32_t nasty[] = {
        0, 1, 2, 7, 8, 39, 40, 41, 400, 1u << 29, INT32_MAX, 1u << 31, UINT32_MAX - 8, UINT32_MAX};
    uint64_t state = 5;
    struct pp_statseg good = filled();
    char *copy = malloc(good.size);

    memcpy(copy, good.mem, good.size);
    for (int i = 0; i < 60000; i++) {
        struct pp_statseg s = {0}, opened;
        size_t shared =
            columns_offset(good.columns, good.dir_bytes); /* header, chains, directory */
        memcpy(good.mem, copy, good.size);
        for (uint64_t hits = pp_test_random(&state) % 6 + 1; hits; hits--) {
            uint64_t r = pp_test_random(&state);
            uint32_t *word = (uint32_t *)good.mem + (r >> 8) % (shared / 4);
            *word = r & 1 ? nasty[(r >> 40) % PP_COUNT_OF(nasty)] : (uint32_t)(r >> 32) & 0x1ff;
        }
        s = good; /* attached before the damage: the geometry is its own */
        read_all(&s);
        if (pp_statseg_open(&opened, good.mem, good.size) == PP_OK)
            read_all(&opened);
        uint32_t base = 0, column = 0;
        if (pp_statseg_take(&s, 9, &column) == PP_OK) {
            PP_CHECK(column > 0 && column < s.columns);
            pp_statseg_reach(&s, column, s.words);
            pp_statseg_add(&s, (uint32_t)pp_test_random(&state) % (2 * s.words), 1);
            pp_statseg_release(&s, column);
        }
        int rc = pp_statseg_define(&s, 1, PP_SPAN("new"), 3, &base);
        PP_CHECK(rc == PP_OK || rc == PP_ELIMIT || rc == PP_EINVAL);
        PP_CHECK(rc != PP_OK || base + 3 <= s.words);
    }
    memcpy(good.mem, copy, good.size);
    read_all(&good);
    free(copy);
    free(good.mem);
}

PP_TEST_CASE(readers_survive_random_memory)
{
    uint64_t state = 6;
    struct pp_statseg s = filled();
    for (int i = 0; i < 3000; i++) {
        for (size_t at = 0; at + 8 <= s.size; at += 8)
            *(uint64_t *)((char *)s.mem + at) =
                pp_test_random(&state) & (i % 2 ? ~0ull : 0x3f0000003full);
        read_all(&s);
    }
    free(s.mem);
}

PP_TEST_CASE(ring_of_chain_links_ends)
{
    struct pp_statseg s = filled();
    uint32_t base, n;

    for (uint32_t c = 0; c < chain_count(s.dir_bytes); c++) {
        uint32_t link = *chain(&s, c);
        if (link)
            record_at(&s, (link - 1) * 8)->next = link;
    }
    PP_CHECK_EQ(pp_statseg_find(&s, 9, PP_SPAN("nowhere"), &base, &n), PP_ENOENT);
    free(s.mem);
}

PP_TEST_CASE(links_and_positions_off_the_records_are_refused)
{
    struct pp_statseg s = filled();
    uint32_t base, n, kind, pos = 3;
    struct pp_span name;

    PP_CHECK(!pp_statseg_next(&s, &pos, &kind, &name, &base, &n));
    pos = UINT32_MAX - 7;
    PP_CHECK(!pp_statseg_next(&s, &pos, &kind, &name, &base, &n));
    /* A link whose offset comes back to the record once the number wraps. */
    for (uint32_t c = 0; c < chain_count(s.dir_bytes); c++)
        *chain(&s, c) += 1u << 29;
    for (uint32_t i = 0; i < 8; i++)
        PP_CHECK_EQ(pp_statseg_find(&s, i % 3, name_of(i), &base, &n), PP_ENOENT);
    free(s.mem);
}

/* --- columns -----------------------------------------------------------------------------------
 */

PP_TEST_CASE(columns_are_taken_once_and_come_back)
{
    struct pp_statseg s = fresh(4, 8, 64);
    uint32_t column = 0;

    PP_CHECK_EQ(pp_statseg_take(&s, 0, &column), PP_EINVAL);
    for (uint32_t i = 1; i < 4; i++) {
        PP_CHECK_EQ(pp_statseg_take(&s, 100 + i, &column), PP_OK);
        PP_CHECK_EQ(column, i); /* never the common one; the lowest, whose pages exist */
        PP_CHECK_EQ(pp_statseg_owner(&s, i), 100 + i);
    }
    PP_CHECK_EQ(pp_statseg_take(&s, 7, &column), PP_ELIMIT);
    pp_statseg_words(&s, 2)[0] = 5;
    pp_statseg_reach(&s, 2, 1);
    pp_statseg_release(&s, 2);
    PP_CHECK_EQ(pp_statseg_owner(&s, 2), 0);
    PP_CHECK_EQ(pp_statseg_sum(&s, 0), 5); /* what was counted stays */
    PP_CHECK_EQ(pp_statseg_take(&s, 7, &column), PP_OK);
    PP_CHECK_EQ(column, 2);
    PP_CHECK_EQ(pp_statseg_words(&s, 2)[0], 5);
    pp_statseg_release(&s, 4);
    pp_statseg_release(&s, UINT32_MAX);
    PP_CHECK_EQ(pp_statseg_owner(&s, UINT32_MAX), 0);
    free(s.mem);
}

PP_TEST_CASE(words_that_nobody_reached_are_left_alone)
{
    struct pp_statseg s = fresh(3, 8, 64);

    for (uint32_t column = 0; column < 3; column++)
        for (uint32_t i = 0; i < 8; i++)
            pp_statseg_words(&s, column)[i] = 1; /* would show in the sums */
    PP_CHECK_EQ(pp_statseg_sum(&s, 0), 0);
    pp_statseg_reach(&s, 1, 3);
    pp_statseg_reach(&s, 1, 2); /* never back */
    PP_CHECK_EQ(pp_statseg_reached(&s, 1), 3);
    PP_CHECK_EQ(pp_statseg_sum(&s, 2), 1);
    PP_CHECK_EQ(pp_statseg_sum(&s, 3), 0);
    PP_CHECK_EQ(pp_statseg_get(&s, 1, 2), 1);
    PP_CHECK_EQ(pp_statseg_get(&s, 1, 3), 0);
    PP_CHECK_EQ(pp_statseg_get(&s, 2, 0), 0);
    pp_statseg_reach(&s, 2, 9); /* past the end: nothing */
    pp_statseg_reach(&s, 3, 1);
    PP_CHECK_EQ(pp_statseg_reached(&s, 2), 0);
    PP_CHECK_EQ(pp_statseg_get(&s, 3, 0), 0);
    pp_statseg_reach(&s, 2, 8);
    PP_CHECK_EQ(pp_statseg_sum(&s, 7), 1);
    free(s.mem);
}

PP_TEST_CASE(the_common_column_adds_and_sets)
{
    struct pp_statseg s = fresh(2, 8, 64);

    pp_statseg_add(&s, 7, 3);
    pp_statseg_add(&s, 7, 4);
    PP_CHECK_EQ(pp_statseg_sum(&s, 7), 7);
    pp_statseg_set(&s, 7, 2);
    PP_CHECK_EQ(pp_statseg_sum(&s, 7), 2);
    pp_statseg_add(&s, 8, 1);
    pp_statseg_set(&s, UINT32_MAX, 1);
    PP_CHECK_EQ(pp_statseg_reached(&s, PP_STATSEG_COMMON), 8);
    free(s.mem);
}

/* Two mappings of one file at different addresses, as two process trees have them. */
PP_TEST_CASE(records_grow_while_the_file_is_mapped_twice)
{
    size_t size = pp_statseg_size(3, 4096, 65536);
    int fd = memfd_create("test", MFD_CLOEXEC);
    PP_REQUIRE(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    void *one = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    void *two = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    PP_REQUIRE(one != MAP_FAILED && two != MAP_FAILED && one != two);
    struct pp_statseg a, b;
    uint32_t base, other, n, x, y;

    PP_CHECK_EQ(pp_statseg_format(&a, one, size, 3, 4096, 65536, SCHEMA), PP_OK);
    PP_CHECK_EQ(pp_statseg_open(&b, two, size), PP_OK);
    PP_CHECK_EQ(pp_statseg_take(&a, 1, &x), PP_OK);
    PP_CHECK_EQ(pp_statseg_take(&b, 2, &y), PP_OK);
    PP_CHECK(x != y);
    for (uint32_t i = 0; i < 500; i++) { /* both define in turn */
        PP_CHECK_EQ(pp_statseg_define(i % 2 ? &a : &b, 1, name_of(i), 4, &base), PP_OK);
        PP_CHECK_EQ(pp_statseg_find(i % 2 ? &b : &a, 1, name_of(i), &other, &n), PP_OK);
        PP_CHECK(base == i * 4 && other == base && n == 4);
        pp_statseg_words(&a, x)[base]++;
        pp_statseg_reach(&a, x, base + n);
        pp_statseg_words(&b, y)[base] += 2;
        pp_statseg_reach(&b, y, base + n);
        pp_statseg_release(&a, x);
        PP_CHECK_EQ(pp_statseg_sum(i % 2 ? &a : &b, base), 3);
        PP_CHECK_EQ(pp_statseg_take(&b, 1, &x), PP_OK);
    }
    munmap(one, size);
    munmap(two, size);
    close(fd);
}

/* Writers come and go, records are added, and no sum ever differs from what was counted. */
PP_TEST_CASE(sums_agree_with_a_model_of_writers)
{
    enum { COLUMNS = 6, RECORDS = 60, WORDS = 3 };
    struct pp_statseg s = fresh(COLUMNS, RECORDS * WORDS, RECORDS * 48), reader;
    uint64_t model[RECORDS] = {0}, state = 11;
    uint32_t held[COLUMNS], holders = 0, records = 0, base, n, found = 0;

    PP_CHECK_EQ(pp_statseg_open(&reader, s.mem, s.size), PP_OK);
    for (int i = 0; i < 100000; i++) {
        uint64_t r = pp_test_random(&state);
        uint32_t choice = (uint32_t)(r >> 32);
        if (r % 64 == 0 && records < RECORDS) {
            PP_CHECK_EQ(pp_statseg_define(&s, 1, name_of(records), WORDS, &base), PP_OK);
            records++;
        } else if (r % 64 < 8) {
            int rc = pp_statseg_take(&s, choice | 1, &held[holders]);
            PP_CHECK_EQ(rc, holders < COLUMNS - 1 ? PP_OK : PP_ELIMIT);
            for (uint32_t j = 0; rc == PP_OK && j < holders; j++)
                PP_CHECK(held[j] != held[holders]);
            holders += rc == PP_OK;
        } else if (r % 64 < 15 && holders) {
            uint32_t *leaver = &held[choice % holders];
            pp_statseg_release(&s, *leaver);
            *leaver = held[--holders];
        } else if (records) {
            uint32_t record = choice % records;
            PP_CHECK_EQ(pp_statseg_find(&reader, 1, name_of(record), &base, &n), PP_OK);
            if (r % 64 < 20) {
                pp_statseg_add(&s, base + 1, 1);
                model[record]++;
            } else if (holders) {
                uint32_t column = held[choice / records % holders];
                pp_statseg_reach(&s, column, base + n);
                pp_statseg_words(&s, column)[base + 1]++;
                model[record]++;
            }
            PP_CHECK_EQ(pp_statseg_sum(&reader, base + 1), model[record]);
            PP_CHECK_EQ(pp_statseg_sum(&reader, base), 0);
            found++;
        }
    }
    PP_CHECK(records == RECORDS && found > 0);
    free(s.mem);
}

PP_TEST_CASE(what_a_dead_definer_left_half_done_is_completed)
{
    struct pp_statseg s = fresh(1, 40, 4096);
    uint32_t base, n, pos = 0, kind, listed = 0;
    struct pp_span name;

    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("a"), 4, &base), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("b"), 4, &base), PP_OK);
    /* It died before the last store: the record is listed, but in no chain. */
    uint32_t *front = chain(&s, name_hash(1, PP_SPAN("b")));
    *front = record_at(&s, header(&s)->newest)->next;
    PP_CHECK_EQ(pp_statseg_find(&s, 1, PP_SPAN("b"), &base, &n), PP_ENOENT);
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("b"), 4, &base), PP_OK);
    PP_CHECK_EQ(base, 4);
    while (pp_statseg_next(&s, &pos, &kind, &name, &base, &n))
        listed++;
    PP_CHECK_EQ(listed, 2);
    /* It died before the directory grew: words are lost, and that is all. */
    header(&s)->words_used += 4;
    header(&s)->newest = header(&s)->dir_used;
    PP_CHECK_EQ(pp_statseg_define(&s, 1, PP_SPAN("c"), 4, &base), PP_OK);
    PP_CHECK_EQ(base, 12);
    PP_CHECK_EQ(pp_statseg_find(&s, 1, PP_SPAN("a"), &base, &n), PP_OK);
    free(s.mem);
}

/* --- a reader beside the definer -------------------------------------------------------------- */

enum { BESIDE = 20000 };

static void *define_all(void *arg)
{
    struct pp_statseg *s = arg;
    uint32_t base;
    bool ok = true;
    for (uint32_t i = 0; i < BESIDE; i++) {
        char text[32];
        int n = snprintf(text, sizeof(text), "record-%u", i);
        ok &= pp_statseg_define(s, 7, pp_span(text, (size_t)n), 2, &base) == PP_OK;
    }
    return ok ? s : NULL;
}

PP_TEST_CASE(reader_beside_the_definer_sees_whole_records)
{
    struct pp_statseg s = fresh(1, BESIDE * 2, BESIDE * 48), reader;
    pthread_t thread;
    void *done = NULL;
    uint32_t pos = 0, seen = 0, kind, base, n;
    struct pp_span name;

    PP_CHECK_EQ(pp_statseg_open(&reader, s.mem, s.size), PP_OK);
    PP_REQUIRE(pthread_create(&thread, NULL, define_all, &s) == 0);
    while (seen < BESIDE) {
        if (!pp_statseg_next(&reader, &pos, &kind, &name, &base, &n))
            continue;
        PP_CHECK(kind == 7 && base == seen * 2 && n == 2);
        PP_CHECK(pp_span_eq(name, name_of(seen)));
        seen++;
        /* Once defined, a record is found ever after, whatever is put in front of it. */
        uint32_t old = (uint32_t)((uint64_t)seen * 2654435761u % seen);
        if (old + 1 < seen) {
            PP_CHECK_EQ(pp_statseg_find(&reader, 7, name_of(old), &base, &n), PP_OK);
            PP_CHECK_EQ(base, old * 2);
        }
    }
    PP_CHECK_EQ(pthread_join(thread, &done), 0);
    PP_CHECK(done != NULL);
    free(s.mem);
}

/* --- writers that compete for columns -------------------------------------------------------- */

enum { TURNS = 200000, WRITERS = 3 };
static pthread_barrier_t all_there;

/* Take a column, count with plain stores, give it back: one increment is lost as soon as two
 * writers hold the same column, or one does not see what its predecessor wrote. */
static void *count_in_turns(void *arg)
{
    struct pp_statseg *s = arg;
    uintptr_t done = 0;
    pthread_barrier_wait(&all_there);
    while (done < TURNS) {
        uint32_t column;
        if (pp_statseg_take(s, 1, &column) != PP_OK)
            continue;
        pp_statseg_reach(s, column, 1);
        pp_statseg_words(s, column)[0]++;
        pp_statseg_add(s, 1, 1);
        pp_statseg_release(s, column);
        done++;
    }
    return (void *)done;
}

PP_TEST_CASE(competing_writers_lose_no_count)
{
    struct pp_statseg s = fresh(3, 2, 64); /* two columns for three */
    pthread_t threads[WRITERS];

    PP_REQUIRE(pthread_barrier_init(&all_there, NULL, WRITERS) == 0);
    for (int i = 0; i < WRITERS; i++)
        PP_REQUIRE(pthread_create(&threads[i], NULL, count_in_turns, &s) == 0);
    for (int i = 0; i < WRITERS; i++)
        PP_CHECK_EQ(pthread_join(threads[i], NULL), 0);
    PP_CHECK_EQ(pp_statseg_sum(&s, 0), TURNS * WRITERS);
    PP_CHECK_EQ(pp_statseg_sum(&s, 1), TURNS * WRITERS);
    pthread_barrier_destroy(&all_there);
    free(s.mem);
}

PP_TEST_CASE(some_bits_of_a_common_word_change)
{
    struct pp_statseg s = fresh(2, 4, 64);
    const uint64_t *word = pp_statseg_common(&s, 3);
    PP_CHECK_EQ(*word, 0);
    pp_statseg_change(&s, 3, 0xff, 0x123);
    PP_CHECK_EQ(*word, 0x23);
    pp_statseg_change(&s, 3, 0xf00, 0xf00);
    pp_statseg_change(&s, 3, 0x0f, 0);
    PP_CHECK_EQ(*word, 0xf20);
    PP_CHECK_EQ(pp_statseg_sum(&s, 3), 0xf20);
    PP_CHECK(pp_statseg_common(&s, 4) == NULL);
    pp_statseg_change(&s, 4, 1, 1);
    free(s.mem);
}

static void *change_in_turns(void *arg)
{
    const struct pp_statseg *s = arg;
    pthread_barrier_wait(&all_there);
    for (int k = 0; k < TURNS; k++) {
        uint64_t mask = UINT64_C(1) << k % 32;
        pp_statseg_change(s, 0, mask, k % 64 < 32 ? mask : 0);
    }
    return NULL;
}

/* Each of 32 bits is set and cleared in turn, while others do the same with the rest. */
PP_TEST_CASE(writers_of_other_bits_are_not_disturbed)
{
    struct pp_statseg s = fresh(1, 1, 64);
    pthread_t thread;
    PP_REQUIRE(pthread_barrier_init(&all_there, NULL, 2) == 0);
    PP_REQUIRE(pthread_create(&thread, NULL, change_in_turns, &s) == 0);
    pthread_barrier_wait(&all_there);
    for (int k = 0; k < TURNS; k++) {
        pp_statseg_change(&s, 0, UINT64_MAX << 32, (uint64_t)k << 32);
        PP_CHECK_EQ(*pp_statseg_common(&s, 0) >> 32, k);
    }
    PP_CHECK_EQ(pthread_join(thread, NULL), 0);
    pthread_barrier_destroy(&all_there);
    free(s.mem);
}

PP_TEST_MAIN()
