/* io/stdio.h - layer: io. What gevent.monkey has to know of the files of
 * Lua's io library: is one of a kind that can be waited for, and what has it
 * read that nobody has asked for? */
#ifndef GEV_IO_STDIO_H
#define GEV_IO_STDIO_H

#include <lua.h>

void gev_open_stdio(lua_State *L, int hub);

#endif
