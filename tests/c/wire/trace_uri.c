// links: base/err.c base/span.c base/num.c wire/uri.c
#include "wire/trace_uri_main.h"
