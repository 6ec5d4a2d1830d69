/* io/threadpool.h - layer: io. Lua functions in OS threads. */
#ifndef GEV_IO_THREADPOOL_H
#define GEV_IO_THREADPOOL_H

#include <lua.h>

/* Adds newthreadpool to the table on the top. */
void gev_open_threadpool(lua_State *L, int hub);

#endif
