#include "proxy/accesslog.h"

#include <time.h>

#include "base/num.h"
#include "io/sink.h"
#include "proxy/cluster.h"

/* X(VARIABLE, name, JSON key or "") in the order of JSON keys. */
#define VARIABLES(X)                                                                               \
    X(TIME, "time", "time")                                                                        \
    X(CLIENT_ADDRESS, "client.address", "client_address")                                          \
    X(CLIENT_PORT, "client.port", "")                                                              \
    X(TLS_VERSION, "tls.version", "")                                                              \
    X(TLS_CIPHER, "tls.cipher", "")                                                                \
    X(TLS_GROUP, "tls.group", "")                                                                  \
    X(TLS_SNI, "tls.sni", "")                                                                      \
    X(TLS_ALPN, "tls.alpn", "")                                                                    \
    X(TLS_RESUMED, "tls.resumed", "")                                                              \
    X(TLS_CLIENT, "tls.client", "")                                                                \
    X(METHOD, "request.method", "method")                                                          \
    X(HOST, "request.host", "host")                                                                \
    X(TARGET, "request.target", "target")                                                          \
    X(PATH, "request.path", "")                                                                    \
    X(QUERY, "request.query", "")                                                                  \
    X(PROTOCOL, "request.protocol", "protocol")                                                    \
    X(REQUEST_BYTES, "request.bytes", "request_bytes")                                             \
    X(STATUS, "response.status", "status")                                                         \
    X(RESPONSE_BYTES, "response.bytes", "response_bytes")                                          \
    X(DURATION, "duration_ms", "duration_ms")                                                      \
    X(LISTENER, "listener", "listener")                                                            \
    X(ROUTE, "route", "route")                                                                     \
    X(UPSTREAM, "upstream", "upstream")                                                            \
    X(ENDPOINT, "endpoint", "endpoint")                                                            \
    X(UPSTREAM_STATUS, "upstream.status", "upstream_status")                                       \
    X(ATTEMPTS, "upstream.attempts", "upstream_attempts")                                          \
    X(CONNECT, "upstream.connect_ms", "upstream_connect_ms")                                       \
    X(FIRST_BYTE, "upstream.first_byte_ms", "upstream_first_byte_ms")                              \
    X(FAULT, "fault", "fault")                                                                     \
    X(ID, "id", "id")                                                                              \
    X(QUEUE, "upstream.queue_ms", "upstream_queue_ms")

enum variable {
    TEXT = 0,
#define VARIABLE_ENUM(v, name, key) VAR_##v,
    VARIABLES(VARIABLE_ENUM)
#undef VARIABLE_ENUM
        REQUEST_HEADER,
    RESPONSE_HEADER
};

struct variable_row {
    const char *name, *key;
    enum variable v;
};

static const struct variable_row rows[] = {
#define VARIABLE_ROW(v, name, key) {name, key, VAR_##v},
    VARIABLES(VARIABLE_ROW)
#undef VARIABLE_ROW
};

struct op {
    uint8_t v;
    struct pp_span text; /* literal text, JSON key with its quotes and colon, or field name */
};

struct pp_accesslog {
    bool json;
    uint32_t n;
    struct op op[];
};

/* A line being written; writes past the end are dropped. */
struct line {
    char *p;
    size_t n, cap;
    bool json;
};

static void put(struct line *l, const char *p, size_t n)
{
    n = PP_MIN(n, l->cap - l->n);
    if (n == 0)
        return; /* <p> may be NULL then */
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_u64(struct line *l, uint64_t v)
{
    char digits[PP_NUM_U64_CHARS];
    put(l, digits, pp_num_format_u64(digits, v));
}

static bool is_safe(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Everything a client can choose goes through here. Runs of safe bytes are copied whole. */
static void put_escaped(struct line *l, struct pp_span s)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = PP_MIN(s.n, PP_ACCESSLOG_VALUE), from = 0;
    for (size_t i = 0; i <= n; i++) {
        if (i < n && is_safe((unsigned char)s.p[i]))
            continue;
        put(l, s.p + from, i - from);
        from = i + 1;
        if (i == n)
            break;
        unsigned char c = (unsigned char)s.p[i];
        char esc[] = {hex[c >> 4], hex[c & 15]};
        put_text(l, l->json ? "\\u00" : "\\x");
        put(l, esc, 2);
    }
}

static void put_string(struct line *l, struct pp_span s)
{
    if (l->json) {
        put(l, "\"", 1);
        put_escaped(l, s);
        put(l, "\"", 1);
    } else if (s.n == 0) {
        put(l, "-", 1);
    } else {
        put_escaped(l, s);
    }
}

static void put_absent(struct line *l)
{
    put_text(l, l->json ? "null" : "-");
}

/* Microseconds as milliseconds with three decimals. */
static void put_ms(struct line *l, uint64_t us)
{
    char frac[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10),
                    (char)('0' + us % 10)};
    put_u64(l, us / 1000);
    put(l, frac, sizeof(frac));
}

static void put_span_of_time(struct line *l, uint64_t from, uint64_t to)
{
    if (from == 0 || to < from)
        put_absent(l);
    else
        put_ms(l, to - from);
}

static void put_2(char *p, int v)
{
    p[0] = (char)('0' + v / 10 % 10);
    p[1] = (char)('0' + v % 10);
}

static void put_time(struct line *l, const struct pp_loop *lp)
{
    time_t now = (time_t)lp->wall_s;
    struct tm tm;
    char t[] = "0000-00-00T00:00:00.000Z";
    gmtime_r(&now, &tm);
    put_2(t, (tm.tm_year + 1900) / 100);
    put_2(t + 2, tm.tm_year % 100);
    put_2(t + 5, tm.tm_mon + 1);
    put_2(t + 8, tm.tm_mday);
    put_2(t + 11, tm.tm_hour);
    put_2(t + 14, tm.tm_min);
    put_2(t + 17, tm.tm_sec);
    t[20] = (char)('0' + lp->wall_ms / 100);
    put_2(t + 21, (int)(lp->wall_ms % 100));
    if (l->json)
        put(l, "\"", 1);
    put(l, t, sizeof(t) - 1);
    if (l->json)
        put(l, "\"", 1);
}

static void put_header(struct line *l, const struct pp_http_msg *m, struct pp_span name)
{
    const struct pp_http_field *f = pp_http_msg_find(m, name);
    if (f == NULL)
        put_absent(l);
    else
        put_string(l, pp_http_field_value(f));
}

static void put_name(struct line *l, const struct pp_span *name)
{
    if (name == NULL || name->n == 0)
        put_absent(l);
    else
        put_string(l, *name);
}

static void put_client(struct line *l, const struct pp_sock_addr *client)
{
    char text[PP_SOCK_TEXT];
    put_string(l, pp_span(text, pp_sock_ip_text(client, text)));
}

static void put_fault(struct line *l, const struct pp_fault *f)
{
    const char *word = pp_fault_word(f);
    if (!pp_fault_is_set(f))
        put_absent(l);
    else
        put_string(l, pp_span(word, strlen(word)));
}

static void put_request(struct line *l, const struct pp_exchange *x, enum variable v)
{
    const struct pp_http_msg *m = &x->request;
    switch (v) {
    case VAR_METHOD:
        put_string(l, m->method);
        break;
    case VAR_HOST:
        put_string(l, m->authority);
        break;
    case VAR_TARGET:
        put_string(l, m->target);
        break;
    case VAR_PATH:
        put_string(l, x->path);
        break;
    case VAR_QUERY:
        put_string(l, m->query);
        break;
    case VAR_PROTOCOL:
        put_string(l, m->major == 2           ? PP_SPAN("HTTP/2.0")
                      : pp_http_msg_is_1_0(m) ? PP_SPAN("HTTP/1.0")
                                              : PP_SPAN("HTTP/1.1"));
        break;
    case VAR_CLIENT_ADDRESS:
        put_client(l, &x->client);
        break;
    case VAR_CLIENT_PORT:
        put_u64(l, x->client.port);
        break;
    default:
        put_u64(l, x->flow[PP_DIR_REQUEST].received);
        break;
    }
}

static void put_upstream(struct line *l, const struct pp_exchange *x, enum variable v)
{
    switch (v) {
    case VAR_UPSTREAM:
        put_name(l, x->cluster != NULL ? &x->cluster->name : NULL);
        break;
    case VAR_ENDPOINT:
        put_name(l, x->endpoint != NULL ? &x->endpoint->name : NULL);
        break;
    case VAR_UPSTREAM_STATUS:
        if (x->upstream_status == 0)
            put_absent(l);
        else
            put_u64(l, x->upstream_status);
        break;
    case VAR_ATTEMPTS:
        put_u64(l, x->attempts);
        break;
    case VAR_CONNECT:
        put_span_of_time(l, x->t.connect, x->t.connected);
        break;
    default:
        put_span_of_time(l, x->t.sent, x->t.first_byte);
        break;
    }
}

/* Absent where nothing limits the upstream. */
static void put_queue(struct line *l, const struct pp_exchange *x)
{
    uint64_t us;
    if (pp_admission_waited(x, &us))
        put_ms(l, us);
    else
        put_absent(l);
}

/* Absent on plain connections, and what was not agreed. */
static void put_tls(struct line *l, const struct pp_client_tls *ct, enum variable v)
{
    static const struct pp_chan_tls_facts none;
    const struct pp_chan_tls_facts *f = ct != NULL ? &ct->facts : &none;
    struct pp_span yes = PP_SPAN("true"), no = PP_SPAN("false");
    switch (v) {
    case VAR_TLS_VERSION:
        put_name(l, &f->version);
        break;
    case VAR_TLS_CIPHER:
        put_name(l, &f->cipher);
        break;
    case VAR_TLS_GROUP:
        put_name(l, &f->group);
        break;
    case VAR_TLS_SNI:
        put_name(l, &f->sni);
        break;
    case VAR_TLS_ALPN:
        put_name(l, &f->alpn);
        break;
    case VAR_TLS_RESUMED:
        put_name(l, ct == NULL ? NULL : f->resumed ? &yes : &no);
        break;
    default:
        put_name(l, ct != NULL ? &ct->forwarded : NULL);
        break;
    }
}

static void put_op(struct line *l, const struct pp_exchange *x, const struct op *op)
{
    if (op->v >= VAR_TLS_VERSION && op->v <= VAR_TLS_CLIENT) {
        put_tls(l, x->tls, op->v);
        return;
    }
    if (op->v >= VAR_UPSTREAM && op->v <= VAR_FIRST_BYTE) {
        put_upstream(l, x, (enum variable)op->v);
        return;
    }
    switch (op->v) {
    case TEXT:
        put(l, op->text.p, op->text.n);
        break;
    case VAR_TIME:
        put_time(l, &x->core->loop);
        break;
    case VAR_STATUS:
        put_u64(l, x->fault.code == PP_FAULT_CLIENT_ABORT && x->status == 0 ? 499 : x->status);
        break;
    case VAR_RESPONSE_BYTES:
        put_u64(l, x->flow[PP_DIR_RESPONSE].bytes);
        break;
    case VAR_DURATION:
        put_ms(l, x->core->loop.now_us - x->t.start);
        break;
    case VAR_LISTENER:
        put_string(l, x->listener->name);
        break;
    case VAR_ROUTE:
        put_string(l, x->route->name);
        break;
    case VAR_FAULT:
        put_fault(l, &x->fault);
        break;
    case VAR_ID:
        if (x->request_id.n > 0)
            put_string(l, x->request_id);
        else
            put_u64(l, x->id);
        break;
    case VAR_QUEUE:
        put_queue(l, x);
        break;
    case REQUEST_HEADER:
        put_header(l, &x->request, op->text);
        break;
    case RESPONSE_HEADER:
        put_header(l, &x->response, op->text);
        break;
    default:
        put_request(l, x, (enum variable)op->v);
        break;
    }
}

static void put_tunnel(struct line *l, const struct pp_accesslog_tunnel *t, enum variable v)
{
    switch (v) {
    case VAR_CLIENT_ADDRESS:
        put_client(l, &t->client);
        break;
    case VAR_CLIENT_PORT:
        put_u64(l, t->client.port);
        break;
    case VAR_PROTOCOL:
        put_string(l, t->protocol.n > 0 ? t->protocol : PP_SPAN("TCP"));
        break;
    case VAR_REQUEST_BYTES:
        put_u64(l, t->received);
        break;
    case VAR_RESPONSE_BYTES:
        put_u64(l, t->sent);
        break;
    case VAR_UPSTREAM:
        put_name(l, &t->upstream);
        break;
    case VAR_ENDPOINT:
        put_name(l, &t->endpoint);
        break;
    case VAR_ATTEMPTS:
        put_u64(l, t->attempts);
        break;
    case VAR_CONNECT:
        put_span_of_time(l, t->connect_us, t->connected_us);
        break;
    case VAR_FIRST_BYTE:
        put_span_of_time(l, t->sent_us, t->first_byte_us);
        break;
    default: /* of a request or a response */
        put_absent(l);
        break;
    }
}

static void put_tunnel_op(struct line *l, const struct pp_loop *lp,
                          const struct pp_accesslog_tunnel *t, const struct op *op)
{
    if (op->v >= VAR_TLS_VERSION && op->v <= VAR_TLS_CLIENT) {
        put_tls(l, t->tls, op->v);
        return;
    }
    switch (op->v) {
    case TEXT:
        put(l, op->text.p, op->text.n);
        break;
    case VAR_TIME:
        put_time(l, lp);
        break;
    case VAR_DURATION:
        put_ms(l, lp->now_us - t->start_us);
        break;
    case VAR_LISTENER:
        put_string(l, t->listener);
        break;
    case VAR_FAULT:
        put_fault(l, &t->fault);
        break;
    case VAR_ID:
        put_u64(l, t->id);
        break;
    default:
        put_tunnel(l, t, (enum variable)op->v);
        break;
    }
}

/* Room for a line of log <i>; false: there is no such log, or it is full. */
static bool begin_line(struct pp_core *core, const struct pp_snapshot *sn, uint32_t i,
                       struct line *l)
{
    if (sn == NULL || i >= sn->n_log || sn->log[i]->sink == NULL)
        return false;
    *l = (struct line){.cap = PP_ACCESSLOG_LINE - 2, .json = sn->log[i]->format->json};
    l->p = pp_sink_reserve(sn->log[i]->sink, PP_ACCESSLOG_LINE);
    if (l->p == NULL)
        PP_COUNT(&core->metrics, core->metrics.fallback[PP_METRIC_WORKER], WORKER, LOG_DROPPED, 1);
    return l->p != NULL;
}

static void end_line(struct pp_core *core, struct pp_sink *sink, struct line *l)
{
    l->cap += 2; /* the line's end always fits */
    put_text(l, l->json ? "}\n" : "\n");
    pp_sink_commit(sink, l->n);
    PP_COUNT(&core->metrics, core->metrics.fallback[PP_METRIC_WORKER], WORKER, LOG_LINES, 1);
}

void pp_accesslog_write(const struct pp_exchange *x)
{
    const struct pp_snapshot *sn = x->snapshot;
    struct line l;
    uint32_t i = x->route->access_log;
    if (i == PP_ID_NONE) { /* an index of the snapshot that the listener is of */
        i = x->listener->access_log;
        sn = x->home != NULL ? x->home : sn;
    }
    if (!begin_line(x->core, sn, i, &l))
        return;
    const struct pp_accesslog *log = sn->log[i]->format;
    for (uint32_t k = 0; k < log->n; k++)
        put_op(&l, x, &log->op[k]);
    end_line(x->core, sn->log[i]->sink, &l);
}

void pp_accesslog_write_tunnel(struct pp_core *core, const struct pp_snapshot *sn, uint32_t i,
                               const struct pp_accesslog_tunnel *t)
{
    struct line l;
    if (!begin_line(core, sn, i, &l))
        return;
    const struct pp_accesslog *log = sn->log[i]->format;
    for (uint32_t k = 0; k < log->n; k++)
        put_tunnel_op(&l, &core->loop, t, &log->op[k]);
    end_line(core, sn->log[i]->sink, &l);
}

static int compile_json(struct pp_arena *arena, const struct pp_accesslog **out)
{
    struct pp_accesslog *log =
        pp_arena_alloc(arena, sizeof(*log) + 2 * PP_COUNT_OF(rows) * sizeof(log->op[0]));
    if (log == NULL)
        return PP_ENOMEM;
    log->json = true;
    log->n = 0;
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        size_t n = strlen(rows[i].key);
        char *p = n == 0 ? NULL : pp_arena_alloc(arena, n + 4);
        if (n == 0)
            continue;
        if (p == NULL)
            return PP_ENOMEM;
        p[0] = log->n == 0 ? '{' : ',';
        p[1] = '"';
        memcpy(p + 2, rows[i].key, n);
        memcpy(p + 2 + n, "\":", 2);
        log->op[log->n++] = (struct op){.v = TEXT, .text = pp_span(p, n + 4)};
        log->op[log->n++] = (struct op){.v = (uint8_t)rows[i].v};
    }
    *out = log;
    return PP_OK;
}

static bool find_variable(struct pp_span name, struct op *op)
{
    struct pp_span request = PP_SPAN("request.header."), response = PP_SPAN("response.header.");
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        if (pp_span_eq(name, pp_span(rows[i].name, strlen(rows[i].name)))) {
            op->v = (uint8_t)rows[i].v;
            return true;
        }
    }
    bool is_request = pp_span_starts_with(name, request);
    if (!is_request && !pp_span_starts_with(name, response))
        return false;
    size_t n = is_request ? request.n : response.n;
    op->v = is_request ? REQUEST_HEADER : RESPONSE_HEADER;
    op->text = pp_span(name.p + n, name.n - n);
    return pp_http_tok_is_token(op->text);
}

/* The next piece of a format: text, an escaped brace, or a variable. */
static int next_op(struct pp_span *rest, struct op *op, struct pp_span *bad)
{
    const char *p = rest->p;
    size_t n = rest->n, len = 0;
    memset(op, 0, sizeof(*op));
    *bad = *rest;
    if ((p[0] == '{' || p[0] == '}') && n > 1 && p[1] == p[0]) {
        op->text = pp_span(p, 1);
        *rest = pp_span(p + 2, n - 2);
        return PP_OK;
    }
    if (p[0] == '{') {
        len = pp_span_find(*rest, '}');
        if (len == n)
            return PP_EINVAL;
        *bad = pp_span(p + 1, len - 1);
        *rest = pp_span(p + len + 1, n - len - 1);
        return find_variable(*bad, op) ? PP_OK : PP_EINVAL;
    }
    if (p[0] == '}')
        return PP_EINVAL;
    while (len < n && p[len] != '{' && p[len] != '}')
        len++;
    op->text = pp_span(p, len);
    *rest = pp_span(p + len, n - len);
    return PP_OK;
}

int pp_accesslog_compile(struct pp_arena *arena, struct pp_span text, bool json,
                         const struct pp_accesslog **out, struct pp_span *bad)
{
    *bad = PP_SPAN_NONE;
    if (json)
        return compile_json(arena, out);
    struct pp_span copy, rest;
    struct op op;
    int rc = pp_arena_dup(arena, text, &copy);
    uint32_t n = 0;
    for (rest = copy; rc == PP_OK && rest.n > 0; n++)
        rc = next_op(&rest, &op, bad);
    if (rc != PP_OK)
        return rc;
    struct pp_accesslog *log = pp_arena_alloc(arena, sizeof(*log) + n * sizeof(log->op[0]));
    if (log == NULL)
        return PP_ENOMEM;
    log->json = false;
    log->n = 0;
    for (rest = copy; rest.n > 0;)
        rc = next_op(&rest, &log->op[log->n++], bad);
    *out = log;
    return rc;
}
