#include "proxy/announced.h"

#include "base/check.h"
#include "base/mem.h"

struct pp_announced *pp_announced_new(struct pp_span header, struct pp_span server_name)
{
    size_t used;
    struct pp_announced *a = pp_mem_zalloc(sizeof(*a) + header.n + server_name.n);
    if (a == NULL)
        return NULL;
    a->refs = 1;
    a->raw = pp_span(a->bytes, header.n);
    if (header.n > 0) {
        memcpy(a->bytes, header.p, header.n);
        if (!PP_EXPECT(pp_proxyproto_decode(a->raw, &a->header, &used) ==
                       PP_OK)) /* the caller has read it before */
            memset(&a->header, 0, sizeof(a->header));
    }
    if (server_name.n > 0)
        memcpy(a->bytes + header.n, server_name.p, server_name.n);
    a->server_name = pp_span(a->bytes + header.n, server_name.n);
    return a;
}

void pp_announced_unref(struct pp_announced *a)
{
    if (a != NULL && --a->refs == 0)
        pp_mem_free(a);
}

static bool is_ip(const struct pp_proxyproto *h)
{
    return h->family == PP_PROXYPROTO_IP4 || h->family == PP_PROXYPROTO_IP6;
}

static void take_end(const struct pp_proxyproto *h, const struct pp_proxyproto_end *end,
                     struct pp_sock_addr *a)
{
    memset(a, 0, sizeof(*a));
    a->family = h->family == PP_PROXYPROTO_IP4 ? AF_INET : AF_INET6;
    memcpy(a->ip, end->ip, sizeof(a->ip));
    a->port = end->port;
}

void pp_announced_client(const struct pp_proxyproto *h, struct pp_sock_addr *client)
{
    if (is_ip(h))
        take_end(h, &h->source, client);
}

/* ---- sending ---- */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

/* One family for both: IPv4 clients of an IPv6 socket are what they are, and otherwise IPv4 can be
 * written as IPv6 (RFC 4291 section 2.5.5.2). */
static void unmap(struct pp_sock_addr *a)
{
    if (a->family != AF_INET6 || memcmp(a->ip, mapped, sizeof(mapped)) != 0)
        return;
    a->family = AF_INET;
    memmove(a->ip, a->ip + 12, 4);
    memset(a->ip + 4, 0, 12);
}

static void map(struct pp_sock_addr *a)
{
    if (a->family != AF_INET)
        return;
    a->family = AF_INET6;
    memmove(a->ip + 12, a->ip, 4);
    memcpy(a->ip, mapped, sizeof(mapped));
}

static void put_end(const struct pp_sock_addr *a, struct pp_proxyproto_end *end)
{
    memcpy(end->ip, a->ip, sizeof(end->ip));
    end->port = a->port;
}

static void set_ends(struct pp_proxyproto *h, struct pp_sock_addr source,
                     struct pp_sock_addr destination)
{
    unmap(&source);
    unmap(&destination);
    bool ip = (source.family == AF_INET || source.family == AF_INET6) &&
              (destination.family == AF_INET || destination.family == AF_INET6);
    if (!ip)
        return;
    if (source.family != destination.family) {
        map(&source);
        map(&destination);
    }
    h->family = source.family == AF_INET ? PP_PROXYPROTO_IP4 : PP_PROXYPROTO_IP6;
    put_end(&source, &h->source);
    put_end(&destination, &h->destination);
}

/* Room for what is passed on of a client: a name, and an id. */
#define TLV_BYTES (3 + 255 + 3 + PP_PROXYPROTO_UNIQUE_ID_BYTES)

static size_t put_tlvs(const struct pp_announced *a, char *dst)
{
    struct pp_span name = a->server_name;
    if (name.n == 0)
        name = pp_proxyproto_find(&a->header, PP_PROXYPROTO_AUTHORITY);
    struct pp_span id = pp_proxyproto_find(&a->header, PP_PROXYPROTO_UNIQUE_ID);
    size_t n = 0;
    if (name.n > 0 && name.n <= 255)
        n += pp_proxyproto_put(dst, PP_PROXYPROTO_AUTHORITY, name);
    if (id.n > 0)
        n += pp_proxyproto_put(dst + n, PP_PROXYPROTO_UNIQUE_ID, id);
    return n;
}

int pp_announced_send(const struct pp_announced *a, unsigned version,
                      const struct pp_sock_addr *client, const struct pp_sock_addr *local, int fd)
{
    char tlvs[TLV_BYTES], bytes[PP_PROXYPROTO_ENCODED_BYTES + TLV_BYTES];
    struct pp_proxyproto h = {.version = (uint8_t)version};
    struct pp_sock_addr destination = *local;
    if (a != NULL && is_ip(&a->header))
        take_end(&a->header, &a->header.destination, &destination);
    set_ends(&h, *client, destination);
    if (a != NULL)
        h.tlvs = pp_span(tlvs, put_tlvs(a, tlvs));
    return pp_sock_send_first(fd, bytes, pp_proxyproto_encode(&h, bytes));
}
