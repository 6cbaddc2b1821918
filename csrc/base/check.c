#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static pp_check_report_fn report;

void pp_check_set_report(pp_check_report_fn fn)
{
    report = fn;
}

bool pp_check_failed(const char *file, int line, const char *expr)
{
    if (report)
        report(file, line, expr);
#ifdef PP_DEBUG
    pp_check_fatal(file, line, "expect: %s", expr);
#endif
    return false;
}

void pp_check_fatal(const char *file, int line, const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "pyproxy: fatal at %s:%d: ", file, line);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
