/* core/scope.h - layer: core. What scopes need of greenlets: shield, and for
 * nurseries interrupts that can be taken back and failures that are not
 * printed. */
#ifndef GEV_CORE_SCOPE_H
#define GEV_CORE_SCOPE_H

#include <lua.h>

void gev_open_scope(lua_State *L, int hub);

#endif
