/* io/reader.h - layer: io. Reading a stream by format: read, lines,
 * readuntil, readexactly. */
#ifndef GEV_IO_READER_H
#define GEV_IO_READER_H

#include <lauxlib.h>

#include "io/stream.h"

/* One read of the transport, added to the stream's input. */
ssize_t gev_stream_fill(struct gev_hub *h, struct gev_stream *s);

/* Takes the first n bytes of the input, which has as many, and pushes them. */
void gev_stream_take(lua_State *L, struct gev_stream *s, size_t n);

extern const luaL_Reg gev_reader_methods[];

#endif
