/* core/greenlet.c - layer: core. The life of a greenlet: made, started, run
 * under a pcall of its own, finished, its links fired, killed. See
 * greenlet.h for what it owns. What Lua sees is in greenlet_lua.c.
 *
 * A greenlet needs no finalizer: what it holds outside Lua (a place in a
 * queue or heap, an anchor) it holds only while the hub anchors it. */
#include "core/greenlet.h"

#include <lauxlib.h>
#include <string.h>

#include "base/except.h"
#include "core/body.h"
#include "core/copool.h"
#include "core/park.h"
#include "core/report.h"
#include "core/timeout.h"
#include "core/tree.h"

const char gev_key_links = 0, gev_key_pending = 0, gev_key_traceback = 0,
           gev_key_stack = 0, gev_key_joined = 0;
enum { MAX_ARGS = 30000 }; /* they are there twice: see body.h */

static bool greenlet_is_ready(const void *self) {
  return ((const struct gev_greenlet *)self)->state == GEV_DEAD;
}
static struct gev_waitq *greenlet_waiters(void *self) {
  return &((struct gev_greenlet *)self)->joiners;
}
const struct gev_class gev_greenlet_class = {"Greenlet", greenlet_is_ready,
                                             greenlet_waiters};

/* --- user values --------------------------------------------------------- */

bool gev_push_extra(lua_State *L, int idx) {
  return lua_getiuservalue(L, idx, 2) == LUA_TTABLE;
}

void gev_make_extra(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (gev_push_extra(L, idx)) return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, 2);
  ((struct gev_greenlet *)lua_touserdata(L, idx))->flags |= GEV_EXTRA;
}

void gev_push_greenlet(lua_State *L, struct gev_hub *h,
                       const struct gev_greenlet *g) {
  gev_push_anchored(L, h, g->ref);
}

/* --- making and starting ------------------------------------------------- */

void gev_greenlet_init(struct gev_greenlet *g, uint16_t flags) {
  memset(g, 0, sizeof *g);
  g->cls = &gev_greenlet_class;
  g->flags = flags;
  g->task.run = gev_greenlet_run;
  g->timer.node.kind = GEV_TIMER_GREENLET;
  gev_list_init(&g->task.link);
  gev_waitq_init(&g->joiners);
}

struct gev_greenlet *gev_greenlet_new(lua_State *L, struct gev_hub *h,
                                      int cls, int first, int nargs,
                                      int shown, uint16_t flags) {
  if (nargs > MAX_ARGS) luaL_error(L, "too many arguments to a greenlet");
  if (nargs > 4)
    luaL_checkstack(L, nargs + shown + 4, "too many arguments to a greenlet");
  struct gev_greenlet *g = lua_newuserdatauv(L, sizeof *g, 3);
  gev_greenlet_init(g, flags);
  lua_pushvalue(L, cls);
  lua_setmetatable(L, -2);
  gev_tree_enter(L, h, g);
  g->co = g->L = gev_copool_take(L, h, g);
  gev_body_load(L, g, first, nargs, shown);
  return g;
}

void gev_greenlet_start(lua_State *L, struct gev_hub *h,
                        struct gev_greenlet *g, int64_t due) {
  if (g->state != GEV_NEW) return;
  if (due) {
    gev_loop(L, h);
    gev_timer_reserve(L, h);
  }
  g->ref = gev_anchor(L, h, -1);
  g->state = GEV_STARTING;
  g->flags |= GEV_BEGUN;
  h->greenlets++;
  if (due)
    gev_timer_start(h, &g->timer, due);
  else
    gev_ready(h, &g->task);
}

void gev_greenlet_due(struct gev_hub *h, struct gev_timer *t) {
  struct gev_greenlet *g = gev_container(t, struct gev_greenlet, timer);
  if (g->state == GEV_PARKED)
    gev_wait_end(h, g, GEV_TIMEDOUT);
  else
    gev_ready(h, &g->task);
}

/* --- the end ------------------------------------------------------------- */

/* It is over: what it held, but for its outcome, is given back. */
static void end(struct gev_hub *h, struct gev_greenlet *g) {
  if (g->timeouts) gev_timeouts_forget(g);
  g->flags &= (uint16_t)~GEV_PENDING;
  g->state = GEV_DEAD;
  gev_tree_left(h, g);
  gev_copool_give(h, g);
  if (g->flags & GEV_BEGUN) h->greenlets--;
}

/* Pops the outcome and makes it the greenlet's. The userdata is at idx. */
static void settle(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
                   int idx) {
  lua_setiuservalue(L, idx, 1);
  end(h, g);
}

/* greenlet, traceback */
static int set_traceback(lua_State *L) {
  gev_make_extra(L, 1);
  lua_insert(L, 2);
  lua_rawsetp(L, 2, &gev_key_traceback);
  return 0;
}

/* Keeps the traceback on the top, which stays there; where there is no memory
 * for it, the greenlet goes without. */
static void keep_traceback(lua_State *L, int idx) {
  if (lua_isnil(L, -1)) return;
  lua_pushcfunction(L, set_traceback);
  lua_pushvalue(L, idx);
  lua_pushvalue(L, -3);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

/* The error on the top of the stack is the outcome: a GreenletExit is a
 * value, anything else a failure, which is reported. Pops it. */
static void settle_error(lua_State *L, struct gev_hub *h,
                         struct gev_greenlet *g, int idx) {
  gev_body_traceback(L, g->co);
  bool failed = !gev_exc_is(L, -2, GEV_EXC_GREENLETEXIT);
  if (failed) {
    keep_traceback(L, idx);
    g->flags |= GEV_FAILED;
  }
  lua_pushvalue(L, -2);
  settle(L, h, g, idx);
  if (failed && !(g->flags & GEV_QUIET)) {
    lua_pushvalue(L, idx);
    lua_insert(L, -3); /* context, error, traceback */
    gev_report(h);
  } else {
    lua_pop(L, 2);
  }
}

static int pack(lua_State *L) {
  gev_pack(L, 1, lua_gettop(L));
  return 1;
}

/* Moves the n results from co and makes them the outcome. */
static void settle_values(lua_State *L, struct gev_hub *h,
                          struct gev_greenlet *g, int n, int idx) {
  lua_State *co = g->co;
  if (n > 1 && !(g->flags & GEV_RAW)) {
    lua_pushcfunction(co, pack);
    lua_insert(co, -n - 1);
    if (lua_pcall(co, n, 1, 0) != LUA_OK) { /* out of memory */
      lua_xmove(co, L, 1);
      settle_error(L, h, g, idx);
      return;
    }
    g->flags |= GEV_MULTI;
    n = 1;
  }
  if (n == 1) {
    lua_xmove(co, L, 1);
  } else {
    lua_pushnil(L);
    g->flags |= GEV_NOVALUE;
  }
  settle(L, h, g, idx);
}

void gev_greenlet_finish(struct gev_hub *h, struct gev_greenlet *g,
                         int status, int n) {
  lua_State *L = h->L;
  if (status == LUA_OK && n == 0 && (g->flags & GEV_POOLED) &&
      !(g->flags & GEV_EXTRA)) { /* nothing to keep, nothing to drop */
    g->flags |= GEV_NOVALUE;
    end(h, g);
    gev_greenlet_notify(h, g);
    return;
  }
  luaL_checkstack(L, 8, NULL);
  gev_push_greenlet(L, h, g);
  int idx = lua_gettop(L);
  if (status == LUA_OK) {
    settle_values(L, h, g, n, idx);
  } else {
    lua_xmove(g->co, L, 1);
    lua_resetthread(g->co);
    settle_error(L, h, g, idx);
  }
  lua_settop(L, idx - 1);
  gev_greenlet_notify(h, g);
}

void gev_greenlet_spoilt(struct gev_hub *h, struct gev_greenlet *g) {
  lua_State *co = g->co;
  if (lua_status(co) != LUA_OK) lua_resetthread(co);
  lua_settop(co, 0);
  lua_pushliteral(co, "its coroutine was resumed or closed by somebody who "
                      "had kept it from a former greenlet");
  gev_greenlet_finish(h, g, LUA_ERRRUN, 1);
}

/* A link that was not made by rawlink has a greenlet of its own, which runs
 * now, not in its turn: it may unlink others. hub, function, dead greenlet */
static int spawn_link(lua_State *L) {
  struct gev_hub *h = lua_touserdata(L, 1);
  gev_push_rawclass(L, h);
  lua_replace(L, 1);
  struct gev_greenlet *g = gev_greenlet_new(L, h, 1, 2, 1, 0,
                                            GEV_RAW | GEV_POOLED);
  gev_greenlet_start(L, h, g, 0);
  gev_unlink(&g->task.link);
  gev_greenlet_run(h, &g->task);
  return 0;
}

/* Calls the link's function, on the top (popped): a rawlink here and now.
 * Failures are reported. False: there was no memory. */
static bool fire_link(lua_State *L, struct gev_hub *h, lua_Integer kind,
                      int greenlet) {
  int nargs = 1;
  if (kind != GEV_LINK_RAW) {
    lua_pushcfunction(L, spawn_link);
    lua_pushlightuserdata(L, h);
    lua_rotate(L, -3, 2);
    nargs = 3;
  }
  lua_pushvalue(L, greenlet);
  int status = lua_pcall(L, nargs, 0, 0);
  if (status != LUA_OK) {
    lua_pushvalue(L, greenlet);
    lua_insert(L, -2);
    lua_pushnil(L);
    gev_report(h);
  }
  return status != LUA_ERRMEM;
}

static bool is_wanted(const struct gev_greenlet *g, lua_Integer kind) {
  switch (kind) {
    case GEV_LINK_VALUE: return !(g->flags & GEV_FAILED);
    case GEV_LINK_EXCEPTION: return (g->flags & GEV_FAILED) != 0;
    case GEV_LINK_REMOVED: return false;
    default: return true;
  }
}

/* Once more, in the next pass: there may be memory then. */
static bool try_again(struct gev_hub *h, struct gev_greenlet *g) {
  if (g->flags & GEV_RETRIED) return false;
  g->flags |= GEV_RETRIED | GEV_NOTIFYING;
  gev_ready(h, &g->task);
  return true;
}

/* Pops links off the list one by one, in order, so that a link may take out
 * a later one or add another. One that lacks memory goes back: others may
 * depend on its being called. */
static void fire_links(lua_State *L, struct gev_hub *h,
                       struct gev_greenlet *g, int greenlet) {
  gev_push_extra(L, greenlet);
  lua_rawgetp(L, -1, &gev_key_links);
  int type;
  for (int i = 1; (type = lua_rawgeti(L, -1, i)) != LUA_TNIL; i++) {
    if (type != LUA_TTABLE) { /* in an earlier pass */
      lua_pop(L, 1);
      continue;
    }
    lua_pushboolean(L, false);
    lua_rawseti(L, -3, i); /* popped before it is called */
    lua_rawgeti(L, -1, 1);
    lua_Integer kind = lua_tointeger(L, -1);
    lua_rawgeti(L, -2, 2);
    lua_remove(L, -2);
    if (!is_wanted(g, kind)) {
      lua_pop(L, 2);
    } else if (!fire_link(L, h, kind, greenlet) && try_again(h, g)) {
      lua_rawseti(L, -2, i);
      lua_pop(L, 2);
      return;
    } else {
      lua_pop(L, 1);
    }
  }
  g->flags &= (uint16_t)~GEV_LINKED;
  lua_pushnil(L);
  lua_rawsetp(L, -4, &gev_key_links);
  lua_pop(L, 3);
}

void gev_greenlet_notify(struct gev_hub *h, struct gev_greenlet *g) {
  lua_State *L = h->L;
  g->flags &= (uint16_t)~GEV_NOTIFYING;
  if ((g->flags & GEV_LINKED) && lua_checkstack(L, 16)) {
    gev_push_greenlet(L, h, g);
    fire_links(L, h, g, lua_gettop(L));
    lua_pop(L, 1);
  } else if (g->flags & GEV_LINKED) {
    try_again(h, g);
  }
  gev_waitq_wake_all(h, &g->joiners, g);
  if (g->flags & GEV_NOTIFYING) return; /* a link has linked again */
  gev_unanchor(L, h, g->ref);
  g->ref = 0;
}

/* --- kill ---------------------------------------------------------------- */

/* It has not run and never will: the exception on the top is its outcome.
 * Its links fire in the next pass, as for any other. */
static void never_run(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
                      int idx) {
  lua_State *H = h->L;
  if (!lua_checkstack(H, 9)) luaL_error(L, "not enough memory");
  if (g->state == GEV_NEW) {
    g->ref = gev_anchor(L, h, idx);
  } else if (gev_heap_has(&g->timer.node)) {
    gev_timer_stop(h, &g->timer);
  } else {
    gev_unlink(&g->task.link);
  }
  g->flags |= GEV_NOTIFYING;
  if (L != H) lua_xmove(L, H, 1);
  gev_push_greenlet(H, h, g);
  lua_insert(H, -2);
  int top = lua_gettop(H);
  settle_error(H, h, g, top - 1);
  lua_settop(H, top - 2);
  gev_ready(h, &g->task);
}

void gev_greenlet_throw(lua_State *L, struct gev_hub *h, int idx) {
  struct gev_greenlet *g = lua_touserdata(L, idx);
  idx = lua_absindex(L, idx);
  if (g->state == GEV_DEAD)
    lua_pop(L, 1);
  else if (g->state == GEV_NEW || g->state == GEV_STARTING)
    never_run(L, h, g, idx);
  else
    gev_interrupt(L, h, g);
}

void gev_add_pending(lua_State *L, struct gev_hub *h,
                     struct gev_greenlet *g) {
  luaL_checkstack(L, 6, NULL);
  gev_push_greenlet(L, h, g);
  gev_make_extra(L, -1);
  if (lua_rawgetp(L, -1, &gev_key_pending) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -3, &gev_key_pending);
  }
  lua_pushvalue(L, -4); /* the exception */
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 4);
  g->flags |= GEV_PENDING;
}

/* Removes item i of the list of pending kills on the top of the stack. */
static void remove_kill(lua_State *L, struct gev_greenlet *g, lua_Integer i) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  for (; i <= n; i++) {
    lua_rawgeti(L, -1, i + 1);
    lua_rawseti(L, -2, i);
  }
  if (n <= 1) g->flags &= (uint16_t)~GEV_PENDING;
}

static void take_kill(lua_State *L, struct gev_hub *h,
                      struct gev_greenlet *g) {
  gev_push_greenlet(L, h, g);
  gev_push_extra(L, -1);
  lua_rawgetp(L, -1, &gev_key_pending);
  lua_rawgeti(L, -1, 1);
  lua_replace(L, -4); /* the greenlet's place */
  remove_kill(L, g, 1);
  lua_pop(L, 2);
}

bool gev_drop_pending(lua_State *L, int idx, int exc) {
  struct gev_greenlet *g = lua_touserdata(L, idx);
  bool found = false;
  if (!(g->flags & GEV_PENDING)) return false;
  luaL_checkstack(L, 4, NULL);
  gev_push_extra(L, idx);
  lua_rawgetp(L, -1, &gev_key_pending);
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  for (lua_Integer i = 1; i <= n && !found; i++) {
    lua_rawgeti(L, -1, i);
    found = lua_rawequal(L, -1, exc);
    lua_pop(L, 1);
    if (found) remove_kill(L, g, i);
  }
  lua_pop(L, 2);
  return found;
}

bool gev_take_pending(lua_State *L, struct gev_hub *h,
                      struct gev_greenlet *g) {
  luaL_checkstack(L, 6, NULL);
  if ((g->flags & GEV_PENDING) && !g->shield) {
    take_kill(L, h, g);
    return true;
  }
  return gev_timeout_take(L, h, g);
}
