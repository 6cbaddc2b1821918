#include "proxy/filter_request_id.c"

#include "proxy/native.h"

/* What follows <name> in an answer, up to the end of the line. */
static struct pp_span value_of(const char *heard, const char *name)
{
    const char *at = strstr(heard, name);
    return at == NULL ? PP_SPAN("") : pp_span(at + strlen(name), strcspn(at + strlen(name), "\r"));
}

static bool is_uuid(struct pp_span id, char version)
{
    bool ok = id.n == UUID_CHARS && id.p[14] == version && strchr("89ab", id.p[19]) != NULL;
    for (size_t i = 0; ok && i < id.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        ok = dash ? id.p[i] == '-' : strchr("0123456789abcdef", id.p[i]) != NULL;
    }
    return ok;
}

PP_TEST_CASE(words_are_written_with_the_highest_digit_first)
{
    char digits[16];
    write_hex(UINT64_C(0x0123456789abcdef), digits);
    PP_CHECK(memcmp(digits, "0123456789abcdef", 16) == 0);
    write_hex(UINT64_C(0xfedcba9876543210), digits);
    PP_CHECK(memcmp(digits, "fedcba9876543210", 16) == 0);
    write_hex(UINT64_C(0xf00000000000000a), digits);
    PP_CHECK(memcmp(digits, "f00000000000000a", 16) == 0);
}

PP_TEST_CASE(ids_have_the_form_of_their_version)
{
    PP_CHECK(is_uuid(value_of(native_ask("request_id", "{}", "GET", ""), "x-request-id: "), '4'));
    const char *heard =
        native_ask("request_id", "{\"format\": \"uuid7\", \"header\": \"X-T\"}", "GET", "");
    struct pp_span id = value_of(heard, "X-T: ");
    PP_CHECK(is_uuid(id, '7'));
    uint64_t ms = strtoull(id.p, NULL, 16) << 16 | strtoull(id.p + 9, NULL, 16);
    PP_CHECK(ms / 1000 + 60 > (uint64_t)time(NULL) && ms / 1000 < (uint64_t)time(NULL) + 60);
    PP_CHECK(strstr(native_ask("request_id", "{\"response\": false}", "GET", ""), "x-request-id") ==
             NULL);
}

PP_TEST_CASE(a_clients_own_is_kept_as_far_as_it_is_trusted)
{
    const char *mine = "X-Request-Id: mine\r\n";
    PP_CHECK_STR(value_of(native_ask("request_id", "{\"trust\": \"always\"}", "GET", mine),
                          "x-request-id: "),
                 "mine");
    PP_CHECK(is_uuid(value_of(native_ask("request_id", "{\"trust\": \"trusted\"}", "GET", mine),
                              "x-request-id: "),
                     '4'));
    PP_CHECK(is_uuid(
        value_of(native_ask("request_id", "{\"trust\": \"never\"}", "GET", mine), "x-request-id: "),
        '4'));
    PP_CHECK(is_usable(PP_SPAN("aZ09-._~:+/=")) && !is_usable(PP_SPAN("")));
    PP_CHECK(!is_usable(PP_SPAN("a b")) && !is_usable(pp_span("a\0b", 3)));
    char big[KEPT_MAX + 1];
    memset(big, 'x', sizeof big);
    PP_CHECK(is_usable(pp_span(big, KEPT_MAX)) && !is_usable(pp_span(big, sizeof big)));
}

PP_TEST_CASE(what_cannot_be_made_is_said)
{
    static const char *const options[] = {"{\"header\": \"host\"}", "{\"header\": \"te\"}",
                                          "{\"header\": \"a b\"}", "{\"format\": \"x\"}",
                                          "{\"trust\": \"some\"}"};
    for (size_t i = 0; i < PP_COUNT_OF(options); i++)
        PP_CHECK(strncmp(refusal_of("request_id", options[i]), "not a", 5) == 0);
}

PP_TEST_MAIN()
