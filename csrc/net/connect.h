/* net/connect.h - layer: net. How connections come to be: bind, listen,
 * accept, connect. Addresses are numeric here; names are looked up in Lua. */
#ifndef GEV_NET_CONNECT_H
#define GEV_NET_CONNECT_H

#include <lauxlib.h>
#include <stdbool.h>

struct gev_socket;
struct gev_addr;

/* The address arguments from idx on: host and port, or a path. false: the
 * host is a name that must be looked up first, or of another family, or this
 * is no path that a Unix socket can have. */
bool gev_socket_addr(lua_State *L, struct gev_socket *sock, int idx,
                     struct gev_addr *a);
/* nil, message, code for that case. */
int gev_socket_noaddr(lua_State *L, int idx);

extern const luaL_Reg gev_connect_methods[];

#endif
