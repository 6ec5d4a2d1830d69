/* core/settings.h - layer: core. The clock and the hub's knobs for Lua. */
#ifndef GEV_CORE_SETTINGS_H
#define GEV_CORE_SETTINGS_H

#include <lua.h>

void gev_open_settings(lua_State *L, int hub);

#endif
