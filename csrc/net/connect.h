/* net/connect.h - layer: net. How connections come to be: bind, listen,
 * accept, connect. Addresses are numeric here; names are looked up in Lua. */
#ifndef GEV_NET_CONNECT_H
#define GEV_NET_CONNECT_H

#include <lauxlib.h>

extern const luaL_Reg gev_connect_methods[];

#endif
