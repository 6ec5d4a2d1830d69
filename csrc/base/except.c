/* base/except.c - layer: base. See except.h. Owns the class tables, through
 * the registry. May be called by everybody; raises only out of memory. */
#include "base/except.h"

#include <lauxlib.h>
#include <stdarg.h>

#include "base/lualib.h"

enum { DEEPEST = 100 }; /* classes above one another; more is a circle */

static const char registry_key[GEV_EXC_COUNT]; /* addresses are the keys */

static const char *const names[GEV_EXC_COUNT] = {
    [GEV_EXC_ERROR] = "Error",
    [GEV_EXC_GREENLETEXIT] = "GreenletExit",
    [GEV_EXC_TIMEOUT] = "Timeout",
    [GEV_EXC_LOOPEXIT] = "LoopExit",
    [GEV_EXC_CONCURRENTUSE] = "ConcurrentObjectUseError",
    [GEV_EXC_BLOCKINGSWITCHOUT] = "BlockingSwitchOutError",
    [GEV_EXC_INVALIDSWITCH] = "InvalidSwitchError",
};

void gev_exc_class(lua_State *L, enum gev_exc kind) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key[kind]);
}

void gev_exc_setclass(lua_State *L, enum gev_exc kind) {
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key[kind]);
}

/* Pushes an instance of the class at cls with the message on the top. */
static void construct(lua_State *L, int cls) {
  cls = lua_absindex(L, cls);
  lua_createtable(L, 0, 1);
  lua_insert(L, -2); /* below the message */
  lua_setfield(L, -2, "message");
  lua_pushvalue(L, cls);
  lua_setmetatable(L, -2);
}

void gev_exc_push(lua_State *L, enum gev_exc kind, const char *fmt, ...) {
  va_list args;
  luaL_checkstack(L, 6, NULL);
  gev_exc_class(L, kind);
  va_start(args, fmt);
  lua_pushvfstring(L, fmt, args);
  va_end(args);
  construct(L, -2);
  lua_remove(L, -2); /* class */
}

/* Does the chain of classes that starts at the table on the top (popped)
 * reach the table at cls? */
static bool chain_has(lua_State *L, int cls) {
  for (int depth = 0; lua_istable(L, -1) && depth < DEEPEST; depth++) {
    if (lua_rawequal(L, -1, cls)) {
      lua_pop(L, 1);
      return true;
    }
    lua_pushliteral(L, "__parent");
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  lua_pop(L, 1);
  return false;
}

static bool is_instance(lua_State *L, int idx, int cls) {
  return lua_getmetatable(L, idx) && chain_has(L, cls);
}

bool gev_exc_is(lua_State *L, int idx, enum gev_exc kind) {
  if (!lua_istable(L, idx) && !lua_isuserdata(L, idx)) return false;
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 4, NULL);
  gev_exc_class(L, kind);
  bool is = is_instance(L, idx, lua_absindex(L, -1));
  lua_pop(L, 1);
  return is;
}

static bool is_class(lua_State *L, int idx) {
  if (!lua_istable(L, idx)) return false;
  luaL_checkstack(L, 4, NULL);
  lua_pushvalue(L, idx);
  gev_exc_class(L, GEV_EXC_ERROR);
  int root = lua_absindex(L, -1);
  lua_insert(L, -2); /* the class on the top, the root below */
  bool is = chain_has(L, root - 1);
  lua_pop(L, 1);
  return is;
}

void gev_exc_instance(lua_State *L) {
  if (!is_class(L, -1)) return;
  lua_call(L, 0, 1);
}

static int exc_call(lua_State *L) { /* Class(...) */
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "__new"); /* userdata classes bring their own */
  if (!lua_isnil(L, -1)) {
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
  }
  lua_settop(L, 2);
  construct(L, 1);
  return 1;
}

static int exc_tostring(lua_State *L) {
  luaL_getmetafield(L, 1, "__name");
  lua_getfield(L, 1, "message");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return 1;
  }
  luaL_tolstring(L, -1, NULL);
  lua_pushfstring(L, "%s: %s", lua_tostring(L, -3), lua_tostring(L, -1));
  return 1;
}

static void class_metatable(lua_State *L, int parent) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, exc_call);
  lua_setfield(L, -2, "__call");
  if (parent) {
    lua_pushvalue(L, parent);
    lua_setfield(L, -2, "__index");
  }
}

void gev_exc_newclass(lua_State *L, const char *name, int parent) {
  if (parent) parent = lua_absindex(L, parent);
  lua_createtable(L, 0, 6);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, exc_tostring);
  lua_setfield(L, -2, "__tostring");
  if (parent) {
    lua_pushvalue(L, parent);
    lua_setfield(L, -2, "__parent");
  }
  class_metatable(L, parent);
  lua_setmetatable(L, -2);
}

/* exception(name [, parent]) -> class */
static int lib_exception(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    gev_exc_class(L, GEV_EXC_ERROR);
  }
  luaL_argexpected(L, is_class(L, 2), 2, "exception class");
  gev_exc_newclass(L, name, 2);
  static const char *const inherited[] = {"__gc", "__close", "__tostring"};
  for (size_t i = 0; i < sizeof inherited / sizeof *inherited; i++) {
    lua_pushstring(L, inherited[i]);
    lua_rawget(L, 2);
    lua_setfield(L, -2, inherited[i]);
  }
  lua_pushliteral(L, "__index"); /* a function: fields of userdata */
  if (lua_rawget(L, 2) == LUA_TFUNCTION)
    lua_setfield(L, -2, "__index");
  else
    lua_pop(L, 1);
  return 1;
}

/* isinstance(value, class) -> boolean */
static int lib_isinstance(lua_State *L) {
  luaL_checkany(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_pushliteral(L, "__name");
  luaL_argexpected(L, lua_rawget(L, 2) != LUA_TNIL, 2, "class");
  lua_settop(L, 2);
  bool ours = lua_istable(L, 1) || lua_isuserdata(L, 1);
  lua_pushboolean(L, ours && is_instance(L, 1, 2));
  return 1;
}

/* newexception(value) -> what to raise where it is asked for: of a class a new
 * instance, else the value (private to the Lua half) */
static int lib_newexception(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  gev_exc_instance(L);
  return 1;
}

void gev_open_except(lua_State *L) {
  for (int kind = 0; kind < GEV_EXC_COUNT; kind++) {
    if (kind) gev_exc_class(L, GEV_EXC_ERROR);
    gev_exc_newclass(L, names[kind], kind ? -1 : 0);
    gev_exc_setclass(L, (enum gev_exc)kind);
    lua_setfield(L, kind ? -3 : -2, names[kind]);
    if (kind) lua_pop(L, 1); /* root */
  }
  lua_pushcfunction(L, lib_exception);
  lua_setfield(L, -2, "exception");
  lua_pushcfunction(L, lib_isinstance);
  lua_setfield(L, -2, "isinstance");
  lua_pushcfunction(L, lib_newexception);
  lua_setfield(L, -2, "newexception");
}
