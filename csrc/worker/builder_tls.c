/* The TLS part of the builder: contexts come ready made, with a reference for the snapshot. */
#include "io/tls_client.h"
#include "io/tls_conf.h"
#include "worker/builder.h"

/* Whatever it is then: a worker may have replaced it (pp_worker_replace_tls). */
static void drop_listener(void *arg)
{
    pp_tls_conf_unref(((struct pp_listener_conf *)arg)->tls);
}

int pp_builder_set_tls(struct pp_builder *b, uint32_t listener, struct pp_tls_conf *tls)
{
    struct pp_listener_conf *l = pp_builder_listener(b, listener);
    int rc = pp_arena_on_reset(pp_builder_arena(b), drop_listener, l);
    if (rc == PP_OK)
        l->tls = pp_tls_conf_ref(tls);
    return rc;
}

static void drop_client(void *arg)
{
    pp_tls_client_unref(arg);
}

int pp_builder_set_upstream_tls(struct pp_builder *b, uint32_t upstream, struct pp_tls_client *tls)
{
    int rc = pp_arena_on_reset(pp_builder_arena(b), drop_client, tls);
    if (rc == PP_OK)
        pp_builder_upstream(b, upstream)->tls = pp_tls_client_ref(tls);
    return rc;
}
