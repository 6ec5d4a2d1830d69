/* core/greenlet_fields.h - layer: core. For greenlet_lua.c: the part of the
 * class Greenlet that neither blocks nor makes anything. */
#ifndef GEV_CORE_GREENLET_FIELDS_H
#define GEV_CORE_GREENLET_FIELDS_H

#include <lauxlib.h>

#include "core/greenlet.h"

/* The greenlet at idx; raises for a raw one: it has no outcome. */
struct gev_greenlet *gev_checkgreenlet(lua_State *L, int idx);

extern const luaL_Reg gev_greenlet_fields[]; /* methods */
extern const luaL_Reg gev_greenlet_access[]; /* __index and the like */

#endif
