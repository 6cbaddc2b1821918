/* A small test harness for white-box C tests.
 *
 *   #include "base/thing.c"    (the file under test, statics included; test_c.py links the rest)
 *   #include "pp_test.h"
 *
 *   PP_TEST_CASE(empty_thing_has_no_items)
 *   {
 *       PP_CHECK_EQ(count(&thing), 0);
 *   }
 *
 *   PP_TEST_MAIN()
 *
 * Cases run in the order of the file. A failed check is printed and the case goes on, so that one
 * run shows all that is wrong; PP_REQUIRE ends the case where going on would crash. Arguments of
 * the program choose the cases whose names contain one of them. */
#ifndef PP_TEST_H
#define PP_TEST_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

struct pp_test_case {
    const char *name;
    void (*run)(void);
    struct pp_test_case *next;
};

/* One test program is one translation unit, so file-scope state is the program's own. */
static struct pp_test_case *pp_test_first, **pp_test_end = &pp_test_first;
static const char *pp_test_running = "";
static unsigned long pp_test_checks, pp_test_failures;

/* After this many failures nothing more is printed: a broken loop must not fill the terminal. */
#define PP_TEST_SHOWN_MAX 50

/* Define a case. Registered before main by a constructor, hence no list to keep. */
#define PP_TEST_CASE(case_name)                                                                    \
    static void pp_test_case_##case_name(void);                                                    \
    __attribute__((constructor)) static void pp_test_add_##case_name(void)                         \
    {                                                                                              \
        static struct pp_test_case self = {#case_name, pp_test_case_##case_name, NULL};            \
        *pp_test_end = &self;                                                                      \
        pp_test_end = &self.next;                                                                  \
    }                                                                                              \
    static void pp_test_case_##case_name(void)

static inline bool pp_test_count(bool ok)
{
    pp_test_checks++;
    if (ok)
        return false;
    return ++pp_test_failures <= PP_TEST_SHOWN_MAX;
}

static inline void pp_test_place(const char *file, int line)
{
    printf("%s:%d: in %s: ", file, line, pp_test_running);
}

static inline bool pp_test_true(bool ok, const char *expr, const char *file, int line)
{
    if (pp_test_count(ok)) {
        pp_test_place(file, line);
        printf("false: %s\n", expr);
    }
    return ok;
}

/* The macros widen both sides to 128 bits, so that a signed and an unsigned number compare by
 * value. */
static inline void pp_test_eq(__int128 a, __int128 b, const char *exprs, const char *file, int line)
{
    if (pp_test_count(a == b)) {
        pp_test_place(file, line);
        printf("not equal: %s\n", exprs);
        printf("    %" PRId64 " (0x%" PRIx64 ")\n", (int64_t)a, (uint64_t)a);
        printf("    %" PRId64 " (0x%" PRIx64 ")\n", (int64_t)b, (uint64_t)b);
    }
}

static inline void pp_test_print_bytes(const char *p, size_t n)
{
    printf("    \"");
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\')
            putchar(c);
        else
            printf("\\x%02x", c);
    }
    printf("\" (%zu bytes)\n", n);
}

static inline void pp_test_bytes(struct pp_span got, struct pp_span want, const char *expr,
                                 const char *file, int line)
{
    if (pp_test_count(pp_span_eq(got, want))) {
        pp_test_place(file, line);
        printf("other bytes: %s\n", expr);
        pp_test_print_bytes(got.p, got.n);
        pp_test_print_bytes(want.p, want.n);
    }
}

/* <expr> is true. */
#define PP_CHECK(expr) ((void)pp_test_true((expr), #expr, __FILE__, __LINE__))
/* <expr> is true, or the case ends here (use in the case's own function only). */
#define PP_REQUIRE(expr)                                                                           \
    do {                                                                                           \
        if (!pp_test_true((expr), #expr, __FILE__, __LINE__))                                      \
            return;                                                                                \
    } while (0)
/* Integers <a> and <b> are equal by value. */
#define PP_CHECK_EQ(a, b) pp_test_eq((__int128)(a), (__int128)(b), #a " == " #b, __FILE__, __LINE__)
/* The pp_span <span> holds the characters of the string literal <text>. */
#define PP_CHECK_STR(span, text) PP_CHECK_BYTES(span, text, sizeof(text) - 1)
/* The pp_span <span> holds the <len> bytes at <ptr>. */
#define PP_CHECK_BYTES(span, ptr, len)                                                             \
    pp_test_bytes((span), pp_span((ptr), (len)), #span, __FILE__, __LINE__)

/* Run <scenario>, a function bool(void) that returns whether it succeeded, with its first run-time
 * allocation failing, then with its second, and so on until it succeeds. It must have freed all
 * that it took whenever it returns. Needs base/mem.c linked and base/mem.h included. */
#define PP_CHECK_FAIL_EACH(scenario)                                                               \
    do {                                                                                           \
        bool pp_test_done = false;                                                                 \
        for (long pp_test_at = 0; !pp_test_done && pp_test_at < 100000; pp_test_at++) {            \
            long pp_test_live = pp_mem_live_for_test();                                            \
            pp_mem_fail_after_for_test(pp_test_at);                                                \
            pp_test_done = (scenario)();                                                           \
            pp_mem_fail_after_for_test(-1);                                                        \
            PP_CHECK_EQ(pp_mem_live_for_test(), pp_test_live);                                     \
        }                                                                                          \
        PP_CHECK(pp_test_done);                                                                    \
    } while (0)

/* 64 random bits from *<state>, the same for the same start: a failure can be run again. */
static inline uint64_t pp_test_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline bool pp_test_is_chosen(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strstr(name, argv[i]))
            return true;
    return argc < 2;
}

static inline int pp_test_main(int argc, char **argv)
{
    unsigned long ran = 0;

    setvbuf(stdout, NULL, _IOLBF, 0); /* what was printed before a crash is seen */
    for (struct pp_test_case *c = pp_test_first; c; c = c->next) {
        unsigned long failures = pp_test_failures;
        if (!pp_test_is_chosen(c->name, argc, argv))
            continue;
        pp_test_running = c->name;
        c->run();
        ran++;
        printf("%s %s\n", pp_test_failures == failures ? "ok  " : "FAIL", c->name);
    }
    printf("%lu cases, %lu checks, %lu failures\n", ran, pp_test_checks, pp_test_failures);
    return ran == 0 || pp_test_failures != 0;
}

#define PP_TEST_MAIN()                                                                             \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return pp_test_main(argc, argv);                                                           \
    }

#endif
