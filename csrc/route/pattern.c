#include "route/pattern.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/num.h"

static bool is_name_byte(char c)
{
    unsigned char u = (unsigned char)c;
    return (unsigned)(pp_span_lower(u) - 'a') < 26u || (unsigned)(u - '0') < 10u || u == '_' ||
           u == '-';
}

/* RFC 3986 section 2.3. */
static bool is_unreserved(int c)
{
    return (c < 128 && is_name_byte((char)c)) || c == '.' || c == '~';
}

PP_PRINTF(3, 4) static int refuse(int rc, char *why, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, PP_PATTERN_WHY_BYTES, fmt, args);
    va_end(args);
    return rc;
}

/* Bytes that a normal path never holds would make a route that is never taken: better said now. */
static int check_bytes(struct pp_span text, char *why)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c <= 0x20 || c >= 0x7f)
            return refuse(PP_EINVAL, why, "byte 0x%02x at %zu: write it percent-encoded", c, i);
        if (c == '?' || c == '#')
            return refuse(PP_EINVAL, why, "'%c' at %zu: a path ends before its query", c, i);
        if (c != '%')
            continue;
        int hi = -1, lo = -1;
        if (text.n - i > 2) {
            hi = pp_num_hex((unsigned char)text.p[i + 1]);
            lo = pp_num_hex((unsigned char)text.p[i + 2]);
        }
        if (hi < 0 || lo < 0 || text.p[i + 1] >= 'a' || text.p[i + 2] >= 'a')
            return refuse(PP_EINVAL, why, "'%%' at %zu needs two upper-case hexadecimal digits", i);
        if (is_unreserved(hi * 16 + lo))
            return refuse(PP_EINVAL, why, "'%%%.2s' at %zu: write the character itself",
                          text.p + i + 1, i);
    }
    return PP_OK;
}

/* A normal path has no "." and ".." segments. */
static int check_segments(struct pp_span text, char *why)
{
    size_t start = 0;
    unsigned segments = 0;
    for (size_t i = 0; i <= text.n; i++) {
        if (i < text.n && text.p[i] != '/')
            continue;
        size_t n = i - start;
        if ((n == 1 && text.p[start] == '.') || (n == 2 && memcmp(text.p + start, "..", 2) == 0))
            return refuse(PP_EINVAL, why, "dot segment at %zu: paths are matched without them",
                          start);
        if (++segments > PP_PATTERN_SEGMENTS_MAX)
            return refuse(PP_ELIMIT, why, "more than %d segments", PP_PATTERN_SEGMENTS_MAX);
        start = i + 1;
    }
    return PP_OK;
}

/* "{name}" that begins at <i>: a whole segment with a good name. *end is the offset behind the
 * brace. */
static int check_capture(struct pp_span text, size_t i, size_t *end, char *why)
{
    size_t j = i + 1;
    while (j < text.n && is_name_byte(text.p[j]))
        j++;
    if (j == text.n || text.p[j] != '}')
        return refuse(PP_EINVAL, why, "'{' at %zu: no '}' after the name (a brace is written '{{')",
                      i);
    if (j == i + 1)
        return refuse(PP_EINVAL, why, "'{}' at %zu has no name", i);
    if (i == 0 || text.p[i - 1] != '/' || (j + 1 < text.n && text.p[j + 1] != '/'))
        return refuse(PP_EINVAL, why, "'{' at %zu: a capture takes a whole segment", i);
    *end = j + 1;
    return PP_OK;
}

/* The star at <i>: the last thing, with a name only when it begins a segment ("/a*b" looks like a
 * glob and is none). */
static int check_star(struct pp_span text, size_t i, char *why)
{
    for (size_t j = i + 1; j < text.n; j++)
        if (!is_name_byte(text.p[j]))
            return refuse(PP_EINVAL, why, "'*' at %zu: a star is the last thing of a path", i);
    if (i + 1 < text.n && (i == 0 || text.p[i - 1] != '/'))
        return refuse(PP_EINVAL, why, "'*' at %zu: a name follows only a star after '/'", i);
    return PP_OK;
}

static int check_names(struct pp_span text, unsigned n, char *why)
{
    for (unsigned i = 1; i < n; i++) {
        struct pp_span name = pp_pattern_capture_name(text, i);
        for (unsigned j = 0; j < i; j++)
            if (name.n && pp_span_eq(name, pp_pattern_capture_name(text, j)))
                return refuse(PP_EINVAL, why, "two captures are named '%.*s'",
                              (int)PP_MIN(name.n, 64), name.p);
    }
    return PP_OK;
}

/* Braces and the star. */
static int check_captures(struct pp_span text, char *why)
{
    unsigned n = 0;
    size_t i = 0;
    while (i < text.n) {
        char c = text.p[i];
        bool twice = i + 1 < text.n && text.p[i + 1] == c;
        int rc = PP_OK;
        size_t end = i + 1;
        if (c == '}' && !twice)
            return refuse(PP_EINVAL, why, "'}' at %zu without '{' (a brace is written '}}')", i);
        if ((c == '{' || c == '}') && twice) {
            end = i + 2;
        } else if (c == '{') {
            rc = check_capture(text, i, &end, why);
            n++;
        } else if (c == '*') {
            rc = check_star(text, i, why);
            end = text.n;
            n++;
        }
        if (rc != PP_OK)
            return rc;
        i = end;
    }
    if (n > PP_CAPTURES_MAX)
        return refuse(PP_ELIMIT, why, "more than %d captures", PP_CAPTURES_MAX);
    return check_names(text, n, why);
}

int pp_pattern_check(struct pp_span text, char *why)
{
    if (text.n == 0)
        return refuse(PP_EINVAL, why, "the path is empty (every path: '*')");
    if (text.n > PP_PATTERN_BYTES_MAX)
        return refuse(PP_ELIMIT, why, "longer than %d bytes", PP_PATTERN_BYTES_MAX);
    if (text.p[0] != '/' && !(text.p[0] == '*' && text.n == 1))
        return refuse(PP_EINVAL, why, "a path begins with '/' (every path: '*')");
    int rc = check_bytes(text, why);
    if (rc == PP_OK)
        rc = check_segments(text, why);
    if (rc == PP_OK)
        rc = check_captures(text, why);
    return rc;
}

bool pp_pattern_next(struct pp_span *rest, struct pp_pattern_piece *out)
{
    if (rest->n == 0)
        return false;
    const char *p = rest->p, *end = rest->p + rest->n, *q = p;
    if (*p == '*') {
        out->kind = PP_PATTERN_PIECE_STAR;
        out->text = pp_span(p + 1, rest->n - 1);
        q = end;
    } else if (*p == '{' && p[1] != '{') {
        while (*q != '}')
            q++;
        out->kind = PP_PATTERN_PIECE_NAME;
        out->text = pp_span(p + 1, (size_t)(q - p) - 1);
        q++;
    } else if (*p == '{' || *p == '}') {
        out->kind = PP_PATTERN_PIECE_TEXT;
        out->text = pp_span(p, 1);
        q = p + 2;
    } else {
        while (q < end && *q != '*' && *q != '{' && *q != '}')
            q++;
        out->kind = PP_PATTERN_PIECE_TEXT;
        out->text = pp_span(p, (size_t)(q - p));
    }
    *rest = pp_span(q, (size_t)(end - q));
    return true;
}

size_t pp_pattern_compile(struct pp_span text, char *key)
{
    struct pp_pattern_piece piece;
    size_t n = 0;
    while (pp_pattern_next(&text, &piece)) {
        if (piece.kind == PP_PATTERN_PIECE_TEXT) {
            memcpy(key + n, piece.text.p, piece.text.n);
            n += piece.text.n;
        } else {
            key[n++] = piece.kind == PP_PATTERN_PIECE_NAME ? PP_PATTERN_NAME : PP_PATTERN_STAR;
        }
    }
    return n;
}

struct pp_span pp_pattern_capture_name(struct pp_span text, unsigned i)
{
    struct pp_pattern_piece piece;
    while (pp_pattern_next(&text, &piece))
        if (piece.kind != PP_PATTERN_PIECE_TEXT && i-- == 0)
            return piece.text;
    return PP_SPAN("");
}

bool pp_pattern_match(struct pp_span key, struct pp_span path)
{
    size_t at = 0;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] == PP_PATTERN_STAR)
            return true;
        if (key.p[i] == PP_PATTERN_NAME) {
            size_t start = at;
            while (at < path.n && path.p[at] != '/')
                at++;
            if (at == start)
                return false;
        } else if (at == path.n || path.p[at++] != key.p[i]) {
            return false;
        }
    }
    return at == path.n;
}

static int place(struct pp_span key, size_t i)
{
    if (i == key.n)
        return 1;
    return key.p[i] == PP_PATTERN_NAME ? 2 : key.p[i] == PP_PATTERN_STAR ? 3 : 0;
}

int pp_pattern_compare(struct pp_span a, struct pp_span b)
{
    size_t i = 0;
    while (i < a.n && i < b.n && a.p[i] == b.p[i])
        i++;
    if (i == a.n && i == b.n)
        return 0;
    int by_place = place(a, i) - place(b, i);
    return by_place ? by_place : (unsigned char)a.p[i] - (unsigned char)b.p[i];
}
