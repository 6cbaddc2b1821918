#include "route/predicate.h"

#include <stdio.h>

#include "base/check.h"
#include "base/decimal.h"
#include "base/ip.h"
#include "base/le.h"
#include "base/mem.h"
#include "base/regex.h"
#include "route/cidr.h"

/* Jump targets that are no index of a test. */
#define YES UINT32_MAX
#define NO (UINT32_MAX - 1)
enum { TESTS_MAX = 1 << 20, SEARCH_FROM = 9 };

struct test {
    uint8_t op; /* enum pp_predicate_op */
    uint32_t n; /* values, or ranges */
    uint32_t on_yes, on_no;
    struct pp_variable var;
    union {
        struct pp_span one;           /* the only value */
        const struct pp_span *sorted; /* several, by length and then bytes */
        const struct pp_cidr *range;
        const struct pp_regex *regex;
        struct pp_decimal number;
        void *callable;
    } u;
};

struct pp_predicate {
    uint32_t n, n_regex;
    struct pp_regex **regex;
    struct test test[]; /* then ranges, values, expressions, and the program's bytes */
};

/* ---- reading a program ---- */

/* What a program needs; counted first, so that all of it lies in one piece of memory. */
struct size {
    uint32_t tests, values, ranges, regexes, labels;
};

/* all or any, waiting for the rest of its nodes. */
struct frame {
    bool any;
    uint32_t left;    /* nodes to come, the present one included */
    uint32_t yes, no; /* labels that it leads to */
    uint32_t behind;  /* label behind the present node, 0: it leads to <yes> and <no> itself */
};

struct reader {
    const char *p, *end;
    struct pp_predicate *out; /* NULL: only count and check the form */
    struct size at;           /* so far */
    struct pp_span *value;
    struct pp_cidr *range;
    uint32_t *label; /* index of the test behind each; 0 and 1 are YES and NO */
    void *const *callable;
    uint32_t n_callable;
    struct frame frame[PP_PREDICATE_DEPTH_MAX];
    unsigned depth;
    char *why;
};

static int refuse(struct reader *r, const char *what, struct pp_span text)
{
    snprintf(r->why, PP_PREDICATE_WHY_BYTES, "%s%.*s", what, (int)PP_MIN(text.n, 100),
             text.n > 0 ? text.p : "");
    return PP_EINVAL;
}

static int refuse_form(struct reader *r)
{
    return refuse(r, "the program of a predicate is malformed", PP_SPAN_NONE);
}

static bool read_u32(struct reader *r, uint32_t *out)
{
    if (r->end - r->p < 4)
        return false;
    *out = (uint32_t)pp_le_get(&r->p, 4);
    return true;
}

static bool read_text(struct reader *r, struct pp_span *out)
{
    uint32_t n;
    if (!read_u32(r, &n) || (size_t)(r->end - r->p) < n)
        return false;
    *out = pp_span(r->p, n);
    r->p += n;
    return true;
}

/* By length and then bytes. */
static int compare_values(struct pp_span a, struct pp_span b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return a.n == 0 ? 0 : memcmp(a.p, b.p, a.n);
}

/* Shell sort: no recursion, and values are a handful. */
static void sort_values(struct pp_span *v, uint32_t n)
{
    for (uint32_t gap = n / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < n; i++) {
            struct pp_span moved = v[i];
            uint32_t j = i;
            for (; j >= gap && compare_values(moved, v[j - gap]) < 0; j -= gap)
                v[j] = v[j - gap];
            v[j] = moved;
        }
    }
}

/* One of several values of a test. */
static int take_value(struct reader *r, const struct test *t, struct pp_span text)
{
    if (t->op != PP_PREDICATE_CIDR) {
        if (r->out != NULL)
            r->value[r->at.values] = text;
        r->at.values++;
        return PP_OK;
    }
    struct pp_cidr range;
    if (pp_cidr_parse(text, &range) != PP_OK)
        return refuse(r, "not an address or range of addresses: ", text);
    if (r->out != NULL)
        r->range[r->at.ranges] = range;
    r->at.ranges++;
    return PP_OK;
}

static int read_values(struct reader *r, struct test *t)
{
    uint32_t value = r->at.values, range = r->at.ranges;
    for (uint32_t i = 0; i < t->n; i++) {
        struct pp_span text;
        if (!read_text(r, &text))
            return refuse_form(r);
        int rc = take_value(r, t, text);
        if (rc != PP_OK)
            return rc;
    }
    if (r->out == NULL)
        return PP_OK;
    if (t->op == PP_PREDICATE_CIDR) {
        t->u.range = &r->range[range];
    } else if (t->n == 1) {
        t->u.one = r->value[value];
    } else {
        sort_values(&r->value[value], t->n);
        t->u.sorted = &r->value[value];
    }
    return PP_OK;
}

static int read_regex(struct reader *r, struct test *t)
{
    struct pp_span text;
    if (!read_text(r, &text))
        return refuse_form(r);
    r->at.regexes++;
    if (r->out == NULL)
        return PP_OK;
    struct pp_regex *re;
    int rc = pp_regex_new(text, &re, r->why);
    if (rc != PP_OK)
        return rc;
    r->out->regex[r->out->n_regex++] = re;
    t->u.regex = re;
    return PP_OK;
}

static int read_number(struct reader *r, struct test *t)
{
    struct pp_span text;
    if (!read_text(r, &text))
        return refuse_form(r);
    return pp_decimal_parse(text, &t->u.number) == PP_OK ? PP_OK
                                                         : refuse(r, "not a number: ", text);
}

/* What the test compares with. */
static int read_operand(struct reader *r, struct test *t)
{
    switch (t->op) {
    case PP_PREDICATE_EXISTS:
        return t->n == 0 ? PP_OK : refuse_form(r);
    case PP_PREDICATE_EQUALS:
    case PP_PREDICATE_CIDR:
        return t->n > 0 ? read_values(r, t) : refuse_form(r);
    case PP_PREDICATE_PREFIX:
    case PP_PREDICATE_SUFFIX:
    case PP_PREDICATE_CONTAINS:
        return t->n == 1 ? read_values(r, t) : refuse_form(r);
    case PP_PREDICATE_REGEX:
        return t->n == 1 ? read_regex(r, t) : refuse_form(r);
    case PP_PREDICATE_GT:
    case PP_PREDICATE_GE:
    case PP_PREDICATE_LT:
    case PP_PREDICATE_LE:
        return t->n == 1 ? read_number(r, t) : refuse_form(r);
    default:
        return refuse_form(r);
    }
}

static int read_test(struct reader *r, struct test *t)
{
    struct pp_span name;
    if (r->p == r->end)
        return refuse_form(r);
    t->op = (uint8_t)*r->p++;
    if (!read_text(r, &name) || !read_u32(r, &t->n))
        return refuse_form(r);
    if (pp_variable_parse(name, &t->var) != PP_OK)
        return refuse(r, "there is no such variable: ", name);
    return read_operand(r, t);
}

static int read_call(struct reader *r, struct test *t)
{
    uint32_t i;
    t->op = PP_PREDICATE_CALL;
    if (!read_u32(r, &i) || i >= r->n_callable)
        return refuse_form(r);
    t->u.callable = r->callable[i];
    return PP_OK;
}

/* A leaf: the next test, which leads to the labels <yes> and <no>. */
static int add_test(struct reader *r, char kind, uint32_t yes, uint32_t no)
{
    struct test t = {.on_yes = yes, .on_no = no};
    if (r->at.tests == TESTS_MAX)
        return PP_ELIMIT;
    int rc = kind == 'T' ? read_test(r, &t) : read_call(r, &t);
    if (rc == PP_OK && r->out != NULL)
        r->out->test[r->at.tests] = t;
    r->at.tests++;
    return rc;
}

/* all or any opens: its first node is the next one. */
static int open_frame(struct reader *r, bool any, uint32_t yes, uint32_t no)
{
    uint32_t n;
    if (!read_u32(r, &n) || n == 0)
        return refuse_form(r);
    if (r->depth == PP_PREDICATE_DEPTH_MAX) {
        refuse(r, "all, any and not stand in each other more than 32 deep", PP_SPAN_NONE);
        return PP_ELIMIT;
    }
    r->frame[r->depth++] = (struct frame){any, n, yes, no, 0};
    return PP_OK;
}

/* Where the present node of the innermost frame leads to. */
static void aim(struct reader *r, uint32_t *yes, uint32_t *no)
{
    struct frame *f = &r->frame[r->depth - 1];
    *yes = f->yes;
    *no = f->no;
    f->behind = f->left > 1 ? r->at.labels++ : 0;
    if (f->behind != 0)
        *(f->any ? no : yes) = f->behind;
}

/* A node is complete, and so may be those that it was the last of. */
static void close_frames(struct reader *r)
{
    while (r->depth > 0) {
        struct frame *f = &r->frame[r->depth - 1];
        if (f->behind != 0 && r->out != NULL)
            r->label[f->behind] = r->at.tests;
        if (--f->left > 0)
            return;
        r->depth--;
    }
}

static int read_program(struct reader *r)
{
    uint32_t yes = 0, no = 1, swap; /* labels */
    int rc;
    r->at.labels = 2;
    do {
        if (r->depth > 0)
            aim(r, &yes, &no);
        while (r->p < r->end && *r->p == 'N') {
            r->p++;
            swap = yes;
            yes = no;
            no = swap;
        }
        char kind = r->p < r->end ? *r->p++ : 0;
        if (kind == 'A' || kind == 'O') {
            rc = open_frame(r, kind == 'O', yes, no);
        } else if (kind == 'T' || kind == 'C') {
            rc = add_test(r, kind, yes, no);
            close_frames(r);
        } else {
            rc = refuse_form(r);
        }
    } while (rc == PP_OK && r->depth > 0);
    return rc == PP_OK && r->p != r->end ? refuse_form(r) : rc;
}

/* Labels become the tests behind them. */
static void settle_jumps(struct pp_predicate *p, uint32_t *label)
{
    label[0] = YES;
    label[1] = NO;
    for (uint32_t i = 0; i < p->n; i++) {
        p->test[i].on_yes = label[p->test[i].on_yes];
        p->test[i].on_no = label[p->test[i].on_no];
    }
}

/* One piece of memory for a program of <n> bytes that needs <size>; *program is where its bytes go.
 */
static struct pp_predicate *allocate(const struct size *size, size_t n, struct reader *r,
                                     char **program)
{
    size_t tests = size->tests * sizeof(struct test),
           values = size->values * sizeof(struct pp_span),
           regexes = size->regexes * sizeof(struct pp_regex *),
           ranges = size->ranges * sizeof(struct pp_cidr);
    struct pp_predicate *p = pp_mem_alloc(sizeof(*p) + tests + values + regexes + ranges + n);
    if (p == NULL)
        return NULL;
    char *at = (char *)(p->test + size->tests);
    r->value = (struct pp_span *)(void *)at;
    p->regex = (struct pp_regex **)(void *)(at + values);
    r->range = (struct pp_cidr *)(void *)(at + values + regexes);
    *program = at + values + regexes + ranges;
    p->n = size->tests;
    p->n_regex = 0;
    return p;
}

int pp_predicate_new(struct pp_span program, void *const *callable, uint32_t n_callable,
                     struct pp_predicate **out, char *why)
{
    struct reader count = {.p = program.p,
                           .end = program.p + program.n,
                           .callable = callable,
                           .n_callable = n_callable,
                           .why = why};
    struct reader fill = count;
    char *copy = NULL;
    if (program.n == 0)
        return refuse_form(&count);
    int rc = read_program(&count);
    if (rc != PP_OK)
        return rc;
    fill.out = allocate(&count.at, program.n, &fill, &copy);
    fill.label = pp_mem_alloc(count.at.labels * sizeof(*fill.label));
    if (fill.out == NULL || fill.label == NULL) {
        rc = PP_ENOMEM;
        goto out;
    }
    memcpy(copy, program.p, program.n);
    fill.p = copy;
    fill.end = copy + program.n;
    rc = read_program(&fill);
    if (rc != PP_OK)
        goto out;
    settle_jumps(fill.out, fill.label);
    *out = fill.out;
    fill.out = NULL;
out:
    pp_mem_free(fill.label);
    pp_predicate_free(fill.out);
    return rc;
}

void pp_predicate_free(struct pp_predicate *p)
{
    if (p == NULL)
        return;
    for (uint32_t i = 0; i < p->n_regex; i++)
        pp_regex_free(p->regex[i]);
    pp_mem_free(p);
}

/* ---- evaluating ---- */

static bool is_one_of(const struct test *t, struct pp_span value)
{
    if (PP_LIKELY(t->n == 1))
        return pp_span_eq(t->u.one, value);
    uint32_t lo = 0, hi = t->n;
    if (t->n < SEARCH_FROM) {
        while (lo < hi && !pp_span_eq(t->u.sorted[lo], value))
            lo++;
        return lo < hi;
    }
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        int order = compare_values(t->u.sorted[mid], value);
        if (order == 0)
            return true;
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

static bool compares(const struct test *t, struct pp_span value)
{
    struct pp_decimal number;
    if (pp_decimal_parse(value, &number) != PP_OK)
        return false;
    int order = pp_decimal_compare(&number, &t->u.number);
    switch (t->op) {
    case PP_PREDICATE_GT:
        return order > 0;
    case PP_PREDICATE_GE:
        return order >= 0;
    case PP_PREDICATE_LT:
        return order < 0;
    default:
        return order <= 0;
    }
}

static bool is_in_ranges(const struct test *t, const uint8_t *ip, bool v6)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (pp_cidr_has(&t->u.range[i], ip, v6))
            return true;
    return false;
}

static bool is_address_in_ranges(const struct test *t, struct pp_span value)
{
    uint8_t ip[16];
    if (pp_ip_parse_v4(value, ip))
        return is_in_ranges(t, ip, false);
    return pp_ip_parse_v6(value, ip) && is_in_ranges(t, ip, true);
}

/* Does the test hold for the value that its variable has? */
static int compare(const struct test *t, struct pp_span value, bool *yes)
{
    const struct pp_span one = t->u.one;
    int rc = PP_OK;
    switch (t->op) {
    case PP_PREDICATE_EQUALS:
        *yes = is_one_of(t, value);
        break;
    case PP_PREDICATE_EXISTS:
        *yes = true;
        break;
    case PP_PREDICATE_PREFIX:
        *yes = pp_span_starts_with(value, one);
        break;
    case PP_PREDICATE_SUFFIX:
        *yes = value.n >= one.n && pp_span_eq(pp_span(value.p + value.n - one.n, one.n), one);
        break;
    case PP_PREDICATE_CONTAINS:
        *yes = one.n == 0 || (value.n > 0 && memmem(value.p, value.n, one.p, one.n) != NULL);
        break;
    case PP_PREDICATE_REGEX:
        rc = pp_regex_search(t->u.regex, value, NULL, 0);
        *yes = rc == PP_OK;
        break;
    case PP_PREDICATE_CIDR:
        *yes = is_address_in_ranges(t, value);
        break;
    default:
        *yes = compares(t, value);
        break;
    }
    return rc == PP_ENOENT ? PP_OK : rc;
}

/* <value> gets what the variable is, with p NULL when there is no such thing. */
static int run(const struct test *t, const struct pp_predicate_input *in, struct pp_span *value,
               bool *yes)
{
    *yes = false;
    *value = PP_SPAN_NONE;
    if (t->op == PP_PREDICATE_CALL)
        return in->call != NULL ? in->call(in->arg, t->u.callable, yes) : PP_OK;
    if (t->op == PP_PREDICATE_CIDR && t->var.kind == PP_VARIABLE_CLIENT_ADDRESS) {
        *yes = in->client != NULL && is_in_ranges(t, in->client, in->client_v6);
        return PP_OK;
    }
    int rc = in->get(in->arg, &t->var, value);
    if (rc == PP_OK)
        return compare(t, *value, yes);
    *value = PP_SPAN_NONE;
    return rc == PP_ENOENT ? PP_OK : rc;
}

int pp_predicate_eval(const struct pp_predicate *p, const struct pp_predicate_input *in,
                      bool *holds)
{
    struct pp_span value;
    uint32_t i = 0;
    *holds = false;
    do {
        bool yes;
        int rc = run(&p->test[i], in, &value, &yes);
        if (PP_UNLIKELY(rc != PP_OK))
            return rc;
        i = yes ? p->test[i].on_yes : p->test[i].on_no;
    } while (i < NO);
    *holds = i == YES;
    return PP_OK;
}

/* ---- explaining ---- */

struct writer {
    char *at;
    size_t left;
};

static void put(struct writer *w, const char *text, struct pp_span more)
{
    int n =
        snprintf(w->at, w->left, "%s%.*s", text, (int)PP_MIN(more.n, 80), more.n > 0 ? more.p : "");
    size_t used = n < 0 ? 0 : PP_MIN((size_t)n, w->left - 1);
    w->at += used;
    w->left -= used;
}

static const char *word_of(uint8_t op)
{
    switch (op) {
    case PP_PREDICATE_EXISTS:
        return " exists";
    case PP_PREDICATE_EQUALS:
        return " is ";
    case PP_PREDICATE_PREFIX:
        return " begins with ";
    case PP_PREDICATE_SUFFIX:
        return " ends with ";
    case PP_PREDICATE_CONTAINS:
        return " contains ";
    case PP_PREDICATE_REGEX:
        return " matches the regex";
    case PP_PREDICATE_CIDR:
        return " is in the ranges";
    default:
        return " compares as asked";
    }
}

/* "query.name is "jack": no, it is "john"". */
static void describe(const struct test *t, struct pp_span value, bool yes, struct writer *w)
{
    struct pp_span name, meaning;
    if (t->op == PP_PREDICATE_CALL) {
        put(w, yes ? "the Python predicate: yes" : "the Python predicate: no", PP_SPAN_NONE);
        return;
    }
    if (!PP_EXPECT(pp_variable_row(t->var.kind, &name, &meaning)))
        return;
    put(w, "", name);
    put(w, "", t->var.name);
    put(w, word_of(t->op), PP_SPAN_NONE);
    bool quotes = t->op == PP_PREDICATE_PREFIX || t->op == PP_PREDICATE_SUFFIX ||
                  t->op == PP_PREDICATE_CONTAINS || (t->op == PP_PREDICATE_EQUALS && t->n == 1);
    if (quotes) {
        put(w, "\"", t->u.one);
        put(w, "\"", PP_SPAN_NONE);
    } else if (t->op == PP_PREDICATE_EQUALS) {
        put(w, "one of the values", PP_SPAN_NONE);
    }
    put(w, yes ? ": yes" : ": no", PP_SPAN_NONE);
    bool is_client = t->op == PP_PREDICATE_CIDR && t->var.kind == PP_VARIABLE_CLIENT_ADDRESS;
    if (is_client || (yes && t->op == PP_PREDICATE_EQUALS && t->n == 1))
        return;
    if (value.p == NULL) {
        put(w, ", there is none", PP_SPAN_NONE);
    } else {
        put(w, ", it is \"", value);
        put(w, "\"", PP_SPAN_NONE);
    }
}

int pp_predicate_explain(const struct pp_predicate *p, const struct pp_predicate_input *in,
                         bool *holds, char *out, size_t size)
{
    struct pp_span value;
    uint32_t i = 0, last;
    bool yes;
    *holds = false;
    do {
        last = i;
        int rc = run(&p->test[i], in, &value, &yes);
        if (rc != PP_OK)
            return rc;
        i = yes ? p->test[i].on_yes : p->test[i].on_no;
    } while (i < NO);
    struct writer w = {out, size};
    describe(&p->test[last], value, yes, &w);
    *holds = i == YES;
    return PP_OK;
}
