/* core/copool.c - layer: core. See copool.h. Owns a table in the registry. */
#include "core/copool.h"

#include <lauxlib.h>

static const char pool_key = 0;

void gev_copool_prepare(lua_State *L) {
  lua_createtable(L, GEV_POOL, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &pool_key);
}

lua_State *gev_copool_take(lua_State *L, struct gev_hub *h,
                           struct gev_greenlet *g) {
  if ((g->flags & GEV_POOLED) && h->nspare) return h->spare[--h->nspare];
  lua_State *co = lua_newthread(L);
  if ((g->flags & GEV_POOLED) && h->npooled < GEV_POOL) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &pool_key);
    lua_insert(L, -2);
    lua_rawseti(L, -2, h->npooled + 1);
    lua_pop(L, 1);
    h->npooled++;
  } else {
    lua_setiuservalue(L, -2, 1);
    g->flags &= (uint16_t)~GEV_POOLED;
  }
  return co;
}

/* Somebody holds the coroutine: the pool forgets it, lest he meddles with the
 * next greenlet that it runs. */
static void forget(struct gev_hub *h, lua_State *co) {
  lua_State *L = h->L;
  luaL_checkstack(L, 3, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &pool_key);
  int i = 1;
  while (lua_rawgeti(L, -1, i), lua_tothread(L, -1) != co) {
    lua_pop(L, 1);
    i++;
  }
  lua_rawgeti(L, -2, h->npooled);
  lua_rawseti(L, -3, i); /* the last one takes its place */
  lua_pushnil(L);
  lua_rawseti(L, -3, h->npooled--);
  lua_pop(L, 2);
}

void gev_copool_give(struct gev_hub *h, struct gev_greenlet *g) {
  lua_State *co = g->co;
  g->co = g->L = NULL;
  if (!(g->flags & GEV_POOLED)) return;
  g->flags &= (uint16_t)~GEV_POOLED;
  if (g->flags & GEV_EXPOSED) {
    forget(h, co);
    return;
  }
  lua_settop(co, 0);
  if (lua_gethook(co)) lua_sethook(co, NULL, 0, 0);
  h->spare[h->nspare++] = co;
}
