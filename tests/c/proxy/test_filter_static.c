#include "proxy/filter_static.c"

#include "proxy/static_rig.h"

static struct static_rig s;

/* 784111777 s: RIG_DATE's, so that Date cannot tell them apart by accident. */
#define MODIFIED "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define ETAG "\"ae1b981bc490a05-a\""

/* Give <name> a time of modification of its own. */
static void touch(const char *name)
{
    char path[256];
    const struct timespec at[2] = {{784111777, 5}, {784111777, 5}};
    snprintf(path, sizeof path, "%s/%s", s.f.path, name);
    PP_CHECK_EQ(utimensat(AT_FDCWD, path, at, 0), 0);
}

static void start(const char *more)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(folder_make(&s.f));
    folder_put(&s.f, "a.css", "0123456789", 10);
    folder_put(&s.f, "empty.glsl", "", 0);
    folder_put(&s.f, "noext", "x", 1);
    folder_put(&s.f, "index.html", "<p>", 3);
    folder_sub(&s.f, "sub");
    touch("a.css");
    PP_REQUIRE(static_start(&s, &conf, more));
}

static void check_has(const char *heard, const char *text, bool has, int line)
{
    pp_test_true((strstr(heard, text) != NULL) == has, text, __FILE__, line);
}
#define HAS(heard, text) check_has((heard), (text), true, __LINE__)
#define LACKS(heard, text) check_has((heard), (text), false, __LINE__)

PP_TEST_CASE(a_file_comes_with_what_is_known_of_it)
{
    start(", \"cache_control\": \"max-age=60\"");
    const char *heard = static_get(&s, "GET", "/a.css", "");
    PP_CHECK_EQ(static_status(heard), 200);
    HAS(heard, "\r\nContent-Type: text/css; charset=utf-8\r\n");
    HAS(heard, "\r\nETag: " ETAG "\r\n");
    HAS(heard, "\r\n" MODIFIED);
    HAS(heard, "\r\nAccept-Ranges: bytes\r\n");
    HAS(heard, "\r\nCache-Control: max-age=60\r\n");
    HAS(heard, "\r\nContent-Length: 10\r\n");
    HAS(heard, "\r\nDate: ");
    LACKS(heard, "Vary");
    PP_CHECK(strcmp(static_body(heard), "0123456789") == 0);
    heard = static_get(&s, "HEAD", "/a.css", "Range: bytes=1-2\r\n");
    PP_CHECK_EQ(static_status(heard), 200);
    HAS(heard, "\r\nContent-Length: 10\r\n");
    HAS(heard, "\r\nETag: " ETAG "\r\n");
    PP_CHECK(strcmp(static_body(heard), "") == 0);
    static_stop(&s);
}

PP_TEST_CASE(types_are_by_extension)
{
    start(", \"types\": {\"CSS\": \"text/x\"}, \"default_type\": \"a/b\","
          " \"index\": [\"index.html\"]");
    HAS(static_get(&s, "GET", "/a.css", ""), "\r\nContent-Type: text/x\r\n");
    HAS(static_get(&s, "GET", "/noext", ""), "\r\nContent-Type: a/b\r\n");
    HAS(static_get(&s, "GET", "/", ""), "\r\nContent-Type: text/html; charset=utf-8\r\n");
    const char *heard = static_get(&s, "GET", "/empty.glsl", "Range: bytes=0-\r\n");
    PP_CHECK_EQ(static_status(heard), 200);
    HAS(heard, "\r\nContent-Type: a/b\r\n");
    HAS(heard, "\r\nContent-Length: 0\r\n");
    static_stop(&s);
    start(", \"default_type\": \"\"");
    LACKS(static_get(&s, "GET", "/noext", ""), "Content-Type");
    static_stop(&s);
    start("");
    HAS(static_get(&s, "GET", "/noext", ""), "Content-Type: application/octet-stream\r\n");
    static_stop(&s);
}

PP_TEST_CASE(parts_and_conditions)
{
    static const struct {
        const char *fields;
        int status;
        const char *range, *body;
    } rows[] = {
        {"Range: bytes=2-4\r\n", 206, "bytes 2-4/10", "234"},
        {"Range: bytes=-3\r\n", 206, "bytes 7-9/10", "789"},
        {"Range: bytes=0-\r\n", 206, "bytes 0-9/10", "0123456789"},
        {"Range: bytes=10-\r\n", 416, "bytes */10", ""},
        {"Range: bytes=0-1,3-4\r\n", 200, NULL, "0123456789"},
        {"Range: bytes=1-1\r\nRange: bytes=2-2\r\n", 200, NULL, "0123456789"},
        {"Range: bytes=1-1\r\nIf-Range: " ETAG "\r\n", 206, "bytes 1-1/10", "1"},
        {"Range: bytes=1-1\r\nIf-Range: \"x\"\r\n", 200, NULL, "0123456789"},
        {"Range: bytes=20-\r\nIf-Range: \"x\"\r\n", 200, NULL, "0123456789"},
        {"If-None-Match: " ETAG "\r\n", 304, NULL, ""},
        {"If-None-Match: W/" ETAG "\r\nRange: bytes=1-1\r\n", 304, NULL, ""},
        {"If-None-Match: \"x\"\r\n", 200, NULL, "0123456789"},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304, NULL, ""},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200, NULL, "0123456789"},
        {"If-Match: \"x\"\r\n", 412, NULL, ""},
        {"If-Match: " ETAG "\r\n", 200, NULL, "0123456789"},
        {"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412, NULL, ""},
    };
    start(", \"precompressed\": [\"gzip\"]");
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        const char *heard = static_get(&s, "GET", "/a.css", rows[i].fields);
        char range[64];
        snprintf(range, sizeof range, "\r\nContent-Range: %s\r\n",
                 rows[i].range == NULL ? "" : rows[i].range);
        bool right = static_status(heard) == rows[i].status &&
                     strcmp(static_body(heard), rows[i].body) == 0 &&
                     (rows[i].range == NULL ? strstr(heard, "Content-Range") == NULL
                                            : strstr(heard, range) != NULL) &&
                     (rows[i].status == 412 || (strstr(heard, "ETag: " ETAG) != NULL &&
                                                strstr(heard, "Vary: Accept-Encoding") != NULL));
        pp_test_true(right, rows[i].fields, __FILE__, __LINE__);
        if (!right)
            printf("%s\n", heard);
    }
    static_stop(&s);
}

PP_TEST_CASE(an_encoded_sibling_is_another_thing_of_the_same_type)
{
    start(", \"precompressed\": [\"br\", \"gzip\"]");
    folder_put(&s.f, "a.css.br", "9876543210", 10);
    touch("a.css.br");
    const char *heard = static_get(&s, "GET", "/a.css", "Accept-Encoding: br\r\n");
    HAS(heard, "\r\nContent-Encoding: br\r\n");
    HAS(heard, "\r\nContent-Type: text/css; charset=utf-8\r\n");
    HAS(heard, "\r\nVary: Accept-Encoding\r\n");
    HAS(heard, "\r\nETag: \"ae1b981bc490a05-a-br\"\r\n");
    heard = static_get(&s, "GET", "/a.css", "Accept-Encoding: br\r\nRange: bytes=0-1\r\n");
    PP_CHECK_EQ(static_status(heard), 206);
    HAS(heard, "\r\nContent-Encoding: br\r\n");
    PP_CHECK(strcmp(static_body(heard), "98") == 0);
    LACKS(static_get(&s, "GET", "/a.css", ""), "Content-Encoding");
    static_stop(&s);
}

PP_TEST_CASE(a_time_to_come_is_now)
{
    start("");
    char path[256];
    const struct timespec at[2] = {{4000000000, 0}, {4000000000, 0}};
    snprintf(path, sizeof path, "%s/a.css", s.f.path);
    PP_CHECK_EQ(utimensat(AT_FDCWD, path, at, 0), 0);
    const char *heard = static_get(&s, "GET", "/a.css", "");
    const char *modified = strstr(heard, "Last-Modified: "), *date = strstr(heard, "\r\nDate: ");
    PP_REQUIRE(modified != NULL && date != NULL);
    PP_CHECK(memcmp(modified + 15, date + 8, 29) == 0);
    static_stop(&s);
}

PP_TEST_CASE(a_folder_without_its_slash_is_redirected)
{
    start("");
    const char *heard = static_get(&s, "GET", "/sub", "");
    PP_CHECK_EQ(static_status(heard), 301);
    HAS(heard, "\r\nLocation: /sub/\r\n");
    HAS(static_get(&s, "GET", "/sub?a=//b", ""), "\r\nLocation: /sub/?a=//b\r\n");
    HAS(static_get(&s, "HEAD", "/x/..//sub", ""), " 404 "); /* never a second slash in front */
    HAS(static_get(&s, "GET", "/sub?", ""), "\r\nLocation: /sub/?\r\n");
    static_stop(&s);
}

PP_TEST_CASE(other_methods_are_refused_and_bodies_are_dropped)
{
    start("");
    const char *heard = static_get(&s, "POST", "/a.css", "Content-Length: 0\r\n");
    PP_CHECK_EQ(static_status(heard), 405);
    HAS(heard, "\r\nAllow: GET, HEAD\r\n");
    PP_CHECK_EQ(static_status(static_get(&s, "NONSENSE", "/nowhere", "")), 405);
    PP_CHECK_EQ(static_status(static_get(&s, "OPTIONS", "/a.css", "")), 405);
    /* What has come of a body is dropped, and the connection goes on. */
    int c = rig_connect(&s.r);
    char heard_2[2048];
    int ended;
    rig_send(&s.r, c,
             "GET /a.css HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
             "GET /noext HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    heard_2[rig_read(&s.r, c, heard_2, sizeof heard_2 - 1, &ended)] = 0;
    PP_CHECK_EQ(ended, 0); /* of the second body nothing has come: the connection cannot go on */
    HAS(heard_2, "\r\n\r\n0123456789HTTP/1.1 200 OK\r\n");
    HAS(heard_2, "\r\nConnection: close\r\n");
    HAS(heard_2, "\r\n\r\nx");
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

PP_TEST_CASE(what_is_not_found_goes_on)
{
    start(", \"next\": true");
    static const char *const asks[] = {
        "GET /none HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a.css HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "GET /.env HTTP/1.1\r\nHost: a\r\n\r\n",
    };
    for (size_t i = 0; i < PP_COUNT_OF(asks); i++) {
        int c = rig_connect(&s.r);
        rig_send(&s.r, c, asks[i]);
        int o = rig_accept(&s.r, 0);
        rig_settle(&s.r);
        rig_send(&s.r, o, RIG_HI);
        rig_expect(&s.r, c, RIG_HI);
        close(c);
        close(o);
        rig_settle(&s.r);
    }
    PP_CHECK_EQ(static_status(static_get(&s, "GET", "/a.css", "")), 200);
    static_stop(&s);
}

PP_TEST_CASE(an_old_client_gets_files_too)
{
    start("");
    const char *heard = static_ask(&s, "GET /a.css HTTP/1.0\r\n\r\n");
    PP_CHECK_EQ(static_status(heard), 200);
    HAS(heard, "\r\nContent-Length: 10\r\n");
    PP_CHECK(strcmp(static_body(heard), "0123456789") == 0);
    static_stop(&s);
}

PP_TEST_CASE(without_memory_nothing_is_left_behind)
{
    start(", \"precompressed\": [\"gzip\"], \"cache_control\": \"no-cache\"");
    bool whole = false;
    for (int n = 0; n < 400 && !whole; n++) {
        int ended, c = rig_connect(&s.r);
        char heard[2048];
        rig_send(&s.r, c,
                 "GET /a.css HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                 "Range: bytes=1-\r\nAccept-Encoding: gzip\r\n\r\n");
        pp_mem_fail_after_for_test(n);
        heard[rig_read(&s.r, c, heard, sizeof heard - 1, &ended)] = 0;
        pp_mem_fail_after_for_test(-1);
        int status = static_status(heard);
        PP_CHECK(status == 0 || status == 206 || status == 503);
        whole = status == 206;
        close(c);
        rig_settle(&s.r);
    }
    PP_CHECK(whole);
    static_stop(&s);
}

/* ---- what cannot be made ---- */

PP_TEST_CASE(options_that_make_no_sense_are_refused)
{
    static const struct {
        const char *options, *why;
    } rows[] = {
        {"{}", "not an absolute path: \"\""},
        {"{\"root\": \"tmp\"}", "not an absolute path: \"tmp\""},
        {"{\"root\": \"/nowhere/at/all\"}", "no folder that can be opened: \"/nowhere/at/all\""},
        {"{\"root\": \"/etc/passwd\"}", "no folder that can be opened: \"/etc/passwd\""},
        {"{\"root\": \"/tmp\", \"index\": [\"/a\"]}", "not the name of a file: \"/a\""},
        {"{\"root\": \"/tmp\", \"index\": [\"\"]}", "not the name of a file: \"\""},
        {"{\"root\": \"/tmp\", \"fallback\": \"/a\"}", "not a relative path: \"/a\""},
        {"{\"root\": \"/tmp\", \"precompressed\": [\"deflate\"]}", "files have no such coding"},
        {"{\"root\": \"/tmp\", \"precompressed\": [\"br\", \"br\", \"br\", \"br\"]}",
         "files have no such coding, or it is named twice: \"br\""},
        {"{\"root\": 7}", "the option root is not text: mine"},
        {"{\"root\": \"/tmp\", \"next\": 1}", "the option next is not true or false: mine"},
        {"{\"root\": \"/tmp\", \"types\": {\"a\": 1}}", "the option types is not text: mine"},
        {"{\"root\": \"/tmp\", \"index\": {}}", "the option index is not a list: mine"},
        {"{\"root\": \"/tmp\"}", ""},
    };
    int descriptors = static_descriptors();
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        const char *why = refusal_of("static", rows[i].options);
        bool same = strncmp(why, rows[i].why, strlen(rows[i].why)) == 0;
        pp_test_true(same && (*rows[i].why != 0 || *why == 0), rows[i].options, __FILE__, __LINE__);
        if (!same)
            printf("    %s\n", why);
    }
    PP_CHECK_EQ(static_descriptors(), descriptors);
}

PP_TEST_MAIN()
