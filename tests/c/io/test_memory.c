#include "io/memory.c"

#include "base/mem.h"
#include "pp_test.h"

PP_TEST_CASE(memory_in_use_is_resident)
{
    const size_t n = (size_t)64 << 20;
    uint64_t before, after;
    int fd = -1;
    PP_REQUIRE(pp_memory_resident(&fd, &before) == PP_OK);
    PP_CHECK(fd >= 0 && before > 0);
    char *p = pp_mem_alloc(n);
    PP_REQUIRE(p != NULL);
    memset(p, 1, n);
    int same = fd;
    PP_REQUIRE(pp_memory_resident(&fd, &after) == PP_OK);
    PP_CHECK_EQ(fd, same);
    PP_CHECK(after >= before + n / 2);
    pp_mem_free(p);
    pp_memory_trim();
    pp_fd_close(&fd);
}

PP_TEST_CASE(without_a_descriptor_it_is_not_known)
{
    uint64_t bytes = 7;
    int fd = open("/dev/null", O_RDONLY);
    PP_CHECK_EQ(pp_memory_resident(&fd, &bytes), PP_EIO); /* nothing to read */
    pp_fd_close(&fd);
    fd = open("/proc/self/comm", O_RDONLY);
    PP_CHECK_EQ(pp_memory_resident(&fd, &bytes), PP_EIO); /* something else */
    pp_fd_close(&fd);
    PP_CHECK_EQ(bytes, 7);
}

PP_TEST_CASE(the_second_number_is_taken)
{
    uint64_t n = 0;
    PP_CHECK_EQ(resident_pages(PP_SPAN("9 12 3 1 0 5 0\n"), &n), PP_OK);
    PP_CHECK_EQ(n, 12);
    PP_CHECK_EQ(resident_pages(PP_SPAN("9"), &n), PP_EIO);
    PP_CHECK_EQ(resident_pages(PP_SPAN(""), &n), PP_EIO);
    PP_CHECK_EQ(resident_pages(PP_SPAN("9 12"), &n), PP_EIO);
    PP_CHECK_EQ(resident_pages(PP_SPAN("9 x 3"), &n), PP_EIO);
}

PP_TEST_MAIN()
