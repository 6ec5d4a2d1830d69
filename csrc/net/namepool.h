/* net/namepool.h - layer: net. Look-ups by the C library, in threads. */
#ifndef GEV_NET_NAMEPOOL_H
#define GEV_NET_NAMEPOOL_H

#include <lua.h>

void gev_open_namepool(lua_State *L, int hub);

#endif
