/* core/tree.c - layer: core. See tree.h. Owns two weak tables in the
 * registry: spawners by serial number, greenlets by minimal_ident. */
#include "core/tree.h"

#include <lauxlib.h>

static const char spawners_key = 0, idents_key = 0;
enum { SMALL_IDENTS = 64, STACK_LEVELS = 10 };

/* Whoever finds nothing at 0 knows that the collector has been there. */
static void set_probe(lua_State *L) {
  lua_newtable(L);
  lua_rawseti(L, -2, 0);
}

/* A table that has grown shrinks only by being made anew, and after the
 * collector has emptied it. */
void gev_tree_trim(lua_State *L, struct gev_hub *h) {
  luaL_checkstack(L, 8, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &spawners_key);
  bool emptied = lua_rawgeti(L, -1, 0) == LUA_TNIL;
  lua_pop(L, 1);
  if (emptied) {
    h->nspawners = 0;
    gev_weaktable(L, "v");
    for (lua_pushnil(L); lua_next(L, -3); h->nspawners++) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, -4);
    }
    set_probe(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spawners_key);
  }
  lua_pop(L, 1);
}

void gev_open_tree(lua_State *L, struct gev_hub *h) {
  lua_pushboolean(L, false);
  h->locals_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  gev_weaktable(L, "v");
  set_probe(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &spawners_key);
  gev_weaktable(L, "v");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &idents_key);
}

/* The spawner's first child: from now on its children can find it. */
static void note_spawner(lua_State *L, struct gev_hub *h,
                         struct gev_greenlet *parent) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &spawners_key);
  gev_push_greenlet(L, h, parent);
  lua_rawseti(L, -2, (lua_Integer)parent->serial);
  lua_pop(L, 1);
  parent->flags |= GEV_SPAWNER;
  h->nspawners++;
}

/* Pushes the table shared by the tree of the userdata at idx. */
static void push_locals(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  if (lua_getiuservalue(L, idx, 3) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, 3);
}

/* Pushes the table that the parent's tree shares: who spawns once spawns more,
 * so that of the last spawner is at hand. */
static void push_parents_locals(lua_State *L, struct gev_hub *h,
                                struct gev_greenlet *parent) {
  if (h->locals_of == parent->serial) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->locals_ref);
    return;
  }
  gev_push_greenlet(L, h, parent);
  push_locals(L, -1);
  lua_replace(L, -2);
  lua_pushvalue(L, -1);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->locals_ref);
  h->locals_of = parent->serial;
}

void gev_tree_left(struct gev_hub *h, const struct gev_greenlet *g) {
  if (h->locals_of != g->serial) return;
  h->locals_of = 0;
  lua_pushboolean(h->L, false);
  lua_rawseti(h->L, LUA_REGISTRYINDEX, h->locals_ref);
}

/* The stack of the spawning call: a string, for the userdata on the top.
 * Only files and lines: what luaL_traceback does to find names costs a
 * hundred times as much. */
static void note_stack(lua_State *L) {
  luaL_Buffer b;
  lua_Debug ar;
  gev_make_extra(L, -1);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "spawned at:");
  for (int level = 1; level <= STACK_LEVELS && lua_getstack(L, level, &ar);
       level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    lua_pushfstring(L, "\n\t%s:%d", ar.short_src, ar.currentline);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_rawsetp(L, -2, &gev_key_stack);
  lua_pop(L, 1);
}

void gev_tree_enter(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  struct gev_greenlet *parent = h->current ? h->current : h->main;
  g->serial = ++h->next_serial;
  g->parent = parent->serial;
  if (!(parent->flags & GEV_SPAWNER)) note_spawner(L, h, parent);
  if (parent != h->main) {
    push_parents_locals(L, h, parent);
    lua_setiuservalue(L, -2, 3);
  }
  if (h->track_stacks) note_stack(L);
}

void gev_tree_parent(lua_State *L, struct gev_hub *h,
                     struct gev_greenlet *g) {
  (void)h;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &spawners_key);
  lua_rawgeti(L, -1, (lua_Integer)g->parent);
}

void gev_tree_locals(lua_State *L) { push_locals(L, 1); }

static bool is_free(lua_State *L, lua_Integer i) {
  bool free = lua_rawgeti(L, -1, i) == LUA_TNIL;
  lua_pop(L, 1);
  return free;
}

/* A small number that no living greenlet has: the smallest where there are
 * few, else the next in turn, so that the search stays short. */
static int free_ident(lua_State *L, struct gev_hub *h) {
  int i = 1;
  while (i < SMALL_IDENTS && !is_free(L, i)) i++;
  if (i < SMALL_IDENTS) return i;
  if (h->next_ident < SMALL_IDENTS) h->next_ident = SMALL_IDENTS;
  while (!is_free(L, h->next_ident)) h->next_ident++;
  return h->next_ident++;
}

void gev_tree_ident(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  (void)h;
  if (!g->ident && !(g->flags & GEV_MAIN)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &idents_key);
    g->ident = free_ident(L, h);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, g->ident);
    lua_pop(L, 1);
  }
  lua_pushinteger(L, g->ident);
}

void gev_tree_name(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  gev_make_extra(L, 1);
  if (lua_getfield(L, -1, "name") != LUA_TNIL) return;
  gev_tree_ident(L, h, g);
  if (g->flags & GEV_MAIN)
    lua_pushliteral(L, "main");
  else
    lua_pushfstring(L, "Greenlet-%d", g->ident);
  lua_pushvalue(L, -1);
  lua_setfield(L, -5, "name");
}
