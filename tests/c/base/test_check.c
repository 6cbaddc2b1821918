/* Run twice: as in debug builds, where a failed expectation ends the process (a child, here), and
 * as in release builds, where it is reported and life goes on. */
// variant: release -UPP_DEBUG
#include "base/check.c"

#include <sys/wait.h>
#include <unistd.h>

#include "pp_test.h"

static volatile int reports;
static const char *reported_expr;
static int reported_line;

static void on_report(const char *file, int line, const char *expr)
{
    reports++;
    reported_line = line;
    reported_expr = expr;
}

/* The standard error of a child that runs <fn>, in <out>; true when it died by SIGABRT. */
static bool dies(void (*fn)(void), char *out, size_t size)
{
    int fds[2], status = 0;
    size_t n = 0;
    ssize_t got;

    if (pipe(fds))
        return false;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(fds[1]);
    while (n < size - 1 && (got = read(fds[0], out + n, size - 1 - n)) > 0)
        n += (size_t)got;
    out[n] = '\0';
    close(fds[0]);
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void die_fatally(void)
{
    PP_FATAL("no %s for %d", "memory", 7);
}

PP_TEST_CASE(expectation_that_holds_is_silent)
{
    reports = 0;
    pp_check_set_report(on_report);
    PP_CHECK(PP_EXPECT(1 + 1 == 2));
    PP_CHECK_EQ(reports, 0);
}

PP_TEST_CASE(fatal_prints_place_and_text_and_aborts)
{
    char out[500];
    PP_CHECK(dies(die_fatally, out, sizeof(out)));
    PP_CHECK(strstr(out, "no memory for 7\n"));
    PP_CHECK(strstr(out, "test_check.c:"));
}

#ifdef PP_DEBUG

static void fail_assert(void)
{
    PP_ASSERT(reports == 99);
}

static void fail_expect(void)
{
    (void)PP_EXPECT(reports == 98);
}

static void print_report(const char *file, int line, const char *expr)
{
    fprintf(stderr, "reported %s\n", expr);
}

PP_TEST_CASE(failed_assert_names_the_expression_and_aborts)
{
    char out[500];
    PP_CHECK(dies(fail_assert, out, sizeof(out)));
    PP_CHECK(strstr(out, "assert: reports == 99\n"));
}

PP_TEST_CASE(failed_expectation_is_reported_and_aborts)
{
    char out[500];
    pp_check_set_report(print_report);
    PP_CHECK(dies(fail_expect, out, sizeof(out)));
    PP_CHECK(strstr(out, "reported reports == 98\n"));
    PP_CHECK(strstr(out, "expect: reports == 98\n"));
    pp_check_set_report(NULL);
}

PP_TEST_CASE(assert_that_holds_goes_on)
{
    int evaluated = 0;
    PP_ASSERT(++evaluated == 1);
    PP_CHECK_EQ(evaluated, 1);
}

#else

PP_TEST_CASE(failed_expectation_is_reported_and_goes_on)
{
    int here;

    reports = 0;
    pp_check_set_report(on_report);
    here = __LINE__ + 1;
    PP_CHECK(!PP_EXPECT(reports == 99));
    PP_CHECK_EQ(reports, 1);
    PP_CHECK_EQ(reported_line, here);
    PP_CHECK(strcmp(reported_expr, "reports == 99") == 0);
}

PP_TEST_CASE(failed_expectation_without_hook_is_silent)
{
    pp_check_set_report(NULL);
    PP_CHECK(!PP_EXPECT(reports == 99));
}

PP_TEST_CASE(release_assert_does_not_evaluate)
{
    int evaluated = 0;
    PP_ASSERT(++evaluated == 99);
    PP_CHECK_EQ(evaluated, 0);
}

#endif

PP_TEST_MAIN()
