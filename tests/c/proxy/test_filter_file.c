#include "proxy/filter_file.c"

#include "proxy/static_rig.h"

static struct static_rig s;

static struct pp_span span(const char *text)
{
    return pp_span(text, strlen(text));
}

PP_TEST_CASE(a_path_is_made_of_names)
{
    static const struct {
        const char *path;
        bool is, is_hidden; /* a path; with hidden names allowed */
    } rows[] = {
        {"", true, true},
        {"a", true, true},
        {"a/b.c/", true, true},
        {"..a", false, true},
        {"a..", true, true},
        {"/", false, false},
        {"/a", false, false},
        {"a//b", false, false},
        {"a//", false, false},
        {".", false, false},
        {"..", false, false},
        {"a/..", false, false},
        {"a/./b", false, false},
        {".env", false, true},
        {"a/.git/b", false, true},
        {"...", false, true},
        {".well-known/a", true, true},
        {".well-known/.a", false, true},
        {".well-knowns/a", false, true},
        {"a/.well-known/b", false, true},
        {"a b\xff", true, true},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct pp_span path = span(rows[i].path);
        bool right = is_path(path, false) == rows[i].is && is_path(path, true) == rows[i].is_hidden;
        pp_test_true(right, rows[i].path, __FILE__, __LINE__);
    }
    PP_CHECK(!is_path(PP_SPAN("a\0b"), true));
}

PP_TEST_CASE(a_prefix_ends_where_a_segment_does)
{
    struct pp_filter_files files = {.prefix = PP_SPAN("/a/b")};
    struct pp_span rest;
    PP_CHECK(strip(&files, PP_SPAN("/a/b/c"), &rest));
    PP_CHECK_STR(rest, "/c");
    PP_CHECK(strip(&files, PP_SPAN("/a/b"), &rest));
    PP_CHECK_EQ(rest.n, 0);
    PP_CHECK(!strip(&files, PP_SPAN("/a/bc"), &rest));
    PP_CHECK(!strip(&files, PP_SPAN("/a"), &rest));
    PP_CHECK(!strip(&files, PP_SPAN("*"), &rest));
    files.prefix = PP_SPAN_NONE;
    PP_CHECK(strip(&files, PP_SPAN("/c"), &rest));
    PP_CHECK_STR(rest, "/c");
    PP_CHECK(!strip(&files, PP_SPAN("*"), &rest)); /* OPTIONS */
}

/* The body of what is found for <path>; its status where there is none. */
static const char *find(const char *path, const char *fields)
{
    static char text[16];
    const char *heard = static_get(&s, "GET", path, fields);
    if (static_status(heard) == 200)
        return static_body(heard);
    snprintf(text, sizeof text, "%d", static_status(heard));
    return text;
}

#define CHECK_FOUND(path, wanted) PP_CHECK_STR(span(find((path), "")), wanted)
#define CHECK_CODED(path, accept, wanted)                                                          \
    PP_CHECK_STR(span(find((path), "Accept-Encoding: " accept "\r\n")), wanted)

static void fill(void)
{
    PP_REQUIRE(folder_make(&s.f));
    folder_put(&s.f, "a.txt", "plain", 5);
    folder_put(&s.f, "a.txt.gz", "gzip", 4);
    folder_put(&s.f, "a.txt.zst", "zstd", 4);
    folder_put(&s.f, "b \xc3\xa4+", "named", 5);
    folder_put(&s.f, ".env", "secret", 6);
    folder_sub(&s.f, "sub");
    folder_put(&s.f, "sub/index.htm", "second", 6);
    folder_put(&s.f, "sub/app.html", "app", 3);
    folder_put(&s.f, "sub/app.html.br", "br", 2);
    folder_sub(&s.f, "none");
    folder_sub(&s.f, "none/index.html"); /* a folder is no index */
    folder_sub(&s.f, "none/c.txt.gz");   /* and no encoded sibling */
    folder_put(&s.f, "none/c.txt", "c", 1);
    folder_sub(&s.f, ".well-known");
    folder_put(&s.f, ".well-known/x", "known", 5);
    folder_link(&s.f, "out", "/etc/passwd");
    folder_pipe(&s.f, "pipe");
}

PP_TEST_CASE(files_and_indices_are_found)
{
    struct rig_conf conf = rig_defaults();
    fill();
    PP_REQUIRE(static_start(&s, &conf, ", \"index\": [\"index.html\", \"index.htm\"]"));
    CHECK_FOUND("/a.txt", "plain");
    CHECK_FOUND("/a.txt?q=/../b", "plain");
    CHECK_FOUND("/./none/../a.txt", "plain");
    CHECK_FOUND("/%61.txt", "plain");
    CHECK_FOUND("/b%20%C3%a4%2b", "named");
    CHECK_FOUND("/b%20%C3%a4+", "named"); /* a plus is no blank in a path */
    CHECK_FOUND("/sub/", "second");
    CHECK_FOUND("/sub", "301");
    CHECK_FOUND("/none/", "404");
    CHECK_FOUND("/none/index.html/", "404");
    CHECK_FOUND("/", "404");
    CHECK_FOUND("/.well-known/x", "known");
    CHECK_CODED("/a.txt", "gzip, zstd", "plain");
    static_stop(&s);
}

PP_TEST_CASE(nothing_else_is_found)
{
    static const char *const paths[] = {
        "/a.tx", "/a.txt/", "/a.txt/b",       "/A.TXT",       "/.env",     "/%2eenv",    "/out",
        "/pipe", "//a.txt", "/sub//app.html", "//etc/passwd", "/a.txt%20", "/etc/passwd"};
    static const char *const bad[] = {"/../etc/passwd",       "/%2e%2e/etc/passwd",
                                      "/sub/..%2f..%2fetc",   "/a.txt%00",
                                      "/sub%5c..%5ca.txt",    "/a%",
                                      "/.%2e/.%2E/etc/passwd"};
    struct rig_conf conf = rig_defaults();
    fill();
    PP_REQUIRE(static_start(&s, &conf, ""));
    for (size_t i = 0; i < PP_COUNT_OF(paths); i++)
        pp_test_true(strcmp(find(paths[i], ""), "404") == 0, paths[i], __FILE__, __LINE__);
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++)
        pp_test_true(strcmp(find(bad[i], ""), "400") == 0, bad[i], __FILE__, __LINE__);
    static_stop(&s);
}

PP_TEST_CASE(hidden_names_can_be_served)
{
    struct rig_conf conf = rig_defaults();
    fill();
    PP_REQUIRE(static_start(&s, &conf, ", \"hidden\": true, \"strip_prefix\": \"/x\""));
    CHECK_FOUND("/x/.env", "secret");
    CHECK_FOUND("/.env", "404");
    CHECK_FOUND("/x", "301");
    CHECK_FOUND("/xx/a.txt", "404");
    static_stop(&s);
}

PP_TEST_CASE(encoded_siblings_are_chosen_by_what_the_client_takes)
{
    struct rig_conf conf = rig_defaults();
    fill();
    PP_REQUIRE(static_start(&s, &conf,
                            ", \"precompressed\": [\"br\", \"zstd\", \"gzip\"],"
                            " \"fallback\": \"sub/app.html\""));
    CHECK_FOUND("/a.txt", "plain");
    CHECK_CODED("/a.txt", "gzip", "gzip");
    CHECK_CODED("/a.txt", "br, gzip, zstd", "zstd"); /* there is no br */
    CHECK_CODED("/a.txt", "br, gzip, zstd;q=0.5", "gzip");
    CHECK_CODED("/a.txt", "br", "plain");
    CHECK_CODED("/a.txt", "gzip;q=0.5, identity", "plain");
    CHECK_CODED("/a.txt", "br, identity;q=0", "plain"); /* better than nothing */
    CHECK_CODED("/a.txt", "*", "zstd");
    CHECK_CODED("/none/c.txt", "gzip", "c");
    CHECK_CODED("/a.txt.gz", "gzip", "gzip");
    CHECK_CODED("/any/where", "br", "br");
    CHECK_FOUND("/any/where", "app");
    CHECK_FOUND("/none/", "app");
    CHECK_FOUND("/.env", "app");
    CHECK_FOUND("//", "app");
    static_stop(&s);
}

PP_TEST_CASE(trouble_is_told_from_absence)
{
    struct rig_conf conf = rig_defaults();
    struct rlimit old, tight;
    fill();
    PP_REQUIRE(static_start(&s, &conf, ", \"fallback\": \"sub/app.html\""));
    int ended, c = rig_connect(&s.r);
    char heard[512] = "";
    rig_settle(&s.r);
    int lowest = dup(0);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)lowest;
    setrlimit(RLIMIT_NOFILE, &tight);
    rig_send(&s.r, c, "GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    rig_read(&s.r, c, heard, sizeof heard - 1, &ended);
    setrlimit(RLIMIT_NOFILE, &old);
    PP_CHECK_EQ(static_status(heard), 500);
    PP_CHECK(strstr(heard, "\"file_error\"") != NULL);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

PP_TEST_MAIN()
