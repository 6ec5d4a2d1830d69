/* core/scope.h - layer: core. What scopes need of greenlets: shield, clean-up
 * that a kill outlives, and for nurseries interrupts that can be taken back
 * and failures that are not printed. */
#ifndef GEV_CORE_SCOPE_H
#define GEV_CORE_SCOPE_H

#include <lua.h>

/* For __close methods that may block, where a kill leaves the scope: calls the
 * method (upvalue 1: the hub) with what is on the stack, nargs values. An
 * error of it, a time-out that cuts it short, say, does not undo the kill. */
int gev_unwind(lua_State *L, lua_CFunction method, int nargs);

void gev_open_scope(lua_State *L, int hub);

#endif
