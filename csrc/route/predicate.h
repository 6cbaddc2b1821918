/* Predicates: conditions on a request beyond host, path and method, compiled once into a flat row
 * of tests with jumps and then only read. Pure: values come from the caller's calls.
 *
 *   all(query.name = "jack", any(header.x = "1", not client.address in 10.0.0.0/8))
 *
 *   0  query.name equals "jack"        yes: 1        no: false
 *   1  header.x equals "1"             yes: true     no: 2
 *   2  client.address in 10.0.0.0/8    yes: false    no: true
 *
 * Jumps lead forward only, so a test is asked once at most and evaluation ends. A test of a
 * variable that the request does not have is false, whatever the operator; "not" of it is true.
 *
 * PROGRAM  what a predicate is compiled from, in one piece of bytes, so that it can be handed over
 * as a whole (pyproxy/expressions.py writes it); numbers are u32 in little-endian, <text> is its
 * length and its bytes:
 *
 *   'A' n node*        all of n > 0 nodes        'T' op text(variable) n text*   a test
 *   'O' n node*        any of them               'C' i                           callable i holds
 *   'N' node           not
 *
 * <op> is one byte of enum pp_predicate_op. PP_PREDICATE_EXISTS takes no text, PP_PREDICATE_EQUALS
 * and PP_PREDICATE_CIDR one or more (any of them may fit), the others one. */
#ifndef PP_ROUTE_PREDICATE_H
#define PP_ROUTE_PREDICATE_H

#include "base/variable.h"

enum pp_predicate_op {
    PP_PREDICATE_EXISTS = 'x',
    PP_PREDICATE_EQUALS = '=',
    PP_PREDICATE_PREFIX = '^',
    PP_PREDICATE_SUFFIX = '$',
    PP_PREDICATE_CONTAINS = '*',
    PP_PREDICATE_REGEX = '~', /* base/regex.h: found anywhere */
    PP_PREDICATE_GT = '>',    /* decimal numbers; what is none is not greater and not less */
    PP_PREDICATE_GE = 'g',
    PP_PREDICATE_LT = '<',
    PP_PREDICATE_LE = 'l',
    PP_PREDICATE_CIDR = '/', /* an address in one of the ranges */
    PP_PREDICATE_CALL = '('  /* the caller's */
};

/* How deep all, any and not may stand in each other: bounds the memory of compiling. */
#define PP_PREDICATE_DEPTH_MAX 32
/* Room that <why> must have. */
#define PP_PREDICATE_WHY_BYTES 256

struct pp_predicate;

/* Where values come from. */
struct pp_predicate_input {
    /* The value of <v>. PP_OK, PP_ENOENT (it has none), or an error, with which evaluation ends. */
    int (*get)(void *arg, const struct pp_variable *v, struct pp_span *out);
    /* Does <callable> hold? PP_OK or an error. NULL: callables do not hold. */
    int (*call)(void *arg, void *callable, bool *holds);
    void *arg;
    const uint8_t *client; /* its address, 4 or 16 bytes; NULL: it has none */
    bool client_v6;
};

/* Compile <program>, which is copied; the <callable>s are borrowed. PP_OK; PP_EINVAL: it is
 * malformed, or names what does not exist (variable, range, number, expression), PP_ELIMIT: too
 * deep or too large, both with a sentence in <why>; PP_ENOMEM. */
int pp_predicate_new(struct pp_span program, void *const *callable, uint32_t n_callable,
                     struct pp_predicate **out, char *why) PP_MUST_USE;
/* NULL is fine. */
void pp_predicate_free(struct pp_predicate *p);

/* Does <p> hold for <in>? PP_OK and *holds, or the error of a call of <in> or of a search
 * (PP_ENOMEM). */
int pp_predicate_eval(const struct pp_predicate *p, const struct pp_predicate_input *in,
                      bool *holds) PP_MUST_USE;

/* The same, with one line about the test that decided at <out> (<size> bytes, cut, with NUL). */
int pp_predicate_explain(const struct pp_predicate *p, const struct pp_predicate_input *in,
                         bool *holds, char *out, size_t size) PP_MUST_USE;

#endif
