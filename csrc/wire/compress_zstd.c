/* zstd with its reference library. Of what it calls experimental we use the makers that take an
 * allocator and the table of levels, which have not changed since its version 1.0. */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include "wire/compress_impl.h"

static ZSTD_customMem memory_of(struct pp_compress *c)
{
    return (ZSTD_customMem){
        .customAlloc = pp_compress_alloc, .customFree = pp_compress_release, .opaque = c};
}

static int open_encoder(struct pp_compress *c)
{
    ZSTD_CCtx *z = ZSTD_createCCtx_advanced(memory_of(c));
    if (z == NULL)
        return PP_ENOMEM;
    /* The level's tables are for files of gigabytes, unless it is told otherwise. */
    ZSTD_compressionParameters fit =
        ZSTD_getCParams(c->conf.level, (unsigned long long)1 << c->conf.window, 0);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, c->conf.level);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, c->conf.window);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, (int)fit.hashLog);
    (void)ZSTD_CCtx_setParameter(z, ZSTD_c_chainLog, (int)fit.chainLog);
    c->state = z;
    return PP_OK;
}

static int open_decoder(struct pp_compress *c)
{
    ZSTD_DCtx *z = ZSTD_createDCtx_advanced(memory_of(c));
    if (z == NULL)
        return PP_ENOMEM;
    (void)ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, PP_COMPRESS_DECODER_WINDOW);
    c->state = z;
    return PP_OK;
}

static int reset_encoder(struct pp_compress *c)
{
    (void)ZSTD_CCtx_reset(c->state, ZSTD_reset_session_only);
    return PP_OK;
}

static int reset_decoder(struct pp_compress *c)
{
    (void)ZSTD_DCtx_reset(c->state, ZSTD_reset_session_only);
    return PP_OK;
}

static void close_encoder(struct pp_compress *c)
{
    (void)ZSTD_freeCCtx(c->state);
}

static void close_decoder(struct pp_compress *c)
{
    (void)ZSTD_freeDCtx(c->state);
}

static void move_on(struct pp_compress_io *io, size_t in, size_t out)
{
    io->in += in;
    io->in_n -= in;
    io->out += out;
    io->out_n -= out;
}

static int encode(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
{
    static const ZSTD_EndDirective directive[] = {[PP_COMPRESS_MORE] = ZSTD_e_continue,
                                                  [PP_COMPRESS_SYNC] = ZSTD_e_flush,
                                                  [PP_COMPRESS_END] = ZSTD_e_end};
    ZSTD_inBuffer in = {io->in, io->in_n, 0};
    ZSTD_outBuffer out = {io->out, io->out_n, 0};
    size_t left;
    do {
        left = ZSTD_compressStream2(c->state, &out, &in, directive[how]);
        if (ZSTD_isError(left))
            return pp_compress_why(c, PP_EINVAL);
    } while (out.pos < out.size && (in.pos < in.size || (how != PP_COMPRESS_MORE && left > 0)));
    move_on(io, in.pos, out.pos);
    if (io->in_n > 0 || (how != PP_COMPRESS_MORE && left > 0))
        return PP_EMORE;
    return how == PP_COMPRESS_END ? PP_EEND : PP_OK;
}

static int decode(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
{
    ZSTD_inBuffer in = {io->in, io->in_n, 0};
    ZSTD_outBuffer out = {io->out, io->out_n, 0};
    (void)how;
    if (io->in_n == 0 && c->ended)
        return PP_EEND;
    do {
        if (out.pos == out.size) {
            move_on(io, in.pos, out.pos);
            return PP_EMORE;
        }
        size_t left = ZSTD_decompressStream(c->state, &out, &in);
        if (ZSTD_isError(left))
            return pp_compress_why(c, PP_EINVAL);
        c->ended = left == 0; /* and another frame may follow */
    } while (in.pos < in.size);
    bool full = out.pos == out.size && !c->ended;
    move_on(io, in.pos, out.pos);
    if (full)
        return PP_EMORE;
    return c->ended ? PP_EEND : PP_OK;
}

const struct pp_compress_ops pp_compress_zstd_encoder = {
    .open = open_encoder, .reset = reset_encoder, .close = close_encoder, .run = encode};
const struct pp_compress_ops pp_compress_zstd_decoder = {
    .open = open_decoder, .reset = reset_decoder, .close = close_decoder, .run = decode};
