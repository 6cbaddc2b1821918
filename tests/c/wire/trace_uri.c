#include "wire/trace_uri_main.h"
