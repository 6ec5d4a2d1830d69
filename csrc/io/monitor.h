/* io/monitor.h - layer: io. A thread that watches a hub. */
#ifndef GEV_IO_MONITOR_H
#define GEV_IO_MONITOR_H

#include <lua.h>

/* Adds newmonitor to the table on the top. */
void gev_open_monitor(lua_State *L, int hub);

#endif
