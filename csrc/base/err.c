#include "base/err.h"

static const int codes[] = {
#define ERR_CODE(code, number, name, text) code,
    PP_ERR_LIST(ERR_CODE)
#undef ERR_CODE
};

/* A switch and not a table: a number that appears twice in the list does not compile. */
const char *pp_err_name(int code)
{
    switch (code) {
#define ERR_NAME(code, number, name, text)                                                         \
    case code:                                                                                     \
        return name;
        PP_ERR_LIST(ERR_NAME)
#undef ERR_NAME
    default:
        return "unknown";
    }
}

const char *pp_err_text(int code)
{
    switch (code) {
#define ERR_TEXT(code, number, name, text)                                                         \
    case code:                                                                                     \
        return text;
        PP_ERR_LIST(ERR_TEXT)
#undef ERR_TEXT
    default:
        return "unknown error";
    }
}

int pp_err_count(void)
{
    return (int)PP_COUNT_OF(codes);
}

int pp_err_code(int i)
{
    return i >= 0 && i < pp_err_count() ? codes[i] : PP_EINVAL;
}
