#include "proxy/pace.h"

#include "base/check.h"

#define SECOND_NS UINT64_C(1000000000)
/* Grants are as small as a sixteenth of a second's bytes, but for these bounds: fewer bytes are not
 * worth a timer, and more would be more than one read. */
#define GRANT_MIN 1024u
#define GRANT_MAX 65536u

void pp_pace_bucket_init(struct pp_pace_bucket *b, uint64_t rate, uint64_t burst)
{
    uint64_t grant = PP_MIN(PP_MIN(PP_MAX(rate / 16, GRANT_MIN), GRANT_MAX), burst);
    PP_ASSERT(rate >= 1 && rate <= PP_PACE_RATE_MAX);
    PP_ASSERT(burst >= 1 && burst <= PP_PACE_BURST_MAX);
    b->rate = rate;
    b->grant = (uint32_t)grant;
    b->grant_ns = (grant * SECOND_NS + rate - 1) / rate;
    b->burst_ns = PP_MAX(burst * SECOND_NS / rate, b->grant_ns);
    b->full_ns = 0;
}

static uint64_t now_ns(const struct pp_exchange *x)
{
    return x->core->loop.now_us * 1000;
}

static void on_time(struct pp_timer *t)
{
    struct pp_pace *p = PP_CONTAINER_OF(t, struct pp_pace, timer);
    p->left = p->bucket->grant;
    p->x->events->drained(p->x, (enum pp_dir)p->dir);
}

/* The next grant: now, or when the timer fires. */
static void reserve(struct pp_pace *p)
{
    struct pp_pace_bucket *b = p->bucket;
    uint64_t now = now_ns(p->x);
    b->full_ns = PP_MAX(b->full_ns, now) + b->grant_ns;
    if (b->full_ns <= now + b->burst_ns)
        p->left = b->grant;
    else
        pp_loop_start(&p->x->core->loop, &p->timer, (b->full_ns - b->burst_ns + 999999) / 1000000);
}

void pp_pace_begin(struct pp_pace *p, struct pp_exchange *x, enum pp_dir dir,
                   struct pp_pace_bucket *b)
{
    p->bucket = b;
    p->x = x;
    p->left = 0;
    p->dir = (uint8_t)dir;
    pp_timer_init(&p->timer, on_time);
    p->next = x->flow[dir].pace;
    x->flow[dir].pace = p;
}

void pp_pace_end(struct pp_pace *p)
{
    struct pp_pace_bucket *b = p->bucket;
    uint64_t unused = pp_timer_is_pending(&p->timer) ? b->grant_ns : p->left * SECOND_NS / b->rate;
    pp_loop_stop(&p->x->core->loop, &p->timer);
    b->full_ns -= PP_MIN(b->full_ns, unused);
    p->left = 0;
}

size_t pp_pace_wait(struct pp_exchange *x, enum pp_dir dir)
{
    size_t room = SIZE_MAX;
    for (struct pp_pace *p = x->flow[dir].pace; p != NULL; p = p->next) {
        if (p->left == 0 && !pp_timer_is_pending(&p->timer))
            reserve(p);
        room = PP_MIN(room, p->left);
    }
    return room;
}

void pp_pace_took(struct pp_exchange *x, enum pp_dir dir, size_t n)
{
    for (struct pp_pace *p = x->flow[dir].pace; p != NULL; p = p->next) {
        PP_ASSERT(n <= p->left);
        p->left -= (uint32_t)PP_MIN(n, p->left);
    }
}
