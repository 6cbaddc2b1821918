#include "proxy/exchange.c"

#include "proxy/rig.h"

static struct rig r;

static struct pp_exchange *begin(void)
{
    struct rig_conf conf = rig_defaults();
    if (!rig_start(&r, &conf))
        return NULL;
    pp_loop_enter(&r.w.core.loop);
    return pp_exchange_new(&r.w.core, r.w.core.snapshot->listener[0], NULL);
}

static void end(struct pp_exchange *x)
{
    pp_exchange_free(x);
    pp_loop_leave(&r.w.core.loop);
    PP_CHECK_EQ(r.w.core.exchange_slab.n_live, 0);
    rig_stop(&r);
}

PP_TEST_CASE(a_new_exchange_keeps_its_snapshot)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    PP_CHECK_EQ(x->snapshot->refs, 2);
    PP_CHECK_EQ(x->state, PP_EXCHANGE_HEAD);
    PP_CHECK(x->route == x->snapshot->route[0]);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    end(x);
}

PP_TEST_CASE(the_first_fault_stays)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_NO_ROUTE, PP_SIDE_DOWN, false, PP_OK));
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_NO_MEMORY, PP_SIDE_DOWN, false, PP_OK));
    PP_CHECK_EQ(x->fault.code, PP_FAULT_NO_ROUTE);
    end(x);
}

PP_TEST_CASE(entering_a_state_begins_its_filters)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    x->cursor = 3;
    pp_exchange_enter(x, PP_EXCHANGE_ROUTE);
    PP_CHECK(x->state == PP_EXCHANGE_ROUTE && x->cursor == 0);
    end(x);
}

PP_TEST_CASE(an_answer_copies_its_body)
{
    struct pp_exchange *x = begin();
    char body[] = "abc";
    PP_REQUIRE(x != NULL);
    PP_CHECK_EQ(pp_exchange_reply(x, 418, pp_span(body, 3)), PP_OK);
    body[0] = 'x';
    PP_CHECK_EQ(x->response.status, 418);
    PP_CHECK_STR(x->reply_body, "abc");
    PP_CHECK_EQ(pp_exchange_reply(x, 204, PP_SPAN_NONE), PP_OK);
    PP_CHECK_EQ(x->reply_body.n, 0);
    end(x);
}

PP_TEST_CASE(filters_write_valid_fields_only)
{
    struct pp_exchange *x = begin();
    static const char *const framing[] = {
        "Connection", "content-length", "Keep-Alive",        "Proxy-Connection",
        "TE",         "Trailer",        "Transfer-Encoding", "upgrade"};
    PP_REQUIRE(x != NULL);
    struct pp_http_msg *m = &x->request;
    PP_CHECK_EQ(pp_exchange_add_field(x, m, PP_SPAN("X-A"), PP_SPAN(" b\t")), PP_OK);
    PP_CHECK_STR(pp_http_field_value(pp_http_msg_find(m, PP_SPAN("x-a"))), "b");
    PP_CHECK_EQ(pp_exchange_add_field(x, m, PP_SPAN("x-a"), PP_SPAN("c")), PP_OK);
    PP_CHECK_EQ(pp_exchange_set_field(x, m, PP_SPAN("X-A"), PP_SPAN("d")), PP_OK);
    struct pp_http_field *f = pp_http_msg_find(m, PP_SPAN("x-a"));
    PP_CHECK_STR(pp_http_field_value(f), "d");
    PP_CHECK(pp_http_msg_find_next(m, f) == NULL);
    PP_CHECK_EQ(pp_exchange_add_field(x, m, PP_SPAN("a b"), PP_SPAN("c")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_add_field(x, m, PP_SPAN(""), PP_SPAN("c")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_add_field(x, m, PP_SPAN("a"), PP_SPAN("b\r\nC: d")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_add_field(x, m, PP_SPAN("a"), pp_span("b\0", 2)), PP_EINVAL);
    for (size_t i = 0; i < PP_COUNT_OF(framing); i++) {
        PP_CHECK_EQ(pp_exchange_add_field(x, m, rig_span(framing[i]), PP_SPAN("c")), PP_EINVAL);
        PP_CHECK_EQ(pp_exchange_set_field(x, m, rig_span(framing[i]), PP_SPAN("c")), PP_EINVAL);
    }
    end(x);
}

PP_TEST_CASE(a_new_path_is_brought_to_normal_form)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    char path[] = "/a/../b/%7e";
    PP_CHECK_EQ(pp_exchange_set_path(x, pp_span(path, sizeof path - 1)), PP_OK);
    path[1] = 'z';
    PP_CHECK_STR(x->path, "/b/~");
    PP_CHECK_EQ(pp_exchange_set_path(x, PP_SPAN("/plain")), PP_OK);
    PP_CHECK_STR(x->path, "/plain");
    PP_CHECK_EQ(pp_exchange_set_path(x, PP_SPAN("")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_set_path(x, PP_SPAN("a")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_set_path(x, PP_SPAN("/a?b")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_set_path(x, PP_SPAN("/a#b")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_set_path(x, PP_SPAN("/../a")), PP_EURI_DOTS);
    PP_CHECK(pp_exchange_set_path(x, PP_SPAN("/a b")) != PP_OK);
    PP_CHECK(pp_exchange_set_path(x, PP_SPAN("/a\r\nb")) != PP_OK);
    PP_CHECK_STR(x->path, "/plain");
    end(x);
}

PP_TEST_CASE(another_query_is_sent_on_when_it_can_be_one)
{
    struct pp_exchange *x = begin();
    PP_REQUIRE(x != NULL);
    char query[] = "a=1&b";
    PP_CHECK_EQ(pp_exchange_set_query(x, pp_span(query, sizeof query - 1)), PP_OK);
    query[0] = 'z';
    PP_CHECK_STR(x->request.query, "a=1&b");
    PP_CHECK_EQ(pp_exchange_set_query(x, PP_SPAN("a b")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_set_query(x, PP_SPAN("a#b")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_set_query(x, PP_SPAN("a\r\nb")), PP_EINVAL);
    PP_CHECK_EQ(pp_exchange_set_query(x, PP_SPAN("\xc3\xa4")), PP_EINVAL);
    PP_CHECK_STR(x->request.query, "a=1&b");
    PP_CHECK_EQ(pp_exchange_set_query(x, PP_SPAN("")), PP_OK);
    PP_CHECK(x->request.query.p != NULL && x->request.query.n == 0);
    PP_CHECK_EQ(pp_exchange_set_query(x, PP_SPAN_NONE), PP_OK);
    PP_CHECK(x->request.query.p == NULL);
    end(x);
}

PP_TEST_MAIN()
