/* base/lualib.c - layer: base. See lualib.h. Owns nothing. */
#include "base/lualib.h"

#include <string.h>
#include <uv.h> /* only for its tables of error names and messages */

void *gev_check(lua_State *L, int idx, const struct gev_class *cls) {
  void *p = gev_test(L, idx, cls);
  if (!p) luaL_typeerror(L, idx, cls->name);
  return p;
}

struct gev_object *gev_towaitable(lua_State *L) {
  if (!luaL_getmetafield(L, -1, "__waitable")) return NULL;
  if (lua_isfunction(L, -1)) {
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return gev_towaitable(L);
  }
  lua_pop(L, 1);
  return (struct gev_object *)lua_touserdata(L, -1);
}

double gev_checkseconds(lua_State *L, int idx) {
  double s = luaL_checknumber(L, idx);
  if (!(s >= 0)) luaL_argerror(L, idx, "seconds must not be negative");
  return s;
}

double gev_opttimeout(lua_State *L, int idx) {
  return lua_isnoneornil(L, idx) ? -1 : gev_checkseconds(L, idx);
}

bool gev_callable(lua_State *L, int idx) {
  if (lua_isfunction(L, idx)) return true;
  if (!luaL_getmetafield(L, idx, "__call")) return false;
  lua_pop(L, 1);
  return true;
}

void gev_checkcallable(lua_State *L, int idx) {
  if (!gev_callable(L, idx)) luaL_typeerror(L, idx, "function");
}

const char *gev_errname(int err) { return uv_err_name(-err); }

int gev_errno(const char *name) {
  enum { MOST = 256 }; /* more than any system has */
  char other[32];
  for (int err = 1; err < MOST; err++)
    if (!strcmp(uv_err_name_r(-err, other, sizeof other), name)) return err;
  return 0;
}

const char *gev_errmsg(int err, char *buf, size_t size) {
  return uv_strerror_r(-err, buf, size);
}

int gev_fail(lua_State *L, int err) {
  char buf[128];
  return gev_failmsg(L, gev_errmsg(err, buf, sizeof buf), gev_errname(err));
}

int gev_failmsg(lua_State *L, const char *msg, const char *code) {
  lua_pushnil(L);
  lua_pushstring(L, msg);
  lua_pushstring(L, code);
  return 3;
}

int gev_failtimeout(lua_State *L) {
  return gev_failmsg(L, "timed out", "timeout");
}

void gev_newclass(lua_State *L, const char *name, const luaL_Reg *methods,
                  int nup) {
  luaL_checkstack(L, nup + 4, NULL);
  lua_createtable(L, 0, 16);
  lua_insert(L, -nup - 1);
  luaL_setfuncs(L, methods, nup);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_getfield(L, -1, "__index"); /* the class's own accessor, if any */
  if (lua_isnil(L, -1)) {
    lua_pushvalue(L, -2);
    lua_setfield(L, -3, "__index");
  }
  lua_pop(L, 1);
}

void gev_weaktable(lua_State *L, const char *mode) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushstring(L, mode);
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

/* Pushes "file:line: " of the innermost Lua function, or "". */
static void push_position(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0) {
      lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushliteral(L, "");
}

int gev_argerror(lua_State *L, int n, const char *name, const char *text) {
  push_position(L);
  lua_pushfstring(L, "bad argument #%d to '%s' (%s)", n, name, text);
  lua_concat(L, 2);
  return lua_error(L);
}

void gev_pack(lua_State *L, int first, int n) {
  first = lua_absindex(L, first);
  lua_createtable(L, n, 1);
  for (int i = 0; i < n; i++) {
    lua_pushvalue(L, first + i);
    lua_rawseti(L, -2, i + 1);
  }
  lua_pushinteger(L, n);
  lua_setfield(L, -2, "n");
}
