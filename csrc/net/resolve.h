/* net/resolve.h - layer: net. Name look-ups in libuv's thread pool. */
#ifndef GEV_NET_RESOLVE_H
#define GEV_NET_RESOLVE_H

#include <lua.h>

void gev_open_resolve(lua_State *L, int hub);

#endif
