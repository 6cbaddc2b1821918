#include "wire/tunnel_record.h"

#include "base/check.h"
#include "base/le.h"

static const char magic[3] = {'p', 'p', 't'};

/* flags: bits 0 and 1 source_ended of the two directions, bits 2 and 3 shut. */
#define FLAGS 0x0f

/* ---- writing ---- */

static char *put_bytes(char *p, const void *from, size_t n)
{
    if (n > 0)
        memcpy(p, from, n);
    return p + n;
}

static bool is_http(const struct pp_tunnel_record *r)
{
    return r->route.n > 0;
}

size_t pp_tunnel_record_size(const struct pp_tunnel_record *r)
{
    size_t http =
        is_http(r) ? PP_TUNNEL_RECORD_FIXED_HTTP + r->route.n + r->request.n + r->response.n : 0;
    return http + PP_TUNNEL_RECORD_FIXED + r->listener.n + r->upstream.n + r->endpoint.n +
           r->flow[0].held.n + r->flow[1].held.n;
}

size_t pp_tunnel_record_encode(const struct pp_tunnel_record *r, char *dst)
{
    unsigned flags = 0;
    for (unsigned i = 0; i < 2; i++)
        flags |= (unsigned)r->flow[i].source_ended << i | (unsigned)r->flow[i].shut << (2 + i);
    char *p = put_bytes(dst, magic, sizeof(magic));
    pp_le_put(&p, is_http(r) ? PP_TUNNEL_RECORD_VERSION_HTTP : PP_TUNNEL_RECORD_VERSION, 1);
    pp_le_put(&p, flags, 1);
    pp_le_put(&p, r->family, 1);
    pp_le_put(&p, r->port, 2);
    pp_le_put(&p, r->scope, 4);
    p = put_bytes(p, r->ip, sizeof(r->ip));
    pp_le_put(&p, r->listener.n, 2);
    pp_le_put(&p, r->upstream.n, 2);
    pp_le_put(&p, r->endpoint.n, 2);
    pp_le_put(&p, r->attempts, 2);
    pp_le_put(&p, r->age_us, 8);
    pp_le_put(&p, r->connect_us, 8);
    pp_le_put(&p, r->quiet_ms, 8);
    pp_le_put(&p, r->flow[0].sent, 8);
    pp_le_put(&p, r->flow[1].sent, 8);
    pp_le_put(&p, r->flow[0].held.n, 4);
    pp_le_put(&p, r->flow[1].held.n, 4);
    PP_ASSERT(p == dst + PP_TUNNEL_RECORD_FIXED);
    if (is_http(r)) {
        pp_le_put(&p, r->route.n, 2);
        pp_le_put(&p, r->status, 2);
        pp_le_put(&p, r->upstream_status, 2);
        pp_le_put(&p, r->request.n, 4);
        pp_le_put(&p, r->response.n, 4);
        pp_le_put(&p, r->first_byte_us, 8);
    }
    p = put_bytes(p, r->listener.p, r->listener.n);
    p = put_bytes(p, r->upstream.p, r->upstream.n);
    p = put_bytes(p, r->endpoint.p, r->endpoint.n);
    if (is_http(r)) {
        p = put_bytes(p, r->route.p, r->route.n);
        p = put_bytes(p, r->request.p, r->request.n);
        p = put_bytes(p, r->response.p, r->response.n);
    }
    return (size_t)(p - dst);
}

/* ---- reading ---- */

/* The next <n> bytes. */
static struct pp_span cut(const char **p, size_t n)
{
    struct pp_span s = pp_span(*p, n);
    *p += n;
    return s;
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

static bool is_address(const struct pp_tunnel_record *r)
{
    switch (r->family) {
    case PP_TUNNEL_RECORD_IP6:
        return true;
    case PP_TUNNEL_RECORD_IP4:
        return r->scope == 0 && all_zero(r->ip + 4, sizeof(r->ip) - 4);
    case PP_TUNNEL_RECORD_UNIX:
    case 0:
        return r->scope == 0 && r->port == 0 && all_zero(r->ip, sizeof(r->ip));
    default:
        return false;
    }
}

/* A direction that was shut has nothing left; one that both were would be no tunnel any more. */
static bool is_flow(const struct pp_tunnel_record_flow *f)
{
    return f->held.n <= PP_TUNNEL_RECORD_HELD && f->sent <= UINT64_MAX - f->held.n &&
           (!f->shut || (f->source_ended && f->held.n == 0));
}

static bool is_valid(const struct pp_tunnel_record *r)
{
    return is_address(r) && is_flow(&r->flow[0]) && is_flow(&r->flow[1]) &&
           !(r->flow[0].shut && r->flow[1].shut) && r->listener.n > 0 &&
           r->listener.n <= PP_TUNNEL_RECORD_NAME && r->upstream.n <= PP_TUNNEL_RECORD_NAME &&
           r->endpoint.n <= PP_TUNNEL_RECORD_NAME && r->connect_us <= r->age_us &&
           r->route.n <= PP_TUNNEL_RECORD_NAME && r->request.n <= PP_TUNNEL_RECORD_HEAD &&
           r->response.n <= PP_TUNNEL_RECORD_HEAD;
}

/* What version 2 has besides; a route is what makes it one. */
static bool read_http(const char **p, struct pp_tunnel_record *r)
{
    r->route.n = (size_t)pp_le_get(p, 2);
    r->status = (uint16_t)pp_le_get(p, 2);
    r->upstream_status = (uint16_t)pp_le_get(p, 2);
    r->request.n = (size_t)pp_le_get(p, 4);
    r->response.n = (size_t)pp_le_get(p, 4);
    r->first_byte_us = pp_le_get(p, 8);
    return is_http(r);
}

int pp_tunnel_record_decode(struct pp_span blob, struct pp_tunnel_record *r)
{
    memset(r, 0, sizeof(*r));
    if (blob.n < PP_TUNNEL_RECORD_FIXED || memcmp(blob.p, magic, sizeof(magic)) != 0)
        return PP_EINVAL;
    const char *p = blob.p + sizeof(magic);
    unsigned version = (unsigned)pp_le_get(&p, 1);
    bool http = version == PP_TUNNEL_RECORD_VERSION_HTTP;
    if ((!http && version != PP_TUNNEL_RECORD_VERSION) ||
        (http && blob.n < PP_TUNNEL_RECORD_FIXED + PP_TUNNEL_RECORD_FIXED_HTTP))
        return PP_EINVAL;
    unsigned flags = (unsigned)pp_le_get(&p, 1);
    for (unsigned i = 0; i < 2; i++) {
        r->flow[i].source_ended = flags >> i & 1;
        r->flow[i].shut = flags >> (2 + i) & 1;
    }
    r->family = (uint8_t)pp_le_get(&p, 1);
    r->port = (uint16_t)pp_le_get(&p, 2);
    r->scope = (uint32_t)pp_le_get(&p, 4);
    memcpy(r->ip, p, sizeof(r->ip));
    p += sizeof(r->ip);
    r->listener.n = (size_t)pp_le_get(&p, 2);
    r->upstream.n = (size_t)pp_le_get(&p, 2);
    r->endpoint.n = (size_t)pp_le_get(&p, 2);
    r->attempts = (uint16_t)pp_le_get(&p, 2);
    r->age_us = pp_le_get(&p, 8);
    r->connect_us = pp_le_get(&p, 8);
    r->quiet_ms = pp_le_get(&p, 8);
    r->flow[0].sent = pp_le_get(&p, 8);
    r->flow[1].sent = pp_le_get(&p, 8);
    r->flow[0].held.n = (size_t)pp_le_get(&p, 4);
    r->flow[1].held.n = (size_t)pp_le_get(&p, 4);
    if (http && !read_http(&p, r))
        return PP_EINVAL;
    if ((flags & ~(unsigned)FLAGS) != 0 || !is_valid(r) || pp_tunnel_record_size(r) != blob.n)
        return PP_EINVAL;
    r->listener = cut(&p, r->listener.n);
    r->upstream = cut(&p, r->upstream.n);
    r->endpoint = cut(&p, r->endpoint.n);
    if (http) {
        r->route = cut(&p, r->route.n);
        r->request = cut(&p, r->request.n);
        r->response = cut(&p, r->response.n);
    }
    r->flow[0].held = cut(&p, r->flow[0].held.n);
    r->flow[1].held = cut(&p, r->flow[1].held.n);
    return PP_OK;
}
