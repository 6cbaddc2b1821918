#include "proxy/filters.c"

#include "pp_test.h"

PP_TEST_CASE(kinds_are_found_by_their_name_and_stand_in_its_order)
{
    unsigned n = 0;
    for (const struct pp_filter_kind *k, *before = NULL; (k = pp_filters_at(n)) != NULL; n++) {
        struct pp_span name = pp_span(k->name, strlen(k->name));
        PP_CHECK(pp_filters_find(name) == k);
        PP_CHECK(before == NULL || strcmp(before->name, k->name) < 0);
        PP_CHECK(k->make != NULL && k->ops != NULL && k->phases != 0);
        PP_CHECK(k->phases < 1u << PP_PHASE_COUNT);
        /* A phase without its function would be a call of NULL. */
        uint32_t bodies = PP_PHASE_BIT(REQUEST_BODY) | PP_PHASE_BIT(RESPONSE_BODY);
        PP_CHECK((k->phases & bodies) == 0 || k->ops->body != NULL);
        PP_CHECK((k->phases & ~bodies) == 0 || k->ops->run != NULL);
        before = k;
    }
    PP_CHECK(n > 0);
    PP_CHECK(pp_filters_find(PP_SPAN("header")) == NULL);
    PP_CHECK(pp_filters_find(PP_SPAN_NONE) == NULL);
}

PP_TEST_MAIN()
