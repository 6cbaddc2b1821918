/* How the builder is told what a worker does that has too much to do. */
#include "worker/builder.h"

void pp_builder_set_overload(struct pp_builder *b, const struct pp_pressure_conf *memory,
                             const struct pp_pressure_conf *lag)
{
    struct pp_overload_conf *c = &pp_builder_snapshot(b)->overload;
    c->memory = *memory;
    c->lag = *lag;
}

void pp_builder_exempt_route(struct pp_builder *b, uint32_t route)
{
    pp_builder_route(b, route)->exempt = true;
    pp_builder_snapshot(b)->overload.exempts = true;
}
