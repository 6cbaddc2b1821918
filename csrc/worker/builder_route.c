/* What routes have beside patterns and an action: predicates, and splits. */
#include "proxy/variable.h"
#include "worker/builder.h"

static void drop_predicate(void *arg)
{
    pp_predicate_free(arg);
}

int pp_builder_compile_predicate(struct pp_builder *b, struct pp_span program,
                                 void *const *callable, uint32_t n_callable,
                                 const struct pp_predicate **out)
{
    char why[PP_PREDICATE_WHY_BYTES] = "";
    struct pp_predicate *p;
    int rc = pp_predicate_new(program, callable, n_callable, &p, why);
    if (rc == PP_EINVAL || rc == PP_ELIMIT)
        return pp_builder_refuse(b, "predicate", pp_span(why, strlen(why)));
    if (rc != PP_OK)
        return rc;
    rc = pp_arena_on_reset(pp_builder_arena(b), drop_predicate, p);
    if (rc == PP_OK)
        *out = p;
    else
        pp_predicate_free(p);
    return rc;
}

static struct pp_split *split_of(struct pp_builder *b, uint32_t route)
{
    struct pp_route *r = pp_builder_route(b, route);
    if (r->split == NULL) {
        struct pp_split *split = pp_arena_alloc(pp_builder_arena(b), sizeof(*split));
        if (split != NULL)
            *split = (struct pp_split){0};
        r->split = split;
    }
    return (struct pp_split *)r->split;
}

int pp_builder_add_arm(struct pp_builder *b, uint32_t route, struct pp_span name, uint32_t upstream,
                       uint32_t weight)
{
    struct pp_arena *arena = pp_builder_arena(b);
    struct pp_split *split = split_of(b, route);
    struct pp_arm *arm =
        split != NULL ? pp_arena_alloc(arena, (split->n + 1) * sizeof(*arm)) : NULL;
    if (arm == NULL)
        return PP_ENOMEM;
    if (split->total + weight > UINT32_MAX)
        return PP_ELIMIT;
    if (split->n > 0)
        memcpy(arm, split->arm, split->n * sizeof(*arm));
    split->arm = arm;
    arm += split->n;
    split->total += weight;
    /* Until the clusters are there, the number of the upstream stands in the record's place. */
    *arm = (struct pp_arm){.until = split->total, .record = upstream};
    int rc = pp_arena_dup(arena, name, &arm->name);
    split->n += rc == PP_OK;
    return rc;
}

int pp_builder_set_split_key(struct pp_builder *b, uint32_t route, struct pp_span variable)
{
    struct pp_arena *arena = pp_builder_arena(b);
    struct pp_variable *by = pp_arena_alloc(arena, sizeof(*by));
    struct pp_split *split = split_of(b, route);
    struct pp_span text;
    if (by == NULL || split == NULL || pp_arena_dup(arena, variable, &text) != PP_OK)
        return PP_ENOMEM;
    if (pp_variable_compile(text, by) != PP_OK)
        return pp_builder_refuse(b, "there is no such variable", variable);
    split->by = by;
    return PP_OK;
}

void pp_builder_settle_split(struct pp_builder *b, uint32_t route,
                             struct pp_cluster *const *cluster)
{
    const struct pp_split *split = pp_builder_route(b, route)->split;
    for (uint32_t i = 0; split != NULL && i < split->n; i++) {
        struct pp_arm *arm = &split->arm[i];
        arm->cluster = cluster[arm->record];
        arm->upstream = arm->cluster->name;
        arm->record = 0;
    }
}
