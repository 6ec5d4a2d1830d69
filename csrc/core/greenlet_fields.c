/* core/greenlet_fields.c - layer: core. Links, state and fields of greenlets,
 * as Lua sees them. Making, waiting and killing are in greenlet_lua.c. */
#include "core/greenlet_fields.h"

#include <string.h>

#include "core/body.h"
#include "core/report.h"
#include "core/tree.h"

static struct gev_greenlet *check(lua_State *L, int idx) {
  return gev_check(L, idx, &gev_greenlet_class);
}

struct gev_greenlet *gev_checkgreenlet(lua_State *L, int idx) {
  struct gev_greenlet *g = check(L, idx);
  if (g->flags & GEV_RAW)
    luaL_argerror(L, idx, "a raw greenlet has no outcome and no links");
  return g;
}

/* --- links --------------------------------------------------------------- */

static int add_link(lua_State *L, int kind) {
  struct gev_hub *h = gev_hub(L);
  struct gev_greenlet *g = gev_checkgreenlet(L, 1);
  gev_checkcallable(L, 2);
  lua_settop(L, 2);
  gev_make_extra(L, 1);
  if (lua_rawgetp(L, 3, &gev_key_links) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, 3, &gev_key_links);
  }
  lua_createtable(L, 2, 0);
  lua_pushinteger(L, kind);
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 2);
  lua_rawseti(L, 4, (lua_Integer)lua_rawlen(L, 4) + 1);
  g->flags |= GEV_LINKED;
  if (g->state == GEV_DEAD && !(g->flags & GEV_NOTIFYING)) {
    if (!g->ref) g->ref = gev_anchor(L, h, 1); /* over: in the next pass */
    g->flags |= GEV_NOTIFYING;
    gev_ready(h, &g->task);
  }
  return 0;
}

static int m_link(lua_State *L) { return add_link(L, GEV_LINK_ALL); }
static int m_rawlink(lua_State *L) { return add_link(L, GEV_LINK_RAW); }
static int m_link_value(lua_State *L) {
  return add_link(L, GEV_LINK_VALUE);
}
static int m_link_exception(lua_State *L) {
  return add_link(L, GEV_LINK_EXCEPTION);
}

/* g:unlink(fn): takes back its first link; unknown ones are no error */
static int m_unlink(lua_State *L) {
  gev_checkgreenlet(L, 1);
  lua_settop(L, 2);
  if (!gev_push_extra(L, 1)) return 0;
  if (lua_rawgetp(L, 3, &gev_key_links) != LUA_TTABLE) return 0;
  lua_Integer n = (lua_Integer)lua_rawlen(L, 4);
  for (lua_Integer i = 1; i <= n; i++, lua_settop(L, 4)) {
    if (lua_rawgeti(L, 4, i) != LUA_TTABLE) continue;
    lua_rawgeti(L, 5, 2);
    if (!lua_rawequal(L, -1, 2)) continue;
    lua_pushinteger(L, GEV_LINK_REMOVED);
    lua_rawseti(L, 5, 1);
    lua_pushboolean(L, false);
    lua_rawseti(L, 5, 2);
    break;
  }
  return 0;
}

/* --- state and fields ---------------------------------------------------- */

static bool is_started(const struct gev_greenlet *g) {
  return g->state != GEV_NEW && g->state != GEV_DEAD;
}

static int m_ready(lua_State *L) {
  lua_pushboolean(L, check(L, 1)->state == GEV_DEAD);
  return 1;
}

static int m_successful(lua_State *L) {
  struct gev_greenlet *g = gev_checkgreenlet(L, 1);
  lua_pushboolean(L, g->state == GEV_DEAD && !(g->flags & GEV_FAILED));
  return 1;
}

static int get_value(lua_State *L, struct gev_greenlet *g) {
  if (g->state != GEV_DEAD || (g->flags & GEV_FAILED)) return 0;
  lua_getiuservalue(L, 1, 1);
  if (g->flags & GEV_MULTI) lua_rawgeti(L, -1, 1);
  return 1;
}
static int get_exception(lua_State *L, struct gev_greenlet *g) {
  if (!(g->flags & GEV_FAILED)) return 0;
  lua_getiuservalue(L, 1, 1);
  return 1;
}
static int get_rare(lua_State *L, const void *key) {
  if (!gev_push_extra(L, 1)) return 0;
  lua_rawgetp(L, -1, key);
  return 1;
}
static int get_traceback(lua_State *L, struct gev_greenlet *g) {
  (void)g;
  return get_rare(L, &gev_key_traceback);
}
static int get_stack(lua_State *L, struct gev_greenlet *g) {
  (void)g;
  return get_rare(L, &gev_key_stack);
}
static int get_args(lua_State *L, struct gev_greenlet *g) {
  if (g->state == GEV_DEAD || (g->flags & (GEV_RAW | GEV_MAIN))) return 0;
  gev_body_args(L, g);
  return 1;
}
static int get_started(lua_State *L, struct gev_greenlet *g) {
  lua_pushboolean(L, is_started(g));
  return 1;
}
static int get_dead(lua_State *L, struct gev_greenlet *g) {
  lua_pushboolean(L, g->state == GEV_DEAD);
  return 1;
}
static int get_name(lua_State *L, struct gev_greenlet *g) {
  gev_tree_name(L, gev_hub(L), g);
  return 1;
}
static int get_ident(lua_State *L, struct gev_greenlet *g) {
  gev_tree_ident(L, gev_hub(L), g);
  return 1;
}
static int get_parent(lua_State *L, struct gev_greenlet *g) {
  gev_tree_parent(L, gev_hub(L), g);
  return 1;
}
static int get_locals(lua_State *L, struct gev_greenlet *g) {
  (void)g;
  gev_tree_locals(L);
  return 1;
}

static const struct field {
  const char *name;
  int (*get)(lua_State *L, struct gev_greenlet *g);
} fields[] = {
    {"value", get_value},
    {"exception", get_exception},
    {"traceback", get_traceback},
    {"started", get_started},
    {"dead", get_dead},
    {"name", get_name},
    {"minimal_ident", get_ident},
    {"spawning_greenlet", get_parent},
    {"spawn_tree_locals", get_locals},
    {"spawning_stack", get_stack},
    {"args", get_args},
};
enum { NFIELDS = sizeof fields / sizeof *fields };

static int find_field(const char *key) {
  for (int i = 0; key && i < NFIELDS; i++)
    if (!strcmp(fields[i].name, key)) return i;
  return -1;
}

/* A field of the user's, a method of the class, or one of our fields. */
static int m_index(lua_State *L) {
  struct gev_greenlet *g = check(L, 1);
  if (g->flags & GEV_EXTRA) {
    gev_push_extra(L, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, 3) != LUA_TNIL) return 1;
    lua_settop(L, 2);
  }
  lua_getmetatable(L, 1);
  lua_pushvalue(L, 2);
  if (lua_gettable(L, 3) != LUA_TNIL) return 1;
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  int i = find_field(lua_tostring(L, 2));
  return i < 0 ? 0 : fields[i].get(L, g);
}

static int m_newindex(lua_State *L) {
  check(L, 1);
  int i = lua_type(L, 2) == LUA_TSTRING ? find_field(lua_tostring(L, 2)) : -1;
  if (i >= 0 && strcmp(fields[i].name, "name") != 0)
    return luaL_error(L, "field '%s' of a Greenlet is read-only",
                      fields[i].name);
  if (i >= 0 && !lua_isstring(L, 3))
    return luaL_error(L, "bad name for a Greenlet (string expected, got %s)",
                      luaL_typename(L, 3));
  gev_make_extra(L, 1);
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

static int m_tostring(lua_State *L) {
  check(L, 1);
  gev_push_description(L, 1);
  return 1;
}

const luaL_Reg gev_greenlet_fields[] = {{"ready", m_ready},
                                        {"successful", m_successful},
                                        {"link", m_link},
                                        {"rawlink", m_rawlink},
                                        {"link_value", m_link_value},
                                        {"link_exception", m_link_exception},
                                        {"unlink", m_unlink},
                                        {NULL, NULL}};

const luaL_Reg gev_greenlet_access[] = {{"__index", m_index},
                                        {"__newindex", m_newindex},
                                        {"__tostring", m_tostring},
                                        {NULL, NULL}};
