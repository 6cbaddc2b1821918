/* trace_http1 with the head parser that processors without SSE2 get. */
#undef __SSE2__
#include "wire/http1_head.c"

#include "wire/trace_http1_main.h"
