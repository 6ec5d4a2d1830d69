/* proto/http_format.h - layer: proto. The formats of io for bodies of
 * messages, whichever side reads them. Owns nothing. */
#ifndef GEV_PROTO_HTTP_FORMAT_H
#define GEV_PROTO_HTTP_FORMAT_H

#include <lua.h>
#include <stdbool.h>

#include "io/stream.h"

/* Leaves at index 2, and as the top, a number >= 0 or one of "l", "L", "a";
 * "l" where there is none. Raises for anything else. */
void gev_http_check_format(lua_State *L);
/* Takes what the format at index 2 asks for out of `in` and pushes it, or nil,
 * "closed", "closed" where the body (`eof`: there is no more) has ended before
 * it; returns how many values, 0 where more is needed. */
int gev_http_parse(lua_State *L, struct gev_bytes *in, bool eof);

#endif
