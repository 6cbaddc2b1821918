#include "proxy/client_tls.h"

#include "base/mem.h"
#include "wire/http_tok.h"

static void keep(struct pp_span *s, char **at)
{
    if (s->n > 0)
        memcpy(*at, s->p, s->n);
    s->p = *at;
    *at += s->n;
}

struct pp_client_tls *pp_client_tls_new(const struct pp_chan *ch)
{
    struct pp_chan_tls_facts f;
    pp_chan_tls_facts(ch, &f);
    size_t n = f.version.n + f.cipher.n + f.group.n + f.sni.n + f.alpn.n + f.by.n;
    struct pp_client_tls *ct = pp_mem_alloc(sizeof(*ct) + n);
    if (ct == NULL)
        return NULL;
    ct->refs = 1;
    char *at = ct->text, *der;
    keep(&f.version, &at);
    keep(&f.cipher, &at);
    keep(&f.group, &at);
    keep(&f.sni, &at);
    keep(&f.alpn, &at);
    keep(&f.by, &at);
    ct->facts = f;
    ct->der = ct->forwarded = PP_SPAN_NONE;
    int rc = pp_chan_tls_peer(ch, &der, &n, ct->sha256);
    if (rc == PP_OK)
        ct->der = pp_span(der, n);
    if (rc == PP_ENOMEM) {
        pp_client_tls_unref(ct);
        return NULL;
    }
    return ct;
}

int pp_client_tls_set_forwarded(struct pp_client_tls *ct, struct pp_span text)
{
    if (!pp_http_tok_is_value(text))
        return PP_EINVAL;
    char *p = pp_mem_dup(text.p, text.n);
    if (p == NULL)
        return PP_ENOMEM;
    pp_mem_free((char *)(uintptr_t)ct->forwarded.p);
    ct->forwarded = pp_span(p, text.n);
    return PP_OK;
}

void pp_client_tls_unref(struct pp_client_tls *ct)
{
    if (ct == NULL || --ct->refs > 0)
        return;
    pp_mem_free((char *)(uintptr_t)ct->der.p);
    pp_mem_free((char *)(uintptr_t)ct->forwarded.p);
    pp_mem_free(ct);
}
