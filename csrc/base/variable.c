#include "base/variable.h"

struct row {
    struct pp_span name, meaning;
};

static const struct row rows[] = {
#define VARIABLE_ROW(kind, name, meaning)                                                          \
    {{name, sizeof(name) - 1}, {meaning, sizeof(meaning) - 1}},
    PP_VARIABLE_LIST(VARIABLE_ROW)
#undef VARIABLE_ROW
};

uint32_t pp_variable_hash(struct pp_span name)
{
    /* FNV-1a: names are short, and that a client makes two collide costs one comparison more. */
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    return h;
}

/* Something a header, an argument, a cookie or a capture may be called; an argument may have any
 * name, so nothing but emptiness and controls is refused here. */
static bool is_name(struct pp_span name, enum pp_variable_kind kind)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool is_field = kind == PP_VARIABLE_HEADER || kind == PP_VARIABLE_COOKIE;
        if (c < 0x20 || c == 0x7f)
            return false;
        if (is_field && (c == ' ' || c == ':' || c == ',' || c == ';' || c == '=' || c > 0x7e))
            return false;
    }
    return name.n > 0;
}

int pp_variable_parse(struct pp_span text, struct pp_variable *out)
{
    for (unsigned i = 0; i < PP_COUNT_OF(rows); i++) {
        const struct pp_span known = rows[i].name;
        bool goes_on = known.p[known.n - 1] == '.';
        if (goes_on ? !pp_span_starts_with(text, known) : !pp_span_eq(text, known))
            continue;
        struct pp_span name = pp_span(text.p + known.n, text.n - known.n);
        if (goes_on && !is_name(name, (enum pp_variable_kind)i))
            return PP_EINVAL;
        *out = (struct pp_variable){
            .kind = (uint8_t)i, .hash = goes_on ? pp_variable_hash(name) : 0, .name = name};
        return PP_OK;
    }
    return PP_EINVAL;
}

bool pp_variable_row(unsigned i, struct pp_span *name, struct pp_span *meaning)
{
    if (i >= PP_COUNT_OF(rows))
        return false;
    *name = rows[i].name;
    *meaning = rows[i].meaning;
    return true;
}
