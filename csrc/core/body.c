/* core/body.c - layer: core. See body.h. */
#include "core/body.h"

#include <lauxlib.h>

#include "base/except.h"

static const char tracebacks_key = 0; /* of coroutines that fail: weak */

enum { HANDLER = 1, COUNT, COPIES }; /* in the body's frame */

void gev_body_prepare(lua_State *L) {
  gev_weaktable(L, "k");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &tracebacks_key);
}

/* Message handler: where a greenlet dies of an error the stack is still
 * whole, so the traceback is taken here, and laid aside until the end: the
 * <close> variables see the error itself. Exits are no failures. */
static int on_error(lua_State *L) {
  if (gev_exc_is(L, 1, GEV_EXC_GREENLETEXIT)) return 1;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tracebacks_key);
  lua_pushthread(L);
  luaL_traceback(L, L, NULL, 1);
  lua_rawset(L, -3);
  lua_settop(L, 1);
  return 1;
}

void gev_body_traceback(lua_State *L, lua_State *co) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &tracebacks_key);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  lua_pushvalue(L, -1);
  lua_rawget(L, -3);
  lua_insert(L, -3);
  lua_pushnil(L);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* --- running ------------------------------------------------------------- */

/* The results are what is above index ctx. */
static int body_k(lua_State *L, int status, lua_KContext ctx) {
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - (int)ctx;
}

static int call(lua_State *L, int below) {
  int nargs = lua_gettop(L) - below - 1;
  return body_k(L, lua_pcallk(L, nargs, LUA_MULTRET, HANDLER, below, body_k),
                below);
}

static int body(lua_State *L) { return call(L, HANDLER); }

static int body_with_args(lua_State *L) {
  return call(L, COUNT + (int)lua_tointeger(L, COUNT));
}

/* --- the stack ----------------------------------------------------------- */

void gev_body_load(lua_State *L, struct gev_greenlet *g, int first, int nargs,
                   int shown) {
  lua_State *co = g->co;
  int n = nargs + shown + 1;
  if (n > LUA_MINSTACK - 4 && !lua_checkstack(co, n + 3))
    luaL_error(L, "not enough memory");
  lua_pushcfunction(co, shown ? body_with_args : body);
  lua_pushcfunction(co, on_error);
  if (shown) lua_pushinteger(co, shown);
  for (int i = nargs - shown + 1; i <= nargs; i++)
    lua_pushvalue(L, first + i);
  for (int i = first; i <= first + nargs; i++) lua_pushvalue(L, i);
  lua_xmove(L, co, n);
  g->nargs = (uint16_t)(n + (shown ? 2 : 1));
}

/* The level of the function at the bottom; -1: there is none. */
static int bottom(lua_State *co, lua_Debug *ar) {
  int low = -1, high = 1;
  while (lua_getstack(co, high - 1, ar)) {
    low = high - 1;
    high *= 2;
  }
  while (high - low > 1) { /* low is there, high is not */
    int middle = low + (high - low) / 2;
    if (lua_getstack(co, middle, ar))
      low = middle;
    else
      high = middle;
  }
  return low >= 0 && lua_getstack(co, low, ar) ? low : -1;
}

/* It has begun: is that at the bottom still what was put there? */
static bool is_body(lua_State *co, lua_Debug *ar) {
  if (bottom(co, ar) < 0) return false;
  lua_getinfo(co, "f", ar);
  bool is = lua_tocfunction(co, -1) == body_with_args;
  lua_pop(co, 1);
  return is;
}

/* Pushes a value of the body's frame on co; false: it is not there. */
static bool push_slot(lua_State *co, struct gev_greenlet *g, lua_Debug *ar,
                      int slot) {
  if (g->state > GEV_STARTING) return lua_getlocal(co, ar, slot) != NULL;
  lua_pushvalue(co, slot + 1); /* above the function itself */
  return true;
}

void gev_body_args(lua_State *L, struct gev_greenlet *g) {
  lua_State *co = g->co;
  lua_Debug ar;
  lua_newtable(L);
  if (!co || !lua_checkstack(co, 2)) return;
  if (g->state > GEV_STARTING ? !is_body(co, &ar)
                              : lua_tocfunction(co, 1) != body_with_args)
    return;
  push_slot(co, g, &ar, COUNT);
  int n = (int)lua_tointeger(co, -1);
  lua_pop(co, 1);
  for (int i = 0; i < n && push_slot(co, g, &ar, COPIES + i); i++) {
    lua_xmove(co, L, 1);
    lua_rawseti(L, -2, i + 1);
  }
}
