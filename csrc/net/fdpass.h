/* net/fdpass.h - layer: net. Descriptors that go over a Unix socket. Those
 * that come belong to a bag on the stack of the call until it returns them:
 * whatever happens before, none stays open. */
#ifndef GEV_NET_FDPASS_H
#define GEV_NET_FDPASS_H

#include <lauxlib.h>

/* The descriptor at idx: a number, one of io's files, or anything that has a
 * method `fileno`: -1 where that is closed. Raises for everything else, as a
 * bad argument number `arg`. */
int gev_checkfd(lua_State *L, int idx, int arg);

extern const luaL_Reg gev_fdpass_methods[];
/* Metamethods of the bag; its class stands in those of the sockets, under
 * "__fds". */
extern const luaL_Reg gev_fdpass_bag[];

#endif
