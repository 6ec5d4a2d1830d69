/* net/constants.h - layer: net. The names that programs know from C, for
 * gevent.socket: each stands for the word that this library uses. */
#ifndef GEV_NET_CONSTANTS_H
#define GEV_NET_CONSTANTS_H

#include <lua.h>

/* Adds the table socket_constants. */
void gev_open_constants(lua_State *L, int hub);

#endif
