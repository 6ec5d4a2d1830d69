/* core/inspect.c - layer: core. See inspect.h. Owns nothing; never blocks. */
#include "core/inspect.h"

#include <lauxlib.h>

#include "core/park.h"
#include "core/report.h"

/* greenlets() -> list of those that are started and not done, main first */
static int lib_greenlets(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  lua_newtable(L);
  for (int ref = 1, n = 1; ref <= h->nref; ref++) {
    gev_push_anchored(L, h, ref);
    struct gev_greenlet *g = gev_test(L, -1, &gev_greenlet_class);
    if (g && g->state != GEV_DEAD)
      lua_rawseti(L, -2, n++);
    else
      lua_pop(L, 1);
  }
  return 1;
}

/* inspect(greenlet) -> what it waits in or nil, its traceback */
static int lib_inspect(lua_State *L) {
  struct gev_greenlet *g = gev_check(L, 1, &gev_greenlet_class);
  if (g->state == GEV_PARKED)
    gev_push_wait(L, g);
  else
    lua_pushnil(L);
  bool waits = g->state == GEV_PARKED || g->state == GEV_READY;
  if (g->co) /* where it parked is of no meaning while it runs */
    luaL_traceback(L, waits ? g->L : g->co, NULL, 0);
  else
    lua_pushnil(L);
  return 2;
}

/* switches() -> how often the hub has switched to a greenlet */
static int lib_switches(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)gev_switches(gev_hub(L)));
  return 1;
}

/* report(context, err [, traceback]): as for an error of a greenlet */
static int lib_report(lua_State *L) {
  lua_settop(L, 3);
  gev_report_on(L, gev_hub(L));
  return 0;
}

static const luaL_Reg functions[] = {{"report", lib_report},
                                     {"greenlets", lib_greenlets},
                                     {"inspect", lib_inspect},
                                     {"switches", lib_switches},
                                     {NULL, NULL}};

void gev_open_inspect(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
