/* proto/http_form.c - layer: proto. Pure parsers as Lua sees them: multipart
 * forms and dates. A form parser is one userdata that owns no more than
 * itself. */
#include <string.h>

#include "proto/http1_fields.h"
#include "proto/http_conn.h"
#include "proto/multipart.h"

static const struct gev_class parser_class = {"form parser", NULL, NULL};

struct parser {
  const struct gev_class *cls;
  struct gev_mp mp;
};

/* http_param(value, name) -> the parameter of a field value, or nil */
static int lib_param(lua_State *L) {
  size_t len, n;
  const char *value = luaL_checklstring(L, 1, &len);
  const char *name = luaL_checkstring(L, 2);
  luaL_Buffer b;
  char *room = luaL_buffinitsize(L, &b, len);
  if (!gev_mp_param(value, len, name, room, &n)) return 0;
  luaL_pushresultsize(&b, n);
  return 1;
}

/* http_form(boundary) -> parser; nil: it is no boundary */
static int lib_form(lua_State *L) {
  size_t len;
  const char *boundary = luaL_checklstring(L, 1, &len);
  struct parser *p = lua_newuserdatauv(L, sizeof *p, 0);
  p->cls = &parser_class;
  if (!gev_mp_init(&p->mp, boundary, len)) return 0;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static void push_text(lua_State *L, const struct gev_mp_text *text) {
  if (text->s)
    lua_pushlstring(L, text->s, text->len);
  else
    lua_pushnil(L);
}

/* parser:feed(data, at) -> where to go on, event, ...: "part", name, filename,
 * type; "data", string; "end"; "done"; "error", message, too large; nil where
 * all was taken */
static int parser_feed(lua_State *L) {
  struct parser *p = gev_check(L, 1, &parser_class);
  size_t len, used;
  const char *data = luaL_checklstring(L, 2, &len);
  lua_Integer at = luaL_checkinteger(L, 3);
  luaL_argcheck(L, at >= 1 && (size_t)at <= len + 1, 3, "outside the data");
  enum gev_mp_event event = gev_mp_feed(&p->mp, data + at - 1,
                                        len - (size_t)at + 1, &used);
  lua_pushinteger(L, at + (lua_Integer)used);
  switch (event) {
    case GEV_MP_PART:
      lua_pushliteral(L, "part");
      push_text(L, &p->mp.name);
      push_text(L, &p->mp.filename);
      push_text(L, &p->mp.type);
      return 5;
    case GEV_MP_DATA:
      lua_pushliteral(L, "data");
      lua_pushlstring(L, p->mp.chunk, p->mp.chunk_len);
      return 3;
    case GEV_MP_ERROR:
      lua_pushliteral(L, "error");
      lua_pushstring(L, p->mp.error);
      lua_pushboolean(L, p->mp.too_large);
      return 4;
    case GEV_MP_END: lua_pushliteral(L, "end"); return 2;
    case GEV_MP_DONE: lua_pushliteral(L, "done"); return 2;
    default: return 1;
  }
}

/* http_date(seconds since 1970) -> "Sun, 06 Nov 1994 08:49:37 GMT" */
static int lib_date(lua_State *L) {
  char text[GEV_H1_DATE_LEN];
  lua_Number seconds = luaL_checknumber(L, 1);
  gev_h1_date(text, seconds < 0      ? 0
                    : seconds > 1e15 ? INT64_MAX
                                     : (int64_t)seconds);
  lua_pushlstring(L, text, sizeof text);
  return 1;
}

/* http_parse_date(text) -> seconds since 1970, or nil */
static int lib_parse_date(lua_State *L) {
  size_t len;
  int64_t seconds;
  const char *text = luaL_checklstring(L, 1, &len);
  if (!gev_h1_parse_date(text, len, &seconds)) return 0;
  lua_pushinteger(L, seconds);
  return 1;
}

void gev_open_http_form(lua_State *L, int hub) {
  static const luaL_Reg methods[] = {{"feed", parser_feed}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"http_param", lib_param},
                                       {"http_date", lib_date},
                                       {"http_parse_date", lib_parse_date},
                                       {NULL, NULL}};
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "form parser", methods, 1);
  lua_pushcclosure(L, lib_form, 2);
  lua_setfield(L, -2, "http_form");
}
