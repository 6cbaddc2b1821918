#include "wire/http_priority.h"

/* Members of a dictionary (RFC 8941 section 3.2): key, or key=value, and then parameters. */
void pp_http_priority_read(struct pp_span value, uint8_t *urgency, bool *incremental)
{
    struct pp_span item;

    while (pp_span_next_item(&value, &item)) {
        struct pp_span member = pp_span_trim(pp_span(item.p, pp_span_find(item, ';')));

        if (member.n == 3 && memcmp(member.p, "u=", 2) == 0 && member.p[2] >= '0' &&
            member.p[2] < '0' + PP_HTTP_PRIORITY_LEVELS) {
            *urgency = (uint8_t)(member.p[2] - '0');
        } else if (pp_span_eq(member, PP_SPAN("i")) || pp_span_eq(member, PP_SPAN("i=?1"))) {
            *incremental = true;
        } else if (pp_span_eq(member, PP_SPAN("i=?0"))) {
            *incremental = false;
        }
    }
}
