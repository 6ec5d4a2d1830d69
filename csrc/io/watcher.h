/* io/watcher.h - layer: io. The loop's own watchers, for gevent.core. */
#ifndef GEV_IO_WATCHER_H
#define GEV_IO_WATCHER_H

#include <lua.h>

/* Adds newwatcher to the table on the top. */
void gev_open_watcher(lua_State *L, int hub);

#endif
