/* How the builder is told when endpoints are ejected. */
#include "worker/builder.h"

void pp_builder_set_outlier(struct pp_builder *b, uint32_t upstream,
                            const struct pp_outlier_conf *conf)
{
    pp_builder_upstream(b, upstream)->outlier = *conf;
}
