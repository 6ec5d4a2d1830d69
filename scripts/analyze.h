/* For the analysers (scripts/analyze.sh), included before all else: Lua's
 * headers do not say which of its functions never return. */
#include <lauxlib.h>

__attribute__((noreturn)) int(lua_error)(lua_State *L);
__attribute__((noreturn)) int(luaL_error)(lua_State *L, const char *fmt, ...);
__attribute__((noreturn)) int(luaL_argerror)(lua_State *L, int arg,
                                             const char *msg);
