/* The one file in C++. RE2 throws when memory is out and for no other reason, and nothing may be
 * thrown through C: so whatever comes is that. */
#include <cstdio>
#include <cstring>
#include <re2/re2.h>

/* What the headers of C need of C11. */
#define _Static_assert static_assert
#include "base/regex.h"

struct pp_regex {
    RE2 re;
    pp_regex(const re2::StringPiece &text, const RE2::Options &options) : re(text, options)
    {
    }
};

static int refuse(char *why, int code, const char *text, const char *detail)
{
    snprintf(why, PP_REGEX_WHY_BYTES, "%s%.100s", text, detail);
    return code;
}

/* "what is wrong; the cure" about an expression that RE2 does not take. */
static int refuse_syntax(const RE2 &re, char *why)
{
    if (re.error_code() == RE2::ErrorPatternTooLarge)
        return refuse(why, PP_ELIMIT, "the expression is too large; repeat less in it", "");
    return refuse(why, PP_EINVAL, "not a regular expression: ", re.error().c_str());
}

int pp_regex_new(struct pp_span text, struct pp_regex **out, char *why)
{
    if (text.n > PP_REGEX_BYTES_MAX)
        return refuse(why, PP_ELIMIT, "the expression is longer than 4096 bytes", "");
    try {
        RE2::Options options;
        options.set_encoding(RE2::Options::EncodingLatin1);
        options.set_log_errors(false);
        options.set_max_mem(PP_REGEX_MEMORY);
        pp_regex *re = new pp_regex(re2::StringPiece(text.p, text.n), options);
        int rc = PP_OK;
        if (!re->re.ok())
            rc = refuse_syntax(re->re, why);
        else if (re->re.NumberOfCapturingGroups() > PP_REGEX_GROUPS_MAX)
            rc =
                refuse(why, PP_ELIMIT, "the expression has more than 31 groups; write (?:...)", "");
        if (rc == PP_OK)
            *out = re;
        else
            delete re;
        return rc;
    } catch (...) {
        return PP_ENOMEM;
    }
}

void pp_regex_free(struct pp_regex *re)
{
    delete re;
}

unsigned pp_regex_groups(const struct pp_regex *re)
{
    return (unsigned)re->re.NumberOfCapturingGroups();
}

unsigned pp_regex_group_find(const struct pp_regex *re, struct pp_span name)
{
    /* By hand: a template of the library's, made here, would be a symbol that we export. */
    try {
        for (const auto &group : re->re.NamedCapturingGroups())
            if (group.first.size() == name.n && memcmp(group.first.data(), name.p, name.n) == 0)
                return (unsigned)group.second;
        return 0;
    } catch (...) {
        return 0;
    }
}

int pp_regex_search(const struct pp_regex *re, struct pp_span text, struct pp_span *group,
                    unsigned n)
{
    return pp_regex_search_from(re, text.n > 0 ? text : pp_span("", 0), 0, group, n);
}

int pp_regex_search_from(const struct pp_regex *re, struct pp_span text, size_t at,
                         struct pp_span *group, unsigned n)
{
    re2::StringPiece in(text.p, text.n);
    if (n == 0) { /* whether, not where: most callers */
        try {
            return re->re.Match(in, at, text.n, RE2::UNANCHORED, nullptr, 0) ? PP_OK : PP_ENOENT;
        } catch (...) {
            return PP_ENOMEM;
        }
    }
    re2::StringPiece found[PP_REGEX_GROUPS_MAX + 1];
    unsigned most = pp_regex_groups(re) + 1;
    try {
        if (!re->re.Match(in, at, text.n, RE2::UNANCHORED, found, (int)PP_MIN(n, most)))
            return PP_ENOENT;
    } catch (...) {
        return PP_ENOMEM;
    }
    for (unsigned i = 0; i < n; i++)
        group[i] = i < most ? pp_span(found[i].data(), found[i].size()) : PP_SPAN_NONE;
    return PP_OK;
}
