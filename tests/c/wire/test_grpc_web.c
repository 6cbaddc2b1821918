#include "wire/grpc_web.c"

#include "pp_test.h"

PP_TEST_CASE(trailers_are_a_frame_of_their_own)
{
    static char mem[512];
    struct pp_arena arena;
    struct pp_http_msg m;
    char out[128];
    pp_arena_init(&arena, mem, sizeof mem, 0);
    pp_http_msg_init(&m, &arena);
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("Grpc-Status"), PP_NAME_OTHER, PP_SPAN("0")), PP_OK);
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("x"), PP_NAME_OTHER, PP_SPAN("")), PP_OK);
    static const char want[] = "\x80\0\0\0\x15grpc-status: 0\r\nx: \r\n";
    PP_REQUIRE(pp_grpc_web_trailers_size(&m) == sizeof want - 1);
    pp_grpc_web_emit_trailers(out, &m);
    PP_CHECK_BYTES(pp_span(out, sizeof want - 1), want, sizeof want - 1);
    PP_CHECK_EQ(pp_grpc_web_trailers_size(NULL), 5);
    pp_arena_fini(&arena);
}

PP_TEST_MAIN()
