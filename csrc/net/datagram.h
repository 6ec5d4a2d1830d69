/* net/datagram.h - layer: net. recvfrom and sendto: one message at a time,
 * with its address. Addresses are numeric here; names are looked up in Lua. */
#ifndef GEV_NET_DATAGRAM_H
#define GEV_NET_DATAGRAM_H

#include <lauxlib.h>

extern const luaL_Reg gev_datagram_methods[];
/* For the class of datagram sockets on the top: a recv that gives a message
 * whole, however long. */
void gev_datagram_class(lua_State *L, int hub);

#endif
