#include "wire/http_coding.c"

#include "pp_test.h"

static struct pp_arena arena;
static struct pp_http_msg m;

static void read_accept(const char *a, const char *b, struct pp_http_coding_accept *out)
{
    const char *const both[] = {a, b};
    pp_arena_init(&arena, NULL, 0, 65536);
    pp_http_msg_init(&m, &arena);
    for (int i = 0; i < 2; i++) {
        if (both[i] != NULL)
            PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("accept-encoding"), PP_NAME_ACCEPT_ENCODING,
                                        pp_span(both[i], strlen(both[i]))),
                        PP_OK);
    }
    pp_http_coding_accept(&m, out);
    pp_arena_fini(&arena);
}

PP_TEST_CASE(the_client_decides_then_our_order)
{
    static const uint8_t ours[] = {PP_HTTP_CODING_ZSTD, PP_HTTP_CODING_BROTLI, PP_HTTP_CODING_GZIP};
    static const struct {
        const char *field, *more, *chosen;
    } rows[] = {
        {NULL, NULL, "identity"},
        {"", NULL, "identity"},
        {"gzip", NULL, "gzip"},
        {"GZip", NULL, "gzip"},
        {"x-gzip", NULL, "gzip"},
        {"gzip, deflate, br, zstd", NULL, "zstd"},
        {"gzip, deflate, br", NULL, "br"},
        {"gzip;q=1.0, br;q=0.5", NULL, "gzip"},
        {"gzip; q=0.1, br ;q=0.100, zstd;q=0.099", NULL, "br"},
        {"gzip;Q=0.8,br;q=0", NULL, "gzip"},
        {"gzip", "br", "br"},
        {"*", NULL, "zstd"},
        {"*, zstd;q=0", NULL, "br"},
        {"*;q=0.5, gzip", NULL, "gzip"},
        {"*;q=0", NULL, "identity"},
        {"identity, gzip;q=0.5", NULL, "identity"},
        {"identity;q=0.5, gzip", NULL, "gzip"},
        {"identity, gzip", NULL, "gzip"},
        {"identity;q=0, gzip;q=0.001", NULL, "gzip"},
        {"identity;q=0", NULL, "identity"},
        {"deflate", NULL, "identity"},
        {"gzip;q=0", NULL, "identity"},
        {"gzip;q=0, gzip", NULL, "identity"},
        /* malformed members say nothing */
        {"gzip;q=2", NULL, "identity"},
        {"gzip;q=0.1234", NULL, "identity"},
        {"gzip;q=.5", NULL, "identity"},
        {"gzip;q=1.1", NULL, "identity"},
        {"gzip;q=", NULL, "identity"},
        {"gzip;level=3", NULL, "identity"},
        {"gz ip, br;q=0.3", NULL, "br"},
        {",,gzip,,", NULL, "gzip"},
        {";q=1, =, gzip", NULL, "gzip"},
        {"\"a,gzip,b\"", NULL, "identity"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct pp_http_coding_accept a;
        read_accept(rows[i].field, rows[i].more, &a);
        enum pp_http_coding got = pp_http_coding_choose(&a, ours, PP_COUNT_OF(ours));
        pp_test_bytes(pp_http_coding_text(got), pp_span(rows[i].chosen, strlen(rows[i].chosen)),
                      rows[i].field == NULL ? "none" : rows[i].field, __FILE__, __LINE__);
        PP_CHECK_EQ(a.said, rows[i].field != NULL);
    }
}

PP_TEST_CASE(identity_is_acceptable_unless_it_is_said_not_to_be)
{
    static const struct {
        const char *field;
        bool taken;
    } rows[] = {{NULL, true},
                {"gzip", true},
                {"", true},
                {"identity;q=0", false},
                {"*;q=0", false},
                {"identity;q=0, *", false},
                {"*;q=0, identity;q=0.1", true},
                {"gzip, *;q=0.5", true}};
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct pp_http_coding_accept a;
        read_accept(rows[i].field, NULL, &a);
        PP_CHECK_EQ(a.q[PP_HTTP_CODING_IDENTITY] > 0, rows[i].taken);
    }
}

PP_TEST_CASE(what_stands_behind_many_members_is_not_read)
{
    char field[PP_HTTP_CODING_MEMBERS * 2 + 8] = "";
    struct pp_http_coding_accept a;
    for (int i = 0; i < PP_HTTP_CODING_MEMBERS - 1; i++)
        strcat(field, "x,");
    strcat(field, "gzip,br");
    read_accept(field, "zstd", &a);
    PP_CHECK_EQ(a.q[PP_HTTP_CODING_GZIP], 1000);
    PP_CHECK_EQ(a.q[PP_HTTP_CODING_BROTLI], 0);
    PP_CHECK_EQ(a.q[PP_HTTP_CODING_ZSTD], 0);
}

PP_TEST_CASE(one_coding_is_known_two_are_not)
{
    static const struct {
        const char *a, *b;
        enum pp_http_coding is;
    } rows[] = {
        {NULL, NULL, PP_HTTP_CODING_IDENTITY},       {"", NULL, PP_HTTP_CODING_IDENTITY},
        {"identity", NULL, PP_HTTP_CODING_IDENTITY}, {"BR", NULL, PP_HTTP_CODING_BROTLI},
        {"deflate", NULL, PP_HTTP_CODING_DEFLATE},   {"gzip, identity", NULL, PP_HTTP_CODING_GZIP},
        {"gzip, gzip", NULL, PP_HTTP_CODING_COUNT},  {"gzip", "br", PP_HTTP_CODING_COUNT},
        {"compress", NULL, PP_HTTP_CODING_COUNT},    {"aes128gcm", "gzip", PP_HTTP_CODING_COUNT}};
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        const char *const both[] = {rows[i].a, rows[i].b};
        pp_arena_init(&arena, NULL, 0, 65536);
        pp_http_msg_init(&m, &arena);
        for (int k = 0; k < 2; k++) {
            if (both[k] != NULL)
                PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("content-encoding"),
                                            PP_NAME_CONTENT_ENCODING,
                                            pp_span(both[k], strlen(both[k]))),
                            PP_OK);
        }
        PP_CHECK_EQ(pp_http_coding_of(&m), rows[i].is);
        pp_arena_fini(&arena);
    }
}

PP_TEST_MAIN()
