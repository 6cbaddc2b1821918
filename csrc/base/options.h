/* Options of a filter, or of whatever else is made from the configuration: a tree of plain values
 * that is read by name.
 *
 * Whoever made the tree has checked it against a schema. A value of another type is therefore a
 * mistake of our own: reading goes on with the default, and the first such mistake is noted by its
 * name, so that a maker asks once, at its end.
 *
 * The tree and its bytes live in the arena that is passed to the makers below. */
#ifndef PP_BASE_OPTIONS_H
#define PP_BASE_OPTIONS_H

#include "base/arena.h"
#include "base/err.h"

enum pp_options_kind {
    PP_OPTIONS_NONE = 0, /* zeroed storage; reads as if it were not there */
    PP_OPTIONS_BOOL,
    PP_OPTIONS_INT,
    PP_OPTIONS_REAL,
    PP_OPTIONS_TEXT,
    PP_OPTIONS_LIST,
    PP_OPTIONS_MAP
};

struct pp_options_entry;

struct pp_options {
    uint8_t kind; /* enum pp_options_kind */
    uint32_t n;   /* of a list or map */
    union {
        bool flag;
        int64_t number;
        double real;
        struct pp_span text;
        struct pp_options *item;
        struct pp_options_entry *entry;
    } as;
};

struct pp_options_entry {
    struct pp_span key;
    struct pp_options value;
};

/* The first value that had another type or was out of its bounds; zeroed at the start. */
struct pp_options_fault {
    struct pp_span key; /* its name, or that of the list or map it is in; .p NULL: none */
    const char *wanted; /* "text" */
};

/* ---- making; <o> is zeroed storage. PP_OK or PP_ENOMEM. ---- */

/* Make <o> a single value; a text is copied. */
void pp_options_set_bool(struct pp_options *o, bool value);
void pp_options_set_int(struct pp_options *o, int64_t value);
void pp_options_set_real(struct pp_options *o, double value);
int pp_options_set_text(struct pp_options *o, struct pp_arena *a, struct pp_span text) PP_MUST_USE;
/* A list or map of <n> values, all NONE; fill pp_options_at(o, i), in a map after its key. */
int pp_options_set_list(struct pp_options *o, struct pp_arena *a, uint32_t n) PP_MUST_USE;
int pp_options_set_map(struct pp_options *o, struct pp_arena *a, uint32_t n) PP_MUST_USE;
int pp_options_set_key(struct pp_options *map, struct pp_arena *a, uint32_t i, struct pp_span key)
    PP_MUST_USE;

/* The <i>th value of a list or map. */
struct pp_options *pp_options_at(struct pp_options *o, uint32_t i);

/* ---- reading by name. <o> is a map, NONE or NULL. ---- */

/* The value of <key>, whatever it is; NULL when it is absent or NONE. */
const struct pp_options *pp_options_find(const struct pp_options *o, const char *key);

/* Put the value of <key> into *out, which stays as it is when there is none. */
void pp_options_get_bool(const struct pp_options *o, const char *key, bool *out,
                         struct pp_options_fault *fault);
/* Within [least, most]. */
void pp_options_get_int(const struct pp_options *o, const char *key, int64_t least, int64_t most,
                        int64_t *out, struct pp_options_fault *fault);
/* A whole number is one, too. */
void pp_options_get_real(const struct pp_options *o, const char *key, double *out,
                         struct pp_options_fault *fault);
/* Borrowed from the tree, NUL-terminated. */
void pp_options_get_text(const struct pp_options *o, const char *key, struct pp_span *out,
                         struct pp_options_fault *fault);
/* Never NULL: an empty one when it is absent. */
const struct pp_options *pp_options_get_list(const struct pp_options *o, const char *key,
                                             struct pp_options_fault *fault);
const struct pp_options *pp_options_get_map(const struct pp_options *o, const char *key,
                                            struct pp_options_fault *fault);

/* The text of <o>, an item of the list or an entry of the map that is called <name>; an empty span
 * when it is none. */
struct pp_span pp_options_text(const struct pp_options *o, const char *name,
                               struct pp_options_fault *fault);

#endif
