/* The filter `fault_injection`: holds requests up, or answers them with an error, by chance.
 *
 * Options {delay: {time_ms, percent}, abort: {status, message, percent}, max_active}. The two are
 * drawn apart: a request may be held up and then answered. At most <max_active> are held up at a
 * time by one worker; what is drawn beyond that goes on untouched. A client that leaves ends the
 * wait. */
#ifndef PP_PROXY_FILTER_FAULT_INJECTION_H
#define PP_PROXY_FILTER_FAULT_INJECTION_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_fault_injection_kind;

#endif
