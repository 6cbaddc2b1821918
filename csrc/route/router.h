/* The router: host table -> compressed radix tree of paths -> methods -> route id. Built once, then
 * immutable; lookups allocate nothing and cost by the length of the path, not by the number of
 * routes (route/radix.h states the bound). */
//
// (Line comments here, because patterns hold the sign that begins the other kind.)
//
// ORDER OF PRECEDENCE (the first rule that tells two matching routes apart decides):
//   1. host: exact, then the longest `*.suffix` wildcard, then routes without a host;
//   2. <priority>: higher first;
//   3. path: from left to right, segment by segment: literal text before {name} before *rest; so an
//      exact path beats a pattern, and a longer prefix beats a shorter one. To the letter: at the
//      first byte where two patterns differ, literal text goes before the end of the pattern,
//      before {name}, before the star;
//   4. method: a route that names the method beats one that takes any;
//   5. the order in which the routes were added.
// A route with a predicate (route/predicate.h: client address, headers, query, cookies, ...) takes
// a request only when that holds; else it is passed over, and the next one by these rules is asked:
// of the same path, of a shorter one, of the next host set. Having a predicate is no rank of its
// own, and more conditions do not go before fewer: priority and order decide, so write the narrow
// route first or give it the higher priority. Rule 1 comes before 2: a route of an exact host is
// never shadowed by a wildcard's priority. When no route of the more specific host set matches the
// path and method, the next host set is tried. "Not that method" is said only when everything but
// the method fits, predicates included.
//
// PATHS: "/a/b" exact; "/a/{id}/c": {id} takes one non-empty segment; "/a/*" and "/a/*rest":
// everything after "/a/", also nothing; "/a*": a plain prefix, everything that begins with "/a";
// "*": every path, the "*" of OPTIONS and the empty one of CONNECT too. "{{" and "}}" are literal
// braces. Matching is on the path's normal form (wire/uri.h), case-sensitive; a pattern that no
// normal path can match is refused.
//
// HOSTS: without port, matched in lower case and without a final dot; "*.example.com" takes one or
// more labels, not the bare domain; "*" is any host, as is the empty text.
#ifndef PP_ROUTE_ROUTER_H
#define PP_ROUTE_ROUTER_H

#include "base/err.h"
#include "base/ids.h"
#include "base/span.h"
#include "route/predicate.h"

struct pp_router;
struct pp_router_draft; /* a router that is being built */

/* Bit per method id of wire/http_tok.h (an integer here: siblings do not include each other); bit 0
 * is every method that has no id of its own. */
typedef uint32_t pp_router_methods;
#define PP_ROUTER_ANY_METHOD UINT32_MAX

/* Longest host name (RFC 1035 section 2.3.4); longer ones in a query match no host. */
#define PP_ROUTER_HOST_BYTES_MAX 253

/* NULL when memory is out. */
struct pp_router_draft *pp_router_draft_new(void);
/* NULL is fine. */
void pp_router_draft_free(struct pp_router_draft *d);

/* Key of the host table's hash: any number that those who choose host names cannot know. Without it
 * a constant is used, and the table stays right but may get slow when somebody picks colliding
 * names. */
void pp_router_draft_seed(struct pp_router_draft *d, uint64_t seed);

/* Add a route: <route> is the caller's id; <host> empty: any host. A route with several hosts or
 * paths is added several times with the same id. <why> (at least 160 bytes) gets a sentence on
 * failure. The bytes of <host> and <path> are copied. PP_OK, PP_EINVAL (bad pattern, host or empty
 * <methods>), PP_ELIMIT (too many captures or segments, too long), PP_ENOMEM; on failure the draft
 * is as before. Equal host, path, <priority> and overlapping methods twice is allowed (rule 5
 * decides); see pp_router_shadowed. */
int pp_router_draft_add(struct pp_router_draft *d, struct pp_span host, struct pp_span path,
                        pp_router_methods methods, int priority, uint32_t route, char *why)
    PP_MUST_USE;

/* Let the addition that was made last take only requests for which <p> holds: borrowed, and must
 * outlive every router that is made of the draft. */
void pp_router_draft_set_predicate(struct pp_router_draft *d, const struct pp_predicate *p);

/* Compile; the draft stays the caller's. NULL when memory is out. */
struct pp_router *pp_router_new(const struct pp_router_draft *d);
/* NULL is fine. */
void pp_router_free(struct pp_router *r);

struct pp_router_query {
    struct pp_span host; /* lower case, without port; may be empty */
    struct pp_span path; /* normal form */
    unsigned method;     /* method id, 0 for others */
    /* For predicates; NULL: none of them holds. */
    const struct pp_predicate_input *input;
};

struct pp_router_hit {
    uint32_t route;
    uint32_t pattern; /* which addition, counted from 0: for pp_router_capture_name */
    unsigned n_capture;
    struct pp_span capture[PP_CAPTURES_MAX]; /* spans of query.path, in order of appearance */
};

/* The route that <q> takes in <r>.
 * PP_OK and *hit; PP_ENOENT: nothing matches; PP_EMETHOD: something matches but for the method,
 * then *allowed holds the methods that would (of the most specific host set in which a path
 * matches). Or the error with which a predicate's evaluation ended. */
int pp_router_find(const struct pp_router *r, const struct pp_router_query *q,
                   struct pp_router_hit *hit, pp_router_methods *allowed) PP_MUST_USE;

/* Name of capture <i> of a hit's <pattern>: "id" of {id}, "rest" of *rest, "" of a nameless star or
 * when there is no such capture. Borrowed from the router <r>. */
struct pp_span pp_router_capture_name(const struct pp_router *r, uint32_t pattern, unsigned i);

/* How many additions <r> was compiled from: patterns are 0 up to this. */
uint32_t pp_router_count(const struct pp_router *r);

/* The caller's route id of addition <pattern>, or PP_ID_NONE. */
uint32_t pp_router_route(const struct pp_router *r, uint32_t pattern);

/* When no request can ever take addition <pattern>, because additions with the same host and the
 * same path shape take all its methods first: one of those; else PP_ID_NONE. */
uint32_t pp_router_shadowed(const struct pp_router *r, uint32_t pattern);

/* Told about every candidate in the order in which they are weighed, with the rule that decided:
 * for `pyproxy explain`. <arg> is the caller's; <chosen> is true for the route that pp_router_find
 * gives; <reason> is one line, borrowed for the call. */
typedef void (*pp_router_explain_fn)(void *arg, uint32_t route, bool chosen, const char *reason);

/* Call <fn> for every route of <r> whose host and path match <q>, also for those whose predicate
 * does not hold, with the test that decided. Looks at every route: not for requests. What
 * pp_router_find says, or PP_ENOMEM. */
int pp_router_explain(const struct pp_router *r, const struct pp_router_query *q,
                      pp_router_explain_fn fn, void *arg);

/* Bytes this router holds. */
size_t pp_router_bytes(const struct pp_router *r);

#endif
