#include "wire/trace_http1_main.h"
