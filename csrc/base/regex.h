/* Regular expressions in time that is linear in the text, whatever the expression: RE2's, behind C
 * (base/regex.cc is the only C++ of the project). Syntax: github.com/google/re2/wiki/Syntax; there
 * are no back-references and no look-around, because no linear matcher has them.
 *
 * Expression and text are bytes: "." is one byte, and case folds in ASCII. A search finds the
 * leftmost match anywhere; "^" and "$" are the ends of the text.
 *
 * The attack that this stops is the expression that backtracks for seconds over a text that a
 * client chose (ReDoS). The memory of an expression is bounded by PP_REGEX_MEMORY, the automata
 * that it builds while it searches included: when that is used up, a search is slower, and still
 * linear. */
#ifndef PP_BASE_REGEX_H
#define PP_BASE_REGEX_H

#include "base/err.h"
#include "base/span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pp_regex;

/* Longest expression, and the most groups of one (the whole match not counted). */
#define PP_REGEX_BYTES_MAX 4096
#define PP_REGEX_GROUPS_MAX 31
/* Most memory of one expression. */
#define PP_REGEX_MEMORY (1 << 20)
/* Room that <why> must have. */
#define PP_REGEX_WHY_BYTES 160

/* Compile <text>. PP_OK; PP_EINVAL: no expression, <why> gets a sentence; PP_ELIMIT: too long, too
 * many groups, or one that would take more memory than it may, likewise; PP_ENOMEM. */
int pp_regex_new(struct pp_span text, struct pp_regex **out, char *why) PP_MUST_USE;
/* NULL is fine. */
void pp_regex_free(struct pp_regex *re);

/* How many groups the expression has, the whole match not counted. */
unsigned pp_regex_groups(const struct pp_regex *re);
/* The number of the group with that name, counted from 1; 0: there is none. */
unsigned pp_regex_group_find(const struct pp_regex *re, struct pp_span name);

/* Does <re> match anywhere in <text>? Without <group> (n 0) this is quickest. With it, group[0]
 * becomes the match, and group[i] what group i took, up to group[n - 1]: spans of <text>, with p
 * NULL where a group took no part. PP_OK; PP_ENOENT: no match; PP_ENOMEM. */
int pp_regex_search(const struct pp_regex *re, struct pp_span text, struct pp_span *group,
                    unsigned n) PP_MUST_USE;

/* The same from byte <at> on (<= text.n; text.p is not NULL): what stands before it counts for "^"
 * and "\b", but is no part of a match. For finding one match after the other. */
int pp_regex_search_from(const struct pp_regex *re, struct pp_span text, size_t at,
                         struct pp_span *group, unsigned n) PP_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
