/* net/fdpass.h - layer: net. Descriptors that go over a Unix socket. Those
 * that come belong to a bag on the stack of the call until it returns them:
 * whatever happens before, none stays open. */
#ifndef GEV_NET_FDPASS_H
#define GEV_NET_FDPASS_H

#include <lauxlib.h>

/* The descriptor at idx: a number, one of io's files, or anything that has a
 * method `fileno`. Raises for everything else, and what is closed. */
int gev_checkfd(lua_State *L, int idx);

extern const luaL_Reg gev_fdpass_methods[];
/* Metamethods of the bag; its class stands in those of the sockets, under
 * "__fds". */
extern const luaL_Reg gev_fdpass_bag[];

#endif
