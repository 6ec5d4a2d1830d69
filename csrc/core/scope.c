/* core/scope.c - layer: core. See scope.h. Owns nothing. */
#include "core/scope.h"

#include <lauxlib.h>

#include "core/park.h"

/* --- shield --------------------------------------------------------------- */

/* The shield is the greenlet's whose code runs, also where the function was
 * left by an error. */
static int shield_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_greenlet *g = (struct gev_greenlet *)ctx;
  g->shield--;
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L);
}

/* shield(fn, ...) -> its results. Kills and the Timeouts of others that come
 * meanwhile are raised at the first blocking call after it. */
static int lib_shield(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  gev_checkcallable(L, 1);
  struct gev_greenlet *g = h->current;
  if (!g) return luaL_error(L, "shield: not in a callback of the hub");
  g->shield++;
  int nargs = lua_gettop(L) - 1;
  int status =
      lua_pcallk(L, nargs, LUA_MULTRET, 0, (lua_KContext)g, shield_k);
  return shield_k(L, status, (lua_KContext)g);
}

/* --- for nurseries ------------------------------------------------------- */

static struct gev_greenlet *check(lua_State *L) {
  return gev_check(L, 1, &gev_greenlet_class);
}

/* interrupt(greenlet, exception): as kill, but the main one too */
static int lib_interrupt(lua_State *L) {
  struct gev_greenlet *g = check(L);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (g->state != GEV_DEAD) gev_interrupt(L, gev_hub(L), g);
  return 0;
}

/* uninterrupt(greenlet, exception) -> was it still to be raised? */
static int lib_uninterrupt(lua_State *L) {
  check(L);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_pushboolean(L, gev_drop_pending(L, 1, 2));
  return 1;
}

/* setquiet(greenlet): its failure is not reported */
static int lib_setquiet(lua_State *L) {
  check(L)->flags |= GEV_QUIET;
  return 0;
}

static const luaL_Reg functions[] = {{"shield", lib_shield},
                                     {"interrupt", lib_interrupt},
                                     {"uninterrupt", lib_uninterrupt},
                                     {"setquiet", lib_setquiet},
                                     {NULL, NULL}};

void gev_open_scope(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
