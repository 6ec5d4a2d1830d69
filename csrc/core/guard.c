/* core/guard.c - layer: core. See guard.h. Owns nothing; the call inside may
 * block. */
#include "core/guard.h"

#include <lauxlib.h>

#include "base/except.h"

static bool passes(lua_State *L, int idx) {
  return gev_exc_is(L, idx, GEV_EXC_GREENLETEXIT) ||
         gev_exc_is(L, idx, GEV_EXC_TIMEOUT);
}

/* The protected call is over; what it returned begins at index ctx + 1. */
static int pcall_k(lua_State *L, int status, lua_KContext ctx) {
  if (status != LUA_OK && status != LUA_YIELD) {
    if (passes(L, -1)) return lua_error(L);
    lua_pushboolean(L, false);
    lua_insert(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)ctx;
}

/* pcall(fn, ...) -> true, values | false, error */
static int lib_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, true);
  lua_insert(L, 1);
  int nargs = lua_gettop(L) - 2;
  return pcall_k(L, lua_pcallk(L, nargs, LUA_MULTRET, 0, 0, pcall_k), 0);
}

/* The message handler of xpcall: the user's does not see what passes. */
static int handle(lua_State *L) {
  lua_settop(L, 1);
  if (passes(L, 1)) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* xpcall(fn, handler, ...) -> true, values | false, handler's result */
static int lib_xpcall(lua_State *L) {
  luaL_checkany(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, handle, 1);
  lua_replace(L, 2); /* fn, handle, ... */
  lua_pushboolean(L, true);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* fn, handle, true, fn, ... */
  int nargs = lua_gettop(L) - 4;
  return pcall_k(L, lua_pcallk(L, nargs, LUA_MULTRET, 2, 2, pcall_k), 2);
}

static const luaL_Reg functions[] = {
    {"pcall", lib_pcall}, {"xpcall", lib_xpcall}, {NULL, NULL}};

void gev_open_guard(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
