/* proto/http_format.c - layer: proto. See http_format.h. */
#include "proto/http_format.h"

#include <lauxlib.h>
#include <string.h>

#include "io/reader.h"

void gev_http_check_format(lua_State *L) {
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    lua_pushliteral(L, "l");
    return;
  }
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TNUMBER) {
    luaL_argcheck(L, luaL_checkinteger(L, 2) >= 0, 2,
                  "a number of bytes must not be negative");
    return;
  }
  const char *format = luaL_checkstring(L, 2);
  if (*format == '*') format++;
  luaL_argcheck(L, *format && strchr("lLa", *format), 2,
                "invalid format (a number, \"l\", \"L\" or \"a\" expected)");
  lua_pushlstring(L, format, 1);
  lua_replace(L, 2);
}

/* Takes the first n bytes, `used` of them for good, as the result: before a
 * finalizer can run, which may do with the body what it likes. */
static int take(lua_State *L, struct gev_bytes *in, size_t n, size_t used) {
  const char *data = gev_bytes_front(in);
  in->off += used;
  lua_pushlstring(L, data, n);
  gev_bytes_trim(in);
  return 1;
}

int gev_http_parse(lua_State *L, struct gev_bytes *in, bool eof) {
  size_t have = in->len - in->off;
  if (lua_type(L, 2) == LUA_TNUMBER) {
    size_t n = (size_t)lua_tointeger(L, 2);
    if (have < n && !eof) return 0;
    if (have == 0 && eof) return gev_failclosed(L);
    return take(L, in, have < n ? have : n, have < n ? have : n);
  }
  char format = *lua_tostring(L, 2);
  if (format == 'a') return eof ? take(L, in, have, have) : 0;
  const char *data = gev_bytes_front(in);
  const char *end = have ? memchr(data, '\n', have) : NULL;
  if (!end && !eof) return 0;
  if (have == 0) return gev_failclosed(L);
  if (!end) return take(L, in, have, have);
  size_t len = (size_t)(end - data);
  return take(L, in, len + (format == 'L'), len + 1);
}
