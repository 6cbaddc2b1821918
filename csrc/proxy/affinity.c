#include "proxy/affinity.h"

#include "proxy/variable.h"

#define KEY_DIGITS 16

/* Fixed: workers and machines must agree. A client that wants to meet one endpoint could send one
 * and the same key as well. */
static const struct pp_hash_seed hash_seed = {0x61666669u, 0x6e697479u};

static bool sticks(const struct pp_cluster *cl)
{
    return cl->conf.balance.sticky.name.n > 0;
}

/* The key in the client's cookie. False: it sent none, or what is no key. */
static bool read_cookie(struct pp_exchange *x, uint64_t *key)
{
    struct pp_span value;
    if (pp_variable_get(x, &x->cluster->conf.balance.sticky, &value) != PP_OK ||
        value.n != KEY_DIGITS)
        return false;
    *key = 0;
    for (size_t i = 0; i < KEY_DIGITS; i++) {
        char c = value.p[i];
        bool letter = c >= 'a' && c <= 'f';
        if (!letter && (c < '0' || c > '9'))
            return false;
        *key = *key << 4 | (uint64_t)(letter ? c - 'a' + 10 : c - '0');
    }
    return true;
}

/* Requests that have no such key are spread as if each had its own. */
static uint64_t hash_of(struct pp_exchange *x)
{
    struct pp_span value;
    if (pp_variable_get(x, &x->cluster->conf.balance.key, &value) != PP_OK || value.n == 0)
        return pp_rng_next(&x->core->rng);
    return pp_hash(&hash_seed, value);
}

struct pp_endpoint *pp_affinity_pick(struct pp_exchange *x)
{
    struct pp_cluster *cl = x->cluster;
    uint64_t key, hash = 0;
    if (PP_UNLIKELY(sticks(cl)) && read_cookie(x, &key)) {
        struct pp_endpoint *ep = pp_cluster_find(cl, x->tried, key);
        if (ep != NULL)
            return ep;
    }
    if (pp_cluster_hashes(cl))
        hash = hash_of(x);
    if (PP_UNLIKELY(cl->conf.admission.endpoints))
        return pp_cluster_pick_with_room(cl, x->tried, hash);
    return pp_cluster_pick(cl, x->tried, hash);
}

int pp_affinity_answer(struct pp_exchange *x)
{
    const struct pp_cluster *cl = x->cluster;
    uint64_t sent, key;
    if (PP_LIKELY(cl == NULL || !sticks(cl)) || x->endpoint == NULL || x->endpoint->cluster != cl)
        return PP_OK;
    key = pp_cluster_key(x->endpoint);
    if (read_cookie(x, &sent) && sent == key)
        return PP_OK;
    struct pp_span name = cl->conf.balance.sticky.name, more = cl->conf.balance.attributes;
    size_t n = name.n + 1 + KEY_DIGITS + more.n;
    char *text = pp_arena_alloc(&x->arena, n), *p = text;
    if (text == NULL)
        return PP_ENOMEM;
    memcpy(p, name.p, name.n);
    p += name.n;
    *p++ = '=';
    for (int shift = 60; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[key >> shift & 15];
    if (more.n > 0)
        memcpy(p, more.p, more.n);
    return pp_http_msg_add(&x->response, PP_SPAN("set-cookie"), PP_NAME_SET_COOKIE,
                           pp_span(text, n));
}

uint64_t pp_affinity_client(const struct pp_cluster *cl, const struct pp_sock_addr *client)
{
    char text[PP_SOCK_TEXT];
    if (!pp_cluster_hashes(cl))
        return 0;
    return pp_hash(&hash_seed, pp_span(text, pp_sock_ip_text(client, text)));
}
