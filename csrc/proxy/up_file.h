/* An open file in the place of an endpoint: the source of a response's body.
 *
 *   file -> pieces in the worker's bulk memory -> filters -> client
 *       \____ sendfile: long bodies to plain sockets that no filter looks at ____/
 *
 * A piece is read when the client's side has room for it, so the memory of an exchange does not
 * depend on the size of its file. A file that becomes shorter while it is sent breaks the exchange
 * off: what was promised is never padded. Of one that grows the bytes it had at first are sent.
 *
 * Reading waits for the disk when the page cache does not have what is asked for (io/file.h). */
#ifndef PP_PROXY_UP_FILE_H
#define PP_PROXY_UP_FILE_H

#include "proxy/body.h"

/* Bytes of one read, and least that is worth a sendfile. */
#define PP_UP_FILE_PIECE 65536
/* Most bytes of one sendfile. */
#define PP_UP_FILE_SEND (256 * 1024)
/* What is read although a sendfile could move it: with the head, and to wait when the socket is
 * full. */
#define PP_UP_FILE_REST 16384

/* Make x->file, which is not NULL, the side UP of <x>, to which nothing is attached. */
void pp_up_file_attach(struct pp_exchange *x);

#endif
