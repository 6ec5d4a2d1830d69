/* core/anchor.c - layer: core. Anchors: a table in the registry that keeps
 * alive what C points at, and the list of its free places. */
#include <lauxlib.h>
#include <stdlib.h>

#include "core/hub.h"

enum { PAUSE = 64 }; /* polls between two searches */

/* Room for one more in the free list: to free it later cannot fail. */
static void grow_freerefs(lua_State *L, struct gev_hub *h) {
  int cap = h->capfree ? h->capfree * 2 : 64;
  int *refs = realloc(h->freerefs, (size_t)cap * sizeof *refs);
  if (!refs) luaL_error(L, "not enough memory");
  h->freerefs = refs;
  h->capfree = cap;
}

int gev_anchor(lua_State *L, struct gev_hub *h, int idx) {
  if (h->closing) luaL_error(L, "gevent: the Lua state is being closed");
  if (!h->nfree && h->nref >= h->capfree) grow_freerefs(L, h);
  int ref = h->nfree ? h->freerefs[h->nfree - 1] : h->nref + 1;
  idx = lua_absindex(L, idx);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->anchors);
  lua_pushvalue(L, idx);
  lua_rawseti(L, -2, ref);
  lua_pop(L, 1);
  if (h->nfree)
    h->nfree--;
  else
    h->nref++;
  return ref;
}

void gev_unanchor(lua_State *L, struct gev_hub *h, int ref) {
  if (!h->freerefs) return; /* a late finalizer: the hub is gone */
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->anchors);
  lua_pushboolean(L, false); /* keeps the array part dense */
  lua_rawseti(L, -2, ref);
  lua_pop(L, 1);
  h->freerefs[h->nfree++] = ref;
}

void gev_push_anchored(lua_State *L, struct gev_hub *h, int ref) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->anchors);
  lua_rawgeti(L, -1, ref);
  lua_replace(L, -2);
}

/* Copies the first n anchors to the table on the top; those that are free go
 * to `free`. */
static int copy_anchors(lua_State *L, struct gev_hub *h, int n, int *free) {
  int nfree = 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->anchors);
  for (int ref = 1; ref <= n; ref++) {
    if (lua_rawgeti(L, -1, ref) == LUA_TBOOLEAN) free[nfree++] = ref;
    lua_rawseti(L, -3, ref);
  }
  lua_pop(L, 1);
  return nfree;
}

static int last_used(lua_State *L, struct gev_hub *h) {
  int ref = h->nref;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->anchors);
  for (; ref > 1; ref--) {
    int type = lua_rawgeti(L, -1, ref);
    lua_pop(L, 1);
    if (type != LUA_TBOOLEAN) break;
  }
  lua_pop(L, 1);
  return ref;
}

static bool is_used(lua_State *L, struct gev_hub *h, int ref) {
  gev_push_anchored(L, h, ref);
  bool used = !lua_isboolean(L, -1);
  lua_pop(L, 1);
  return used;
}

/* Called after every poll while many anchors are free, so it looks at one
 * place only, until that has changed. */
void gev_anchors_trim(lua_State *L, struct gev_hub *h) {
  luaL_checkstack(L, 4, NULL);
  if (h->trim_ref && is_used(L, h, h->trim_ref)) return;
  if (h->polls < h->next_trim && h->greenlets) return;
  gev_heap_trim(&h->timers);
  h->next_trim = h->polls + PAUSE;
  int n = last_used(L, h);
  h->trim_ref = n > h->nref / 2 ? n : 0;
  if (h->trim_ref) return;
  int room = n * 2 + 1;
  lua_createtable(L, room, 0); /* a finalizer may run now, and spawn */
  n = last_used(L, h);
  int *refs = n <= room ? malloc((size_t)room * sizeof *refs) : NULL;
  if (!refs) {
    lua_pop(L, 1);
    return;
  }
  h->nfree = copy_anchors(L, h, n, refs);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->anchors);
  free(h->freerefs);
  h->freerefs = refs;
  h->capfree = room;
  h->nref = n;
}
