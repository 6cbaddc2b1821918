/* Prints what the HTTP/2 codec makes of the frames on standard input, for the fixtures in
 * tests/data/http2.
 *
 *   trace_http2 server|client [method ...]
 *
 * A client asks with the methods first. The input is fed whole, byte by byte, and cut once at every
 * place; all ways must give the same trace, else both are printed and the program fails. Of what is
 * sent, the resets and GOAWAY are shown. */
#include "http2_peer.h"

#define BODY 512

static struct peer p;
static char body[PEER_STREAMS][BODY];
static size_t body_n[PEER_STREAMS];
static char sent[1 << 18];

static size_t number_of(const struct pp_http2_stream *s)
{
    return (size_t)(peer_stream_of((struct pp_http2_stream *)(uintptr_t)s) - p.streams);
}

/* Pieces of a body are told together, so that it does not matter how they came. */
static void tell_body(struct pp_http2_stream *s)
{
    size_t i = number_of(s);

    if (body_n[i] > 0) {
        peer_say(&p, "%u data \"%.*s\"\n", s->id, (int)body_n[i], body[i]);
        body_n[i] = 0;
    }
}

static void on_head(struct pp_http2_stream *s, bool end)
{
    peer_head(s, end);
}

static void on_data(struct pp_http2_stream *s, struct pp_span data, bool end)
{
    size_t i = number_of(s), n = PP_MIN(data.n, BODY - body_n[i]);

    if (n > 0) {
        memcpy(body[i] + body_n[i], data.p, n);
        body_n[i] += n;
    }
    pp_http2_codec_consume(s, data.n);
    if (end) {
        tell_body(s);
        peer_say(&p, "%u end\n", s->id);
    }
}

static void on_trailers(struct pp_http2_stream *s)
{
    tell_body(s);
    peer_trailers(s);
}

static void on_reset(struct pp_http2_stream *s, uint32_t code, bool by_peer)
{
    tell_body(s);
    peer_reset(s, code, by_peer);
}

static void tell_sent(void)
{
    size_t n = peer_output(&p, sent, sizeof(sent));

    for (size_t at = 0; at + 9 <= n;) {
        const unsigned char *f = (const unsigned char *)sent + at;
        size_t length = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];

        if (memcmp(f, "PRI * HTT", 9) == 0) {
            at += 24;
            continue;
        }
        if (f[3] == 3) {
            peer_say(&p, "sent RST_STREAM %u code %u\n", (unsigned)f[7] << 8 | f[8], f[12]);
        } else if (f[3] == 7) {
            peer_say(&p, "sent GOAWAY last %u code %u\n", (unsigned)f[11] << 8 | f[12], f[16]);
        }
        at += 9 + length;
    }
}

static void run(int argc, char **argv, const char *in, size_t n, size_t first, size_t step)
{
    static struct pp_http2_events events;
    bool client = strcmp(argv[1], "client") == 0;
    struct pp_http2_limits limits = {.connect_protocol = true, .fields = 20, .head_bytes = 2000};
    int rc = PP_OK;

    events = peer_events;
    events.head = on_head;
    events.data = on_data;
    events.trailers = on_trailers;
    events.reset = on_reset;
    memset(body_n, 0, sizeof(body_n));
    memset(&p, 0, sizeof(p));
    pp_buf_slab_init(&p.chunks, 4);
    p.kind = pp_http2_codec_kind_new(client ? PP_HTTP2_CLIENT : PP_HTTP2_SERVER, &limits, &events,
                                     &p.chunks);
    p.h = p.kind ? pp_http2_codec_new(p.kind, &p) : NULL;
    if (!p.h) {
        exit(2);
    }
    for (int i = 2; client && i < argc; i++) {
        (void)peer_request(&p, argv[i], strcmp(argv[i], "CONNECT") == 0 ? "" : "/", NULL,
                           strcmp(argv[i], "POST") != 0, &rc);
    }
    for (size_t at = 0; at < n && rc == PP_OK;) {
        size_t part = PP_MIN(at == 0 ? first : step, n - at);
        char *copy = malloc(part);
        memcpy(copy, in + at, part);
        rc = pp_http2_codec_feed(p.h, copy, part, 1000);
        free(copy);
        at += part;
    }
    for (uint32_t i = 0; i < p.n_streams; i++) {
        tell_body(&p.streams[i].s);
    }
    tell_sent();
    if (pp_http2_codec_flood(p.h)) {
        peer_say(&p, "flood %s\n", pp_http2_flood_name(pp_http2_codec_flood(p.h)));
    }
    peer_say(&p, rc == PP_OK ? "goes on\n" : "over\n");
}

int main(int argc, char **argv)
{
    static char in[1 << 20], whole[PEER_LOG];
    size_t n = fread(in, 1, sizeof(in), stdin), whole_n;
    int status = 0;

    if (argc < 2) {
        return 2;
    }
    run(argc, argv, in, n, n, n);
    whole_n = p.log_n;
    memcpy(whole, p.log, whole_n);
    peer_stop(&p);
    fwrite(whole, 1, whole_n, stdout);
    for (size_t cut = 0; cut < n && status == 0; cut++) {
        run(argc, argv, in, n, cut ? cut : 1, cut ? n : 1);
        if (p.log_n != whole_n || memcmp(p.log, whole, whole_n) != 0) {
            printf("%s %zu it is:\n%.*s", cut ? "cut at" : "byte by byte", cut, (int)p.log_n,
                   p.log);
            status = 1;
        }
        peer_stop(&p);
    }
    return status;
}
