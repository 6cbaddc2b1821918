/* Brotli with its reference library. Its states cannot be used again: they are made anew, of the
 * memory that the stream keeps.
 *
 * The encoder calls exit() when it gets no memory (enc/memory.c, unless it was built otherwise).
 * So all that it can ever want is reserved before it is made. */
#include <brotli/decode.h>
#include <brotli/encode.h>

#include "wire/compress_impl.h"

/* Its tables of matches, at levels up to 6; and the window, which is kept twice, with what is found
 * in it: commands, histograms, and the bits of a metablock. Pages that are not touched cost
 * nothing. */
#define TABLE_BYTES ((size_t)6 << 20)
#define WINDOW_FACTOR 12
PP_STATIC_ASSERT(TABLE_BYTES + ((size_t)WINDOW_FACTOR << PP_COMPRESS_BROTLI_WINDOW_MAX) <
                     PP_COMPRESS_BYTES,
                 "the reserve is within the limit");
/* What it takes the content to be, when it chooses its tables. */
#define SIZE_HINT 65536
#define WINDOW_LEAST 16 /* blocks are not smaller, whatever the window */

static int open_encoder(struct pp_compress *c)
{
    size_t window = (size_t)1 << PP_MAX(c->conf.window, WINDOW_LEAST);
    if (pp_compress_reserve(c, TABLE_BYTES + WINDOW_FACTOR * window) != PP_OK)
        return PP_ENOMEM;
    BrotliEncoderState *s = BrotliEncoderCreateInstance(pp_compress_alloc, pp_compress_release, c);
    if (s == NULL)
        return PP_ENOMEM;
    (void)BrotliEncoderSetParameter(s, BROTLI_PARAM_QUALITY, c->conf.level);
    (void)BrotliEncoderSetParameter(s, BROTLI_PARAM_LGWIN, c->conf.window);
    (void)BrotliEncoderSetParameter(s, BROTLI_PARAM_SIZE_HINT, SIZE_HINT);
    c->state = s;
    return PP_OK;
}

static int open_decoder(struct pp_compress *c)
{
    c->state = BrotliDecoderCreateInstance(pp_compress_alloc, pp_compress_release, c);
    return c->state == NULL ? PP_ENOMEM : PP_OK;
}

static void close_encoder(struct pp_compress *c)
{
    BrotliEncoderDestroyInstance(c->state);
}

static void close_decoder(struct pp_compress *c)
{
    BrotliDecoderDestroyInstance(c->state);
}

static int encode(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
{
    static const BrotliEncoderOperation operation[] = {[PP_COMPRESS_MORE] =
                                                           BROTLI_OPERATION_PROCESS,
                                                       [PP_COMPRESS_SYNC] = BROTLI_OPERATION_FLUSH,
                                                       [PP_COMPRESS_END] = BROTLI_OPERATION_FINISH};
    const uint8_t *in = (const uint8_t *)io->in;
    uint8_t *out = (uint8_t *)io->out;
    do {
        if (!BrotliEncoderCompressStream(c->state, operation[how], &io->in_n, &in, &io->out_n, &out,
                                         NULL))
            return pp_compress_why(c, PP_EINVAL);
        io->in = (const char *)in;
        io->out = (char *)out;
        if (BrotliEncoderHasMoreOutput(c->state))
            return PP_EMORE;
    } while (io->in_n > 0);
    return BrotliEncoderIsFinished(c->state) ? PP_EEND : PP_OK;
}

static int decode(struct pp_compress *c, struct pp_compress_io *io, enum pp_compress_how how)
{
    const uint8_t *in = (const uint8_t *)io->in;
    uint8_t *out = (uint8_t *)io->out;
    (void)how;
    if (c->ended)
        return io->in_n > 0 ? PP_EINVAL : PP_EEND;
    BrotliDecoderResult rc =
        BrotliDecoderDecompressStream(c->state, &io->in_n, &in, &io->out_n, &out, NULL);
    io->in = (const char *)in;
    io->out = (char *)out;
    if (rc == BROTLI_DECODER_RESULT_ERROR)
        return pp_compress_why(c, PP_EINVAL);
    /* It may want input although it has not told all it knows. */
    if (rc == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT || BrotliDecoderHasMoreOutput(c->state))
        return PP_EMORE;
    if (rc == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT)
        return PP_OK;
    c->ended = true;
    return io->in_n > 0 ? PP_EINVAL : PP_EEND;
}

const struct pp_compress_ops pp_compress_brotli_encoder = {
    .open = open_encoder, .close = close_encoder, .run = encode};
const struct pp_compress_ops pp_compress_brotli_decoder = {
    .open = open_decoder, .close = close_decoder, .run = decode};
