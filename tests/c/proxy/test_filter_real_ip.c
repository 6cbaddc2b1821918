#include "proxy/filter_real_ip.c"

#include "proxy/native.h"

PP_TEST_CASE(addresses_come_in_several_forms)
{
    static const struct {
        const char *text, *shown;
        unsigned port;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", 0},
        {"192.0.2.1:80", "192.0.2.1", 80},
        {"192.0.2.1:65535", "192.0.2.1", 65535},
        {"2001:DB8::1", "2001:db8::1", 0},
        {"[2001:db8::1]", "2001:db8::1", 0},
        {"[2001:db8::1]:443", "2001:db8::1", 443},
        {"::ffff:192.0.2.1", "192.0.2.1", 0},
        {"192.0.2.1:65536", NULL, 0},
        {"192.0.2.1:", NULL, 0},
        {"192.0.2.1:x", NULL, 0},
        {"192.0.2", NULL, 0},
        {"[192.0.2.1]", NULL, 0},
        {"[2001:db8::1", NULL, 0},
        {"2001:db8::1]", NULL, 0},
        {"[", NULL, 0},
        {"[]", NULL, 0},
        {"80", NULL, 0},
        {":80", NULL, 0},
        {"", NULL, 0},
        {"unknown", NULL, 0},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct pp_sock_addr a;
        char text[PP_SOCK_TEXT];
        bool ok = parse(rig_span(rows[i].text), &a);
        PP_CHECK_EQ(ok, rows[i].shown != NULL);
        if (!ok || rows[i].shown == NULL)
            continue;
        pp_test_bytes(pp_span(text, pp_sock_ip_text(&a, text)), rig_span(rows[i].shown),
                      rows[i].text, __FILE__, __LINE__);
        PP_CHECK_EQ(a.port, rows[i].port);
    }
}

PP_TEST_CASE(lists_are_read_from_their_end)
{
    struct pp_span rest = PP_SPAN(" a,, b ,c");
    PP_CHECK_STR(take_last(&rest), "c");
    PP_CHECK_STR(take_last(&rest), "b");
    PP_CHECK_STR(take_last(&rest), "");
    PP_CHECK_STR(take_last(&rest), "a");
    PP_CHECK_EQ(rest.n, 0);
}

PP_TEST_CASE(only_the_last_lines_count)
{
    struct pp_arena arena;
    struct pp_http_msg m;
    const struct pp_http_field *line[2];
    pp_arena_init(&arena, NULL, 0, 1 << 16);
    pp_http_msg_init(&m, &arena);
    for (int i = 0; i < 5; i++) {
        static const char digits[] = "12345";
        PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("X-F"), PP_NAME_OTHER, pp_span(digits + i, 1)),
                    PP_OK);
    }
    PP_CHECK_EQ(lines_of(&m, PP_SPAN("x-f"), line, 2), 2);
    PP_CHECK_STR(pp_http_field_value(line[0]), "4");
    PP_CHECK_STR(pp_http_field_value(line[1]), "5");
    pp_arena_fini(&arena);
}

PP_TEST_CASE(rules_behind_it_see_the_client)
{
    struct rig_conf conf = rig_defaults();
    static struct rig r;
    conf.native[0].kind = "real_ip";
    conf.native[0].options = "{\"trusted\": [\"127.0.0.0/8\"]}";
    conf.native[1].kind = "ip_restriction";
    conf.native[1].options = "{\"allow\": [\"192.0.2.0/24\"]}";
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    int o = rig_accept(&r, 0);
    /* The connection's own address is not one that the listener believes. */
    rig_expect(&r, o, "GET / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_send(&r, c, "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.3.1\r\n\r\n");
    rig_expect(&r, c, "HTTP/1.1 403 ");
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(what_cannot_be_made_is_said)
{
    PP_CHECK(strncmp(refusal_of("real_ip", "{\"trusted\": [\"x\"]}"), "not a network", 13) == 0);
    PP_CHECK(strncmp(refusal_of("real_ip", "{\"header\": \"a b\"}"), "not the name", 12) == 0);
}

PP_TEST_MAIN()
