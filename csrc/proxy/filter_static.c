#include "proxy/filter_static.h"

#include "base/num.h"
#include "io/fd.h"
#include "proxy/filter_file.h"
#include "proxy/reply.h"
#include "wire/http_date.h"
#include "wire/http_media.h"
#include "wire/http_precondition.h"
#include "wire/http_range.h"

struct media {
    struct pp_span ext, type;
};

struct files {
    struct pp_filter_files at;
    struct pp_span cache_control, default_type;
    struct media *media;
    uint32_t n_media;
    bool next;
};

/* ---- making ---- */

static void close_root(void *arg)
{
    pp_fd_close(&((struct files *)arg)->at.root);
}

static int make_root(struct pp_filter_make *m, const struct pp_options *o, struct files *s)
{
    struct pp_span root = PP_SPAN_NONE;
    pp_options_get_text(o, "root", &root, &m->fault);
    if (root.n == 0 || root.p[0] != '/')
        return pp_filter_refuse(m, "not an absolute path:", root);
    int rc = pp_file_open_root(root.p, &s->at.root);
    if (rc == PP_ENOENT)
        return pp_filter_refuse(m, "no folder that can be opened:", root);
    if (rc == PP_EINVAL)
        return pp_filter_refuse(m, "the kernel has no openat2, which it takes to serve", root);
    if (rc != PP_OK)
        return rc == PP_ENOMEM ? rc : pp_filter_refuse(m, "the folder cannot be opened:", root);
    rc = pp_arena_on_reset(m->arena, close_root, s);
    if (rc != PP_OK)
        pp_fd_close(&s->at.root);
    return rc;
}

/* Is <name> a path that is_path of filter_file.c would let pass, as far as it matters? The kernel
 * sees to the rest. */
static bool is_relative(struct pp_span name)
{
    return name.n > 0 && name.p[0] != '/' && memchr(name.p, 0, name.n) == NULL;
}

static int make_index(struct pp_filter_make *m, const struct pp_options *list, struct files *s)
{
    s->at.index = pp_arena_alloc(m->arena, list->n * sizeof(*s->at.index));
    if (s->at.index == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < list->n; i++) {
        struct pp_span name = pp_options_text(&list->as.item[i], "index", &m->fault);
        if (!is_relative(name))
            return pp_filter_refuse(m, "not the name of a file:", name);
        s->at.index[s->at.n_index++] = name;
        s->at.longest = PP_MAX(s->at.longest, name.n);
    }
    return PP_OK;
}

static int make_codings(struct pp_filter_make *m, const struct pp_options *list, struct files *s)
{
    for (uint32_t i = 0; i < list->n; i++) {
        struct pp_span word = pp_options_text(&list->as.item[i], "precompressed", &m->fault);
        enum pp_http_coding coding = pp_http_coding_find(word);
        bool ours = coding == PP_HTTP_CODING_GZIP || coding == PP_HTTP_CODING_BROTLI ||
                    coding == PP_HTTP_CODING_ZSTD;
        if (!ours || s->at.n_coding == PP_FILTER_FILE_CODINGS)
            return pp_filter_refuse(m, "files have no such coding, or it is named twice:", word);
        s->at.coding[s->at.n_coding++] = (uint8_t)coding;
    }
    return PP_OK;
}

static int make_media(struct pp_filter_make *m, const struct pp_options *map, struct files *s)
{
    s->media = pp_arena_alloc(m->arena, map->n * sizeof(*s->media));
    if (s->media == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < map->n; i++) {
        const struct pp_options_entry *e = &map->as.entry[i];
        s->media[s->n_media++] =
            (struct media){.ext = e->key, .type = pp_options_text(&e->value, "types", &m->fault)};
    }
    return PP_OK;
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct files *s = pp_arena_alloc(m->arena, sizeof(*s));
    if (s == NULL)
        return PP_ENOMEM;
    memset(s, 0, sizeof(*s));
    s->default_type = PP_SPAN("application/octet-stream");
    pp_options_get_text(o, "strip_prefix", &s->at.prefix, &m->fault);
    pp_options_get_text(o, "fallback", &s->at.fallback, &m->fault);
    pp_options_get_text(o, "cache_control", &s->cache_control, &m->fault);
    pp_options_get_text(o, "default_type", &s->default_type, &m->fault);
    pp_options_get_bool(o, "hidden", &s->at.hidden, &m->fault);
    pp_options_get_bool(o, "next", &s->next, &m->fault);
    s->at.longest = s->at.fallback.n;
    if (s->at.fallback.n > 0 && !is_relative(s->at.fallback))
        return pp_filter_refuse(m, "not a relative path:", s->at.fallback);
    int rc = make_root(m, o, s);
    if (rc == PP_OK)
        rc = make_index(m, pp_options_get_list(o, "index", &m->fault), s);
    if (rc == PP_OK)
        rc = make_codings(m, pp_options_get_list(o, "precompressed", &m->fault), s);
    if (rc == PP_OK)
        rc = make_media(m, pp_options_get_map(o, "types", &m->fault), s);
    *self = s;
    return rc;
}

/* ---- fields ---- */

/* The texts that fields of one answer point to. */
struct texts {
    char etag[2 * 16 + 3 + 5]; /* "time-size-coding" */
    char modified[PP_HTTP_DATE_CHARS];
    char range[sizeof("bytes -/") + 3 * PP_NUM_U64_CHARS];
};

struct answer {
    const struct files *files;
    struct pp_exchange *x;
    struct pp_filter_file file;
    struct texts *text;
    struct pp_http_validators v;
};

static size_t put(char *dst, struct pp_span s)
{
    memcpy(dst, s.p, s.n);
    return s.n;
}

/* Of an encoded sibling, the coding is a part: two of them could have the same age and size. */
static struct pp_span write_etag(const struct answer *a)
{
    char *p = a->text->etag;
    size_t n = 0;
    p[n++] = '"';
    n += pp_num_format_hex(p + n, (uint64_t)a->file.st.modified_ns);
    p[n++] = '-';
    n += pp_num_format_hex(p + n, a->file.st.size);
    if (a->file.coding != PP_HTTP_CODING_IDENTITY) {
        p[n++] = '-';
        n += put(p + n, pp_http_coding_text(a->file.coding));
    }
    p[n++] = '"';
    return pp_span(p, n);
}

static int describe(struct answer *a)
{
    a->text = pp_arena_alloc(&a->x->arena, sizeof(*a->text));
    if (a->text == NULL)
        return PP_ENOMEM;
    int64_t s = a->file.st.modified_ns / 1000000000;
    /* No later than now (RFC 9110 section 8.8.2.1), or clients would take it for a mistake. */
    s = PP_MIN(s, (int64_t)a->x->core->loop.wall_s);
    a->v = (struct pp_http_validators){.etag = write_etag(a), .modified_s = PP_MAX(s, 0)};
    pp_http_date_format(a->text->modified, a->v.modified_s);
    return PP_OK;
}

/* What every answer about the file says, 304 too (RFC 9110 section 15.4.5). */
static int add_common(struct answer *a)
{
    struct pp_http_msg *m = &a->x->response;
    int rc = pp_http_msg_add(m, PP_SPAN("ETag"), PP_NAME_ETAG, a->v.etag);
    if (rc == PP_OK)
        rc = pp_http_msg_add(m, PP_SPAN("Last-Modified"), PP_NAME_LAST_MODIFIED,
                             pp_span(a->text->modified, PP_HTTP_DATE_CHARS));
    if (rc == PP_OK && a->files->cache_control.n > 0)
        rc = pp_http_msg_add(m, PP_SPAN("Cache-Control"), PP_NAME_CACHE_CONTROL,
                             a->files->cache_control);
    if (rc == PP_OK && a->files->at.n_coding > 0)
        rc = pp_http_msg_add(m, PP_SPAN("Vary"), PP_NAME_VARY, PP_SPAN("Accept-Encoding"));
    return rc;
}

static struct pp_span type_of(const struct answer *a)
{
    struct pp_span ext = pp_http_media_extension(a->file.name);
    for (uint32_t i = 0; i < a->files->n_media; i++) {
        if (pp_span_eq_fold(a->files->media[i].ext, ext))
            return a->files->media[i].type;
    }
    struct pp_span type = pp_http_media_find(ext);
    return type.n > 0 ? type : a->files->default_type;
}

static int add_content(struct answer *a)
{
    struct pp_http_msg *m = &a->x->response;
    struct pp_span type = type_of(a);
    int rc = add_common(a);
    if (rc == PP_OK)
        rc = pp_http_msg_add(m, PP_SPAN("Accept-Ranges"), PP_NAME_ACCEPT_RANGES, PP_SPAN("bytes"));
    if (rc == PP_OK && type.n > 0)
        rc = pp_http_msg_add(m, PP_SPAN("Content-Type"), PP_NAME_CONTENT_TYPE, type);
    if (rc == PP_OK && a->file.coding != PP_HTTP_CODING_IDENTITY)
        rc = pp_http_msg_add(m, PP_SPAN("Content-Encoding"), PP_NAME_CONTENT_ENCODING,
                             pp_http_coding_text(a->file.coding));
    return rc;
}

/* "bytes 0-4/10"; without bytes "bytes * /10". */
static int add_range(struct answer *a, uint64_t first, uint64_t n)
{
    char *p = a->text->range;
    size_t at = put(p, PP_SPAN("bytes "));
    if (n > 0) {
        at += pp_num_format_u64(p + at, first);
        p[at++] = '-';
        at += pp_num_format_u64(p + at, first + n - 1);
    } else {
        p[at++] = '*';
    }
    p[at++] = '/';
    at += pp_num_format_u64(p + at, a->file.st.size);
    return pp_http_msg_add(&a->x->response, PP_SPAN("Content-Range"), PP_NAME_OTHER,
                           pp_span(p, at));
}

/* ---- answers ---- */

/* The part that is asked for: PP_OK; PP_EINVAL: the whole is to be sent; PP_ENOENT: there is none.
 * (Of nothing there are no parts, but nobody means that as a mistake.) */
static int find_range(const struct answer *a, uint64_t *first, uint64_t *n)
{
    const struct pp_http_msg *request = &a->x->request;
    const struct pp_http_field *f = pp_http_msg_find_id(request, PP_NAME_RANGE);
    if (f == NULL || pp_http_msg_find_next(request, f) != NULL || a->file.st.size == 0 ||
        request->method_id != PP_HTTP_GET || !pp_http_precondition_allows_range(request, &a->v))
        return PP_EINVAL;
    return pp_http_range_parse(pp_http_field_value(f), a->file.st.size, first, n);
}

/* <status> without content. */
static int answer_short(struct answer *a, unsigned status)
{
    pp_fd_close(&a->file.fd);
    int rc = pp_exchange_reply(a->x, status, PP_SPAN_NONE);
    if (rc == PP_OK && status != 412)
        rc = add_common(a);
    return rc == PP_OK && status == 416 ? add_range(a, 0, 0) : rc;
}

static int answer_file(struct answer *a)
{
    uint64_t first = 0, n = a->file.st.size;
    int part = find_range(a, &first, &n);
    if (part == PP_ENOENT)
        return answer_short(a, 416);
    int rc = pp_reply_file(a->x, part == PP_OK ? 206 : 200, a->file.fd, first, n);
    if (rc == PP_OK)
        rc = add_content(a);
    return rc == PP_OK && part == PP_OK ? add_range(a, first, n) : rc;
}

static int serve(struct answer *a)
{
    int rc = describe(a);
    if (rc != PP_OK) {
        pp_fd_close(&a->file.fd);
        return rc;
    }
    unsigned status = pp_http_precondition_check(&a->x->request, &a->v);
    return status != 0 ? answer_short(a, status) : answer_file(a);
}

/* To the same path with a slash, and with the query. The path begins with one slash, or a client
 * would take its first segment for a host. */
static int add_slash(struct pp_exchange *x)
{
    struct pp_span path = x->path, query = x->request.query;
    while (path.n > 0 && path.p[0] == '/')
        path = pp_span(path.p + 1, path.n - 1);
    char *p = pp_arena_alloc(&x->arena, path.n + query.n + 3);
    if (p == NULL)
        return PP_ENOMEM;
    size_t n = 0;
    p[n++] = '/';
    n += put(p + n, path);
    p[n++] = '/';
    if (query.p != NULL) {
        p[n++] = '?';
        n += put(p + n, query);
    }
    int rc = pp_exchange_reply(x, 301, PP_SPAN_NONE);
    return rc != PP_OK ? rc
                       : pp_http_msg_add(&x->response, PP_SPAN("Location"), PP_NAME_LOCATION,
                                         pp_span(p, n));
}

static int refuse_method(struct pp_exchange *x)
{
    x->allowed = (pp_router_methods)1 << PP_HTTP_GET | (pp_router_methods)1 << PP_HTTP_HEAD;
    return pp_filter_fail(x, PP_FAULT_METHOD_NOT_ALLOWED, PP_EMETHOD);
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    struct answer a = {.files = self, .x = x};
    unsigned method = x->request.method_id;
    (void)phase;
    if (method != PP_HTTP_GET && method != PP_HTTP_HEAD)
        return a.files->next ? PP_NEXT : refuse_method(x);
    int rc = pp_filter_file_find(&a.files->at, x, &a.file);
    if (rc == PP_ENOENT)
        return a.files->next ? PP_NEXT : pp_filter_fail(x, PP_FAULT_NO_FILE, rc);
    if (rc == PP_OK)
        rc = serve(&a);
    else if (rc == PP_EEXIST)
        rc = add_slash(x);
    if (rc != PP_OK)
        return pp_filter_fail(x, rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_FILE_ERROR, rc);
    x->replied = true;
    return PP_REPLY;
}

static const struct pp_filter_ops ops = {.name = "static", .run = run};

const struct pp_filter_kind pp_filter_static_kind = {
    .name = "static",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
