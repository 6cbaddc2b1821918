#include "proxy/filter_rewrite_query.c"

#include "proxy/native.h"

PP_TEST_CASE(names_are_compared_decoded)
{
    struct pp_filter_rewrite_query *q = calloc(1, sizeof(*q) + 2 * sizeof(struct edit));
    char room[16];
    q->n = 2;
    q->edit[0] = (struct edit){.what = EDIT_SET, .name = PP_SPAN("a b")};
    q->edit[1] = (struct edit){.what = EDIT_ADD, .name = PP_SPAN("c")};
    PP_CHECK(goes(q, PP_SPAN("a+b"), room));
    PP_CHECK(goes(q, PP_SPAN("%61%20b"), room));
    PP_CHECK(!goes(q, PP_SPAN("a%2Bb"), room));
    PP_CHECK(!goes(q, PP_SPAN("A+b"), room));
    PP_CHECK(!goes(q, PP_SPAN("c"), room));
    PP_CHECK(!goes(q, PP_SPAN("%zz"), room));
    free(q);
}

PP_TEST_CASE(options_that_make_no_arguments_are_refused)
{
    static const struct {
        const char *options, *why;
    } rows[] = {
        {"{\"query\": {}}", ""},
        {"{\"query\": {\"remove\": [\"\"]}}", "an argument without a name: \"mine\""},
        {"{\"query\": {\"set\": {\"\": \"x\"}}}", "an argument without a name: \"mine\""},
        {"{\"query\": {\"add\": {\"a\": [\"x\", \"{nope}\"]}}}", "there is no variable \"nope\""},
        {"{\"query\": {\"add\": {\"a\": 7}}}", "the option query is not text: mine"},
        {"{\"query\": 7}", "the option query is not a mapping: mine"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        pp_test_bytes(rig_span(refusal_of("rewrite", rows[i].options)), rig_span(rows[i].why),
                      rows[i].options, __FILE__, __LINE__);
    char many[1024] = "{\"query\": {\"remove\": [\"x\"";
    for (int i = 0; i < PP_FILTER_REWRITE_EDITS; i++)
        strcat(many, ", \"x\"");
    strcat(many, "]}}");
    PP_CHECK(strstr(refusal_of("rewrite", many), "too many arguments") != NULL);
}

PP_TEST_MAIN()
