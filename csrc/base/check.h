/* Three kinds of assertion, chosen by what we know (see CONTRIBUTING.md, "Assertions"):
 *
 *   PP_ASSERT(e)  provable from the code around it; compiled into debug and test builds only.
 *   PP_EXPECT(e)  believed; evaluates to the truth of <e>. False goes to the report hook (which
 *                 counts it) and aborts in debug builds. The caller handles false.
 *   PP_FATAL(...) cannot go on (boot-time allocation failure, broken build): prints and aborts.
 *
 * Nothing that came from the network is ever checked with these. */
#ifndef PP_BASE_CHECK_H
#define PP_BASE_CHECK_H

#include "base/defs.h"

/* Called for each failed PP_EXPECT with the place and the expression; may be called often, must not
 * block. */
typedef void (*pp_check_report_fn)(const char *file, int line, const char *expr);

/* Install <fn> (NULL: silent). The one writable word of this file. */
void pp_check_set_report(pp_check_report_fn fn);

/* Implementation of the macros; always returns false, or does not return in debug builds. */
PP_COLD bool pp_check_failed(const char *file, int line, const char *expr);
PP_COLD PP_NORETURN void pp_check_fatal(const char *file, int line, const char *fmt, ...)
    PP_PRINTF(3, 4);

#ifdef PP_DEBUG
#define PP_ASSERT(e)                                                                               \
    ((void)(PP_LIKELY(e) || (pp_check_fatal(__FILE__, __LINE__, "assert: %s", #e), 0)))
#else
#define PP_ASSERT(e) ((void)sizeof(!(e)))
#endif
#define PP_EXPECT(e) (PP_LIKELY(e) || pp_check_failed(__FILE__, __LINE__, #e))
#define PP_FATAL(...) pp_check_fatal(__FILE__, __LINE__, __VA_ARGS__)

#endif
