#include "wire/websocket.h"

#include "wire/base64.h"

#define BLOCK 64
#define DIGEST 20

/* ---- SHA-1 (FIPS 180-4), which the handshake asks for; it protects nothing here ---- */

static uint32_t rotate(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static void expand(const unsigned char *p, uint32_t w[80])
{
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
}

static uint32_t mix(int i, const uint32_t s[5])
{
    if (i < 20)
        return ((s[1] & s[2]) | (~s[1] & s[3])) + 0x5a827999;
    if (i < 40)
        return (s[1] ^ s[2] ^ s[3]) + 0x6ed9eba1;
    if (i < 60)
        return ((s[1] & s[2]) | (s[1] & s[3]) | (s[2] & s[3])) + 0x8f1bbcdc;
    return (s[1] ^ s[2] ^ s[3]) + 0xca62c1d6;
}

static void add_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], s[5];
    expand(p, w);
    memcpy(s, h, sizeof(s));
    for (int i = 0; i < 80; i++) {
        uint32_t t = rotate(s[0], 5) + mix(i, s) + s[4] + w[i];
        s[4] = s[3];
        s[3] = s[2];
        s[2] = rotate(s[1], 30);
        s[1] = s[0];
        s[0] = t;
    }
    for (int i = 0; i < 5; i++)
        h[i] += s[i];
}

/* Of <n> bytes, which leave room for the padding of two blocks. */
static void sha1(unsigned char block[2 * BLOCK], size_t n, unsigned char digest[DIGEST])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    size_t end = n + 9 <= BLOCK ? BLOCK : 2 * BLOCK, bits = n * 8;
    memset(block + n, 0, end - n);
    block[n] = 0x80;
    block[end - 2] = (unsigned char)(bits >> 8);
    block[end - 1] = (unsigned char)bits;
    for (size_t at = 0; at < end; at += BLOCK)
        add_block(h, block + at);
    for (int i = 0; i < DIGEST; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- the handshake ---- */

void pp_websocket_key(const uint64_t nonce[2], char dst[PP_WEBSOCKET_KEY_BYTES])
{
    char raw[16];
    memcpy(raw, nonce, sizeof(raw));
    pp_base64_encode(dst, raw, sizeof(raw));
}

void pp_websocket_accept(struct pp_span key, char dst[PP_WEBSOCKET_ACCEPT_BYTES])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char block[2 * BLOCK];
    unsigned char digest[DIGEST];
    size_t n = PP_MIN(key.n, (size_t)PP_WEBSOCKET_KEY_BYTES);
    memcpy(block, key.p, n);
    memcpy(block + n, guid, sizeof(guid) - 1);
    sha1(block, n + sizeof(guid) - 1, digest);
    pp_base64_encode(dst, (const char *)digest, DIGEST);
}
