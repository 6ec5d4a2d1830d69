/* base/frozen.h - layer: base. Lua values as bytes, to be copied from one
 * state to another: nil, booleans, numbers, strings, and tables of these,
 * shared and in circles as they may be. Owns nothing. */
#ifndef GEV_BASE_FROZEN_H
#define GEV_BASE_FROZEN_H

#include <lua.h>

/* Pushes the bytes of the n values from index `first` on and returns 1; or
 * nil and where in them a value stands that cannot be copied, and returns 2.
 * A message calls them "<what> 1" and so on; the first `hidden` ones, which
 * are always fit, do not count. */
int gev_freeze(lua_State *L, int first, int n, int hidden,
               const char *what);
/* Pushes the values again and returns how many. Raises for bytes that are not
 * of gev_freeze. */
int gev_thaw(lua_State *L, const char *data, size_t len);

/* Adds freeze and thaw to the table on the top. */
void gev_open_frozen(lua_State *L, int hub);

#endif
