#include "base/le.h"

#include "pp_test.h"

PP_TEST_CASE(numbers_come_back_at_every_width_and_address)
{
    static const uint64_t values[] = {0, 1, 0x7f, 0x80, 0xff, 0x0102030405060708, UINT64_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        for (unsigned bytes = 1; bytes <= 8; bytes++) {
            char mem[9] = {0};
            char *to = mem + 1;
            const char *from = mem + 1;
            uint64_t mask = bytes == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * bytes) - 1;
            pp_le_put(&to, values[i], bytes);
            PP_CHECK_EQ(pp_le_get(&from, bytes), values[i] & mask);
            PP_CHECK(to == mem + 1 + bytes && from == to);
        }
    }
}

PP_TEST_CASE(the_lowest_byte_comes_first)
{
    char mem[4], *p = mem;
    pp_le_put(&p, 0x01020304, 4);
    PP_CHECK(memcmp(mem, "\4\3\2\1", 4) == 0);
}

PP_TEST_MAIN()
