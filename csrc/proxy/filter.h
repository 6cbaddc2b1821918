/* Native filters: what a filter written in C has to offer, and what it may use.
 *
 * A filter is one file, proxy/filter_<name>.c, which defines a `const struct pp_filter_kind`; the
 * table in proxy/filters.c knows them all. Its options come as a tree (base/options.h) that was
 * checked against the schema of the kind, so no other file has to know them.
 *
 *   configuration -> make() once for each use -> run(), body() for each exchange
 *
 * MEMORY  what make() allocates lives in the snapshot's arena and as long as the filter; what must
 * be released is registered there (pp_arena_on_reset). What belongs to one exchange comes from
 * pp_filter_state, or from x->arena; what must be undone at its end, whatever happens, is
 * registered there.
 *
 * WAITING  a filter that must wait sets x->task[which] and answers PP_PARK; later it calls
 * pp_phase_resume (proxy/phase.h), unless its task was cancelled before. */
#ifndef PP_PROXY_FILTER_H
#define PP_PROXY_FILTER_H

#include "base/options.h"
#include "proxy/phase.h"

#define PP_FILTER_WHY 160
#define PP_PHASE_BIT(phase) (1u << PP_PHASE_##phase)

/* What make() is given, and what it says. */
struct pp_filter_make {
    struct pp_arena *arena;
    struct pp_span name; /* of this use; what logs call it */
    uint32_t phases; /* bit per phase: the kind's; take away those that these options do not need */
    uint32_t buffer_request;     /* > 0: request_body gets the whole body, at most so many bytes */
    uint32_t buffer_response;    /* the same for response_body */
    struct pp_span upstream;     /* of which the filter wants the cluster, or empty */
    struct pp_cluster **cluster; /* where to; it is there when the snapshot is finished */
    struct pp_options_fault fault; /* for the getters of base/options.h; looked at afterwards */
    char why[PP_FILTER_WHY];       /* the sentence behind PP_EINVAL */
};

struct pp_filter_kind {
    const char *name; /* as the configuration says it */
    uint32_t phases;  /* bit per phase (PP_PHASE_BIT) */
    const struct pp_filter_ops *ops;
    /* Make *self of the options, which live as long. PP_OK, PP_ENOMEM, or PP_EINVAL with m->why. */
    int (*make)(struct pp_filter_make *m, const struct pp_options *o, void **self);
};

/* PP_EINVAL, with <what> and "<text>" as the sentence. */
int pp_filter_refuse(struct pp_filter_make *m, const char *what, struct pp_span text);

/* <n> bytes of this exchange alone for the filter <self>: zeroed at the first call, the same at all
 * later ones. NULL when memory is out. The search is linear: for filters that need it. */
void *pp_filter_state(struct pp_exchange *x, const void *self, size_t n);
/* The same if there has been a first call, else NULL. */
void *pp_filter_state_find(const struct pp_exchange *x, const void *self);

/* Say in the phase before it (PP_PHASE_REQUEST, PP_PHASE_RESPONSE) that this filter will leave the
 * body of <dir> alone. When all of its body filters say so it is not shown to them, and keeps its
 * length; otherwise it is, and the filter gives on what it gets. Once for each exchange. */
static inline void pp_filter_stand_by(struct pp_exchange *x, enum pp_dir dir)
{
    if (x->flow[dir].bystanders < UINT8_MAX)
        x->flow[dir].bystanders++;
}

/* Say in the phase before it that this filter will see the body of <dir>, and give on all of it as
 * it is: so it keeps its length. Once for each exchange. */
static inline void pp_filter_look_on(struct pp_exchange *x, enum pp_dir dir)
{
    if (x->flow[dir].watchers < UINT8_MAX)
        x->flow[dir].watchers++;
}

/* ---- verdicts ---- */

/* Give up with a fault: the answer is made from it. PP_REPLY. */
int pp_filter_fail(struct pp_exchange *x, enum pp_fault_code code, int detail);
/* The same for a result code: PP_ENOMEM is our trouble, any other the request's. */
int pp_filter_failed(struct pp_exchange *x, int rc);

/* Answer with <status> and <body>, of <type> (media type; borrowed for as long as the exchange).
 * Fields can be added to x->response afterwards. PP_REPLY, whatever happens. */
int pp_filter_reply(struct pp_exchange *x, unsigned status, struct pp_span type,
                    struct pp_span body);

#endif
