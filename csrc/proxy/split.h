/* A route that leads to several upstreams, each with its share of the requests (canaries). */
#ifndef PP_PROXY_SPLIT_H
#define PP_PROXY_SPLIT_H

#include "proxy/exchange.h"

/* Choose the arm of <x> among those of its route's split: by the share that the hash of its key
 * falls into, or at random when there is no key. The same key leads to the same arm in every
 * worker, and when weights change, as few keys as can be change theirs. */
void pp_split_choose(struct pp_exchange *x);

#endif
