/* What the builder says of a native filter that cannot be made. */
#ifndef PP_PROXY_REFUSAL_H
#define PP_PROXY_REFUSAL_H

#include "proxy/rig.h"

/* The sentence with which <options> (JSON) of a filter <kind> called "mine" are refused; "" when
 * they are taken. */
static inline const char *refusal_of(const char *kind, const char *options)
{
    static char why[PP_BUILDER_WHY];
    struct pp_builder *b = pp_builder_new();
    struct pp_options o;
    uint32_t id;
    why[0] = 0;
    if (b == NULL || !options_of(&o, pp_builder_arena(b), options))
        return "no memory";
    int rc = pp_builder_add_native(b, rig_span(kind), PP_SPAN("mine"), &o, &id);
    PP_CHECK(rc == PP_OK || rc == PP_EINVAL);
    if (rc == PP_EINVAL)
        snprintf(why, sizeof why, "%s", pp_builder_why(b));
    pp_builder_free(b);
    return why;
}

#endif
