#include "proxy/moved.h"

#include "base/le.h"

size_t pp_moved_size(const struct pp_moved *m)
{
    size_t announced = m->announced.n > 0 ? 4 + m->announced.n : 0;
    return PP_MOVED_FIXED + m->listener.n + m->unread.n + announced;
}

void pp_moved_pack(const struct pp_moved *m, char *dst)
{
    char *p = dst;
    pp_le_put(&p, m->announced.n > 0 ? PP_MOVED_VERSION_ANNOUNCED : PP_MOVED_VERSION, 1);
    pp_le_put(&p, m->client.family, 1);
    pp_le_put(&p, m->client.port, 2);
    pp_le_put(&p, m->client.scope, 4);
    memcpy(p, m->client.ip, sizeof(m->client.ip));
    p += sizeof(m->client.ip);
    pp_le_put(&p, m->age_ms, 8);
    pp_le_put(&p, m->waited_ms, 8);
    pp_le_put(&p, m->n_request, 4);
    pp_le_put(&p, m->listener.n, 4);
    pp_le_put(&p, m->unread.n, 4);
    if (m->announced.n > 0)
        pp_le_put(&p, m->announced.n, 4);
    memcpy(p, m->listener.p, m->listener.n);
    p += m->listener.n;
    if (m->unread.n > 0)
        memcpy(p, m->unread.p, m->unread.n);
    p += m->unread.n;
    if (m->announced.n > 0)
        memcpy(p, m->announced.p, m->announced.n);
}

/* Fields that the family has no use for are zero. */
static bool is_address(const struct pp_sock_addr *a)
{
    static const uint8_t zero[16];
    if (a->family == AF_INET6)
        return true;
    if (a->scope != 0)
        return false;
    if (a->family == AF_INET)
        return memcmp(a->ip + 4, zero, 12) == 0;
    return (a->family == AF_UNIX || a->family == 0) && a->port == 0 && memcmp(a->ip, zero, 16) == 0;
}

int pp_moved_unpack(struct pp_span packed, struct pp_moved *m)
{
    const char *p = packed.p;
    if (packed.n < PP_MOVED_FIXED)
        return PP_EINVAL;
    uint64_t version = pp_le_get(&p, 1);
    if (version != PP_MOVED_VERSION && version != PP_MOVED_VERSION_ANNOUNCED)
        return PP_EINVAL;
    memset(m, 0, sizeof(*m));
    m->fd = -1;
    m->client.family = (uint8_t)pp_le_get(&p, 1);
    m->client.port = (uint16_t)pp_le_get(&p, 2);
    m->client.scope = (uint32_t)pp_le_get(&p, 4);
    memcpy(m->client.ip, p, sizeof(m->client.ip));
    p += sizeof(m->client.ip);
    m->age_ms = pp_le_get(&p, 8);
    m->waited_ms = pp_le_get(&p, 8);
    m->n_request = (uint32_t)pp_le_get(&p, 4);
    size_t listener = (size_t)pp_le_get(&p, 4), unread = (size_t)pp_le_get(&p, 4);
    size_t announced = 0, fixed = PP_MOVED_FIXED;
    if (version == PP_MOVED_VERSION_ANNOUNCED) {
        fixed += 4;
        if (packed.n < fixed)
            return PP_EINVAL;
        announced = (size_t)pp_le_get(&p, 4);
        if (announced == 0 || announced > PP_MOVED_ANNOUNCED_MAX)
            return PP_EINVAL;
    }
    if (listener == 0 || listener > PP_MOVED_LISTENER_MAX || unread > PP_MOVED_UNREAD_MAX ||
        packed.n != fixed + listener + unread + announced || m->waited_ms > m->age_ms ||
        !is_address(&m->client))
        return PP_EINVAL;
    m->listener = pp_span(p, listener);
    m->unread = pp_span(p + listener, unread);
    m->announced = pp_span(p + listener + unread, announced);
    return PP_OK;
}
