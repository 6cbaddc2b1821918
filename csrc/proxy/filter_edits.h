/* What filters do to the fields of a message: options {remove: [name], set: {name: text}, add:
 * {name: text or [text]}, default: {name: text}}, done in that order; `default` sets what is not
 * there. Texts may hold variables; one that renders to nothing is no field. The fields that frame
 * messages are the proxy's own and refused. */
#ifndef PP_PROXY_FILTER_EDITS_H
#define PP_PROXY_FILTER_EDITS_H

#include "proxy/filter.h"

struct pp_filter_edit;

struct pp_filter_edits {
    uint32_t n; /* 0: nothing is done */
    struct pp_filter_edit *edit;
};

/* Compile the options <o>. PP_OK, PP_ENOMEM, or PP_EINVAL with m->why. */
int pp_filter_edits_make(struct pp_filter_make *m, const struct pp_options *o,
                         struct pp_filter_edits *all) PP_MUST_USE;

/* Do it to <m>, x->request or x->response. PP_OK, or what the request is refused for
 * (pp_filter_failed). */
int pp_filter_edits_apply(const struct pp_filter_edits *all, struct pp_exchange *x,
                          struct pp_http_msg *m) PP_MUST_USE;

#endif
