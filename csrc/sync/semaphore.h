/* sync/semaphore.h - layer: sync. Semaphore and BoundedSemaphore, and the
 * bare wait queue that Lua builds conditions on. */
#ifndef GEV_SYNC_SEMAPHORE_H
#define GEV_SYNC_SEMAPHORE_H

#include <lua.h>

void gev_open_semaphore(lua_State *L, int hub);

#endif
