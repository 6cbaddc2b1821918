// links: base/span.c base/num.c base/arena.c base/mem.c base/check.c base/variable.c wire/uri.c
// links: wire/args.c
// dict: uri.dict
/* Queries and cookies: names and values lie in the input or in what was decoded, equal names find
 * the first, and what is refused is too many. */
#include "fuzz.h"
#include "base/variable.h"
#include "wire/args.h"

static void check(const struct pp_args *args, struct pp_span s)
{
    FUZZ_CHECK(args->n <= PP_ARGS_MAX && args->n <= s.n);
    for (uint32_t i = 0; i < args->n; i++) {
        const struct pp_arg *arg = &args->arg[i];
        FUZZ_CHECK(arg->name.n + arg->value.n <= s.n);
        uint32_t hash = pp_variable_hash(arg->name);
        FUZZ_CHECK(args->hash[i] == hash);
        const struct pp_arg *first = pp_args_find(args, arg->name, hash);
        FUZZ_CHECK(first != NULL && first <= arg && pp_span_eq(first->name, arg->name));
        /* Every byte can be read. */
        volatile unsigned sum = 0;
        for (size_t k = 0; k < arg->value.n; k++)
            sum = sum + (unsigned char)arg->value.p[k];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *in = fuzz_copy(bytes, n);
    struct pp_span s = pp_span(in, n);
    struct pp_arena arena;
    const struct pp_args *args;

    pp_arena_init(&arena, NULL, 0, 1 << 20);
    int rc = pp_args_split_query(&arena, s, &args);
    FUZZ_CHECK(rc == PP_OK || rc == PP_EHTTP_ARGUMENTS || rc == PP_ENOMEM);
    if (rc == PP_OK)
        check(args, s);
    rc = pp_args_split_cookies(&arena, s, &args);
    FUZZ_CHECK(rc == PP_OK || rc == PP_EHTTP_ARGUMENTS || rc == PP_ENOMEM);
    if (rc == PP_OK)
        check(args, s);
    pp_arena_fini(&arena);
    free(in);
    return 0;
}
