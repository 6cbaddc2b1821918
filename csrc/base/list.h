/* Intrusive doubly linked ring. A node that is in no list points to itself; a zeroed node is not a
 * list. */
#ifndef PP_BASE_LIST_H
#define PP_BASE_LIST_H

#include "base/defs.h"

struct pp_list {
    struct pp_list *next, *prev;
};

static inline void pp_list_init(struct pp_list *l)
{
    l->next = l->prev = l;
}

static inline bool pp_list_is_empty(const struct pp_list *l)
{
    return l->next == l;
}

/* Put <node> right after <at> (so: at the front when <at> is the list's head). <node> must be in no
 * list. */
static inline void pp_list_attach(struct pp_list *at, struct pp_list *node)
{
    node->next = at->next;
    node->prev = at;
    at->next->prev = node;
    at->next = node;
}

/* Put <node> right before <at> (at the back when <at> is the list's head). */
static inline void pp_list_attach_back(struct pp_list *at, struct pp_list *node)
{
    pp_list_attach(at->prev, node);
}

/* Take <node> out of its list; fine when it is in none. Afterwards it points to itself. */
static inline void pp_list_detach(struct pp_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    pp_list_init(node);
}

#endif
