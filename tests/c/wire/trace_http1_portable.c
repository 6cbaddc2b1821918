// links: base/err.c base/mem.c base/check.c base/arena.c base/span.c base/num.c wire/http_tok.c
// links: wire/http_msg.c wire/http1_line.c wire/http1_body.c wire/http_rules.c wire/uri.c
/* trace_http1 with the head parser that processors without SSE2 get. */
#undef __SSE2__
#include "wire/http1_head.c"

#include "wire/trace_http1_main.h"
