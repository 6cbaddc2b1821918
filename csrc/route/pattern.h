/* The language of route paths: text of the configuration -> pieces -> the key under which the radix
 * tree files it. A key is the literal bytes with one byte below the visible ones for each capture:
 * bytes of a normal path are never below 0x21, so keys sort and compare as plain bytes. */
//
//   "/a/b"           literal text
//   "/a/{id}/c"      {id} takes one whole, non-empty segment
//   "/a/*", "/a/*r"  everything after "/a/", also nothing
//   "/a*"            everything that begins with "/a"
//   "*"              every path there is, "*" of OPTIONS and the empty one of CONNECT included
//   "{{", "}}"       one brace
// (Line comments, because these patterns hold the sign that begins the other kind.)
#ifndef PP_ROUTE_PATTERN_H
#define PP_ROUTE_PATTERN_H

#include "base/err.h"
#include "base/ids.h"
#include "base/span.h"

/* Longest pattern: as long as anybody writes, short enough for keys on the stack. */
#define PP_PATTERN_BYTES_MAX 4096
/* Most segments: bounds the alternatives that a lookup may have to remember. */
#define PP_PATTERN_SEGMENTS_MAX 64
/* Room that <why> must have. */
#define PP_PATTERN_WHY_BYTES 160

/* Bytes of a key that are not text. */
enum pp_pattern_mark { PP_PATTERN_NAME = 1, PP_PATTERN_STAR = 2 };

enum pp_pattern_kind {
    PP_PATTERN_PIECE_TEXT = 0,
    PP_PATTERN_PIECE_NAME = 1,
    PP_PATTERN_PIECE_STAR = 2
};

struct pp_pattern_piece {
    enum pp_pattern_kind kind;
    struct pp_span text; /* literal bytes, or the capture's name (may be empty for a star) */
};

/* Is <text> a pattern that some normal path can match? PP_OK, PP_EINVAL, PP_ELIMIT (too long, too
 * many segments or captures); <why> gets a sentence when it is not. */
int pp_pattern_check(struct pp_span text, char *why) PP_MUST_USE;

/* Take the next piece off the front of *rest, which began as a checked pattern; false at the end.
 * Spans of *out are borrowed from the pattern. */
bool pp_pattern_next(struct pp_span *rest, struct pp_pattern_piece *out);

/* Write the key of a checked pattern at <key> (room for text.n bytes); returns its length. */
size_t pp_pattern_compile(struct pp_span text, char *key);

/* Name of capture <i> of a checked pattern, counted from 0; empty when nameless or when there is no
 * such capture. */
struct pp_span pp_pattern_capture_name(struct pp_span text, unsigned i);

/* Does <path> match <key>? One pass, no memory: the plain definition of what the radix tree
 * answers. */
bool pp_pattern_match(struct pp_span key, struct pp_span path);

/* Specificity of two keys that match one path: negative when <a> goes before <b>, 0 when they are
 * equal. At the first place where they differ literal text goes before the end, before {name},
 * before a star. */
int pp_pattern_compare(struct pp_span a, struct pp_span b);

#endif
