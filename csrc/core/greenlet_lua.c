/* core/greenlet_lua.c - layer: core. Greenlets as Lua sees them: spawn and
 * kill, the class Greenlet and its subclasses, methods and fields. */
#include <lauxlib.h>
#include <string.h>

#include "base/except.h"
#include "core/body.h"
#include "core/copool.h"
#include "core/greenlet_fields.h"
#include "core/park.h"
#include "core/report.h"
#include "core/scope.h"
#include "core/timeout.h"

static const char class_key = 0, raw_key = 0;

static struct gev_greenlet *check(lua_State *L, int idx) {
  return gev_check(L, idx, &gev_greenlet_class);
}

static void push_class(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
}

void gev_push_rawclass(lua_State *L, struct gev_hub *h) {
  (void)h;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &raw_key);
}

/* --- making -------------------------------------------------------------- */

/* From index `first` on: the function, `hidden` arguments that args does not
 * show, arguments. Pushes the unstarted greenlet, of the class at cls. */
static struct gev_greenlet *make(lua_State *L, struct gev_hub *h, int cls,
                                 int first, int hidden, uint16_t flags) {
  int nargs = lua_gettop(L) - first;
  gev_checkcallable(L, first);
  return gev_greenlet_new(L, h, cls, first, nargs,
                          flags & GEV_RAW ? 0 : nargs - hidden, flags);
}

/* spawn(fn, ...) -> Greenlet */
static int lib_spawn(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  if (lua_isnone(L, 1)) luaL_typeerror(L, 1, "function");
  gev_greenlet_start(L, h, make(L, h, lua_upvalueindex(2), 1, 0, GEV_POOLED),
                     0);
  return 1;
}

/* spawn_raw(fn, ...) -> a handle for kill */
static int lib_spawn_raw(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  if (lua_isnone(L, 1)) luaL_typeerror(L, 1, "function");
  gev_greenlet_start(
      L, h, make(L, h, lua_upvalueindex(2), 1, 0, GEV_RAW | GEV_POOLED), 0);
  return 1;
}

/* spawn_later(seconds, fn, ...) -> Greenlet */
static int lib_spawn_later(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  double seconds = gev_checkseconds(L, 1);
  if (lua_isnone(L, 2)) luaL_typeerror(L, 2, "function");
  push_class(L);
  lua_replace(L, 1);
  gev_greenlet_start(L, h, make(L, h, 1, 2, 0, GEV_POOLED),
                     gev_deadline(seconds));
  return 1;
}

/* Class(fn, ...) */
static int base_call(lua_State *L) {
  if (!gev_callable(L, 2))
    return gev_argerror(L, 1, "Greenlet", "function expected");
  make(L, gev_hub(L), 1, 2, 0, 0);
  return 1;
}

/* Class(...): the base class takes the function; a subclass runs _run, with
 * the greenlet itself as its first argument. */
static int class_call(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_getfield(L, 1, "_run") == LUA_TNIL) {
    lua_pop(L, 1);
    return base_call(L);
  }
  lua_insert(L, 2);
  lua_pushnil(L); /* the place of self, which is yet to be made */
  lua_insert(L, 3);
  int nargs = lua_gettop(L) - 2;
  struct gev_greenlet *g = make(L, gev_hub(L), 1, 2, 1, 0);
  lua_pushvalue(L, -1);
  lua_xmove(L, g->co, 1);
  lua_replace(g->co, -nargs - 1); /* ..., _run, self, arguments, itself */
  return 1;
}

/* Class.spawn(...), Class.spawn_later(seconds, ...): upvalue 2 is the class */
static int class_spawn(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  class_call(L);
  gev_greenlet_start(L, gev_hub(L), lua_touserdata(L, -1), 0);
  return 1;
}

static int class_spawn_later(lua_State *L) {
  double seconds = gev_checkseconds(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_replace(L, 1);
  class_call(L);
  gev_greenlet_start(L, gev_hub(L), lua_touserdata(L, -1),
                     gev_deadline(seconds));
  return 1;
}

/* --- starting, waiting --------------------------------------------------- */

static int m_start(lua_State *L) {
  struct gev_greenlet *g = check(L, 1);
  lua_settop(L, 1);
  gev_greenlet_start(L, gev_hub(L), g, 0);
  return 0;
}

static int m_start_later(lua_State *L) {
  struct gev_greenlet *g = check(L, 1);
  double seconds = gev_checkseconds(L, 2);
  lua_settop(L, 1);
  gev_greenlet_start(L, gev_hub(L), g, gev_deadline(seconds));
  return 0;
}

static void describe_greenlet(lua_State *L, void *on) {
  const struct gev_greenlet *g = on;
  if (!g->ref) { /* not started: who else holds it is not known */
    lua_pushfstring(L, "<Greenlet at %p: not started>", on);
    return;
  }
  gev_push_hub(L, NULL);
  gev_push_greenlet(L, lua_touserdata(L, -1), g);
  gev_push_description(L, -1);
  lua_replace(L, -3);
  lua_pop(L, 1);
}
static const struct gev_waitop join_op = {"Greenlet:join", false,
                                          gev_waitq_cancel,
                                          describe_greenlet};
static const struct gev_waitop get_op = {"Greenlet:get", false,
                                         gev_waitq_cancel, describe_greenlet};
static const struct gev_waitop kill_op = {"Greenlet:kill", false,
                                          gev_waitq_cancel,
                                          describe_greenlet};

/* The one at 1 was not started: only who waits keeps it alive, and that must
 * not hang on its stack, which others may close. */
static void keep_joined(lua_State *L, struct gev_hub *h) {
  if (!h->current || h->current == h->main) return;
  gev_push_greenlet(L, h, h->current);
  gev_make_extra(L, -1);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, -2, &gev_key_joined);
  lua_pop(L, 2);
}

/* Parks until g is dead; k's context is the hub. */
static int wait_dead(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
                     const struct gev_waitop *op, double timeout,
                     lua_KFunction k) {
  if (g == h->current)
    return luaL_error(L, "%s: a greenlet cannot wait for itself", op->name);
  if (g->state == GEV_NEW) keep_joined(L, h);
  struct gev_greenlet *self = gev_park_begin(L, h, op);
  gev_waitq_add(&g->joiners, &self->task);
  return gev_park(L, h, self, op, g, gev_deadline(timeout),
                  (lua_KContext)h, k);
}

static int join_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lua_pushboolean(L, gev_unpark(L, (struct gev_hub *)ctx) == GEV_WOKEN);
  return 1;
}

/* g:join([timeout]) -> bool */
static int m_join(lua_State *L) {
  struct gev_greenlet *g = gev_checkgreenlet(L, 1);
  double timeout = gev_opttimeout(L, 2);
  if (g->state == GEV_DEAD || timeout == 0) {
    lua_pushboolean(L, g->state == GEV_DEAD);
    return 1;
  }
  return wait_dead(L, gev_hub(L), g, &join_op, timeout, join_k);
}

/* The outcome of the dead greenlet at 1: its values, or its error raised. */
static int push_outcome(lua_State *L, const struct gev_greenlet *g) {
  lua_getiuservalue(L, 1, 1);
  if (g->flags & GEV_FAILED) return lua_error(L);
  if (g->flags & GEV_NOVALUE) return 0;
  if (!(g->flags & GEV_MULTI)) return 1;
  lua_getfield(L, -1, "n");
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, n, "too many results");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, -i, i);
  return n;
}

static int get_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (gev_unpark(L, (struct gev_hub *)ctx) == GEV_TIMEDOUT)
    return gev_timeout_raise(L, lua_tonumber(L, 2));
  return push_outcome(L, lua_touserdata(L, 1));
}

/* g:get([timeout]) -> values; raises the greenlet's error, or Timeout */
static int m_get(lua_State *L) {
  struct gev_greenlet *g = gev_checkgreenlet(L, 1);
  double timeout = gev_opttimeout(L, 2);
  if (g->state == GEV_DEAD) return push_outcome(L, g);
  if (timeout == 0) return gev_timeout_raise(L, 0);
  return wait_dead(L, gev_hub(L), g, &get_op, timeout, get_k);
}

/* --- kill ---------------------------------------------------------------- */

/* Pushes the exception at idx: GreenletExit by default, a class's instance. */
static void push_exception(lua_State *L, int idx) {
  if (lua_isnoneornil(L, idx))
    gev_exc_class(L, GEV_EXC_GREENLETEXIT);
  else
    lua_pushvalue(L, idx);
  gev_exc_instance(L);
}

/* g:kill([exception [, block=true [, timeout]]]) -> bool */
static int m_kill(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_greenlet *g = check(L, 1);
  bool block = lua_isnoneornil(L, 3) || lua_toboolean(L, 3);
  double timeout = gev_opttimeout(L, 4);
  if (g->flags & GEV_MAIN)
    return luaL_argerror(L, 1, "the main greenlet cannot be killed");
  if (g->state == GEV_DEAD) {
    lua_pushboolean(L, 1);
    return 1;
  }
  push_exception(L, 2);
  if (g == h->current && block) return lua_error(L);
  gev_greenlet_throw(L, h, 1);
  if (g->state == GEV_DEAD || !block || timeout == 0) {
    lua_pushboolean(L, g->state == GEV_DEAD);
    return 1;
  }
  return wait_dead(L, h, g, &kill_op, timeout, join_k);
}

static int m_throw(lua_State *L) { /* g:throw([exception]) */
  lua_settop(L, 2);
  lua_pushboolean(L, false);
  m_kill(L);
  return 0;
}

/* kill(greenlet [, exception]): asynchronous */
static int lib_kill(lua_State *L) {
  struct gev_greenlet *g = check(L, 1);
  if (g->flags & GEV_MAIN)
    return luaL_argerror(L, 1, "the main greenlet cannot be killed");
  push_exception(L, 2);
  gev_greenlet_throw(L, gev_hub(L), 1);
  return 0;
}

/* <close>: joins; kills with the error that leaves the scope. */
static int m_close(lua_State *L) {
  struct gev_greenlet *g = check(L, 1);
  bool failed = !lua_isnoneornil(L, 2);
  if (g->state == GEV_DEAD || g == gev_hub(L)->current) return 0;
  lua_settop(L, 2);
  if (failed && gev_exc_is(L, 2, GEV_EXC_GREENLETEXIT))
    return gev_unwind(L, m_kill, 2);
  if (failed) return m_kill(L);
  if (g->state == GEV_NEW) return 0;
  return wait_dead(L, gev_hub(L), g, &join_op, -1, join_k);
}

/* --- classes ------------------------------------------------------------- */

static const luaL_Reg methods[] = {{"start", m_start},
                                   {"start_later", m_start_later},
                                   {"join", m_join},
                                   {"get", m_get},
                                   {"kill", m_kill},
                                   {"throw", m_throw},
                                   {"__close", m_close},
                                   {NULL, NULL}};

static int subclass(lua_State *L);

static void set_metamethods(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, gev_greenlet_access, 1);
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, m_close, 1);
  lua_setfield(L, -2, "__close");
  lua_pushboolean(L, true);
  lua_setfield(L, -2, "__waitable");
}

/* Finishes the class on the top: what makes instances, what they answer.
 * Classes find methods in the class at `parent` (0: none). */
static void finish_class(lua_State *L, int hub, int parent) {
  int cls = lua_gettop(L);
  lua_pushvalue(L, hub);
  lua_setfield(L, -2, "__hub");
  set_metamethods(L, hub);
  static const luaL_Reg makers[] = {{"spawn", class_spawn},
                                    {"spawn_later", class_spawn_later},
                                    {"subclass", subclass},
                                    {NULL, NULL}};
  lua_pushvalue(L, hub);
  lua_pushvalue(L, cls);
  luaL_setfuncs(L, makers, 2);
  lua_createtable(L, 0, 2); /* the class's own metatable */
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, class_call, 1);
  lua_setfield(L, -2, "__call");
  if (parent) {
    lua_pushvalue(L, parent);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, parent);
    lua_setfield(L, cls, "__parent");
  }
  lua_setmetatable(L, cls);
}

/* Class:subclass("Name") -> class */
static int subclass(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *name = luaL_checkstring(L, 2);
  lua_settop(L, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_createtable(L, 0, 10);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  finish_class(L, 3, 1);
  return 1;
}

void gev_greenlet_newmain(lua_State *L, struct gev_hub *h) {
  struct gev_greenlet *g = lua_newuserdatauv(L, sizeof *g, 3);
  gev_greenlet_init(g, GEV_MAIN);
  g->serial = ++h->next_serial;
  g->state = GEV_RUNNING;
  g->co = g->L = h->L;
  push_class(L);
  lua_setmetatable(L, -2);
  g->ref = gev_anchor(L, h, -1);
  lua_pop(L, 1);
  h->main = h->current = g;
  h->running = h->L;
}

static int lib_getcurrent(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  if (h->current)
    gev_push_greenlet(L, h, h->current);
  else
    gev_push_hub(L, h); /* in a callback of the hub */
  return 1;
}

/* isgreenlet(value) -> boolean: raw ones too, but not the main one */
static int lib_isgreenlet(lua_State *L) {
  struct gev_greenlet *g = gev_test(L, 1, &gev_greenlet_class);
  lua_pushboolean(L, g && !(g->flags & GEV_MAIN));
  return 1;
}

static const luaL_Reg functions[] = {{"isgreenlet", lib_isgreenlet},
                                     {"spawn_later", lib_spawn_later},
                                     {"kill", lib_kill},
                                     {"getcurrent", lib_getcurrent},
                                     {NULL, NULL}};

/* Adds to the table below it a spawn that makes instances of the class on
 * the top, which it finds as upvalue 2. */
static void set_spawn(lua_State *L, int hub, const char *name,
                      lua_CFunction fn) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, fn, 2);
  lua_setfield(L, -3, name);
}

void gev_open_greenlet(lua_State *L, int hub) {
  gev_body_prepare(L);
  gev_copool_prepare(L);
  lua_pushvalue(L, hub);
  gev_newclass(L, "Greenlet", methods, 1);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, gev_greenlet_fields, 1);
  finish_class(L, hub, 0);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
  set_spawn(L, hub, "spawn", lib_spawn);
  lua_setfield(L, -2, "Greenlet");
  lua_createtable(L, 0, 6);
  lua_pushliteral(L, "RawGreenlet");
  lua_setfield(L, -2, "__name");
  set_metamethods(L, hub);
  set_spawn(L, hub, "spawn_raw", lib_spawn_raw);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &raw_key);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
