#include "proxy/cluster.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/tls_client.h"
#include "proxy/adaptive.h"
#include "proxy/cluster_outlier.h"

/* The same everywhere: what is hashed must lead to the same endpoint in all workers, after a
 * restart and on all machines. */
static const struct pp_hash_seed key_seed = {0x7079726f78790001u, 0x656e64706f696e74u};

struct pp_cluster_conf pp_cluster_default_conf(void)
{
    struct pp_cluster_conf conf = {
        .connect_timeout_ms = 5000,
        .send_timeout_ms = 60000,
        .first_byte_timeout_ms = 60000,
        .read_timeout_ms = 60000,
        .idle_timeout_ms = 60000,
        .max_age_ms = 3600000,
        .max_idle = 128,
        .retries = 1,
        .http2 = {.protocol = PP_CLUSTER_AUTO, .max_streams = 100, .window_bytes = 262144},
        .limits = {.head_bytes = 61440, .line_bytes = 61440, .target_bytes = 61440, .fields = 200},
        .balance = {.panic_percent = 50, .key = {.kind = PP_VARIABLE_CLIENT_ADDRESS}}};
    return conf;
}

static bool make_admission(struct pp_cluster *cl)
{
    if (!pp_admission_is_on(&cl->conf.admission))
        return true;
    return (cl->admission = pp_admission_new(&cl->conf.admission)) != NULL;
}

struct pp_cluster *pp_cluster_new(struct pp_span name, const struct pp_cluster_conf *conf,
                                  const struct pp_balance_ops *balance, uint32_t n)
{
    struct pp_cluster *cl = pp_mem_zalloc(sizeof(*cl) + n * sizeof(cl->endpoint[0]));
    if (cl == NULL)
        return NULL;
    cl->conf = *conf;
    if (conf->tls != NULL)
        cl->conf.tls = pp_tls_client_ref(conf->tls);
    cl->refs = 1;
    cl->n = n;
    for (uint32_t i = 0; i < n; i++) {
        cl->endpoint[i].cluster = cl;
        cl->endpoint[i].index = i;
        pp_list_init(&cl->endpoint[i].idle);
        pp_list_init(&cl->endpoint[i].multi);
    }
    char *text = pp_mem_dup(name.p, name.n);
    cl->name = pp_span(text, name.n);
    cl->view = pp_mem_zalloc((n + 1) * sizeof(cl->view[0]));
    cl->balance = balance->create(&conf->balance.policy, n);
    if (text == NULL || cl->view == NULL || cl->balance == NULL ||
        pp_cluster_outlier_init(cl) != PP_OK || !make_admission(cl) ||
        pp_adaptive_init(cl) != PP_OK) {
        pp_cluster_unref(cl);
        return NULL;
    }
    return cl;
}

/* "[::1%eth0]:80" -> "::1", "127.0.0.1:80" -> "127.0.0.1"; of a unix socket nothing. */
static struct pp_span host_of(struct pp_span address)
{
    if (pp_span_starts_with(address, PP_SPAN("unix:")))
        return PP_SPAN_NONE;
    if (address.n > 0 && address.p[0] == '[') {
        struct pp_span ip = pp_span(address.p + 1, address.n - 1);
        ip.n = pp_span_find(ip, ']');
        ip.n = pp_span_find(ip, '%');
        return ip;
    }
    return pp_span(address.p, pp_span_find(address, ':'));
}

int pp_cluster_set_host(struct pp_cluster *cl, uint32_t i, struct pp_span host)
{
    char *text = pp_mem_dup(host.p, host.n);
    if (text == NULL)
        return PP_ENOMEM;
    pp_mem_free((void *)(uintptr_t)cl->endpoint[i].host.p);
    cl->endpoint[i].host = pp_span(text, host.n);
    return PP_OK;
}

int pp_cluster_set_endpoint(struct pp_cluster *cl, uint32_t i, struct pp_span address,
                            struct pp_span name, uint32_t weight)
{
    struct pp_endpoint *ep = &cl->endpoint[i];
    int rc = pp_sock_dest_parse(address, &ep->dest);
    if (rc != PP_OK)
        return rc;
    if (name.n == 0)
        name = address;
    char *text = pp_mem_dup(name.p, name.n);
    if (text == NULL)
        return PP_ENOMEM;
    ep->name = pp_span(text, name.n);
    ep->weight = weight == 0 ? 1 : weight;
    cl->view[i].key = pp_hash(&key_seed, address);
    return cl->conf.tls != NULL ? pp_cluster_set_host(cl, i, host_of(address)) : PP_OK;
}

void pp_cluster_set_role(struct pp_cluster *cl, uint32_t i, uint8_t tier, bool drain)
{
    cl->endpoint[i].tier = PP_MIN(tier, PP_CLUSTER_TIERS - 1);
    cl->endpoint[i].out_conf = drain ? PP_CLUSTER_DRAIN : 0;
}

void pp_cluster_set_limits(struct pp_cluster *cl, uint32_t i, uint32_t max_requests,
                           uint32_t max_connections)
{
    cl->endpoint[i].max_requests = max_requests;
    cl->endpoint[i].max_connections = max_connections;
}

void pp_cluster_unref(struct pp_cluster *cl)
{
    if (cl == NULL || --cl->refs > 0)
        return;
    for (uint32_t i = 0; i < cl->n; i++) {
        PP_ASSERT(pp_list_is_empty(&cl->endpoint[i].idle));
        PP_ASSERT(pp_list_is_empty(&cl->endpoint[i].multi));
        pp_mem_free((void *)(uintptr_t)cl->endpoint[i].name.p);
        pp_mem_free((void *)(uintptr_t)cl->endpoint[i].host.p);
        pp_tls_client_free_ticket(cl->conf.tls, cl->endpoint[i].ticket);
    }
    pp_tls_client_unref(cl->conf.tls);
    if (cl->balance != NULL)
        cl->balance->ops->free(cl->balance);
    pp_cluster_outlier_fini(cl);
    pp_adaptive_fini(cl);
    pp_admission_unref(cl->admission);
    pp_http2_codec_kind_free(cl->http2);
    pp_mem_free(cl->view);
    pp_mem_free((void *)(uintptr_t)cl->name.p);
    pp_mem_free(cl);
}

void pp_cluster_count_open(struct pp_endpoint *ep, int n)
{
    struct pp_cluster *cl = ep->cluster;
    ep->open += (uint32_t)n;
    cl->open += (uint32_t)n;
    PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, ACTIVE, n);
}

static void count_active(struct pp_endpoint *ep, int n)
{
    struct pp_metrics *m = &ep->cluster->core->metrics;
    ep->active += (uint32_t)n;
    pp_cluster_count_open(ep, n);
    PP_COUNT(m, ep->record, ENDPOINT, ACTIVE, n);
}

void pp_cluster_unuse(struct pp_endpoint *ep)
{
    if (ep != NULL)
        count_active(ep, -1);
}

void pp_cluster_use(struct pp_endpoint **at, struct pp_endpoint *ep)
{
    struct pp_endpoint *old = *at;
    if (ep != NULL) { /* before the old one is given back: it may be of the same cluster */
        pp_cluster_ref(ep->cluster);
        count_active(ep, 1);
    }
    *at = ep;
    pp_cluster_unuse(old);
    if (old != NULL)
        pp_cluster_unref(old->cluster);
}

/* Room for one more address: drop one that no exchange uses. Its connections hold references of
 * their own and end by their idle timeout. */
static bool drop_one_address(struct pp_core *core)
{
    uint32_t pos = 0;
    struct pp_span key;
    void *value;
    while (pp_map_next(&core->addresses, &pos, &key, &value)) {
        struct pp_cluster *cl = value;
        if (cl->endpoint[0].active == 0 && cl->endpoint[0].n_idle == 0) {
            pp_map_take(&core->addresses, key);
            pp_cluster_unref(cl);
            return true;
        }
    }
    return false;
}

#define ADDRESS_BYTES 128 /* none that can be parsed is longer, but a unix path */

/* Connections are shared by whoever comes with the same address and the same TLS identity, which
 * lives as long as the cluster. */
static struct pp_span address_key(struct pp_span address, const struct pp_cluster_conf *conf,
                                  char *mem)
{
    if (conf == NULL || conf->tls == NULL || address.n > ADDRESS_BYTES)
        return address;
    memcpy(mem, address.p, address.n);
    memcpy(mem + address.n, &conf->tls, sizeof(conf->tls));
    return pp_span(mem, address.n + sizeof(conf->tls));
}

struct pp_cluster *pp_cluster_of_address(struct pp_core *core, struct pp_span address,
                                         const struct pp_cluster_conf *conf, int *rc)
{
    char key_mem[ADDRESS_BYTES + sizeof(conf->tls)];
    struct pp_span key = address_key(address, conf, key_mem);
    struct pp_cluster *cl = pp_map_get(&core->addresses, key);
    if (cl != NULL)
        return cl;
    if (core->addresses.n >= PP_CLUSTER_ADDRESSES && !drop_one_address(core)) {
        *rc = PP_ELIMIT;
        return NULL;
    }
    struct pp_cluster_conf own = conf != NULL ? *conf : pp_cluster_default_conf();
    *rc = PP_ENOMEM;
    /* Said of an upstream's endpoints; the address may be anybody's. */
    own.proxy_protocol = 0;
    own.warm = 0;
    own.balance = pp_cluster_default_conf().balance;
    own.breaker = (struct pp_breaker_conf){0};
    own.admission = (struct pp_admission_conf){0};
    own.adaptive = (struct pp_gradient_conf){0};
    own.outlier = pp_cluster_default_conf().outlier;
    cl = pp_cluster_new(address, &own, &pp_balance_rr_ops, 1);
    if (cl == NULL)
        return NULL;
    *rc = pp_cluster_set_endpoint(cl, 0, address, PP_SPAN_NONE, 1);
    if (*rc == PP_OK)
        *rc = pp_map_put(&core->addresses, key, cl);
    if (*rc != PP_OK) {
        pp_cluster_unref(cl);
        return NULL;
    }
    pp_cluster_attach(cl, core);
    return cl;
}

void pp_cluster_forget_addresses(struct pp_core *core)
{
    uint32_t pos = 0;
    struct pp_span key;
    void *value;
    while (pp_map_next(&core->addresses, &pos, &key, &value))
        pp_cluster_unref(value);
    pp_map_fini(&core->addresses);
    pp_map_init(&core->addresses, core->seed);
}
