/* gzip and deflate with zlib. */
#include <zlib.h>

#include "wire/compress_impl.h"

/* zlib counts in unsigned int. */
#define STEP_MAX ((size_t)1 << 30)
/* 8 is zlib's default: with a window of 32 KiB an encoder takes 268 KB. */
#define MEMORY_LEVEL 8
/* A repeated sync point would be written when the room was used up (zlib.h on deflate). */
#define SYNC_ROOM 6

static voidpf on_alloc(voidpf stream, uInt items, uInt size)
{
    return pp_compress_alloc(stream, (size_t)items * size);
}

static void on_free(voidpf stream, voidpf p)
{
    pp_compress_release(stream, p);
}

static z_stream *new_stream(struct pp_compress *c)
{
    z_stream *z = pp_compress_alloc(c, sizeof(*z));
    if (z != NULL)
        *z = (z_stream){.zalloc = on_alloc, .zfree = on_free, .opaque = c};
    return z;
}

/* How zlib says it: 16 more for the gzip wrapper. */
static int wrapped(const struct pp_compress *c, int window)
{
    return c->conf.coding == PP_HTTP_CODING_GZIP ? window + 16 : window;
}

static int open_encoder(struct pp_compress *c)
{
    z_stream *z = new_stream(c);
    if (z == NULL)
        return PP_ENOMEM;
    int memory = PP_MIN(MEMORY_LEVEL, c->conf.window - 7);
    if (deflateInit2(z, c->conf.level, Z_DEFLATED, wrapped(c, c->conf.window), memory,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        pp_compress_release(c, z);
        return PP_ENOMEM;
    }
    c->state = z;
    return PP_OK;
}

static int open_decoder(struct pp_compress *c)
{
    z_stream *z = new_stream(c);
    if (z == NULL)
        return PP_ENOMEM;
    if (inflateInit2(z, wrapped(c, PP_COMPRESS_GZIP_WINDOW_MAX)) != Z_OK) {
        pp_compress_release(c, z);
        return PP_ENOMEM;
    }
    c->state = z;
    return PP_OK;
}

static int reset_encoder(struct pp_compress *c)
{
    return deflateReset(c->state) == Z_OK ? PP_OK : PP_ENOMEM;
}

static int reset_decoder(struct pp_compress *c)
{
    return inflateReset(c->state) == Z_OK ? PP_OK : PP_ENOMEM;
}

static void close_encoder(struct pp_compress *c)
{
    (void)deflateEnd(c->state);
    pp_compress_release(c, c->state);
}

static void close_decoder(struct pp_compress *c)
{
    (void)inflateEnd(c->state);
    pp_compress_release(c, c->state);
}

/* Lend <io> to <z>, as much as it can count. */
static void lend(z_stream *z, const struct pp_compress_io *io)
{
    z->next_in = (Bytef *)(uintptr_t)io->in; /* zlib does not write there */
    z->avail_in = (uInt)PP_MIN(io->in_n, STEP_MAX);
    z->next_out = (Bytef *)io->out;
    z->avail_out = (uInt)PP_MIN(io->out_n, STEP_MAX);
}

static void take_back(const z_stream *z, struct pp_compress_io *io)
{
    io->in_n -= (size_t)((const char *)z->next_in - io->in);
    io->in = (const char *)z->next_in;
    io->out_n -= (size_t)((char *)z->next_out - io->out);
    io->out = (char *)z->next_out;
}

static int encode(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
{
    static const int flush[] = {[PP_COMPRESS_MORE] = Z_NO_FLUSH,
                                [PP_COMPRESS_SYNC] = Z_SYNC_FLUSH,
                                [PP_COMPRESS_END] = Z_FINISH};
    z_stream *z = c->state;
    do {
        if (io->out_n <= SYNC_ROOM)
            return PP_EMORE;
        lend(z, io);
        int rc = deflate(z, io->in_n > STEP_MAX ? Z_NO_FLUSH : flush[how]);
        take_back(z, io);
        if (rc == Z_STREAM_END)
            return PP_EEND;
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return PP_EINVAL;
        if (z->avail_out == 0)
            return PP_EMORE;
    } while (io->in_n > 0);
    return PP_OK;
}

static int decode(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
{
    z_stream *z = c->state;
    (void)how;
    for (;;) {
        /* Another member follows (RFC 1952 section 2.2). */
        if (c->ended && io->in_n > 0) {
            if (c->conf.coding != PP_HTTP_CODING_GZIP)
                return PP_EINVAL;
            (void)inflateReset(z);
            c->ended = false;
        }
        if (io->in_n == 0 && (c->ended || io->out_n == 0))
            return c->ended ? PP_EEND : PP_OK;
        if (io->out_n == 0)
            return PP_EMORE;
        lend(z, io);
        int rc = inflate(z, Z_NO_FLUSH);
        take_back(z, io);
        if (rc == Z_STREAM_END) {
            c->ended = true;
            continue;
        }
        if (rc != Z_OK && rc != Z_BUF_ERROR)
            return pp_compress_why(c, PP_EINVAL);
        if (z->avail_out == 0)
            return PP_EMORE;
        if (io->in_n == 0 || rc == Z_BUF_ERROR)
            return PP_OK;
    }
}

const struct pp_compress_ops pp_compress_gzip_encoder = {
    .open = open_encoder, .reset = reset_encoder, .close = close_encoder, .run = encode};
const struct pp_compress_ops pp_compress_gzip_decoder = {
    .open = open_decoder, .reset = reset_decoder, .close = close_decoder, .run = decode};
