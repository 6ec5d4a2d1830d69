/* io/fork.h - layer: io. fork, and what the child has to do after it. */
#ifndef GEV_IO_FORK_H
#define GEV_IO_FORK_H

#include <lua.h>

void gev_open_fork(lua_State *L, int hub);

#endif
