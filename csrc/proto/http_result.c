/* proto/http_result.c - layer: proto. See http_conn.h. What handlers may
 * return: checks, and the one conversion. */
#include "proto/http_conn.h"

bool gev_http_join(lua_State *L, int idx) {
  luaL_Buffer b;
  lua_Integer n = (lua_Integer)lua_rawlen(L, idx);
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(L, idx, i), !lua_isstring(L, -1)) {
      lua_pushfstring(L, "part %I of the body is a %s, not a string", i,
                      luaL_typename(L, -1));
      return false;
    }
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_replace(L, idx);
  return true;
}

bool gev_http_is_status(lua_State *L, int idx) {
  int whole;
  lua_Integer n = lua_tointegerx(L, idx, &whole);
  return whole && n >= 200 && n <= 599;
}

int gev_http_as_headers(lua_State *L, int idx) {
  if (lua_isnoneornil(L, idx)) return 0;
  if (lua_istable(L, idx) || gev_test(L, idx, &gev_http_headers_class))
    return idx;
  return -1;
}
