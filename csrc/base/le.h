/* Numbers of records that are handed to another process: little-endian, at any address. The caller
 * has made sure that the bytes are there. */
#ifndef PP_BASE_LE_H
#define PP_BASE_LE_H

#include "base/defs.h"

/* Write the lowest <bytes> (at most 8) of <v> at *p, and step over them. */
static inline void pp_le_put(char **p, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *(*p)++ = (char)(unsigned char)(v >> 8 * i);
}

/* Read a number of <bytes> (at most 8) at *p, and step over it. */
static inline uint64_t pp_le_get(const char **p, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)(unsigned char)*(*p)++ << 8 * i;
    return v;
}

#endif
