/* gRPC-Web (github.com/grpc/grpc, doc/PROTOCOL-WEB.md): what browsers can send and read of gRPC.
 * Messages are framed as in gRPC; trailers are one more frame of the body, and in the text form all
 * of the body is base64 (wire/base64.h), encoded piece by piece. */
#ifndef PP_WIRE_GRPC_WEB_H
#define PP_WIRE_GRPC_WEB_H

#include "wire/http_msg.h"

/* Bytes of the frame that carries the live fields of <trailers>; NULL is fine. */
size_t pp_grpc_web_trailers_size(const struct pp_http_msg *trailers);
/* Write it to <dst>. */
void pp_grpc_web_emit_trailers(char *dst, const struct pp_http_msg *trailers);

#endif
