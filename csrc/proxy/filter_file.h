/* Which file of a folder a request asks for.
 *
 * The path that counts is the one in normal form that routes and filters agree on (x->path),
 * decoded. A path with an empty segment names no file: two paths to one file would let a client
 * choose the route, and with it the rules, that it likes better. */
#ifndef PP_PROXY_FILTER_FILE_H
#define PP_PROXY_FILTER_FILE_H

#include "io/file.h"
#include "proxy/filter.h"
#include "wire/http_coding.h"

#define PP_FILTER_FILE_CODINGS 3

/* A folder of files, and how they are looked up. */
struct pp_filter_files {
    int root;              /* descriptor of the folder */
    struct pp_span prefix; /* is not part of the files' paths; without a slash at its end */
    struct pp_span *index; /* names that stand for the folder they are in, the best first */
    uint32_t n_index, n_coding;
    size_t longest;          /* of the names in <index> and <fallback> */
    struct pp_span fallback; /* relative path of a file for what is not found; empty: none */
    uint8_t
        coding[PP_FILTER_FILE_CODINGS]; /* enum pp_http_coding of encoded siblings, best first */
    bool hidden;                        /* names that begin with a dot are like others */
};

struct pp_filter_file {
    int fd; /* the caller's to close; -1: none */
    struct pp_file_stat st;
    struct pp_span name;        /* as asked for, without what says the coding; the exchange's */
    enum pp_http_coding coding; /* of the bytes */
};

/* Find and open the file that <x> asks for. PP_OK with *out; PP_EEXIST: it is a folder whose path
 * lacks its slash at the end; PP_ENOENT: there is none; PP_ENOMEM; or what opening went wrong with.
 */
int pp_filter_file_find(const struct pp_filter_files *files, struct pp_exchange *x,
                        struct pp_filter_file *out) PP_MUST_USE;

#endif
