/* Options written as JSON, for tests: what Python makes of a configuration.
 *
 * Enough of JSON for that: no escapes in strings but \\" and \\\\, no exponents. */
#ifndef PP_BASE_OPTIONS_TEXT_H
#define PP_BASE_OPTIONS_TEXT_H

#include "base/options.h"
#include "pp_test.h"

struct options_text {
    const char *at;
    struct pp_arena *arena;
};

static inline void options_skip(struct options_text *t)
{
    while (*t->at == ' ' || *t->at == '\n' || *t->at == ',' || *t->at == ':')
        t->at++;
}

/* The string that begins here, copied. */
static inline struct pp_span options_string(struct options_text *t)
{
    size_t n = 0, most = 1;
    while (t->at[most] != 0 && (t->at[most] != '"' || t->at[most - 1] == '\\'))
        most++;
    char *p = pp_arena_alloc(t->arena, most);
    if (p == NULL)
        return PP_SPAN_NONE;
    for (t->at++; *t->at != '"' && *t->at != 0; t->at++) {
        t->at += *t->at == '\\';
        p[n++] = *t->at;
    }
    t->at += *t->at == '"';
    return pp_span(p, n);
}

static inline bool options_value(struct options_text *t, struct pp_options *o);

/* The values up to the closing mark; <o> NULL: only count them. */
static inline bool options_below(struct options_text *t, struct pp_options *o, bool map,
                                 uint32_t *n)
{
    struct pp_options dropped;
    *n = 0;
    t->at++;
    for (options_skip(t); *t->at != ']' && *t->at != '}'; options_skip(t), ++*n) {
        if (map) {
            struct pp_span key = options_string(t);
            if (key.p == NULL || (o != NULL && pp_options_set_key(o, t->arena, *n, key) != PP_OK))
                return false;
            options_skip(t);
        }
        memset(&dropped, 0, sizeof dropped);
        if (!options_value(t, o == NULL ? &dropped : pp_options_at(o, *n)))
            return false;
    }
    t->at++;
    return true;
}

static inline bool options_value(struct options_text *t, struct pp_options *o)
{
    options_skip(t);
    const char *start = t->at;
    uint32_t n;
    if (*start == '{' || *start == '[') {
        bool map = *start == '{';
        if (!options_below(t, NULL, map, &n))
            return false;
        t->at = start;
        int rc = map ? pp_options_set_map(o, t->arena, n) : pp_options_set_list(o, t->arena, n);
        return rc == PP_OK && options_below(t, o, map, &n);
    }
    if (*start == '"')
        return pp_options_set_text(o, t->arena, options_string(t)) == PP_OK;
    t->at += strcspn(start, " ,]}\n");
    if (strncmp(start, "true", 4) == 0 || strncmp(start, "false", 5) == 0)
        pp_options_set_bool(o, *start == 't');
    else if (memchr(start, '.', (size_t)(t->at - start)) != NULL)
        pp_options_set_real(o, strtod(start, NULL));
    else if (strncmp(start, "null", 4) != 0)
        pp_options_set_int(o, strtoll(start, NULL, 10));
    return t->at > start;
}

/* Fill *o, in <arena>; false when memory is out or the text is no JSON. */
static inline bool options_of(struct pp_options *o, struct pp_arena *arena, const char *json)
{
    struct options_text t = {json, arena};
    memset(o, 0, sizeof *o);
    return options_value(&t, o);
}

#endif
