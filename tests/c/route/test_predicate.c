#include "route/predicate.c"

#include "route/predicate_program.h"

static bool holds(const struct pp_predicate *p, const char *const *pairs)
{
    struct request q = {.pairs = pairs};
    struct pp_predicate_input in = request_input(&q);
    bool yes = false, said;
    char line[300];
    PP_CHECK_EQ(pp_predicate_eval(p, &in, &yes), PP_OK);
    PP_CHECK_EQ(pp_predicate_explain(p, &in, &said, line, sizeof(line)), PP_OK);
    PP_CHECK(said == yes && line[0] != 0);
    return yes;
}

/* One test of query.a against one value. */
static bool tested(char op, const char *operand, const char *value)
{
    struct program p = {.n = 0};
    const char *pairs[] = {"query.a", value, NULL};
    put_test(&p, op, "query.a", operand);
    struct pp_predicate *compiled = compile(&p);
    if (compiled == NULL)
        return false;
    bool yes = holds(compiled, value != NULL ? pairs : NULL);
    pp_predicate_free(compiled);
    return yes;
}

PP_TEST_CASE(each_operator_does_what_it_says)
{
    PP_CHECK(tested('=', "jack", "jack"));
    PP_CHECK(!tested('=', "jack", "Jack") && !tested('=', "jack", "jac"));
    PP_CHECK(tested('=', "", "") && !tested('=', "", "x") && !tested('=', "", NULL));
    PP_CHECK(tested('x', NULL, "") && tested('x', NULL, "v") && !tested('x', NULL, NULL));
    PP_CHECK(tested('^', "ja", "jack") && !tested('^', "ja", "j") && tested('^', "", ""));
    PP_CHECK(tested('$', "ck", "jack") && !tested('$', "ck", "k") && tested('$', "", "x"));
    PP_CHECK(tested('*', "ac", "jack") && !tested('*', "ca", "jack") && tested('*', "", ""));
    PP_CHECK(tested('~', "^j.*k$", "jack") && !tested('~', "^a", "jack"));
    PP_CHECK(tested('>', "9", "10") && !tested('>', "10", "10") && !tested('>', "10", "9"));
    PP_CHECK(tested('g', "10", "10") && tested('l', "10", "10.0") && !tested('<', "10", "10"));
    PP_CHECK(tested('<', "0", "-1") && tested('<', "2.5", "2.25") && !tested('l', "2", "2.1"));
    PP_CHECK(tested('/', "10.0.0.0/8", "10.1.2.3") && !tested('/', "10.0.0.0/8", "11.1.2.3"));
    PP_CHECK(tested('/', "fe80:fe80::/64", "fe80:fe80::1") && !tested('/', "::1", "x"));
}

/* Neither greater nor less, and neither is "not": the caller asks for what it means. */
PP_TEST_CASE(what_is_no_number_compares_with_none)
{
    static const char *const odd[] = {"", "ten", "1e9", "0x10", "99999999999999999999"};
    for (size_t i = 0; i < PP_COUNT_OF(odd); i++)
        for (const char *op = "<>gl"; *op; op++)
            PP_CHECK(!tested(*op, "5", odd[i]));
}

PP_TEST_CASE(one_of_many_values_is_found)
{
    static char text[40][8];
    const char *value[40];
    for (uint32_t n = 1; n <= 40; n++) {
        struct program p = {.n = 0};
        for (uint32_t i = 0; i < n; i++) {
            snprintf(text[i], sizeof(text[i]), "v%u", (unsigned)(i * 7 % 41));
            value[i] = text[i];
        }
        put_tests(&p, '=', "header.x", n, value);
        struct pp_predicate *compiled = compile(&p);
        PP_REQUIRE(compiled != NULL);
        for (uint32_t i = 0; i < n; i++) {
            const char *pairs[] = {"header.x", value[i], NULL};
            PP_CHECK(holds(compiled, pairs));
        }
        const char *other[] = {"header.x", "v41", NULL}, *shorter[] = {"header.x", "v", NULL};
        PP_CHECK(!holds(compiled, other) && !holds(compiled, shorter) && !holds(compiled, NULL));
        pp_predicate_free(compiled);
    }
}

/* Trees of every shape over four variables, against the plain definition. */
struct tree {
    char kind; /* 'A', 'O', 'N' or the digit of a variable */
    unsigned n, child[4];
};

static unsigned grow(struct tree *t, unsigned *n, unsigned depth, uint64_t *seed)
{
    unsigned self = (*n)++;
    uint64_t roll = pp_test_random(seed) % 8;
    t[self].n = 0;
    if (depth == 0 || roll < 3) {
        t[self].kind = (char)('0' + pp_test_random(seed) % 4);
        return self;
    }
    t[self].kind = "AAONO"[roll - 3];
    t[self].n = t[self].kind == 'N' ? 1 : 1 + (unsigned)(pp_test_random(seed) % 4);
    for (unsigned i = 0; i < t[self].n; i++)
        t[self].child[i] = grow(t, n, depth - 1, seed);
    return self;
}

static bool plain(const struct tree *t, unsigned i, unsigned bits)
{
    if (t[i].kind >= '0')
        if (t[i].kind <= '3')
            return bits >> (t[i].kind - '0') & 1;
    if (t[i].kind == 'N')
        return !plain(t, t[i].child[0], bits);
    for (unsigned k = 0; k < t[i].n; k++)
        if (plain(t, t[i].child[k], bits) != (t[i].kind == 'A'))
            return t[i].kind != 'A';
    return t[i].kind == 'A';
}

static void write_tree(struct program *p, const struct tree *t, unsigned i)
{
    char name[] = "cookie.0";
    if (t[i].kind == 'N') {
        put_byte(p, 'N');
    } else if (t[i].n > 0) {
        put_group(p, t[i].kind, t[i].n);
    } else {
        name[7] = t[i].kind;
        put_test(p, 'x', name, NULL);
    }
    for (unsigned k = 0; k < t[i].n; k++)
        write_tree(p, t, t[i].child[k]);
}

PP_TEST_CASE(trees_of_every_shape_agree_with_the_plain_definition)
{
    static struct tree t[400];
    static struct program p;
    uint64_t seed = 7;
    for (int round = 0; round < 600; round++) {
        unsigned n = 0;
        p.n = 0;
        unsigned root = grow(t, &n, 3, &seed);
        write_tree(&p, t, root);
        struct pp_predicate *compiled = compile(&p);
        PP_REQUIRE(compiled != NULL);
        for (unsigned bits = 0; bits < 16; bits++) {
            const char *pairs[9] = {NULL};
            static const char *const names[] = {"cookie.0", "cookie.1", "cookie.2", "cookie.3"};
            unsigned at = 0;
            for (unsigned i = 0; i < 4; i++) {
                if (bits >> i & 1) {
                    pairs[at++] = names[i];
                    pairs[at++] = "";
                }
            }
            PP_CHECK_EQ(holds(compiled, pairs), plain(t, root, bits));
        }
        pp_predicate_free(compiled);
    }
}

PP_TEST_CASE(nothing_is_asked_that_cannot_decide)
{
    struct program p = {.n = 0};
    const char *pairs[] = {"query.a", "1", NULL};
    put_group(&p, 'A', 3);
    put_test(&p, '=', "query.a", "2");
    put_test(&p, '=', "query.b", "2");
    put_test(&p, '=', "query.c", "2");
    struct pp_predicate *compiled = compile(&p);
    struct request q = {.pairs = pairs};
    struct pp_predicate_input in = request_input(&q);
    bool yes;
    PP_REQUIRE(compiled != NULL);
    PP_CHECK_EQ(pp_predicate_eval(compiled, &in, &yes), PP_OK);
    PP_CHECK(!yes && q.asked == 1);
    q.rc = PP_EHTTP_ARGUMENTS;
    PP_CHECK_EQ(pp_predicate_eval(compiled, &in, &yes), PP_EHTTP_ARGUMENTS);
    PP_CHECK(!yes);
    pp_predicate_free(compiled);
}

PP_TEST_CASE(the_client_is_compared_as_bytes)
{
    static const char *const ranges[] = {"fe80:fe80::/64", "127.0.0.1"};
    struct program p = {.n = 0};
    put_tests(&p, '/', "client.address", 2, ranges);
    struct pp_predicate *compiled = compile(&p);
    struct request q = {.has_client = true, .v6 = true, .ip = {0xfe, 0x80, 0xfe, 0x80, [15] = 9}};
    struct pp_predicate_input in = request_input(&q);
    bool yes;
    PP_REQUIRE(compiled != NULL);
    PP_CHECK(pp_predicate_eval(compiled, &in, &yes) == PP_OK && yes);
    q.ip[3] = 0x81;
    PP_CHECK(pp_predicate_eval(compiled, &in, &yes) == PP_OK && !yes);
    q.ip[0] = 127, q.ip[1] = q.ip[2] = 0, q.ip[3] = 1;
    in.client_v6 = false;
    PP_CHECK(pp_predicate_eval(compiled, &in, &yes) == PP_OK && yes);
    in.client = NULL;
    PP_CHECK(pp_predicate_eval(compiled, &in, &yes) == PP_OK && !yes);
    PP_CHECK_EQ(q.asked, 0);
    pp_predicate_free(compiled);
}

static int call(void *arg, void *callable, bool *yes)
{
    *yes = callable == arg;
    return callable == NULL ? PP_EIO : PP_OK;
}

PP_TEST_CASE(callables_are_the_callers)
{
    int a, b;
    void *const callable[] = {&a, &b, NULL};
    struct pp_predicate_input in = {.call = call, .arg = &b};
    char why[PP_PREDICATE_WHY_BYTES];
    for (uint32_t i = 0; i < 3; i++) {
        struct program p = {.n = 0};
        struct pp_predicate *compiled;
        bool yes;
        put_group(&p, 'C', i);
        PP_REQUIRE(pp_predicate_new(pp_span(p.bytes, p.n), callable, 3, &compiled, why) == PP_OK);
        PP_CHECK_EQ(pp_predicate_eval(compiled, &in, &yes), i == 2 ? PP_EIO : PP_OK);
        PP_CHECK_EQ(yes, i == 1);
        in.call = NULL;
        PP_CHECK(pp_predicate_eval(compiled, &in, &yes) == PP_OK && !yes);
        in.call = call;
        pp_predicate_free(compiled);
        PP_CHECK_EQ(pp_predicate_new(pp_span(p.bytes, p.n), callable, i, &compiled, why),
                    PP_EINVAL);
    }
}

PP_TEST_CASE(what_decided_is_told)
{
    struct program p = {.n = 0};
    const char *pairs[] = {"query.name", "john", NULL};
    char line[200], small[12];
    bool yes;
    put_test(&p, '=', "query.name", "jack");
    struct pp_predicate *compiled = compile(&p);
    struct request q = {.pairs = pairs};
    struct pp_predicate_input in = request_input(&q);
    PP_REQUIRE(compiled != NULL);
    PP_CHECK_EQ(pp_predicate_explain(compiled, &in, &yes, line, sizeof(line)), PP_OK);
    PP_CHECK_STR(pp_span(line, strlen(line)), "query.name is \"jack\": no, it is \"john\"");
    PP_CHECK_EQ(pp_predicate_explain(compiled, &in, &yes, small, sizeof(small)), PP_OK);
    PP_CHECK_STR(pp_span(small, strlen(small)), "query.name ");
    q.pairs = NULL;
    PP_CHECK_EQ(pp_predicate_explain(compiled, &in, &yes, line, sizeof(line)), PP_OK);
    PP_CHECK_STR(pp_span(line, strlen(line)), "query.name is \"jack\": no, there is none");
    pp_predicate_free(compiled);
}

static int refusal(const struct program *p, char *why)
{
    struct pp_predicate *out = NULL;
    int rc = pp_predicate_new(pp_span(p->bytes, p->n), NULL, 0, &out, why);
    PP_CHECK(rc == PP_OK || out == NULL);
    pp_predicate_free(out);
    return rc;
}

PP_TEST_CASE(what_names_nothing_is_refused_with_a_sentence)
{
    static const struct {
        char op;
        const char *variable, *value;
    } bad[] = {{'=', "hots", "x"},          {'/', "client.address", "10.0.0.1/8"},
               {'~', "path", "("},          {'>', "query.a", "ten"},
               {'x', "path", "value"},      {'=', "path", NULL},
               {'^', "path", NULL},         {'?', "path", "x"},
               {'/', "client.address", "x"}};
    char why[PP_PREDICATE_WHY_BYTES];
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        struct program p = {.n = 0};
        put_test(&p, bad[i].op, bad[i].variable, bad[i].value);
        why[0] = 0;
        PP_CHECK_EQ(refusal(&p, why), PP_EINVAL);
        PP_CHECK(why[0] != 0);
    }
}

PP_TEST_CASE(depth_is_bounded)
{
    char why[PP_PREDICATE_WHY_BYTES];
    for (unsigned depth = PP_PREDICATE_DEPTH_MAX; depth < PP_PREDICATE_DEPTH_MAX + 2; depth++) {
        struct program p = {.n = 0};
        for (unsigned i = 0; i < depth; i++) {
            put_byte(&p, 'N');
            put_group(&p, i % 2 ? 'A' : 'O', 1);
        }
        put_test(&p, 'x', "path", NULL);
        PP_CHECK_EQ(refusal(&p, why), depth == PP_PREDICATE_DEPTH_MAX ? PP_OK : PP_ELIMIT);
    }
}

/* Every prefix of a program, and every program with one byte changed, is refused or compiled, in
 * memory of exactly its size. */
PP_TEST_CASE(malformed_programs_are_refused)
{
    struct program p = {.n = 0};
    char why[PP_PREDICATE_WHY_BYTES];
    put_group(&p, 'A', 2);
    put_byte(&p, 'N');
    put_test(&p, '=', "query.a", "b");
    put_test(&p, '/', "client.address", "::1");
    PP_CHECK_EQ(refusal(&p, why), PP_OK);
    for (size_t n = 0; n < p.n; n++) {
        char *exact = malloc(n ? n : 1);
        struct pp_predicate *out;
        memcpy(exact, p.bytes, n);
        PP_CHECK_EQ(pp_predicate_new(pp_span(exact, n), NULL, 0, &out, why), PP_EINVAL);
        free(exact);
    }
    for (size_t i = 0; i < p.n; i++) {
        for (int c = 0; c < 256; c++) {
            struct program changed = p;
            changed.bytes[i] = (char)c;
            int rc = refusal(&changed, why);
            PP_CHECK(rc == PP_OK || rc == PP_EINVAL || rc == PP_ELIMIT);
        }
    }
    put_byte(&p, 0);
    PP_CHECK_EQ(refusal(&p, why), PP_EINVAL);
}

static bool compile_with_little_memory(void)
{
    struct program p = {.n = 0};
    put_group(&p, 'O', 2);
    put_test(&p, '=', "query.a", "b");
    put_test(&p, '~', "path", "^/a");
    struct pp_predicate *out = compile(&p);
    pp_predicate_free(out);
    return out != NULL;
}

PP_TEST_CASE(memory_may_be_out_at_any_point)
{
    PP_CHECK_FAIL_EACH(compile_with_little_memory);
}

PP_TEST_MAIN()
