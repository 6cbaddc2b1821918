#include "wire/args.h"

#include "base/variable.h"
#include "wire/uri.h"

/* What is being split, and where decoded bytes go. */
struct split {
    struct pp_args *args;
    uint32_t *hash;
    struct pp_arg *arg;
    char *out; /* NULL: nothing in the text is encoded */
    bool plus; /* "+" is a space */
};

static bool is_encoded(struct pp_span s, bool plus)
{
    return pp_span_find(s, '%') < s.n || (plus && pp_span_find(s, '+') < s.n);
}

/* Pieces between separators: at least as many as there are arguments. */
static size_t count_pieces(struct pp_span text, char separator)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == separator;
    return n;
}

static int begin(struct pp_arena *arena, struct pp_span text, char separator, bool plus,
                 struct split *s)
{
    size_t n = PP_MIN(count_pieces(text, separator), PP_ARGS_MAX);
    struct pp_args *args = s->args = pp_arena_alloc(arena, sizeof(*args));
    s->hash = pp_arena_alloc(arena, n * sizeof(*s->hash));
    s->arg = pp_arena_alloc(arena, n * sizeof(*s->arg));
    s->out = NULL;
    s->plus = plus;
    if (args == NULL || s->hash == NULL || s->arg == NULL)
        return PP_ENOMEM;
    *args = (struct pp_args){.of = text, .hash = s->hash, .arg = s->arg};
    if (!is_encoded(text, plus))
        return PP_OK;
    s->out = pp_arena_alloc(arena, text.n);
    return s->out == NULL ? PP_ENOMEM : PP_OK;
}

static struct pp_span decode(struct split *s, struct pp_span piece)
{
    size_t n;
    if (s->out == NULL || !is_encoded(piece, s->plus) ||
        pp_uri_decode(piece, s->plus, s->out, &n) != PP_OK)
        return piece;
    struct pp_span decoded = pp_span(s->out, n);
    s->out += n;
    return decoded;
}

static int add(struct split *s, struct pp_span name, struct pp_span value)
{
    struct pp_args *args = s->args;
    if (args->n == PP_ARGS_MAX)
        return PP_EHTTP_ARGUMENTS;
    if (value.p == NULL)
        value = PP_SPAN("");
    struct pp_arg *arg = &s->arg[args->n];
    arg->name = decode(s, name);
    arg->value = decode(s, value);
    s->hash[args->n++] = pp_variable_hash(arg->name);
    return PP_OK;
}

int pp_args_split_query(struct pp_arena *arena, struct pp_span text, const struct pp_args **out)
{
    struct split s;
    struct pp_span rest = text, name, value;
    int rc = begin(arena, text, '&', true, &s);
    while (rc == PP_OK && pp_uri_next_arg(&rest, &name, &value))
        rc = add(&s, name, value);
    *out = s.args;
    return rc;
}

/* Take the next name=value off the front of *rest; pieces without "=" are no cookies. */
static bool next_cookie(struct pp_span *rest, struct pp_span *name, struct pp_span *value)
{
    while (rest->n > 0) {
        size_t n = pp_span_find(*rest, ';');
        struct pp_span piece = pp_span_trim(pp_span(rest->p, n));
        size_t past = PP_MIN(n + 1, rest->n), eq = pp_span_find(piece, '=');
        *rest = pp_span(rest->p + past, rest->n - past);
        if (eq == piece.n || eq == 0)
            continue;
        *name = pp_span_trim(pp_span(piece.p, eq));
        *value = pp_span_trim(pp_span(piece.p + eq + 1, piece.n - eq - 1));
        if (value->n >= 2 && value->p[0] == '"' && value->p[value->n - 1] == '"')
            *value = pp_span(value->p + 1, value->n - 2);
        return true;
    }
    return false;
}

int pp_args_split_cookies(struct pp_arena *arena, struct pp_span text, const struct pp_args **out)
{
    struct split s;
    struct pp_span rest = text, name, value;
    int rc = begin(arena, text, ';', false, &s);
    while (rc == PP_OK && next_cookie(&rest, &name, &value))
        rc = add(&s, name, value);
    *out = s.args;
    return rc;
}

const struct pp_arg *pp_args_find(const struct pp_args *args, struct pp_span name, uint32_t hash)
{
    for (uint32_t i = 0; i < args->n; i++)
        if (args->hash[i] == hash && pp_span_eq(args->arg[i].name, name))
            return &args->arg[i];
    return NULL;
}
