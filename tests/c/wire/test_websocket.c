#include "wire/websocket.c"

#include "pp_test.h"

static struct pp_span hex(const unsigned char *p)
{
    static char text[2 * DIGEST + 1];
    for (int i = 0; i < DIGEST; i++)
        snprintf(text + 2 * i, 3, "%02x", p[i]);
    return pp_span(text, (size_t)2 * DIGEST);
}

/* FIPS 180-4's own examples, and one that fills its only block. */
PP_TEST_CASE(sha1_of_known_texts)
{
    static const struct {
        const char *text, *digest;
    } cases[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "c1c8bbdc22796e28c0e15163d20899b65621d65a"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        unsigned char block[2 * BLOCK], digest[DIGEST];
        memcpy(block, cases[i].text, strlen(cases[i].text));
        sha1(block, strlen(cases[i].text), digest);
        PP_CHECK_BYTES(hex(digest), cases[i].digest, (size_t)2 * DIGEST);
    }
}

/* RFC 6455 section 1.3. */
PP_TEST_CASE(the_answer_to_a_key)
{
    char got[PP_WEBSOCKET_ACCEPT_BYTES];
    pp_websocket_accept(PP_SPAN("dGhlIHNhbXBsZSBub25jZQ=="), got);
    PP_CHECK_STR(pp_span(got, sizeof got), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    pp_websocket_accept(PP_SPAN("dGhlIHNhbXBsZSBub25jZQ==, and more than a key can be, which a "
                                "filter may have put there, and which must not overflow anything"),
                        got);
    PP_CHECK_STR(pp_span(got, sizeof got), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

PP_TEST_CASE(a_key_is_the_nonce_as_text)
{
    uint64_t nonce[2];
    char got[PP_WEBSOCKET_KEY_BYTES];
    memcpy(nonce, "the sample nonce", 16);
    pp_websocket_key(nonce, got);
    PP_CHECK_STR(pp_span(got, sizeof got), "dGhlIHNhbXBsZSBub25jZQ==");
}

PP_TEST_MAIN()
