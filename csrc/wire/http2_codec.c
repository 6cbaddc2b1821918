/* nghttp2 does framing, HPACK, stream states and windows; everything else is here.
 *
 * It is fed one frame at a time, so that frames are counted before they cost anything, and so that
 * its callbacks need only take notes: events are dispatched when it has returned, and what they do
 * (send, reset, release) never happens under its feet.
 *
 *   feed: | 9 bytes: count | frame -> nghttp2 -> notes | dispatch | next frame ...
 *
 * It is drained after every submission (pump): so heads and bodies are borrowed for a call only,
 * and no queue of its own can grow. HTTP's rules (pseudo-fields, lengths) are ours, not its
 * (no_http_messaging): they are the same for both versions. */
#include "base/check.h"
#include "base/mem.h"
#include "wire/http2_codec_impl.h"

/* Not in every 1.52 and later, only in those that were patched. */
#pragma weak nghttp2_option_set_stream_reset_rate_limit

#define WHOLE_FRAME 16384

/* ---- streams ---- */

struct pp_http2_stream *pp_http2_codec_find(const struct pp_http2_codec *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->ng, id);
}

void pp_http2_codec_name_flood(struct pp_http2_codec *h, enum pp_http2_flood kind)
{
    if (h->flood == PP_HTTP2_FLOOD_NONE) {
        h->flood = (uint8_t)kind;
    }
}

void pp_http2_codec_charge(struct pp_http2_codec *h, enum pp_http2_flood kind, unsigned quarters)
{
    if (!pp_http2_flood_take(&h->floods, kind, quarters, h->now_ms)) {
        pp_http2_codec_name_flood(h, kind);
    }
}

void pp_http2_codec_wait(struct pp_http2_stream *s)
{
    struct pp_list *turns = &s->codec->turns[s->urgency], *at = turns;

    if (s->waiting) {
        return;
    }
    s->waiting = true;
    /* Streams of use only when whole come one after the other; all others in turns. Whoever said
     * nothing is served in turns (RFC 9218 section 10). */
    if (s->prioritized && !s->incremental) {
        for (at = turns->next; at != turns; at = at->next) {
            if (PP_CONTAINER_OF(at, struct pp_http2_stream, wait)->id > s->id) {
                break;
            }
        }
    }
    pp_list_attach_back(at, &s->wait);
}

void pp_http2_codec_attach(struct pp_http2_codec *h, struct pp_http2_stream *s, int32_t id)
{
    s->codec = h;
    s->id = (uint32_t)id;
    s->urgency = PP_HTTP_PRIORITY_URGENCY;
    pp_list_init(&s->wait);
    pp_list_attach_back(&h->streams, &s->link);
    h->n_open++;
    pp_http2_flood_refund(&h->floods, PP_HTTP2_FLOOD_PRIORITY, 4);
    pp_http2_flood_refund(&h->floods, PP_HTTP2_FLOOD_WINDOW_UPDATE, 4);
    pp_http2_flood_refund(&h->floods, PP_HTTP2_FLOOD_PING, 1);
}

/* The stream is its owner's again. */
void pp_http2_codec_detach(struct pp_http2_stream *s)
{
    struct pp_http2_codec *h = s->codec;

    pp_list_detach(&s->wait);
    pp_list_detach(&s->link);
    s->waiting = false;
    if (s->held > 0 && !h->broken) {
        (void)nghttp2_session_consume_connection(h->ng, s->held);
    }
    s->held = 0;
    if (!s->over && !h->broken) {
        (void)nghttp2_session_set_stream_user_data(h->ng, (int32_t)s->id, NULL);
    }
    if (h->noted == s) {
        h->noted = NULL;
    }
    s->codec = NULL;
}

/* ---- output ---- */

bool pp_http2_codec_put(struct pp_http2_codec *h, const void *p, size_t n)
{
    if (pp_buf_write(&h->out, h->kind->chunks, p, n, SIZE_MAX) != PP_OK) {
        h->broken = true;
        return false;
    }
    return true;
}

/* Nothing waits in nghttp2's queues? Then asking it would only cost time, unless it has to find out
 * that everything is said. */
static bool is_quiet(const struct pp_http2_codec *h)
{
    return !h->leaving && nghttp2_session_get_outbound_queue_size(h->ng) == 0;
}

/* Append a frame of nghttp2's. An empty section is one only if HPACK had nothing to add. */
static void put_frame(struct pp_http2_codec *h, const uint8_t *p, size_t n)
{
    if (h->bare_end && n == PP_HTTP2_FRAME_HEAD && p[3] == NGHTTP2_HEADERS) {
        uint8_t data[PP_HTTP2_FRAME_HEAD];
        memcpy(data, p, n);
        data[3] = NGHTTP2_DATA;
        data[4] = NGHTTP2_FLAG_END_STREAM;
        (void)pp_http2_codec_put(h, data, n);
    } else {
        (void)pp_http2_codec_put(h, p, n);
    }
}

int pp_http2_codec_pump(struct pp_http2_codec *h)
{
    while (!h->broken) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->ng, &p);

        if (n < 0) {
            h->broken = true;
        } else if (n == 0) {
            break;
        } else {
            put_frame(h, p, (size_t)n);
            /* A head longer than a frame comes in several turns. */
            if (n < WHOLE_FRAME && !h->sender && is_quiet(h)) {
                break;
            }
        }
    }
    if (!h->broken && h->flood != PP_HTTP2_FLOOD_NONE && !h->flooded) {
        h->flooded = true;
        if (nghttp2_session_terminate_session(h->ng, NGHTTP2_ENHANCE_YOUR_CALM) != 0) {
            h->broken = true;
        }
        return pp_http2_codec_pump(h);
    }
    return h->broken ? PP_ENOMEM : PP_OK;
}

int pp_http2_codec_pump_waiting(struct pp_http2_codec *h)
{
    if (h->broken) {
        return PP_ENOMEM;
    }
    return is_quiet(h) && (h->flooded || !h->flood) ? PP_OK : pp_http2_codec_pump(h);
}

int pp_http2_codec_peek(struct pp_http2_codec *h, struct iovec *iov, int max)
{
    (void)pp_http2_codec_pump_waiting(h);
    return pp_buf_peek(&h->out, iov, max);
}

void pp_http2_codec_sent(struct pp_http2_codec *h, size_t n)
{
    pp_buf_skip(&h->out, h->kind->chunks, n);
    if (pp_buf_is_empty(&h->out)) {
        h->replies = 0;
    }
}

size_t pp_http2_codec_pending(const struct pp_http2_codec *h)
{
    return h->out.n;
}

/* ---- ending ---- */

void pp_http2_codec_reset(struct pp_http2_stream *s, uint32_t code)
{
    struct pp_http2_codec *h = s->codec;

    if (!h) {
        return;
    }
    pp_http2_codec_detach(s);
    if (s->over) {
        return;
    }
    h->n_open--;
    if (h->broken) {
        return;
    }
    if (nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, (int32_t)s->id, code) != 0) {
        h->broken = true;
    }
    h->own_reset = true;
    (void)pp_http2_codec_pump(h);
    h->own_reset = false;
}

void pp_http2_codec_release(struct pp_http2_stream *s)
{
    if (s->codec) {
        bool answered = s->codec->kind->server && s->sent_end;
        pp_http2_codec_reset(s, answered ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    }
}

void pp_http2_codec_goaway(struct pp_http2_codec *h, bool notice, uint32_t code)
{
    int rc;

    if (h->broken) {
        return;
    }
    rc = notice
             ? nghttp2_submit_shutdown_notice(h->ng)
             : nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
                                     nghttp2_session_get_last_proc_stream_id(h->ng), code, NULL, 0);
    if (rc == NGHTTP2_ERR_NOMEM) {
        h->broken = true;
    }
    (void)pp_http2_codec_pump(h);
}

void pp_http2_codec_ping(struct pp_http2_codec *h, uint64_t tag)
{
    uint8_t opaque[8];

    if (h->broken) {
        return;
    }
    memcpy(opaque, &tag, sizeof(opaque));
    if (nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, opaque) != 0) {
        h->broken = true;
    }
    (void)pp_http2_codec_pump(h);
}

/* ---- questions ---- */

bool pp_http2_codec_is_over(const struct pp_http2_codec *h)
{
    return h->broken || h->ended ||
           (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng));
}

uint32_t pp_http2_codec_max_streams(const struct pp_http2_codec *h)
{
    return nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool pp_http2_codec_has_connect_protocol(const struct pp_http2_codec *h)
{
    return nghttp2_session_get_remote_settings(h->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
           1;
}

bool pp_http2_codec_can_open(const struct pp_http2_codec *h)
{
    return !pp_http2_codec_is_over(h) && h->n_open < pp_http2_codec_max_streams(h) &&
           nghttp2_session_check_request_allowed(h->ng);
}

uint32_t pp_http2_codec_error(const struct pp_http2_codec *h)
{
    return h->error;
}

enum pp_http2_flood pp_http2_codec_flood(const struct pp_http2_codec *h)
{
    return (enum pp_http2_flood)h->flood;
}

/* ---- making ---- */

/* Memory of nghttp2 hangs on its connection:
 *
 *   codec -> [ link | bytes of nghttp2 ] -> [ link | ... ] -> ...
 *
 * When an allocation fails the connection is broken, and nghttp2 is not asked to tidy up: the
 * blocks are freed as they hang. (1.52 frees a body's item twice after a failure in
 * nghttp2_submit_data.) */
static void *hang(struct pp_http2_codec *h, struct pp_list *block)
{
    if (!block) {
        h->broken = true;
        return NULL;
    }
    pp_list_attach(&h->blocks, block);
    return block + 1;
}

static void *ng_alloc(size_t n, void *arg)
{
    return hang(arg, n > SIZE_MAX / 2 ? NULL : pp_mem_alloc(sizeof(struct pp_list) + n));
}

static void *ng_zalloc(size_t count, size_t n, void *arg)
{
    bool fits = n == 0 || count <= SIZE_MAX / 2 / n;

    return hang(arg, fits ? pp_mem_zalloc(sizeof(struct pp_list) + count * n) : NULL);
}

static void ng_release(void *p, void *arg)
{
    if (p) {
        struct pp_list *block = (struct pp_list *)p - 1;
        pp_list_detach(block);
        pp_mem_free(block);
    }
}

static void *ng_resize(void *p, size_t n, void *arg)
{
    struct pp_list *old = p ? (struct pp_list *)p - 1 : NULL, *block;
    struct pp_http2_codec *h = arg;

    if (!old) {
        return ng_alloc(n, arg);
    }
    pp_list_detach(old);
    block = n > SIZE_MAX / 2 ? NULL : pp_mem_resize(old, sizeof(*old) + n);
    if (!block) {
        pp_list_attach(&h->blocks, old);
    }
    return hang(h, block);
}

static void free_blocks(struct pp_http2_codec *h)
{
    while (!pp_list_is_empty(&h->blocks)) {
        struct pp_list *block = h->blocks.next;
        pp_list_detach(block);
        pp_mem_free(block);
    }
}

static uint32_t or_default(uint32_t v, uint32_t standard)
{
    return v > 0 ? v : standard;
}

static void fill_limits(struct pp_http2_kind *k, const struct pp_http2_limits *limits)
{
    struct pp_http2_limits *l = &k->limits;

    *l = *limits;
    l->max_streams = or_default(l->max_streams, 128);
    l->stream_window = or_default(l->stream_window, 65535);
    l->connection_window = or_default(l->connection_window, 1 << 20);
    l->frame_bytes = or_default(l->frame_bytes, 16384);
    l->table_bytes = or_default(l->table_bytes, 4096);
    l->head_bytes = or_default(l->head_bytes, 65536);
    l->fields = or_default(l->fields, 256);
    l->target_bytes = or_default(l->target_bytes, 8192);
    l->output_bytes = or_default(l->output_bytes, 65536);
    k->section = (struct pp_http2_section_limits){l->head_bytes, l->fields, l->target_bytes};
}

static bool fill_callbacks(struct pp_http2_kind *k)
{
    if (nghttp2_session_callbacks_new(&k->callbacks) != 0) {
        return false;
    }
    pp_http2_codec_set_receive(k->callbacks);
    pp_http2_codec_set_send(k->callbacks);
    return true;
}

static bool fill_option(struct pp_http2_kind *k)
{
    if (nghttp2_option_new(&k->option) != 0) {
        return false;
    }
    nghttp2_option_set_no_auto_window_update(k->option, 1);
    nghttp2_option_set_no_http_messaging(k->option, 1);
    nghttp2_option_set_no_closed_streams(k->option, 1);
    nghttp2_option_set_max_settings(k->option, 32);
    /* Newer and patched libraries count resets too, with one limit for all: ours knows better. */
    if (nghttp2_option_set_stream_reset_rate_limit) {
        nghttp2_option_set_stream_reset_rate_limit(k->option, UINT32_MAX, UINT32_MAX);
    }
    if (k->server) {
        nghttp2_option_set_builtin_recv_extension_type(k->option, NGHTTP2_PRIORITY_UPDATE);
    }
    return true;
}

struct pp_http2_kind *pp_http2_codec_kind_new(enum pp_http2_role role,
                                              const struct pp_http2_limits *limits,
                                              const struct pp_http2_events *events,
                                              struct pp_slab *chunks)
{
    struct pp_http2_kind *k = pp_mem_zalloc(sizeof(*k));

    if (!k) {
        return NULL;
    }
    k->refs = 1;
    k->server = role == PP_HTTP2_SERVER;
    k->events = events;
    k->chunks = chunks;
    fill_limits(k, limits);
    if (!fill_callbacks(k) || !fill_option(k)) {
        pp_http2_codec_kind_free(k);
        return NULL;
    }
    return k;
}

struct pp_http2_kind *pp_http2_codec_kind_ref(struct pp_http2_kind *k)
{
    k->refs++;
    return k;
}

void pp_http2_codec_kind_free(struct pp_http2_kind *k)
{
    if (!k || --k->refs > 0) {
        return;
    }
    nghttp2_session_callbacks_del(k->callbacks);
    nghttp2_option_del(k->option);
    pp_mem_free(k);
}

/* Our SETTINGS, and the connection's window, which SETTINGS cannot say. */
static bool greet(struct pp_http2_codec *h)
{
    const struct pp_http2_limits *l = &h->kind->limits;
    bool server = h->kind->server;
    nghttp2_settings_entry all[8];
    size_t n = 0;

#define SAY(what, number) all[n++] = (nghttp2_settings_entry){NGHTTP2_SETTINGS_##what, number}
    SAY(INITIAL_WINDOW_SIZE, l->stream_window);
    SAY(MAX_HEADER_LIST_SIZE, l->head_bytes);
    if (l->frame_bytes != 16384) {
        SAY(MAX_FRAME_SIZE, l->frame_bytes);
    }
    if (l->table_bytes != 4096) {
        SAY(HEADER_TABLE_SIZE, l->table_bytes);
    }
    if (server) {
        SAY(MAX_CONCURRENT_STREAMS, l->max_streams);
        SAY(NO_RFC7540_PRIORITIES, 1);
        if (l->connect_protocol) {
            SAY(ENABLE_CONNECT_PROTOCOL, 1);
        }
    } else {
        SAY(ENABLE_PUSH, 0);
    }
#undef SAY
    return nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, all, n) == 0 &&
           nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0,
                                                 (int32_t)l->connection_window) == 0 &&
           pp_http2_codec_pump(h) == PP_OK;
}

struct pp_http2_codec *pp_http2_codec_new(const struct pp_http2_kind *kind, void *owner)
{
    struct pp_http2_codec *h = pp_mem_zalloc(sizeof(*h));
    nghttp2_mem mem = {h, ng_alloc, ng_release, ng_zalloc, ng_resize};
    int rc;

    if (!h) {
        return NULL;
    }
    h->kind = kind;
    h->owner = owner;
    h->preface_left = kind->server ? NGHTTP2_CLIENT_MAGIC_LEN : 0;
    pp_list_init(&h->blocks);
    pp_list_init(&h->streams);
    pp_list_init(&h->over);
    pp_http2_flood_init(&h->floods, 0);
    for (size_t i = 0; i < PP_COUNT_OF(h->turns); i++) {
        pp_list_init(&h->turns[i]);
    }
    rc = kind->server ? nghttp2_session_server_new3(&h->ng, kind->callbacks, h, kind->option, &mem)
                      : nghttp2_session_client_new3(&h->ng, kind->callbacks, h, kind->option, &mem);
    if (rc != 0) {
        h->broken = true;
    }
    if (rc != 0 || !greet(h)) {
        pp_http2_codec_free(h);
        return NULL;
    }
    return h;
}

void pp_http2_codec_free(struct pp_http2_codec *h)
{
    if (!h) {
        return;
    }
    while (!pp_list_is_empty(&h->streams)) {
        pp_http2_codec_detach(PP_CONTAINER_OF(h->streams.next, struct pp_http2_stream, link));
    }
    while (!pp_list_is_empty(&h->over)) {
        pp_http2_codec_detach(PP_CONTAINER_OF(h->over.next, struct pp_http2_stream, link));
    }
    if (!h->broken) {
        nghttp2_session_del(h->ng);
    }
    free_blocks(h);
    pp_buf_fini(&h->out, h->kind->chunks);
    pp_mem_free(h);
}
