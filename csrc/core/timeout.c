/* core/timeout.c - layer: core. See timeout.h. */
#include "core/timeout.h"

#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "base/except.h"
#include "core/park.h"

enum { IDLE, PENDING, DUE, CLOSED };

/* User value 1: the exception to raise instead of the Timeout, or nil. */
struct gev_timeout {
  const struct gev_class *cls;
  struct gev_timer timer;
  struct gev_hub *hub;
  struct gev_greenlet *target;
  struct gev_timeout *next; /* the target's: newest first */
  double seconds;           /* -1: never */
  int ref;                  /* anchor of this, while PENDING or DUE */
  uint16_t shield;          /* of the target when it started this */
  uint8_t state;
};

static const struct gev_class timeout_class = {"Timeout", NULL, NULL};

static struct gev_timeout *check(lua_State *L, int idx) {
  return gev_check(L, idx, &timeout_class);
}

/* --- firing -------------------------------------------------------------- */

/* Out of the target's list; nothing anchors it any more. */
static void release(lua_State *L, struct gev_timeout *t, int state) {
  struct gev_timeout **at = &t->target->timeouts;
  while (*at != t) at = &(*at)->next;
  *at = t->next;
  int ref = t->ref;
  t->state = (uint8_t)state;
  t->target = NULL;
  t->ref = 0;
  gev_unanchor(L, t->hub, ref);
}

/* Takes the anchored Timeout's exception to the top of the stack. */
static void push_exception(lua_State *L, struct gev_timeout *t) {
  gev_push_anchored(L, t->hub, t->ref);
  lua_getiuservalue(L, -1, 1);
  if (lua_isnil(L, -1))
    lua_pop(L, 1);
  else
    lua_remove(L, -2);
}

void gev_timeout_fire(struct gev_hub *h, struct gev_timer *timer) {
  struct gev_timeout *t = gev_container(timer, struct gev_timeout, timer);
  struct gev_greenlet *g = t->target;
  lua_State *L = h->L;
  if (g->state != GEV_PARKED || t->shield < g->shield) {
    t->state = DUE;
    g->flags |= GEV_TIMEOUT_DUE;
    return;
  }
  luaL_checkstack(L, 4, NULL);
  push_exception(L, t);
  release(L, t, IDLE);
  gev_raise_in(L, h, g);
}

/* The one that fell due first, of those that pass the shield. */
static struct gev_timeout *first_due(struct gev_greenlet *g) {
  struct gev_timeout *first = NULL;
  for (struct gev_timeout *t = g->timeouts; t; t = t->next)
    if (t->state == DUE && t->shield >= g->shield &&
        (!first || t->timer.node.key <= first->timer.node.key))
      first = t;
  return first;
}

bool gev_timeout_take(lua_State *L, struct gev_hub *h,
                      struct gev_greenlet *g) {
  (void)h;
  struct gev_timeout *t = first_due(g);
  if (!t) {
    if (!g->shield) g->flags &= (uint16_t)~GEV_TIMEOUT_DUE;
    return false;
  }
  push_exception(L, t);
  release(L, t, IDLE);
  return true;
}

void gev_timeouts_forget(struct gev_greenlet *g) {
  while (g->timeouts) {
    struct gev_timeout *t = g->timeouts;
    gev_timer_stop(t->hub, &t->timer);
    release(t->hub->L, t, IDLE);
  }
}

/* --- Lua ----------------------------------------------------------------- */

/* The argument that the user gave first; nil is never (-1). */
static double seconds_argument(lua_State *L, int idx, const char *name) {
  if (lua_isnoneornil(L, idx)) return -1;
  if (!lua_isnumber(L, idx)) {
    const char *text = lua_pushfstring(L, "number expected, got %s",
                                       luaL_typename(L, idx));
    gev_argerror(L, 1, name, text);
  }
  double seconds = lua_tonumber(L, idx);
  if (!(seconds >= 0))
    gev_argerror(L, 1, name, "seconds must not be negative");
  return seconds;
}

/* Timeout(seconds [, exception]): the class is the first argument. */
static int timeout_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  double seconds = seconds_argument(L, 2, "Timeout");
  lua_settop(L, 3);
  if (!lua_isnil(L, 3)) gev_exc_instance(L);
  struct gev_timeout *t = lua_newuserdatauv(L, sizeof *t, 1);
  *t = (struct gev_timeout){
      .cls = &timeout_class, .hub = gev_hub(L), .seconds = seconds};
  t->timer.node.kind = GEV_TIMER_TIMEOUT;
  lua_pushvalue(L, 1);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

/* Starts the Timeout on the top of the stack. */
static void start(lua_State *L, struct gev_timeout *t) {
  struct gev_hub *h = t->hub;
  if (t->state == PENDING || t->state == DUE)
    luaL_error(L, "Timeout is already started");
  if (t->state == CLOSED) luaL_error(L, "Timeout is closed");
  if (!h->current)
    luaL_error(L, "Timeout: cannot be started in a callback of the hub");
  if (t->seconds < 0) return;
  gev_loop(L, h);
  gev_timer_reserve(L, h);
  t->ref = gev_anchor(L, h, -1);
  t->target = h->current;
  t->shield = t->target->shield;
  t->state = PENDING;
  t->next = t->target->timeouts;
  t->target->timeouts = t;
  gev_timer_start(h, &t->timer, gev_deadline(t->seconds));
}

static void stop(lua_State *L, struct gev_timeout *t, int state) {
  gev_timer_stop(t->hub, &t->timer);
  if (t->ref) release(L, t, state);
  t->state = (uint8_t)state;
}

static int m_start(lua_State *L) {
  struct gev_timeout *t = check(L, 1);
  lua_settop(L, 1);
  start(L, t);
  return 0;
}

static int m_cancel(lua_State *L) {
  struct gev_timeout *t = check(L, 1);
  if (t->state != CLOSED) stop(L, t, IDLE);
  return 0;
}

static int m_close(lua_State *L) {
  stop(L, check(L, 1), CLOSED);
  return 0;
}

static int m_index(lua_State *L) {
  struct gev_timeout *t = check(L, 1);
  const char *key = lua_tostring(L, 2);
  if (key && !strcmp(key, "pending")) {
    lua_pushboolean(L, t->state == PENDING || t->state == DUE);
  } else if (key && !strcmp(key, "seconds")) {
    if (t->seconds < 0)
      lua_pushnil(L);
    else
      lua_pushnumber(L, t->seconds);
  } else {
    lua_getmetatable(L, 1);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
  }
  return 1;
}

static int m_tostring(lua_State *L) {
  struct gev_timeout *t = check(L, 1);
  char number[32];
  luaL_getmetafield(L, 1, "__name");
  if (t->seconds < 0) return 1;
  snprintf(number, sizeof number, "%.14g", t->seconds);
  lua_pushfstring(L, "%s: %s second%s", lua_tostring(L, -1), number,
                  t->seconds == 1 ? "" : "s");
  return 1;
}

/* Timeout.start_new(seconds [, exception]); a Timeout is started as it is. */
static int start_new(lua_State *L) {
  struct gev_timeout *t = gev_test(L, 1, &timeout_class);
  if (t) {
    lua_settop(L, 1);
    if (t->state == IDLE) start(L, t);
    return 1;
  }
  seconds_argument(L, 1, "start_new");
  lua_settop(L, 2);
  gev_exc_class(L, GEV_EXC_TIMEOUT);
  lua_insert(L, 1);
  timeout_new(L);
  start(L, lua_touserdata(L, -1));
  return 1;
}

int gev_timeout_raise(lua_State *L, double seconds) {
  luaL_checkstack(L, 4, NULL);
  gev_exc_class(L, GEV_EXC_TIMEOUT);
  lua_pushnumber(L, seconds);
  lua_call(L, 1, 1);
  return lua_error(L);
}

static const luaL_Reg methods[] = {
    {"__new", timeout_new},   {"start_new", start_new},
    {"start", m_start},       {"cancel", m_cancel},
    {"close", m_close},       {"__close", m_close},
    {"__tostring", m_tostring}, {NULL, NULL}};

void gev_open_timeout(lua_State *L, int hub) {
  gev_exc_class(L, GEV_EXC_TIMEOUT);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, methods, 1);
  lua_pushcfunction(L, m_index);
  lua_setfield(L, -2, "__index");
  lua_setfield(L, -2, "Timeout");
}
