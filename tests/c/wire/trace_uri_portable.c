/* trace_uri with the code that processors without SSE2 get. */
#undef __SSE2__
#include "wire/uri.c"

#include "wire/trace_uri_main.h"
