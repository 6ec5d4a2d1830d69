/* core/scope.c - layer: core. See scope.h. Owns nothing. */
#include "core/scope.h"

#include <lauxlib.h>

#include "base/except.h"
#include "core/park.h"

/* --- shield --------------------------------------------------------------- */

/* Stands in a to-be-closed slot of the call: so the shield ends however the
 * call does, also where it is in a coroutine that is closed inside it. User
 * value 1 keeps the greenlet alive. */
struct guard {
  const struct gev_class *cls;
  struct gev_greenlet *g;
};
static const struct gev_class guard_class = {"shield", NULL, NULL};

static int guard_close(lua_State *L) {
  struct guard *guard = gev_check(L, 1, &guard_class);
  if (guard->g) guard->g->shield--;
  guard->g = NULL;
  return 0;
}

static int shield_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  return lua_gettop(L) - 1;
}

/* shield(fn, ...) -> its results. Kills and the Timeouts of others that come
 * meanwhile are raised at the first blocking call after it. */
static int lib_shield(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  gev_checkcallable(L, 1);
  if (!h->current)
    return luaL_error(L, "shield: not in a callback of the hub");
  struct guard *guard = lua_newuserdatauv(L, sizeof *guard, 1);
  guard->cls = &guard_class;
  guard->g = h->current;
  gev_push_greenlet(L, h, h->current);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  lua_insert(L, 1);
  lua_toclose(L, 1);
  guard->g->shield++;
  lua_callk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, shield_k);
  return shield_k(L, LUA_OK, 0);
}

/* --- unwinding ----------------------------------------------------------- */

static int unwound_k(lua_State *L, int status, lua_KContext ctx) {
  (void)L, (void)status, (void)ctx;
  return 0;
}

int gev_unwind(lua_State *L, lua_CFunction method, int nargs) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, method, 1);
  lua_insert(L, -nargs - 1);
  return unwound_k(L, lua_pcallk(L, nargs, 0, 0, 0, unwound_k), 0);
}

/* unwind(err, fn, ...): the same for __close methods written in Lua, which get
 * err; calls fn, and lets its error pass unless err is a kill. */
static int lib_unwind(lua_State *L) {
  int nargs = lua_gettop(L) - 2;
  if (gev_exc_is(L, 1, GEV_EXC_GREENLETEXIT))
    return unwound_k(L, lua_pcallk(L, nargs, 0, 0, 0, unwound_k), 0);
  lua_callk(L, nargs, 0, 0, unwound_k);
  return 0;
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

static const luaL_Reg guard_methods[] = {{"__close", guard_close},
                                         {"__gc", guard_close},
                                         {NULL, NULL}};
static const luaL_Reg functions[] = {{"interrupt", lib_interrupt},
                                     {"uninterrupt", lib_uninterrupt},
                                     {"setquiet", lib_setquiet},
                                     {"unwind", lib_unwind},
                                     {NULL, NULL}};

void gev_open_scope(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "shield", guard_methods, 1);
  lua_pushcclosure(L, lib_shield, 2);
  lua_setfield(L, -2, "shield");
}
