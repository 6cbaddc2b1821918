/* An open file in the place of an endpoint: the source of a response's body.
 *
 *   file -> pieces in the worker's bulk memory -> filters -> client
 *
 * A piece is read when the client's side has room for it, so the memory of an exchange does not
 * depend on the size of its file. A file that becomes shorter while it is sent breaks the exchange
 * off: what was promised is never padded. Of one that grows the bytes it had at first are sent.
 *
 * Reading waits for the disk when the page cache does not have what is asked for (io/file.h). */
#ifndef PP_PROXY_UP_FILE_H
#define PP_PROXY_UP_FILE_H

#include "proxy/body.h"

/* Bytes of one read. */
#define PP_UP_FILE_PIECE 65536

/* Make x->file, which is not NULL, the side UP of <x>, to which nothing is attached. */
void pp_up_file_attach(struct pp_exchange *x);

#endif
