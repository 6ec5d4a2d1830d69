/* core/guard.h - layer: core. pcall and xpcall that catch errors, but let
 * what is not one pass: GreenletExit and Timeout. */
#ifndef GEV_CORE_GUARD_H
#define GEV_CORE_GUARD_H

#include <lua.h>

void gev_open_guard(lua_State *L, int hub);

#endif
