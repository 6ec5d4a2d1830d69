/* sync/store.c - layer: sync. See store.h. */
#include "sync/store.h"

#include <lauxlib.h>

enum { FIRST_CAP = 8, DEEPEST = 32 };

void gev_store_init(lua_State *L, struct gev_store *s, enum gev_order order) {
  s->order = order;
  s->head = s->n = s->version = 0;
  s->cap = FIRST_CAP;
  lua_createtable(L, FIRST_CAP, 0);
  lua_setiuservalue(L, 1, 1);
}

/* --- ring ---------------------------------------------------------------- */

static lua_Integer slot(const struct gev_store *s, uint32_t i) {
  return ((s->head + i) & (s->cap - 1)) + 1;
}

/* Twice the room, in a new table. Making that may run a finalizer, which may
 * put and get here: so it comes first, and then one looks again. */
static void grow(lua_State *L, struct gev_store *s) {
  uint32_t cap = s->cap * 2;
  lua_createtable(L, (int)cap, 0);
  lua_getiuservalue(L, 1, 1);
  if (s->n == s->cap && s->cap < cap) {
    for (uint32_t i = 0; i < s->n; i++) {
      lua_rawgeti(L, -1, slot(s, i));
      lua_rawseti(L, -3, i + 1);
    }
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, 1, 1);
    s->head = 0;
    s->cap = cap;
  }
  lua_pop(L, 2);
}

static void ring_push(lua_State *L, struct gev_store *s) {
  while (s->n == s->cap) grow(L, s);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, slot(s, s->n));
  lua_pop(L, 1);
  s->n++;
}

static uint32_t ring_next(const struct gev_store *s) {
  return s->order == GEV_LIFO ? s->n - 1 : 0;
}

static void ring_pop(lua_State *L, struct gev_store *s) {
  lua_Integer at = slot(s, ring_next(s));
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, at);
  lua_pushboolean(L, false); /* not nil: the array part stays as it is */
  lua_rawseti(L, -3, at);
  lua_remove(L, -2);
  if (s->order == GEV_FIFO) s->head = (s->head + 1) & (s->cap - 1);
  s->n--;
}

/* --- heap ---------------------------------------------------------------- */

/* Is the value at a less than the one at b? Indices of the stack. */
static bool less(lua_State *L, int a, int b) {
  if (lua_getiuservalue(L, 1, 2) == LUA_TNIL) {
    lua_pop(L, 1);
    return lua_compare(L, a, b, LUA_OPLT);
  }
  lua_pushvalue(L, a);
  lua_pushvalue(L, b);
  lua_call(L, 2, 1);
  bool is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

static void check_unchanged(lua_State *L, const struct gev_store *s,
                            uint32_t version) {
  if (s->version != version)
    luaL_error(L, "a PriorityQueue was changed by its own 'less'");
}

/* First the place is found, by comparing alone; then items move. So an error
 * in a comparison changes nothing. */
static void heap_push(lua_State *L, struct gev_store *s) {
  int item = lua_gettop(L);
  uint32_t n = s->n, i = n + 1, version = s->version;
  lua_getiuservalue(L, 1, 1);
  for (; i > 1; i /= 2) {
    lua_rawgeti(L, item + 1, i / 2);
    bool up = less(L, item, item + 2);
    lua_settop(L, item + 1);
    if (!up) break;
  }
  check_unchanged(L, s, version);
  for (uint32_t at = n + 1; at > i; at /= 2) {
    lua_rawgeti(L, item + 1, at / 2);
    lua_rawseti(L, item + 1, at);
  }
  lua_pushvalue(L, item);
  lua_rawseti(L, item + 1, i);
  lua_settop(L, item - 1);
  s->n++;
  s->version++;
}

/* The smaller child of i in a heap of n: pushes it. 0: there is none. */
static uint32_t smaller_child(lua_State *L, int table, uint32_t i,
                              uint32_t n) {
  uint32_t child = i * 2;
  if (child > n) return 0;
  lua_rawgeti(L, table, child);
  if (child == n) return child;
  lua_rawgeti(L, table, child + 1);
  if (less(L, lua_gettop(L), lua_gettop(L) - 1)) {
    lua_remove(L, -2);
    return child + 1;
  }
  lua_pop(L, 1);
  return child;
}

static void heap_pop(lua_State *L, struct gev_store *s) {
  uint32_t path[DEEPEST], depth = 0, n = s->n, i = 1;
  uint32_t version = s->version;
  lua_getiuservalue(L, 1, 1);
  int table = lua_gettop(L);
  lua_rawgeti(L, table, 1); /* the result */
  lua_rawgeti(L, table, n); /* the last one, which takes a place above */
  for (uint32_t child; (child = smaller_child(L, table, i, n - 1)); i = child) {
    bool down = less(L, lua_gettop(L), table + 2);
    lua_settop(L, table + 2);
    if (!down) break;
    path[depth++] = child;
  }
  check_unchanged(L, s, version);
  i = 1;
  for (uint32_t step = 0; step < depth; i = path[step++]) {
    lua_rawgeti(L, table, path[step]);
    lua_rawseti(L, table, i);
  }
  lua_rawseti(L, table, i);
  lua_pushboolean(L, false);
  lua_rawseti(L, table, n);
  lua_remove(L, table);
  s->n--;
  s->version++;
}

/* --- any ----------------------------------------------------------------- */

void gev_store_push(lua_State *L, struct gev_store *s) {
  luaL_checkstack(L, 8, NULL);
  if (s->order == GEV_PRIORITY)
    heap_push(L, s);
  else
    ring_push(L, s);
}

void gev_store_pop(lua_State *L, struct gev_store *s) {
  luaL_checkstack(L, 8, NULL);
  if (s->order == GEV_PRIORITY)
    heap_pop(L, s);
  else
    ring_pop(L, s);
}

void gev_store_peek(lua_State *L, struct gev_store *s) {
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, s->order == GEV_PRIORITY ? 1 : slot(s, ring_next(s)));
  lua_remove(L, -2);
}
