#include "proxy/filter_limit.h"

#include "base/num.h"

void pp_filter_limit_read(struct pp_filter_make *m, const struct pp_options *o,
                          struct pp_filter_limit *l)
{
    int64_t status = 429;
    *l = (struct pp_filter_limit){.message = PP_SPAN("too many requests"),
                                  .type = PP_SPAN("text/plain")};
    pp_options_get_int(o, "status", 200, 599, &status, &m->fault);
    pp_options_get_text(o, "message", &l->message, &m->fault);
    pp_options_get_text(o, "content_type", &l->type, &m->fault);
    pp_options_get_bool(o, "dry_run", &l->dry_run, &m->fault);
    pp_options_get_bool(o, "refuse_missing", &l->refuse_missing, &m->fault);
    pp_options_get_bool(o, "refuse_on_error", &l->refuse_on_error, &m->fault);
    l->status = (uint16_t)status;
}

uint64_t pp_filter_limit_space(const char *kind, struct pp_span place, struct pp_span name)
{
    /* Not a secret: these are the operator's words. What clients choose is hashed with the table's
     * own key. */
    struct pp_hash_seed seed = {0x6c696d6974, 0};
    seed.k0 = pp_hash(&seed, pp_span(kind, strlen(kind)));
    seed.k0 = pp_hash(&seed, place);
    return pp_hash(&seed, name);
}

int pp_filter_limit_key(const struct pp_shtable *t, const struct pp_filter_text *text,
                        uint64_t space, struct pp_exchange *x, struct pp_shtable_key *key)
{
    struct pp_span name;
    int rc = pp_filter_text_render(text, x, &name);
    if (rc != PP_OK)
        return rc;
    if (name.n == 0)
        return PP_ENOENT;
    pp_shtable_hash(t, space, name, key);
    return PP_OK;
}

int pp_filter_limit_refuse(const struct pp_filter_limit *l, struct pp_exchange *x,
                           uint64_t retry_ns)
{
    int verdict = pp_filter_reply(x, l->status, l->type, l->message);
    if (!x->replied || retry_ns == 0)
        return verdict;
    char digits[PP_NUM_U64_CHARS];
    size_t n = pp_num_format_u64(digits, pp_filter_limit_seconds(retry_ns));
    int rc = pp_exchange_set_field(x, &x->response, PP_SPAN("Retry-After"), pp_span(digits, n));
    return rc == PP_OK ? verdict : pp_filter_failed(x, rc);
}

void pp_filter_limit_count(struct pp_exchange *x, enum pp_filter_limit_event event, uint64_t us)
{
    static const uint8_t words[] = {
        [PP_FILTER_LIMIT_REFUSED] = PP_METRIC_WORD(ROUTE, RATE_LIMITED),
        [PP_FILTER_LIMIT_DRY_RUN] = PP_METRIC_WORD(ROUTE, RATE_DRY_RUN),
        [PP_FILTER_LIMIT_DELAYED] = PP_METRIC_WORD(ROUTE, RATE_DELAYED),
        [PP_FILTER_LIMIT_ANSWERED] = PP_METRIC_WORD(ROUTE, REDIS_ASKED),
        [PP_FILTER_LIMIT_UNANSWERED] = PP_METRIC_WORD(ROUTE, REDIS_FAILED),
    };
    uint64_t *word = &x->core->metrics.words[x->route->record];
    word[words[event]]++;
    word[PP_METRIC_WORD(ROUTE, REDIS_US)] += us;
}
