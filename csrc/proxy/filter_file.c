#include "proxy/filter_file.h"

#include "io/fd.h"
#include "wire/uri.h"

/* The longest ending of a coding, with a NUL. */
#define ENDING_MOST 5

static const struct pp_span endings[PP_HTTP_CODING_COUNT] = {
    [PP_HTTP_CODING_GZIP] = {".gz", 3},
    [PP_HTTP_CODING_BROTLI] = {".br", 3},
    [PP_HTTP_CODING_ZSTD] = {".zst", 4},
};

/* ---- paths ---- */

/* May a segment be part of the path of a file? <first>: there is none before it. */
static bool is_name(struct pp_span segment, bool first, bool hidden)
{
    if (segment.n == 0 || memchr(segment.p, 0, segment.n) != NULL)
        return false;
    if (segment.p[0] != '.')
        return true;
    if (segment.n == 1 || (segment.n == 2 && segment.p[1] == '.'))
        return false;
    return hidden || (first && pp_span_eq(segment, PP_SPAN(".well-known"))); /* RFC 8615 */
}

/* Is each segment of the relative <path> a name? The last may be empty. */
static bool is_path(struct pp_span path, bool hidden)
{
    for (size_t at = 0; at < path.n;) {
        size_t n = pp_span_find(pp_span(path.p + at, path.n - at), '/');
        if (!is_name(pp_span(path.p + at, n), at == 0, hidden))
            return false;
        at += n + 1;
    }
    return true;
}

/* The part of the path behind the prefix. False: it is not beneath that. */
static bool strip(const struct pp_filter_files *files, struct pp_span path, struct pp_span *rest)
{
    struct pp_span prefix = files->prefix;
    if (!pp_span_starts_with(path, prefix))
        return false;
    *rest = pp_span(path.p + prefix.n, path.n - prefix.n);
    return rest->n == 0 || rest->p[0] == '/';
}

/* ---- opening ---- */

/* A file, and no folder. */
static int open_file(const struct pp_filter_files *files, const char *path,
                     struct pp_filter_file *out)
{
    int rc = pp_file_open_beneath(files->root, path, &out->fd, &out->st);
    if (rc != PP_OK || !out->st.is_folder)
        return rc;
    pp_fd_close(&out->fd);
    return PP_ENOENT;
}

/* <out> is open: take an encoded sibling in its place, if there is one that the client likes
 * better. <path> has room for its ending. */
static int prefer_encoded(const struct pp_filter_files *files, struct pp_exchange *x, char *path,
                          struct pp_filter_file *out)
{
    struct pp_http_coding_accept accept;
    if (files->n_coding == 0)
        return PP_OK;
    pp_http_coding_accept(&x->request, &accept);
    for (;;) {
        enum pp_http_coding coding = pp_http_coding_choose(&accept, files->coding, files->n_coding);
        struct pp_filter_file sibling = {.fd = -1, .name = out->name, .coding = coding};
        if (coding == PP_HTTP_CODING_IDENTITY)
            return PP_OK;
        memcpy(path + out->name.n, endings[coding].p, endings[coding].n + 1);
        int rc = open_file(files, path, &sibling);
        if (rc == PP_OK) {
            pp_fd_close(&out->fd);
            *out = sibling;
            return PP_OK;
        }
        if (rc != PP_ENOENT) {
            pp_fd_close(&out->fd);
            return rc;
        }
        accept.q[coding] = 0;
    }
}

/* The file called by the <n> bytes at <path>, which has room for more. */
static int try_file(const struct pp_filter_files *files, struct pp_exchange *x, char *path,
                    size_t n, struct pp_filter_file *out)
{
    path[n] = '\0';
    int rc = open_file(files, path, out);
    out->name = pp_span(path, n);
    out->coding = PP_HTTP_CODING_IDENTITY;
    return rc == PP_OK ? prefer_encoded(files, x, path, out) : rc;
}

/* The index of the folder whose path, with its slash, are the <n> bytes at <path>. */
static int try_index(const struct pp_filter_files *files, struct pp_exchange *x, char *path,
                     size_t n, struct pp_filter_file *out)
{
    int rc = PP_ENOENT;
    for (uint32_t i = 0; i < files->n_index && rc == PP_ENOENT; i++) {
        memcpy(path + n, files->index[i].p, files->index[i].n);
        rc = try_file(files, x, path, n + files->index[i].n, out);
    }
    return rc;
}

/* What the <n> bytes at <path> name: a file, or a folder by its index. */
static int try_path(const struct pp_filter_files *files, struct pp_exchange *x, char *path,
                    size_t n, struct pp_filter_file *out)
{
    struct pp_file_stat st;
    int fd;
    if (n == 0 || path[n - 1] == '/')
        return try_index(files, x, path, n, out);
    path[n] = '\0';
    int rc = pp_file_open_beneath(files->root, path, &fd, &st);
    if (rc != PP_OK)
        return rc;
    if (st.is_folder) {
        pp_fd_close(&fd);
        return PP_EEXIST;
    }
    *out = (struct pp_filter_file){
        .fd = fd, .st = st, .name = pp_span(path, n), .coding = PP_HTTP_CODING_IDENTITY};
    return prefer_encoded(files, x, path, out);
}

int pp_filter_file_find(const struct pp_filter_files *files, struct pp_exchange *x,
                        struct pp_filter_file *out)
{
    struct pp_span rest;
    size_t n;
    out->fd = -1;
    if (!strip(files, x->path, &rest))
        return PP_ENOENT;
    if (rest.n == 0)
        return PP_EEXIST;
    char *path = pp_arena_alloc(&x->arena, rest.n + files->longest + ENDING_MOST);
    if (path == NULL)
        return PP_ENOMEM;
    int rc = pp_uri_decode(pp_span(rest.p + 1, rest.n - 1), false, path, &n);
    if (rc == PP_OK && is_path(pp_span(path, n), files->hidden))
        rc = try_path(files, x, path, n, out);
    else
        rc = PP_ENOENT;
    if (rc != PP_ENOENT || files->fallback.n == 0)
        return rc;
    memcpy(path, files->fallback.p, files->fallback.n);
    return try_file(files, x, path, files->fallback.n, out);
}
