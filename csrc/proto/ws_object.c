/* proto/ws_object.c - layer: proto. See ws_int.h. WebSockets as Lua objects:
 * made over a stream, with fields of the user's. What is called for each
 * message is C; what is rare (taking turns, the closing handshake, messages in
 * parts) is Lua, in gevent.websocket, which puts its functions into the
 * class. */
#include "proto/ws_object.h"

#include <string.h>

#include "proto/ws_int.h"

const struct gev_class gev_websocket_class = {"WebSocket", NULL, NULL};

/* --- how it ends --------------------------------------------------------- */

static void set_field(lua_State *L, const char *name) { /* pops the value */
  lua_getiuservalue(L, 1, GEV_WS_UV_FIELDS);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void gev_websocket_end(lua_State *L, struct gev_websocket *w, unsigned code) {
  w->ending = true;
  w->code = (uint16_t)code;
  set_field(L, "close_reason");
  lua_pushinteger(L, code);
  set_field(L, "close_code");
}

int gev_websocket_push_end(lua_State *L, struct gev_websocket *w) {
  lua_pushnil(L);
  lua_getiuservalue(L, 1, GEV_WS_UV_FIELDS);
  lua_getfield(L, -1, "close_reason");
  lua_remove(L, -2);
  lua_pushliteral(L, "closed");
  lua_pushinteger(L, w->code);
  return 4;
}

void gev_websocket_hook(lua_State *L, const char *name) {
  if (luaL_getmetafield(L, 1, name) == LUA_TNIL) return;
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
}

/* --- the object ---------------------------------------------------------- */

static int m_gc(lua_State *L) {
  gev_ws_free(&gev_websocket_check(L)->ws);
  return 0;
}

static int m_tostring(lua_State *L) {
  struct gev_websocket *w = gev_websocket_check(L);
  const char *state = w->s->fd.fd < 0 ? "closed"
                      : w->ending     ? "closing"
                                      : "open";
  lua_pushfstring(L, "<WebSocket at %p %s fd %d %s>", (void *)w,
                  w->ws.server ? "server" : "client", w->s->fd.fd, state);
  return 1;
}

/* ws.name: a method, or a field. Upvalue 2: the class. */
static int m_index(lua_State *L) {
  gev_websocket_check(L);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  lua_getiuservalue(L, 1, GEV_WS_UV_FIELDS);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int m_newindex(lua_State *L) {
  gev_websocket_check(L);
  lua_settop(L, 3);
  lua_getiuservalue(L, 1, GEV_WS_UV_FIELDS);
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

static lua_Integer get_integer(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  lua_Integer n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

static bool get_flag(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

/* The table on the top. */
static void read_deflate(lua_State *L, struct gev_ws_deflate_config *d) {
  d->own_bits = (int)get_integer(L, "own_bits");
  d->peer_bits = (int)get_integer(L, "peer_bits");
  d->own_reset = get_flag(L, "own_reset");
  d->peer_reset = get_flag(L, "peer_reset");
  d->level = (int)get_integer(L, "level");
}

static bool init(lua_State *L, struct gev_websocket *w) { /* options at 3 */
  struct gev_ws_deflate_config deflate;
  struct gev_ws_config config = {0};
  lua_settop(L, 4);
  lua_pushvalue(L, 3);
  config.server = get_flag(L, "server");
  config.max_message = (uint64_t)get_integer(L, "max_message");
  config.fragment = (size_t)get_integer(L, "fragment");
  if (lua_getfield(L, 3, "deflate") == LUA_TTABLE) {
    read_deflate(L, &deflate);
    config.deflate = &deflate;
  }
  lua_settop(L, 4);
  return gev_ws_init(&w->ws, &config);
}

/* websocket(stream, fields, options) -> WebSocket. Options, all checked by the
 * caller: server, max_message, fragment, deflate. */
static int lib_websocket(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  struct gev_websocket *w = lua_newuserdatauv(L, sizeof *w, 2);
  memset(w, 0, sizeof *w);
  w->cls = &gev_websocket_class;
  w->s = s;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 4);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 4, GEV_WS_UV_STREAM);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 4, GEV_WS_UV_FIELDS);
  if (!init(L, w)) return luaL_error(L, "not enough memory");
  return 1;
}

static const luaL_Reg methods[] = {{"__newindex", m_newindex},
                                   {"__tostring", m_tostring},
                                   {"__gc", m_gc},
                                   {NULL, NULL}};

void gev_open_websocket(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "WebSocket", methods, 1);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, gev_websocket_send_methods, 1);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, gev_websocket_receive_methods, 1);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, m_index, 2);
  lua_setfield(L, -2, "__index");
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "websocket_class");
  lua_pushcclosure(L, lib_websocket, 2);
  lua_setfield(L, -2, "websocket");
  gev_open_ws_handshake(L, hub);
}
