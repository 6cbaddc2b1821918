/* Candidates with predicates: passed over when they do not hold, and otherwise of no rank. */
#include "route/router.c"

#include "route/predicate_program.h"

#define MAX 16

/* Rows with a predicate "header.NAME exists"; NULL: none. */
struct row {
    const char *host, *path;
    uint32_t methods; /* 0: any */
    int priority;
    const char *header;
};

struct table {
    struct pp_router *router;
    struct pp_predicate *predicate[MAX];
    uint32_t n;
};

static struct pp_predicate *exists(const char *header)
{
    struct program p = {.n = 0};
    char name[32];
    snprintf(name, sizeof(name), "header.%s", header);
    put_test(&p, 'x', name, NULL);
    return compile(&p);
}

static void make(struct table *t, const struct row *row, uint32_t n)
{
    char why[160];
    struct pp_router_draft *d = pp_router_draft_new();
    memset(t, 0, sizeof(*t));
    for (t->n = 0; t->n < n; t->n++) {
        const struct row *w = &row[t->n];
        uint32_t methods = w->methods ? w->methods : PP_ROUTER_ANY_METHOD;
        int rc = pp_router_draft_add(d, pp_span(w->host, strlen(w->host)),
                                     pp_span(w->path, strlen(w->path)), methods, w->priority,
                                     100 + t->n, why);
        PP_CHECK_EQ(rc, PP_OK);
        if (w->header == NULL)
            continue;
        t->predicate[t->n] = exists(w->header);
        pp_router_draft_set_predicate(d, t->predicate[t->n]);
    }
    t->router = pp_router_new(d);
    pp_router_draft_free(d);
}

static void unmake(struct table *t)
{
    pp_router_free(t->router);
    for (uint32_t i = 0; i < t->n; i++)
        pp_predicate_free(t->predicate[i]);
}

static pp_router_methods allowed;

/* Route that a request with those headers (letters) takes, or the negative result. */
static long find_as(const struct table *t, const char *host, const char *path, unsigned method,
                    const char *headers)
{
    static char name[8][10];
    const char *pairs[17] = {NULL};
    for (unsigned i = 0; headers[i]; i++) {
        snprintf(name[i], sizeof(name[i]), "header.%c", headers[i]);
        pairs[2 * i] = name[i];
        pairs[2 * i + 1] = "1";
    }
    struct request r = {.pairs = pairs};
    struct pp_predicate_input in = request_input(&r);
    struct pp_router_query q = {pp_span(host, strlen(host)), pp_span(path, strlen(path)), method,
                                &in};
    struct pp_router_hit hit;
    allowed = 0;
    int rc = pp_router_find(t->router, &q, &hit, &allowed);
    return rc == PP_OK ? (long)hit.route : rc;
}

PP_TEST_CASE(a_predicate_that_fails_leaves_the_request_to_the_next)
{
    static const struct row row[] = {
        {"h.example", "/a", 0, 0, "x"},   /* 100 */
        {"h.example", "/a", 0, 0, "y"},   /* 101 */
        {"h.example", "/{n}", 0, 0, "z"}, /* 102 */
        {"h.example", "/*", 0, 0, "s"},   /* 103 */
        {"*.example", "/a", 0, 0, NULL},  /* 104 */
        {"", "/a", 0, 0, "x"},            /* 105 */
    };
    struct table t;
    make(&t, row, PP_COUNT_OF(row));
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 1, "xyzs"), 100);
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 1, "yzs"), 101);
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 1, "zs"), 102);
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 1, "s"), 103);
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 1, ""), 104);
    PP_CHECK_EQ(find_as(&t, "h.example", "/b", 1, "x"), PP_ENOENT);
    PP_CHECK_EQ(find_as(&t, "other", "/a", 1, "x"), 105);
    PP_CHECK_EQ(find_as(&t, "other", "/a", 1, "y"), PP_ENOENT);
    unmake(&t);
}

PP_TEST_CASE(a_predicate_is_no_rank)
{
    static const struct row row[] = {
        {"", "/a", 0, 0, NULL},      /* 100: goes first, whatever the next ask for */
        {"", "/a", 0, 0, "x"},       /* 101: never */
        {"", "/b", 0, 0, NULL},      /* 102 */
        {"", "/b", 0, 1, "x"},       /* 103: by its priority */
        {"", "/c", 0, 0, "x"},       /* 104 */
        {"", "/c", 1 << 1, 0, NULL}, /* 105: names the method */
    };
    struct table t;
    make(&t, row, PP_COUNT_OF(row));
    PP_CHECK_EQ(find_as(&t, "", "/a", 1, "x"), 100);
    PP_CHECK_EQ(pp_router_shadowed(t.router, 1), 0);
    PP_CHECK_EQ(find_as(&t, "", "/b", 1, "x"), 103);
    PP_CHECK_EQ(find_as(&t, "", "/b", 1, ""), 102);
    PP_CHECK_EQ(pp_router_shadowed(t.router, 2), PP_ID_NONE);
    PP_CHECK_EQ(find_as(&t, "", "/c", 1, "x"), 105);
    PP_CHECK_EQ(find_as(&t, "", "/c", 2, "x"), 104);
    unmake(&t);
}

PP_TEST_CASE(a_method_is_not_allowed_only_when_everything_else_fits)
{
    static const struct row row[] = {
        {"h.example", "/a", 1 << 1, 0, "x"}, /* 100 */
        {"h.example", "/a", 1 << 3, 0, "y"}, /* 101 */
        {"", "/a", 1 << 4, 0, NULL},         /* 102 */
        {"i.example", "/b", 1 << 1, 0, "x"}, /* 103 */
    };
    struct table t;
    make(&t, row, PP_COUNT_OF(row));
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 2, "x"), PP_EMETHOD);
    PP_CHECK_EQ(allowed, 1 << 1);
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 2, "xy"), PP_EMETHOD);
    PP_CHECK_EQ(allowed, 1 << 1 | 1 << 3);
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 2, ""), PP_EMETHOD);
    PP_CHECK_EQ(allowed, 1 << 4);
    PP_CHECK_EQ(find_as(&t, "h.example", "/a", 4, ""), 102);
    PP_CHECK_EQ(find_as(&t, "i.example", "/b", 2, ""), PP_ENOENT);
    PP_CHECK_EQ(find_as(&t, "i.example", "/b", 2, "x"), PP_EMETHOD);
    unmake(&t);
}

PP_TEST_CASE(captures_are_those_of_the_route_that_is_taken)
{
    static const struct row row[] = {
        {"", "/{a}/x", 0, 0, "x"}, /* 100 */
        {"", "/{a}/*", 0, 0, "y"}, /* 101 */
        {"", "/*", 0, 0, NULL},    /* 102 */
    };
    static const struct {
        const char *headers;
        uint32_t route;
        unsigned n;
        const char *last;
    } want[] = {{"xy", 100, 1, "q"}, {"y", 101, 2, "x"}, {"", 102, 1, "q/x"}};
    struct table t;
    make(&t, row, PP_COUNT_OF(row));
    for (size_t i = 0; i < PP_COUNT_OF(want); i++) {
        const char *pairs[5] = {NULL};
        for (unsigned k = 0; want[i].headers[k]; k++) {
            pairs[2 * k] = want[i].headers[k] == 'x' ? "header.x" : "header.y";
            pairs[2 * k + 1] = "";
        }
        struct request r = {.pairs = pairs};
        struct pp_predicate_input in = request_input(&r);
        struct pp_router_query q = {PP_SPAN(""), PP_SPAN("/q/x"), 1, &in};
        struct pp_router_hit hit;
        PP_CHECK_EQ(pp_router_find(t.router, &q, &hit, &allowed), PP_OK);
        PP_CHECK_EQ(hit.route, want[i].route);
        PP_CHECK_EQ(hit.n_capture, want[i].n);
        PP_CHECK_BYTES(hit.capture[hit.n_capture - 1], want[i].last, strlen(want[i].last));
    }
    unmake(&t);
}

PP_TEST_CASE(an_error_of_a_predicate_ends_the_search)
{
    static const struct row row[] = {{"", "/a", 0, 0, "x"}, {"", "/*", 1 << 1, 0, NULL}};
    struct table t;
    make(&t, row, PP_COUNT_OF(row));
    struct request r = {.rc = PP_EHTTP_ARGUMENTS};
    struct pp_predicate_input in = request_input(&r);
    struct pp_router_query q = {PP_SPAN(""), PP_SPAN("/a"), 1, &in};
    struct pp_router_hit hit;
    PP_CHECK_EQ(pp_router_find(t.router, &q, &hit, &allowed), PP_EHTTP_ARGUMENTS);
    PP_CHECK_EQ(r.asked, 1);
    q.path = PP_SPAN("/b");
    PP_CHECK_EQ(pp_router_find(t.router, &q, &hit, &allowed), PP_OK);
    /* Nobody to ask: no predicate holds. */
    q.path = PP_SPAN("/a");
    q.input = NULL;
    PP_CHECK_EQ(pp_router_find(t.router, &q, &hit, &allowed), PP_OK);
    PP_CHECK_EQ(hit.route, 101);
    unmake(&t);
}

static char lines[8][700];
static uint32_t n_line;

static void note(void *arg, uint32_t route, bool chosen, const char *reason)
{
    snprintf(lines[n_line++], sizeof(lines[0]), "%u%s %s", route, chosen ? "!" : "", reason);
}

PP_TEST_CASE(explain_names_the_test_that_decided)
{
    static const struct row row[] = {
        {"", "/a", 0, 0, "x"}, {"", "/a", 0, 0, "y"}, {"", "/*", 0, 0, 0}};
    const char *pairs[] = {"header.y", "1", NULL};
    struct table t;
    make(&t, row, PP_COUNT_OF(row));
    struct request r = {.pairs = pairs};
    struct pp_predicate_input in = request_input(&r);
    struct pp_router_query q = {PP_SPAN(""), PP_SPAN("/a"), 1, &in};
    PP_CHECK_EQ(pp_router_explain(t.router, &q, note, NULL), PP_OK);
    PP_CHECK_EQ(n_line, 3);
    PP_CHECK_STR(
        pp_span(lines[0], strlen(lines[0])),
        "100 host any, path /a, priority 0: passed over, header.x exists: no, there is none");
    PP_CHECK_STR(pp_span(lines[1], strlen(lines[1])),
                 "101! host any, path /a, priority 0: chosen before the next by rule 3 (path)");
    r.rc = PP_ENOMEM;
    PP_CHECK_EQ(pp_router_explain(t.router, &q, note, NULL), PP_ENOMEM);
    unmake(&t);
}

PP_TEST_MAIN()
