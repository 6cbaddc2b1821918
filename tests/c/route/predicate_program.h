/* Shared by the tests of predicates: programs written call by call, and requests as rows. */
#ifndef PREDICATE_PROGRAM_H
#define PREDICATE_PROGRAM_H

#include "base/le.h"
#include "pp_test.h"
#include "route/predicate.h"

/* A program being written; too long ones are a mistake of the test. */
struct program {
    char bytes[4096];
    size_t n;
};

static inline void put_byte(struct program *p, char c)
{
    p->bytes[p->n++] = c;
}

static inline void put_u32(struct program *p, uint32_t v)
{
    char *at = p->bytes + p->n;
    pp_le_put(&at, v, 4);
    p->n += 4;
}

static inline void put_str(struct program *p, const char *text)
{
    size_t n = strlen(text);
    put_u32(p, (uint32_t)n);
    memcpy(p->bytes + p->n, text, n);
    p->n += n;
}

/* all ('A') or any ('O') of the <n> nodes that follow. */
static inline void put_group(struct program *p, char kind, uint32_t n)
{
    put_byte(p, kind);
    put_u32(p, n);
}

/* A test of one value; NULL: of none. */
static inline void put_test(struct program *p, char op, const char *variable, const char *value)
{
    put_byte(p, 'T');
    put_byte(p, op);
    put_str(p, variable);
    put_u32(p, value != NULL);
    if (value != NULL)
        put_str(p, value);
}

/* A test of one of several values. */
static inline void put_tests(struct program *p, char op, const char *variable, uint32_t n,
                             const char *const *value)
{
    put_byte(p, 'T');
    put_byte(p, op);
    put_str(p, variable);
    put_u32(p, n);
    for (uint32_t i = 0; i < n; i++)
        put_str(p, value[i]);
}

static inline struct pp_predicate *compile(const struct program *p)
{
    char why[PP_PREDICATE_WHY_BYTES] = "";
    struct pp_predicate *out = NULL;
    int rc = pp_predicate_new(pp_span(p->bytes, p->n), NULL, 0, &out, why);
    if (rc != PP_OK && rc != PP_ENOMEM)
        printf("%d: %s\n", rc, why);
    return out;
}

/* What a request is made of: variable and value in turn, NULL at the end. */
struct request {
    const char *const *pairs;
    uint8_t ip[16];
    bool has_client, v6;
    int rc; /* what every call answers, unless it is PP_OK */
    unsigned asked;
};

static inline int request_get(void *arg, const struct pp_variable *v, struct pp_span *out)
{
    struct request *q = arg;
    struct pp_variable named;
    q->asked++;
    if (q->rc != PP_OK)
        return q->rc;
    for (size_t i = 0; q->pairs && q->pairs[i]; i += 2) {
        int rc = pp_variable_parse(pp_span(q->pairs[i], strlen(q->pairs[i])), &named);
        PP_CHECK_EQ(rc, PP_OK);
        if (named.kind == v->kind && pp_span_eq(named.name, v->name)) {
            *out = pp_span(q->pairs[i + 1], strlen(q->pairs[i + 1]));
            return PP_OK;
        }
    }
    return PP_ENOENT;
}

static inline struct pp_predicate_input request_input(struct request *q)
{
    struct pp_predicate_input in = {.get = request_get, .arg = q};
    in.client = q->has_client ? q->ip : NULL;
    in.client_v6 = q->v6;
    return in;
}

#endif
