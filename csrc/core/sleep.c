/* core/sleep.c - layer: core. See sleep.h. Owns nothing. */
#include "core/sleep.h"

#include <lauxlib.h>

#include "core/park.h"

static const struct gev_waitop sleep_op = {"sleep", false, NULL, NULL};
static const struct gev_waitop idle_op = {"idle", false, gev_waitq_cancel,
                                          NULL};
static const struct gev_waitop join_op = {"hub:join", false, NULL, NULL};

/* The context is the hub: cheaper to get at than an upvalue. */
static int nothing_k(lua_State *L, int status, lua_KContext hub) {
  (void)status;
  gev_unpark(L, (struct gev_hub *)hub);
  return 0;
}

/* Seconds, 0 for none. */
static double sleep_argument(lua_State *L) {
  int is_number;
  lua_Integer whole = lua_tointegerx(L, 1, &is_number); /* sleep(0) */
  if (is_number && whole >= 0) return (double)whole;
  double seconds = lua_tonumberx(L, 1, &is_number);
  if (is_number && seconds >= 0) return seconds;
  return lua_isnoneornil(L, 1) ? 0 : gev_checkseconds(L, 1);
}

/* sleep([seconds=0]) */
static int lib_sleep(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  double seconds = sleep_argument(L);
  struct gev_greenlet *g = gev_park_begin(L, h, &sleep_op);
  if (seconds > 0)
    return gev_park(L, h, g, &sleep_op, NULL, gev_deadline(seconds),
                    (lua_KContext)h, nothing_k);
  return gev_park_ready(L, h, g, &sleep_op, NULL, (lua_KContext)h, nothing_k);
}

/* idle(): until the loop has nothing else to do */
static int lib_idle(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_greenlet *g = gev_park_begin(L, h, &idle_op);
  gev_list_append(&h->idlers, &g->task.link);
  return gev_park(L, h, g, &idle_op, &h->idlers, GEV_NEVER, (lua_KContext)h,
                  nothing_k);
}

bool gev_hub_join_over(struct gev_hub *h) {
  struct gev_greenlet *g = h->main;
  if (g->state != GEV_PARKED || g->op != &join_op) return false;
  gev_wake(h, g, h, GEV_WOKEN);
  return true;
}

static int join_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct gev_hub *h = gev_hub(L);
  h->unref_timers -= (uint32_t)ctx;
  lua_pushboolean(L, gev_unpark(L, h) == GEV_WOKEN);
  return 1;
}

int gev_hub_join(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  double timeout = gev_opttimeout(L, 2);
  if (h->current != h->main)
    return luaL_error(L, "hub:join, and gevent.wait without a list, "
      "are for the main greenlet");
  struct gev_greenlet *g = gev_park_begin(L, h, &join_op);
  int64_t deadline = gev_deadline(timeout);
  uint32_t own = deadline != GEV_NEVER; /* its own timer does not count */
  h->unref_timers += own;
  return gev_park(L, h, g, &join_op, h, deadline, own, join_k);
}

static const luaL_Reg functions[] = {
    {"sleep", lib_sleep}, {"idle", lib_idle}, {NULL, NULL}};

void gev_open_sleep(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
