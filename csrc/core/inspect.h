/* core/inspect.h - layer: core. Seeing inside: which greenlets there are,
 * what each waits on, and its stack. */
#ifndef GEV_CORE_INSPECT_H
#define GEV_CORE_INSPECT_H

#include <lua.h>

void gev_open_inspect(lua_State *L, int hub);

#endif
