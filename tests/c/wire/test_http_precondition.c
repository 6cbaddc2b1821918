#include "wire/http_precondition.c"

#include "pp_test.h"

#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct pp_http_validators have = {.etag = {"\"e\"", 3}, .modified_s = 784111777};

/* A request with fields: names and values in turn, up to NULL. */
static void fill(struct pp_http_msg *m, struct pp_arena *arena, const char *const *fields)
{
    pp_arena_init(arena, NULL, 0, 1 << 20);
    pp_http_msg_init(m, arena);
    for (; *fields != NULL; fields += 2) {
        struct pp_span name = pp_span(fields[0], strlen(fields[0]));
        PP_CHECK_EQ(pp_http_msg_add(m, name, pp_http_tok_name(name.p, name.n),
                                    pp_span(fields[1], strlen(fields[1]))),
                    PP_OK);
    }
}

static unsigned check_of(const char *const *fields)
{
    static struct pp_http_msg m;
    struct pp_arena arena;
    fill(&m, &arena, fields);
    unsigned status = pp_http_precondition_check(&m, &have);
    pp_arena_fini(&arena);
    return status;
}

static bool range_of(const char *const *fields)
{
    static struct pp_http_msg m;
    struct pp_arena arena;
    fill(&m, &arena, fields);
    bool allowed = pp_http_precondition_allows_range(&m, &have);
    pp_arena_fini(&arena);
    return allowed;
}

#define STATUS(...) check_of((const char *const[]){__VA_ARGS__, NULL})
#define RANGE(...) range_of((const char *const[]){__VA_ARGS__, NULL})

PP_TEST_CASE(without_conditions_it_is_answered)
{
    PP_CHECK_EQ(STATUS("Host", "a"), 0);
    PP_CHECK(RANGE("Host", "a"));
}

PP_TEST_CASE(what_the_client_has_is_not_sent_again)
{
    PP_CHECK_EQ(STATUS("If-None-Match", "\"e\""), 304);
    PP_CHECK_EQ(STATUS("If-None-Match", "W/\"e\""), 304);
    PP_CHECK_EQ(STATUS("If-None-Match", "*"), 304);
    PP_CHECK_EQ(STATUS("If-None-Match", "\"a\", \"b,\\\" , W/\"e\""), 304);
    PP_CHECK_EQ(STATUS("If-None-Match", "\"a\"", "If-None-Match", "\"e\""), 304);
    PP_CHECK_EQ(STATUS("If-None-Match", " ,, \"e\" ,"), 304);
    PP_CHECK_EQ(STATUS("If-None-Match", "\"a\""), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "\"e"), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "W/"), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "W/\""), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "\"e\"x, \"a"), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "\"a, \"e\""), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "e, \"e\""), 304);
    PP_CHECK_EQ(STATUS("If-None-Match", "e"), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "w/\"e\""), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", ""), 0);
    PP_CHECK_EQ(STATUS("If-Modified-Since", MODIFIED), 304);
    PP_CHECK_EQ(STATUS("If-Modified-Since", AFTER), 304);
    PP_CHECK_EQ(STATUS("If-Modified-Since", BEFORE), 0);
    PP_CHECK_EQ(STATUS("If-Modified-Since", "yesterday"), 0);
}

PP_TEST_CASE(a_tag_says_more_than_a_date)
{
    PP_CHECK_EQ(STATUS("If-None-Match", "\"a\"", "If-Modified-Since", AFTER), 0);
    PP_CHECK_EQ(STATUS("If-None-Match", "\"e\"", "If-Modified-Since", BEFORE), 304);
    PP_CHECK_EQ(STATUS("If-Match", "\"e\"", "If-Unmodified-Since", BEFORE), 0);
}

PP_TEST_CASE(what_is_another_one_is_not_sent)
{
    PP_CHECK_EQ(STATUS("If-Match", "\"e\""), 0);
    PP_CHECK_EQ(STATUS("If-Match", "*"), 0);
    PP_CHECK_EQ(STATUS("If-Match", "\"a\", \"e\""), 0);
    PP_CHECK_EQ(STATUS("If-Match", "W/\"e\""), 412); /* weak tags promise no equal bytes */
    PP_CHECK_EQ(STATUS("If-Match", "\"a\""), 412);
    PP_CHECK_EQ(STATUS("If-Match", "\"a\"", "If-None-Match", "\"e\""), 412);
    PP_CHECK_EQ(STATUS("If-Unmodified-Since", MODIFIED), 0);
    PP_CHECK_EQ(STATUS("If-Unmodified-Since", BEFORE), 412);
    PP_CHECK_EQ(STATUS("If-Unmodified-Since", "?"), 0);
    PP_CHECK_EQ(STATUS("If-Match", "\"e\"", "If-None-Match", "\"e\""), 304);
}

PP_TEST_CASE(a_part_belongs_to_the_same_whole)
{
    PP_CHECK(RANGE("If-Range", "\"e\""));
    PP_CHECK(RANGE("If-Range", MODIFIED));
    PP_CHECK(!RANGE("If-Range", "\"a\""));
    PP_CHECK(!RANGE("If-Range", "W/\"e\""));
    PP_CHECK(!RANGE("If-Range", AFTER));
    PP_CHECK(!RANGE("If-Range", BEFORE));
    PP_CHECK(!RANGE("If-Range", ""));
    PP_CHECK(!RANGE("If-Range", "\"e\"", "If-Range", "\"e\""));
}

PP_TEST_MAIN()
