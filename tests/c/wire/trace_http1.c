// links: base/err.c base/mem.c base/check.c base/arena.c base/span.c base/num.c wire/http_tok.c
// links: wire/http_msg.c wire/http1_line.c wire/http1_head.c wire/http1_body.c wire/http_rules.c
// links: wire/uri.c
#include "wire/trace_http1_main.h"
