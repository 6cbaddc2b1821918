/* How the builder is told which endpoint is chosen. */
#include "proxy/variable.h"
#include "worker/builder.h"

/* A variable whose name is kept in the arena. */
static int compile(struct pp_builder *b, struct pp_span text, struct pp_variable *out)
{
    struct pp_span kept;
    int rc = pp_arena_dup(pp_builder_arena(b), text, &kept);
    return rc == PP_OK ? pp_variable_compile(kept, out) : rc;
}

int pp_builder_set_balance(struct pp_builder *b, uint32_t upstream,
                           const struct pp_builder_balance *balance)
{
    struct pp_cluster_balance *conf = &pp_builder_upstream(b, upstream)->balance;
    int rc = PP_OK;
    conf->policy = balance->policy;
    conf->panic_percent = balance->panic_percent;
    conf->slow_start_ms = balance->slow_start_ms;
    memcpy(conf->ramp, balance->ramp, sizeof(conf->ramp));
    if (balance->key.n > 0)
        rc = compile(b, balance->key, &conf->key);
    if (rc == PP_EINVAL)
        return pp_builder_refuse(b, "no such request variable", balance->key);
    if (rc == PP_OK && balance->sticky.n > 0) {
        struct pp_span kept;
        rc = pp_arena_dup(pp_builder_arena(b), balance->sticky, &kept);
        conf->sticky = (struct pp_variable){
            .kind = PP_VARIABLE_COOKIE, .name = kept, .hash = pp_variable_hash(kept)};
    }
    if (rc == PP_OK && balance->attributes.n > 0)
        rc = pp_arena_dup(pp_builder_arena(b), balance->attributes, &conf->attributes);
    return rc;
}
