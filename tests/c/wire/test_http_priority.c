#include "wire/http_priority.c"

#include "pp_test.h"

struct wanted {
    const char *value;
    uint8_t urgency;
    bool incremental;
};

PP_TEST_CASE(members_of_rfc_9218_are_read)
{
    static const struct wanted all[] = {
        {"", 3, false},           {"u=0", 0, false},
        {"u=7, i", 7, true},      {"i, u=1", 1, true},
        {" u=5 ,i=?1 ", 5, true}, {"i=?0", 3, false},
        {"i,i=?0", 3, false},     {"u=2;x=1;y", 2, false},
        {"u=2, u=4", 4, false},   {"x=\"u=1, i\"", 3, false},
    };

    for (size_t i = 0; i < PP_COUNT_OF(all); i++) {
        uint8_t u = PP_HTTP_PRIORITY_URGENCY;
        bool inc = false;
        pp_http_priority_read(pp_span(all[i].value, strlen(all[i].value)), &u, &inc);
        PP_CHECK_EQ(u, all[i].urgency);
        PP_CHECK_EQ(inc, all[i].incremental);
    }
}

PP_TEST_CASE(what_is_malformed_changes_nothing)
{
    static const char *const all[] = {"u=8", "u=-1", "u=03",  "u=",       "u",     "u=1.0",
                                      "U=1", "I",    "i=1",   "i=?2",     "u = 1", ";;;",
                                      ",,,", "=",    "u=1\"", "urgency=1"};

    for (size_t i = 0; i < PP_COUNT_OF(all); i++) {
        uint8_t u = 6;
        bool inc = true;
        pp_http_priority_read(pp_span(all[i], strlen(all[i])), &u, &inc);
        PP_CHECK_EQ(u, 6);
        PP_CHECK(inc);
    }
}

PP_TEST_MAIN()
