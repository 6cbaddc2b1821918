/* Prints what the HTTP/1 decoders make of the bytes on standard input, for the fixtures in
 * tests/data/http1.
 *
 *   trace_http1 request|response|body [option=value ...]
 *
 * The input is decoded whole, byte by byte, and cut once at every place; each piece arrives in
 * memory of its own and of exactly its size. All ways must give the same trace: otherwise both are
 * printed and the program fails. */
#ifndef PP_TRACE_HTTP1_MAIN_H
#define PP_TRACE_HTTP1_MAIN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "wire/http1_body.h"
#include "wire/http1_head.h"
#include "wire/http_rules.h"

#define TRACE_BYTES (1 << 20)

enum kind { REQUEST, RESPONSE, BODY };

struct options {
    enum kind kind;
    struct pp_http1_limits limits;
    uint64_t body_limit;
    enum pp_http_method method; /* that a response answers */
    enum pp_http_body framing;  /* BODY */
    uint64_t length;            /* BODY */
    bool rules, eof, drop_trailers, quiet;
};

static const char *const body_names[] = {"none", "length", "chunked", "close"};

/* ---- the trace ---- */

struct trace {
    char *text;
    size_t n;
};

static void put(struct trace *t, const char *p, size_t n)
{
    if (n > TRACE_BYTES - t->n) {
        fprintf(stderr, "the trace is too long\n");
        exit(2);
    }
    memcpy(t->text + t->n, p, n);
    t->n += n;
}

static void put_text(struct trace *t, const char *s)
{
    put(t, s, strlen(s));
}

static void put_number(struct trace *t, unsigned long long v)
{
    char digits[32];

    put(t, digits, (size_t)snprintf(digits, sizeof(digits), "%llu", v));
}

static void put_escaped(struct trace *t, struct pp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char hex[8];

        if (c == '\r' || c == '\n' || c == '\t' || c == '\\') {
            put(t, "\\", 1);
            put_text(t, c == '\r' ? "r" : c == '\n' ? "n" : c == '\t' ? "t" : "\\");
        } else if (c < 0x20 || c > 0x7e) {
            put(t, hex, (size_t)snprintf(hex, sizeof(hex), "\\x%02x", c));
        } else {
            put(t, s.p + i, 1);
        }
    }
}

static void put_line(struct trace *t, const char *word, struct pp_span s)
{
    put_text(t, word);
    put(t, " ", s.n > 0);
    put_escaped(t, s);
    put(t, "\n", 1);
}

static void put_error(struct trace *t, int rc)
{
    put_line(t, rc == PP_EMORE ? "incomplete" : "error",
             rc == PP_EMORE ? PP_SPAN_NONE : pp_span(pp_err_name(rc), strlen(pp_err_name(rc))));
}

static void put_fields(struct trace *t, const char *word, const struct pp_http_msg *m)
{
    for (uint32_t i = 0; i < m->n_field; i++) {
        const struct pp_http_field *f = &m->field[i];

        put_text(t, word);
        put_text(t, f->flags & PP_HTTP_FIELD_HOP ? " (hop) " : " ");
        put_escaped(t, pp_http_field_name(f));
        put_text(t, ":");
        put(t, " ", f->value_n > 0);
        put_escaped(t, pp_http_field_value(f));
        put_text(t, "\n");
    }
}

static void put_verdicts(struct trace *t, const struct pp_http_msg *m, bool declared)
{
    put_text(t, "body ");
    put_text(t, body_names[m->body]);
    if (m->body == PP_HTTP_BODY_LENGTH || declared) {
        put_text(t, " ");
        put_number(t, m->content_length);
    }
    put_text(t, m->keep_alive ? "\nthen keep-alive" : "\nthen close");
    put_text(t, m->expect_continue ? ", expect-continue" : "");
    put_text(t, m->upgrade ? ", upgrade" : "");
    put_text(t, m->te_trailers ? ", te-trailers" : "");
    put_text(t, "\n");
}

static void put_start(struct trace *t, const struct options *o, const struct pp_http_msg *m)
{
    put_text(t, "version 1.");
    put_number(t, m->minor);
    put_text(t, "\n");
    if (o->kind == REQUEST) {
        put_line(t,
                 pp_http_tok_method_text((enum pp_http_method)m->method_id).n ? "method"
                                                                              : "method (other)",
                 m->method);
        put_line(t, "target", m->target);
    } else {
        put_text(t, "status ");
        put_number(t, m->status);
        put_line(t, "", m->reason);
    }
}

static void put_target(struct trace *t, const struct pp_http_msg *m)
{
    if (m->scheme.n) {
        put_line(t, "scheme", m->scheme);
    }
    put_line(t, "authority", m->authority);
    put_line(t, "path", m->path);
    if (m->query.p) {
        put_line(t, "query", m->query);
    }
}

/* ---- decoding ---- */

/* A way of cutting: pieces end at <at>, then every <step> bytes. */
struct cut {
    size_t at, step;
};

static size_t piece_end(const struct cut *c, size_t from, size_t n)
{
    if (from < c->at) {
        return PP_MIN(c->at, n);
    }
    return PP_MIN(from + c->step, n);
}

static char *copy_of(const char *p, size_t n)
{
    char *copy = malloc(n ? n : 1);

    if (!copy) {
        exit(2);
    }
    memcpy(copy, p, n);
    return copy;
}

/* Decode the body that begins at in[from]; the trace ends with what is left over. */
static void trace_body(struct trace *t, const struct options *o, const struct pp_http_msg *m,
                       struct pp_span in, size_t from, const struct cut *cut)
{
    struct pp_http1_body b;
    struct pp_arena arena;
    struct pp_http_msg trailers;
    size_t begin = t->n;
    uint64_t length = o->kind == BODY ? o->length : m->content_length;
    enum pp_http_body kind = o->kind == BODY ? o->framing : (enum pp_http_body)m->body;
    int rc = PP_EMORE;

    pp_arena_init(&arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&trailers, &arena);
    pp_http1_body_init(&b, kind, length, o->body_limit, o->drop_trailers ? NULL : &trailers);
    put_text(t, "data ");
    do {
        size_t end = piece_end(cut, from, in.n), used = 0;
        char *piece = copy_of(in.p + from, end - from);
        struct pp_span got;

        rc = pp_http1_body_next(&b, piece, end - from, &used, &got);
        if (rc == PP_OK || rc == PP_EMORE || rc == PP_EEND) {
            put_escaped(t, got);
            from += used;
        }
        free(piece);
    } while ((rc == PP_OK || rc == PP_EMORE) && from < in.n);
    if (t->n == begin + 5) {
        t->n = begin; /* no data, no line */
    } else {
        put_text(t, "\n");
    }
    if (rc == PP_EMORE && o->eof) {
        put_text(t, "eof\n");
        rc = pp_http1_body_eof(&b);
    }
    if (rc == PP_EEND) {
        put_fields(t, "trailer", &trailers);
        put_line(t, "end", PP_SPAN_NONE);
        if (from < in.n) {
            put_line(t, "rest", pp_span(in.p + from, in.n - from));
        }
    } else {
        put_error(t, rc);
    }
    pp_arena_fini(&arena);
}

static int apply_rules(const struct options *o, struct pp_http_msg *m, bool *declared)
{
    return o->kind == REQUEST ? pp_http_rules_request(m)
                              : pp_http_rules_response(m, o->method, declared);
}

static void trace_head(struct trace *t, const struct options *o, struct pp_span in,
                       const struct cut *cut)
{
    struct pp_http1_head h;
    struct pp_http_msg m;
    struct pp_arena arena;
    char *held = NULL;
    size_t end = 0, used = 0;
    bool declared = false;
    int rc;

    pp_arena_init(&arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&m, &arena);
    pp_http1_head_init(&h, o->kind == REQUEST ? PP_HTTP1_REQUEST : PP_HTTP1_RESPONSE);
    do {
        char *moved;

        end = piece_end(cut, end, in.n);
        moved = copy_of(in.p, end);
        free(held);
        held = moved;
        rc = pp_http1_head_feed(&h, held, end, &o->limits, &m, &used);
    } while (rc == PP_EMORE && end < in.n);
    if (rc != PP_OK) {
        put_error(t, rc);
        goto out;
    }
    put_start(t, o, &m);
    rc = o->rules ? apply_rules(o, &m, &declared) : PP_OK;
    if (rc == PP_OK && o->rules && o->kind == REQUEST) {
        put_target(t, &m);
    }
    if (!o->quiet) {
        put_fields(t, "field", &m);
    }
    if (rc != PP_OK) {
        put_error(t, rc);
        goto out;
    }
    if (!o->rules) {
        put_line(t, used < in.n ? "rest" : "end", pp_span(in.p + used, in.n - used));
        goto out;
    }
    put_verdicts(t, &m, declared);
    trace_body(t, o, &m, in, used, cut);
out:
    free(held);
    pp_arena_fini(&arena);
}

static void trace_once(struct trace *t, const struct options *o, struct pp_span in, struct cut cut)
{
    t->n = 0;
    if (o->kind == BODY) {
        trace_body(t, o, NULL, in, 0, &cut);
    } else {
        trace_head(t, o, in, &cut);
    }
}

/* ---- program ---- */

static bool set_number(const char *arg, const char *name, unsigned long long *out)
{
    size_t n = strlen(name);

    if (strncmp(arg, name, n) != 0 || arg[n] != '=') {
        return false;
    }
    *out = strtoull(arg + n + 1, NULL, 10);
    return true;
}

static bool set_flag(const char *arg, const char *name, bool *out, bool value)
{
    if (strcmp(arg, name) != 0) {
        return false;
    }
    *out = value;
    return true;
}

static bool read_option(struct options *o, const char *arg)
{
    unsigned long long v;

    if (set_number(arg, "head_bytes", &v)) {
        o->limits.head_bytes = (uint32_t)v;
    } else if (set_number(arg, "line_bytes", &v)) {
        o->limits.line_bytes = (uint32_t)v;
    } else if (set_number(arg, "target_bytes", &v)) {
        o->limits.target_bytes = (uint32_t)v;
    } else if (set_number(arg, "fields", &v)) {
        o->limits.fields = (uint32_t)v;
    } else if (set_number(arg, "body_bytes", &v)) {
        o->body_limit = v;
    } else if (set_number(arg, "length", &v)) {
        o->length = v;
        o->framing = PP_HTTP_BODY_LENGTH;
    } else if (strncmp(arg, "method=", 7) == 0) {
        o->method = pp_http_tok_method(pp_span(arg + 7, strlen(arg + 7)));
    } else if (strcmp(arg, "chunked") == 0) {
        o->framing = PP_HTTP_BODY_CHUNKED;
    } else if (strcmp(arg, "close") == 0) {
        o->framing = PP_HTTP_BODY_CLOSE;
    } else {
        return set_flag(arg, "eof", &o->eof, true) || set_flag(arg, "no-rules", &o->rules, false) ||
               set_flag(arg, "drop-trailers", &o->drop_trailers, true) ||
               set_flag(arg, "quiet", &o->quiet, true);
    }
    return true;
}

static bool read_options(struct options *o, int argc, char **argv)
{
    static const char *const kinds[] = {"request", "response", "body"};

    *o = (struct options){.limits = {61440, 16384, 8192, 100},
                          .body_limit = UINT64_MAX,
                          .rules = true,
                          .method = PP_HTTP_GET};
    for (size_t k = 0; argc > 1 && k < PP_COUNT_OF(kinds); k++) {
        if (strcmp(argv[1], kinds[k]) == 0) {
            o->kind = (enum kind)k;
            for (int i = 2; i < argc; i++) {
                if (!read_option(o, argv[i])) {
                    return false;
                }
            }
            return true;
        }
    }
    return false;
}

static bool is_same(const struct trace *whole, const struct trace *cut, const char *how, size_t at)
{
    if (whole->n == cut->n && memcmp(whole->text, cut->text, cut->n) == 0) {
        return true;
    }
    printf("whole:\n%.*s\n%s %zu:\n%.*s", (int)whole->n, whole->text, how, at, (int)cut->n,
           cut->text);
    return false;
}

int main(int argc, char **argv)
{
    static char in[TRACE_BYTES];
    struct trace whole = {malloc(TRACE_BYTES), 0}, cut = {malloc(TRACE_BYTES), 0};
    struct options o;
    struct pp_span s;

    if (!whole.text || !cut.text || !read_options(&o, argc, argv)) {
        fprintf(stderr, "usage: trace_http1 request|response|body [option=value ...]\n");
        return 2;
    }
    s = pp_span(in, fread(in, 1, sizeof(in), stdin));
    trace_once(&whole, &o, s, (struct cut){0, s.n + 1});
    trace_once(&cut, &o, s, (struct cut){0, 1});
    if (!is_same(&whole, &cut, "byte by byte", 1)) {
        return 1;
    }
    for (size_t at = 1; at < s.n; at++) {
        trace_once(&cut, &o, s, (struct cut){at, s.n});
        if (!is_same(&whole, &cut, "split at", at)) {
            return 1;
        }
    }
    printf("%.*s", (int)whole.n, whole.text);
    free(whole.text);
    free(cut.text);
    return 0;
}

#endif
