#include "wire/http_msg.c"

#include "base/mem.h"
#include "pp_test.h"

struct fixture {
    struct pp_arena arena;
    struct pp_http_msg m;
};

static void begin(struct fixture *t)
{
    pp_arena_init(&t->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&t->m, &t->arena);
}

static int add(struct pp_http_msg *m, const char *name, const char *value)
{
    size_t n = strlen(name);

    return pp_http_msg_add(m, pp_span(name, n), pp_http_tok_name(name, n),
                           pp_span(value, strlen(value)));
}

static struct pp_span value_of(struct pp_http_field *f)
{
    return f ? pp_http_field_value(f) : PP_SPAN("(none)");
}

PP_TEST_CASE(fields_are_found_by_id_and_by_name_in_any_case)
{
    struct fixture t;
    struct pp_http_field *f;

    begin(&t);
    PP_CHECK_EQ(add(&t.m, "Host", "a"), PP_OK);
    PP_CHECK_EQ(add(&t.m, "X-One", "1"), PP_OK);
    PP_CHECK_EQ(add(&t.m, "x-two", "2"), PP_OK);
    PP_CHECK_EQ(add(&t.m, "x-ONE", "3"), PP_OK);
    PP_CHECK_STR(value_of(pp_http_msg_find_id(&t.m, PP_NAME_HOST)), "a");
    PP_CHECK_STR(value_of(pp_http_msg_find(&t.m, PP_SPAN("hOST"))), "a");
    PP_CHECK(!pp_http_msg_find_id(&t.m, PP_NAME_COOKIE));
    PP_CHECK(!pp_http_msg_find_id(&t.m, PP_NAME_OTHER));
    PP_CHECK(!pp_http_msg_find(&t.m, PP_SPAN("cookie")));
    PP_CHECK(!pp_http_msg_find(&t.m, PP_SPAN("x-three")));
    f = pp_http_msg_find(&t.m, PP_SPAN("X-ONE"));
    PP_REQUIRE(f);
    PP_CHECK_STR(pp_http_field_name(f), "X-One");
    f = pp_http_msg_find_next(&t.m, f);
    PP_REQUIRE(f);
    PP_CHECK_STR(pp_http_field_value(f), "3");
    PP_CHECK(!pp_http_msg_find_next(&t.m, f));
    pp_arena_fini(&t.arena);
}

PP_TEST_CASE(removed_fields_are_gone_for_every_reader)
{
    struct fixture t;

    begin(&t);
    PP_CHECK_EQ(add(&t.m, "Cookie", "a"), PP_OK);
    PP_CHECK_EQ(add(&t.m, "X-A", "b"), PP_OK);
    PP_CHECK_EQ(add(&t.m, "cookie", "c"), PP_OK);
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("COOKIE"), PP_NAME_COOKIE), 2);
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("COOKIE"), PP_NAME_COOKIE), 0);
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("Host"), PP_NAME_HOST), 0);
    PP_CHECK(!pp_http_msg_find_id(&t.m, PP_NAME_COOKIE));
    PP_CHECK(!pp_http_msg_find(&t.m, PP_SPAN("cookie")));
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("x-a"), PP_NAME_OTHER), 1);
    PP_CHECK(!pp_http_msg_find(&t.m, PP_SPAN("x-a")));
    pp_arena_fini(&t.arena);
}

PP_TEST_CASE(set_leaves_one_field)
{
    struct fixture t;

    begin(&t);
    PP_CHECK_EQ(add(&t.m, "X-A", "1"), PP_OK);
    PP_CHECK_EQ(add(&t.m, "x-a", "2"), PP_OK);
    PP_CHECK_EQ(add(&t.m, "TE", "gzip"), PP_OK);
    t.m.field[2].flags = PP_HTTP_FIELD_HOP;
    PP_CHECK_EQ(pp_http_msg_set(&t.m, PP_SPAN("X-a"), PP_NAME_OTHER, PP_SPAN("3")), PP_OK);
    PP_CHECK_EQ(pp_http_msg_set(&t.m, PP_SPAN("Via"), PP_NAME_VIA, PP_SPAN("v")), PP_OK);
    PP_CHECK_EQ(pp_http_msg_set(&t.m, PP_SPAN("TE"), PP_NAME_TE, PP_SPAN("x")), PP_OK);
    PP_CHECK_EQ(t.m.n_field, 4);
    PP_CHECK_STR(pp_http_field_value(&t.m.field[0]), "3");
    PP_CHECK(!pp_http_field_is_live(&t.m.field[1]));
    PP_CHECK_EQ(t.m.field[2].flags, 0);
    PP_CHECK_STR(value_of(pp_http_msg_find_id(&t.m, PP_NAME_VIA)), "v");
    PP_CHECK_EQ(pp_http_msg_remove(&t.m, PP_SPAN("x-a"), PP_NAME_OTHER), 1);
    PP_CHECK_EQ(pp_http_msg_set(&t.m, PP_SPAN("x-A"), PP_NAME_OTHER, PP_SPAN("4")), PP_OK);
    PP_CHECK_STR(value_of(pp_http_msg_find(&t.m, PP_SPAN("x-a"))), "4");
    pp_arena_fini(&t.arena);
}

static bool add_many(void)
{
    struct fixture t;
    bool ok = true;

    begin(&t);
    for (unsigned i = 0; i < 200 && ok; i++) {
        ok = add(&t.m, i % 2 ? "Host" : "X-Name", "value") == PP_OK;
        PP_CHECK(!ok || t.m.n_field == i + 1);
    }
    for (unsigned i = 0; i < t.m.n_field; i++) {
        PP_CHECK_EQ(t.m.field[i].id, i % 2 ? PP_NAME_HOST : PP_NAME_OTHER);
        PP_CHECK_STR(pp_http_field_value(&t.m.field[i]), "value");
    }
    pp_arena_fini(&t.arena);
    return ok;
}

PP_TEST_CASE(fields_past_the_inline_ones_come_from_the_arena_and_may_fail)
{
    PP_CHECK_FAIL_EACH(add_many);
}

PP_TEST_CASE(rebase_moves_what_points_into_the_old_bytes_and_nothing_else)
{
    struct fixture t;
    char old[] = "GET /p?q H:v", new[sizeof(old)];
    struct pp_span elsewhere = PP_SPAN("elsewhere");

    begin(&t);
    memcpy(new, old, sizeof(old));
    t.m.method = pp_span(old, 3);
    t.m.target = pp_span(old + 4, 4);
    t.m.path = pp_span(old + 4, 2);
    t.m.query = pp_span(old + 7, 1);
    t.m.authority = elsewhere;
    PP_CHECK_EQ(pp_http_msg_add(&t.m, pp_span(old + 9, 1), PP_NAME_OTHER, pp_span(old + 11, 1)),
                PP_OK);
    PP_CHECK_EQ(pp_http_msg_add(&t.m, elsewhere, PP_NAME_OTHER, pp_span(old + sizeof(old), 0)),
                PP_OK);
    pp_http_msg_rebase(&t.m, old, sizeof(old), new);
    PP_CHECK(t.m.method.p == new);
    PP_CHECK(t.m.target.p == new + 4 && t.m.path.p == new + 4 && t.m.query.p == new + 7);
    PP_CHECK(t.m.authority.p == elsewhere.p && !t.m.scheme.p && !t.m.reason.p);
    PP_CHECK(t.m.field[0].name == new + 9 && t.m.field[0].value == new + 11);
    PP_CHECK(t.m.field[1].name == elsewhere.p && t.m.field[1].value == old + sizeof(old));
    pp_arena_fini(&t.arena);
}

PP_TEST_MAIN()
