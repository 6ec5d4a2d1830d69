/* core/park.c - layer: core. See park.h. The only file that yields. Owns
 * nothing; every blocking call goes through it. */
#include "core/park.h"

#include <lauxlib.h>
#include <string.h>

#include "base/except.h"

/* Why this state cannot block, as an error that names the function. */
static void refuse(lua_State *L, struct gev_hub *h, const char *name) {
  if (h->closing)
    luaL_error(L, "%s: cannot block: the Lua state is being closed", name);
  if (!h->current) {
    gev_exc_push(L, GEV_EXC_BLOCKINGSWITCHOUT,
                 "%s: impossible to call a blocking function in a callback "
                 "of the hub", name);
    lua_error(L);
  }
  if (L != h->L && !lua_isyieldable(L))
    luaL_error(L, "%s: cannot block here: Lua does not allow a yield across "
               "this C call (table.sort, string.gsub, require, __gc, ...)",
               name);
  luaL_error(L, "%s: cannot block in a coroutine that was not resumed by "
             "gevent.coroutine: use gevent.coroutine (or gevent.monkey) to "
             "create and resume it", name);
}

void gev_park_prepare(lua_State *L, struct gev_hub *h,
                      const struct gev_waitop *op) {
  struct gev_greenlet *g = h->current;
  if (L != h->running || (L != h->L && !lua_isyieldable(L)))
    refuse(L, h, op->name);
  if (gev_has_pending(g) && gev_take_pending(L, h, g)) lua_error(L);
  if (!h->loop) gev_loop(L, h);
  gev_timer_reserve(L, h);
}

static int call_hub_run(lua_State *L) {
  struct gev_hub *h = lua_touserdata(L, 1);
  lua_settop(L, 0);
  gev_hub_run(h);
  if (h->main->L != L) return 0; /* it is in a coroutine, and so are they */
  int n = h->main->nargs;
  luaL_checkstack(L, n, NULL);
  lua_xmove(h->mailbox, L, n);
  return n;
}

/* The main chunk cannot yield: the loop runs inside its blocking call.
 * Protected, so that running out of memory in the hub is an error of that
 * call and nothing more. */
static void main_wait(struct gev_hub *h) {
  lua_State *L = h->L;
  struct gev_greenlet *g = h->main;
  h->current = NULL;
  h->running = NULL;
  luaL_checkstack(L, 8, NULL);
  lua_pushcfunction(L, call_hub_run);
  lua_pushlightuserdata(L, h);
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  if (status != LUA_OK) {
    lua_settop(h->mailbox, 0);
    if (g->state == GEV_PARKED) gev_wait_end(h, g, GEV_RAISED);
    if (g->state == GEV_READY) gev_unlink(&g->task.link);
    g->L = L; /* whatever coroutine it was in is left behind */
  }
  g->state = GEV_RUNNING;
  h->current = g;
  h->running = L;
  if (status != LUA_OK) lua_error(L);
}

bool gev_park_stay(lua_State *L, struct gev_hub *h) {
  if (L == h->L) {
    h->parking = false;
    main_wait(h);
    return true;
  }
  const struct gev_greenlet *g = h->current;
  return !h->lent && L == g->co && !g->op->external && gev_hub_lend(h);
}

int gev_park_leave(lua_State *L, struct gev_hub *h, lua_KContext ctx,
                   lua_KFunction k) {
  h->parking = true;
  return lua_yieldk(L, 0, ctx, k);
}

static int outward(lua_State *L, struct gev_hub *h, lua_KContext ctx,
                   lua_KFunction k) {
  return gev_park_stay(L, h) ? k(L, LUA_YIELD, ctx)
                             : gev_park_leave(L, h, ctx, k);
}

int gev_park(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
             const struct gev_waitop *op, void *on, int64_t deadline,
             lua_KContext ctx, lua_KFunction k) {
  g->op = op;
  g->on = on;
  g->L = L;
  g->nargs = 0;
  g->state = GEV_PARKED;
  h->external += op->external;
  g->timer.node.key = deadline; /* kept for the next wait of the call */
  if (deadline != GEV_NEVER) gev_heap_insert(&h->timers, &g->timer.node);
  return outward(L, h, ctx, k);
}

int gev_park_ready(lua_State *L, struct gev_hub *h, struct gev_greenlet *g,
                   const struct gev_waitop *op, void *on, lua_KContext ctx,
                   lua_KFunction k) {
  g->op = op;
  g->on = on;
  g->L = L;
  g->nargs = 0;
  g->verdict = GEV_WOKEN;
  g->state = GEV_READY;
  gev_ready(h, &g->task);
  return outward(L, h, ctx, k);
}

enum gev_verdict gev_unpark(lua_State *L, struct gev_hub *h) {
  struct gev_greenlet *g = h->current;
  if (!g || g->L != L || g->state != GEV_RUNNING || !g->op)
    luaL_error(L, "internal error: a blocked coroutine was resumed by "
               "something other than the hub");
  g->op = NULL;
  g->nargs = 0;
  if (g->verdict == GEV_RAISED) lua_error(L);
  return (enum gev_verdict)g->verdict;
}

static lua_State *inbox(struct gev_hub *h, struct gev_greenlet *g) {
  return g->L == h->L ? h->mailbox : g->L;
}

bool gev_can_deliver(struct gev_hub *h, struct gev_greenlet *g) {
  return lua_checkstack(inbox(h, g), 1);
}

void gev_deliver(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  if (!gev_can_deliver(h, g)) luaL_error(L, "not enough memory");
  lua_xmove(L, inbox(h, g), 1);
  g->nargs++;
}

/* Leaves the wait: out of the timers, into the ready queue. */
static void leave(struct gev_hub *h, struct gev_greenlet *g,
                  enum gev_verdict verdict) {
  h->external -= g->op->external;
  gev_timer_stop(h, &g->timer);
  g->verdict = (uint8_t)verdict;
  g->state = GEV_READY;
  gev_ready(h, &g->task);
}

void gev_wake(struct gev_hub *h, struct gev_greenlet *g, const void *on,
              enum gev_verdict verdict) {
  if (g->state != GEV_PARKED || g->on != on)
    gev_panic("a wake reached a greenlet that does not wait for it",
              g->op ? g->op->name : "nothing", "see the backtrace");
  leave(h, g, verdict);
}

void gev_wake_waiting(struct gev_hub *h, struct gev_greenlet *g,
                      const void *on, enum gev_verdict verdict) {
  if (g->state == GEV_PARKED && g->on == on) leave(h, g, verdict);
}

void gev_wait_end(struct gev_hub *h, struct gev_greenlet *g,
                  enum gev_verdict verdict) {
  if (g->op->cancel) g->op->cancel(h, g, g->on);
  leave(h, g, verdict);
}

void gev_raise_in(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  gev_deliver(L, h, g);
  gev_wait_end(h, g, GEV_RAISED);
}

void gev_interrupt(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  if (g->state == GEV_PARKED && !g->shield)
    gev_raise_in(L, h, g);
  else
    gev_add_pending(L, h, g);
}
