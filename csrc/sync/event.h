/* sync/event.h - layer: sync. Event: a flag that greenlets wait for. */
#ifndef GEV_SYNC_EVENT_H
#define GEV_SYNC_EVENT_H

#include <lua.h>

void gev_open_event(lua_State *L, int hub);

#endif
