/* io/writer.h - layer: io. Writing to a stream: send, sendall, sendv, write,
 * flush, setvbuf, shutdown, close. */
#ifndef GEV_IO_WRITER_H
#define GEV_IO_WRITER_H

#include <lauxlib.h>

#include "io/stream.h"

/* Writes what setvbuf has collected: 0 when all is out, or what transport
 * write says. */
ssize_t gev_stream_flush(struct gev_stream *s);

extern const luaL_Reg gev_writer_methods[];

#endif
