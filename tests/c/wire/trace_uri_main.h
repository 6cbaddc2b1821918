/* Prints what wire/uri.c makes of standard input, for the fixtures in tests/data/uri.
 *
 *   trace_uri path|authority|absolute|decode|form|args
 *
 * Every line of input is one case and gives one line of output. `\xHH` stands for an octet, `\\`
 * for a backslash. */
#ifndef PP_TRACE_URI_MAIN_H
#define PP_TRACE_URI_MAIN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "wire/uri.h"

static size_t unescape(char *p, size_t n)
{
    size_t w = 0;

    for (size_t i = 0; i < n; i++) {
        if (p[i] == '\\' && i + 3 < n && p[i + 1] == 'x') {
            p[w++] = (char)(pp_num_hex((unsigned char)p[i + 2]) << 4 |
                            pp_num_hex((unsigned char)p[i + 3]));
            i += 3;
        } else if (p[i] == '\\' && i + 1 < n && p[i + 1] == '\\') {
            p[w++] = p[i++];
        } else {
            p[w++] = p[i];
        }
    }
    return w;
}

static void show(struct pp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c > 0x7e || c == '\\') {
            printf("\\x%02x", c);
        } else {
            putchar(c);
        }
    }
}

static void show_error(int rc)
{
    printf("error %s", pp_err_name(rc));
}

static void trace_path(struct pp_span s)
{
    char *out = malloc(s.n + 1);
    bool changed = false, again = false, plain = pp_uri_is_plain_path(s);
    size_t n = 0, m = 0;
    int rc = out ? pp_uri_normal_path(s, out, &n, &changed) : PP_ENOMEM;

    if (rc != PP_OK) {
        show_error(rc);
    } else {
        show(pp_span(out, n));
        printf(changed ? "" : " (unchanged%s)", plain ? ", plain" : "");
        if (changed == pp_span_eq(s, pp_span(out, n)) ||
            pp_uri_normal_path(pp_span(out, n), out, &m, &again) != PP_OK || again || m != n) {
            printf(" NOT A FIXED POINT");
        }
    }
    if (plain && (rc != PP_OK || changed)) {
        printf(" WRONGLY PLAIN");
    }
    free(out);
}

static void trace_authority(struct pp_span s)
{
    struct pp_uri_authority a;
    int rc = pp_uri_authority_parse(s, &a);

    if (rc != PP_OK) {
        show_error(rc);
        return;
    }
    show(a.host);
    if (a.port) {
        printf(" port %u", a.port);
    }
}

static void trace_absolute(struct pp_span s)
{
    struct pp_uri_split u;
    int rc = pp_uri_split_absolute(s, &u);

    if (rc != PP_OK) {
        show_error(rc);
        return;
    }
    show(u.scheme);
    printf(" | ");
    show(u.authority);
    printf(" | ");
    show(u.path);
    printf(u.query.p ? " | " : "");
    show(u.query);
}

static void trace_decode(struct pp_span s, bool plus)
{
    char *out = malloc(s.n + 1);
    size_t n = 0;
    int rc = out ? pp_uri_decode(s, plus, out, &n) : PP_ENOMEM;

    if (rc != PP_OK) {
        show_error(rc);
    } else {
        show(pp_span(out, n));
    }
    free(out);
}

static void trace_args(struct pp_span s)
{
    struct pp_span name, value;
    bool first = true;

    while (pp_uri_next_arg(&s, &name, &value)) {
        printf(first ? "[" : " [");
        show(name);
        printf(value.p ? "] = [" : "]");
        show(value);
        printf(value.p ? "]" : "");
        first = false;
    }
    printf(first ? "(none)" : "");
}

int main(int argc, char **argv)
{
    static char line[1 << 16];
    const char *op = argc > 1 ? argv[1] : "";

    while (fgets(line, sizeof(line), stdin)) {
        /* Exactly its size: a byte read too many is seen. */
        size_t n = unescape(line, strcspn(line, "\n"));
        char *copy = malloc(n ? n : 1);
        struct pp_span s = pp_span(copy, n);

        if (!copy) {
            return 2;
        }
        memcpy(copy, line, n);
        if (strcmp(op, "path") == 0) {
            trace_path(s);
        } else if (strcmp(op, "authority") == 0) {
            trace_authority(s);
        } else if (strcmp(op, "absolute") == 0) {
            trace_absolute(s);
        } else if (strcmp(op, "decode") == 0 || strcmp(op, "form") == 0) {
            trace_decode(s, op[0] == 'f');
        } else if (strcmp(op, "args") == 0) {
            trace_args(s);
        } else {
            fprintf(stderr, "usage: trace_uri path|authority|absolute|decode|form|args\n");
            return 2;
        }
        putchar('\n');
        free(copy);
    }
    return 0;
}

#endif
