#include "proxy/filter.h"

#include <stdio.h>

int pp_filter_refuse(struct pp_filter_make *m, const char *what, struct pp_span text)
{
    (void)snprintf(m->why, sizeof(m->why), "%s \"%.*s\"", what, (int)PP_MIN(text.n, 80), text.p);
    return PP_EINVAL;
}

/* What one filter keeps about one exchange; newest first, since the same filter asks again soon. */
struct pp_filter_state {
    struct pp_filter_state *next;
    const void *self;
    char mem[];
};
PP_STATIC_ASSERT(offsetof(struct pp_filter_state, mem) % 8 == 0, "states are aligned as memory is");

void *pp_filter_state_find(const struct pp_exchange *x, const void *self)
{
    for (struct pp_filter_state *s = x->filter_states; s != NULL; s = s->next) {
        if (s->self == self)
            return s->mem;
    }
    return NULL;
}

void *pp_filter_state(struct pp_exchange *x, const void *self, size_t n)
{
    void *found = pp_filter_state_find(x, self);
    if (found != NULL)
        return found;
    struct pp_filter_state *s = pp_arena_alloc(&x->arena, sizeof(*s) + n);
    if (s == NULL)
        return NULL;
    memset(s->mem, 0, n);
    s->self = self;
    s->next = x->filter_states;
    x->filter_states = s;
    return s->mem;
}

int pp_filter_fail(struct pp_exchange *x, enum pp_fault_code code, int detail)
{
    x->replied = false;
    pp_exchange_fault(x, pp_fault_make(code, PP_SIDE_DOWN, false, detail));
    return PP_REPLY;
}

int pp_filter_failed(struct pp_exchange *x, int rc)
{
    return pp_filter_fail(x, rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_BAD_REQUEST, rc);
}

int pp_filter_reply(struct pp_exchange *x, unsigned status, struct pp_span type,
                    struct pp_span body)
{
    int rc = pp_exchange_reply(x, status, body);
    if (rc == PP_OK && body.n > 0)
        rc = pp_http_msg_add(&x->response, PP_SPAN("Content-Type"), PP_NAME_CONTENT_TYPE, type);
    if (rc != PP_OK)
        return pp_filter_failed(x, rc);
    x->replied = true;
    return PP_REPLY;
}
