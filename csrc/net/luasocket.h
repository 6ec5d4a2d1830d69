/* net/luasocket.h - layer: net. Objects that behave as LuaSocket's do, over a
 * stream: what gevent.monkey puts in the place of the C half of LuaSocket.
 * Connecting, binding and accepting are in Lua.
 *
 * The object is a userdata whose user value is the stream, or nil. Its class
 * is its metatable, which has the class's name and the group's as keys, as
 * LuaSocket's metatables do. A method is a closure of (hub, name of the class
 * or group that it wants); where that is wrong it raises what LuaSocket
 * raises. Who reads gets what it asked for or leaves it in the stream. */
#ifndef GEV_NET_LUASOCKET_H
#define GEV_NET_LUASOCKET_H

#include <lauxlib.h>

#include "io/stream.h"

struct gev_luasocket {
  const struct gev_class *cls;
  double block, total;   /* settimeout's, seconds; negative: no limit */
  double received, sent; /* getstats', bytes */
  double birthday;       /* wall clock, seconds */
  int fd;                /* a descriptor that is no stream's, or -1 */
  int family;            /* AF_UNSPEC until it is known */
};

/* Argument 1, which must be of the class that upvalue 2 names. */
struct gev_luasocket *gev_luasocket_check(lua_State *L);
/* Pushes the stream of the object at idx, or nil, and returns it or NULL. */
struct gev_stream *gev_luasocket_stream(lua_State *L, int idx);
/* The descriptor of the object at idx, or -1. */
int gev_luasocket_fd(lua_State *L, int idx);
/* LuaSocket's words for an errno. */
const char *gev_luasocket_strerror(int err);

extern const luaL_Reg gev_luasocket_io[];      /* luasocket_io.c */
extern const luaL_Reg gev_luasocket_options[]; /* luasocket_opt.c */

void gev_open_luasocket(lua_State *L, int hub);

#endif
