/* core/multiwait.h - layer: core. Waiting for several objects: each object's
 * wait queue gets a node, and the nodes that became ready are handed out in
 * that order. Behind joinall, wait and iwait. */
#ifndef GEV_CORE_MULTIWAIT_H
#define GEV_CORE_MULTIWAIT_H

#include <lua.h>

void gev_open_multiwait(lua_State *L, int hub);

#endif
