/* core/report.c - layer: core. See report.h. Owns nothing. Runs in the hub or
 * in whoever asks; never blocks. */
#include "core/report.h"

#include <lauxlib.h>
#include <stdio.h>

#include "base/except.h"
#include "core/park.h"

/* --- where and what ------------------------------------------------------ */

/* Pushes "file:line" of the innermost Lua function of co, or "?". */
static void push_where(lua_State *L, lua_State *co) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "Sl", &ar);
    if (ar.currentline > 0) {
      lua_pushfstring(L, "%s:%d", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushliteral(L, "?");
}

/* Moves the function that a coroutine runs to L: the outermost Lua function,
 * or the one that it will begin with. */
static bool move_function(lua_State *L, lua_State *co) {
  lua_Debug ar, at;
  int level = 0;
  bool found = false;
  if (!co || !lua_checkstack(co, 2)) return false;
  for (; lua_getstack(co, level, &at); level++) {
    lua_getinfo(co, "S", &at);
    if (*at.what == 'C') continue;
    ar = at;
    found = true;
  }
  if (found)
    lua_getinfo(co, "f", &ar);
  else if (level == 0 && lua_isfunction(co, 3))
    lua_pushvalue(co, 3); /* not begun: body, handler, function, ... */
  else
    return false;
  lua_xmove(co, L, 1);
  return true;
}

/* Replaces the function on the top by its name as a global, or "function". */
static void global_name(lua_State *L) {
  lua_pushglobaltable(L);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    if (!lua_rawequal(L, -1, -4) || lua_type(L, -2) != LUA_TSTRING) continue;
    lua_pop(L, 1);
    lua_replace(L, -3);
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 2);
  lua_pushliteral(L, "function");
}

/* Pushes "worker <app.lua:12>" for what a coroutine runs, if known. */
static bool push_function(lua_State *L, lua_State *co) {
  lua_Debug ar;
  luaL_checkstack(L, 8, NULL);
  if (!move_function(L, co)) return false;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  global_name(L);
  if (ar.linedefined >= 0)
    lua_pushfstring(L, "%s <%s:%d>", lua_tostring(L, -1), ar.short_src,
                    ar.linedefined);
  else
    lua_pushfstring(L, "%s [C]", lua_tostring(L, -1));
  lua_remove(L, -2);
  return true;
}

static const char *state_name(const struct gev_greenlet *g) {
  switch (g->state) {
    case GEV_NEW: return "not started";
    case GEV_STARTING: return "starting";
    case GEV_DEAD: return g->flags & GEV_FAILED ? "failed" : "finished";
    default: return NULL;
  }
}

static void add_name(lua_State *L, int idx, luaL_Buffer *b) {
  if (gev_push_extra(L, idx)) {
    if (lua_getfield(L, -1, "name") != LUA_TNIL) {
      const char *name = luaL_tolstring(L, -1, NULL);
      lua_pushfstring(L, " \"%s\"", name);
      lua_replace(L, -4);
      lua_pop(L, 2);
      luaL_addvalue(b);
      return;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

void gev_push_description(lua_State *L, int idx) {
  struct gev_greenlet *g = lua_touserdata(L, idx);
  luaL_Buffer b;
  char address[32];
  idx = lua_absindex(L, idx);
  snprintf(address, sizeof address, " at %p", (void *)g);
  int type = luaL_getmetafield(L, idx, "__name");
  if (type != LUA_TSTRING) {
    if (type != LUA_TNIL) lua_pop(L, 1);
    lua_pushliteral(L, "Greenlet");
  }
  const char *class = lua_tostring(L, -1);
  luaL_buffinit(L, &b);
  luaL_addchar(&b, '<');
  luaL_addstring(&b, class);
  add_name(L, idx, &b);
  luaL_addstring(&b, address);
  if (g->flags & GEV_MAIN) {
    luaL_addstring(&b, ": main");
  } else {
    const char *state = state_name(g);
    if (state) luaL_addstring(&b, ": ");
    if (state) luaL_addstring(&b, state);
    luaL_addstring(&b, state ? " " : ": ");
    if (push_function(L, g->co))
      luaL_addvalue(&b);
    else
      luaL_buffsub(&b, state ? 1 : 2);
  }
  luaL_addchar(&b, '>');
  luaL_pushresult(&b);
  lua_remove(L, -2); /* class name */
}

void gev_push_wait(lua_State *L, const struct gev_greenlet *g) {
  luaL_checkstack(L, 4, NULL);
  lua_pushstring(L, g->op->name);
  if (g->op->describe) {
    lua_pushliteral(L, " on ");
    g->op->describe(L, g->on);
    lua_concat(L, 3);
  }
  lua_pushliteral(L, " at ");
  push_where(L, g->L);
  lua_concat(L, 3);
}

/* --- reports ------------------------------------------------------------- */

/* The blocked greenlet on the top (popped): adds its line to b. */
static void add_blocked(lua_State *L, luaL_Buffer *b,
                        const struct gev_greenlet *g, int idx) {
  lua_pushliteral(L, "\n  ");
  gev_push_description(L, idx);
  lua_pushliteral(L, " waits in ");
  gev_push_wait(L, g);
  lua_concat(L, 4);
  luaL_addvalue(b);
}

void gev_push_blocked(lua_State *L, struct gev_hub *h) {
  luaL_Buffer b;
  luaL_checkstack(L, 12, NULL);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->anchors);
  int anchors = lua_gettop(L);
  lua_pushnil(L); /* the slot of the greenlet at hand */
  luaL_buffinit(L, &b);
  for (int ref = 1; ref <= h->nref; ref++) {
    lua_rawgeti(L, anchors, ref);
    const struct gev_greenlet *g = gev_test(L, -1, &gev_greenlet_class);
    lua_replace(L, anchors + 1);
    if (g && g->state == GEV_PARKED) add_blocked(L, &b, g, anchors + 1);
  }
  luaL_pushresult(&b);
  lua_replace(L, anchors);
  lua_settop(L, anchors);
}

void gev_push_loopexit(lua_State *L, struct gev_hub *h) {
  luaL_checkstack(L, 4, NULL);
  gev_push_blocked(L, h);
  gev_exc_push(L, GEV_EXC_LOOPEXIT, "This operation would block forever%s",
               lua_tostring(L, -1));
  lua_remove(L, -2);
}

/* --- uncaught errors ----------------------------------------------------- */

/* text -> hub.exception_stream: stderr, nothing (false), or its :write. */
static int print_text(lua_State *L) {
  lua_getfield(L, 1, "exception_stream");
  if (lua_isnil(L, -1)) {
    fputs(lua_tostring(L, 2), stderr);
    fflush(stderr);
  } else if (lua_toboolean(L, -1)) {
    lua_getfield(L, -1, "write");
    lua_insert(L, -2);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 0);
  }
  return 0;
}

static int convert(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Pushes the text of the value at idx, whatever its __tostring does. */
static const char *safe_text(lua_State *L, int idx) {
  lua_pushcfunction(L, convert);
  lua_pushvalue(L, idx);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    const char *why = lua_tostring(L, -1);
    lua_pushfstring(L, "%s: %p (its __tostring failed: %s)",
                    luaL_typename(L, idx), lua_topointer(L, idx),
                    why ? why : luaL_typename(L, -1));
    lua_remove(L, -2);
  }
  return lua_tostring(L, -1);
}

/* hub, context, error, traceback -> prints them */
static int default_report(lua_State *L) {
  const char *message = safe_text(L, 3);
  const char *context = safe_text(L, 2);
  if (lua_isstring(L, 4))
    lua_pushfstring(L, "%s\n%s\n%s failed with %s\n", message,
                    lua_tostring(L, 4), context, message);
  else
    lua_pushfstring(L, "%s failed with %s\n", context, message);
  lua_replace(L, 2);
  lua_settop(L, 2);
  return print_text(L);
}

/* hub, context, error, traceback: to the user's handler, if there is one. */
static int report(lua_State *L) {
  lua_getfield(L, 1, "handle_error");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return default_report(L);
  }
  lua_insert(L, 1);
  lua_call(L, 4, 0);
  return 0;
}

/* Calls f(hub, context, error, traceback) on copies of the four on top. */
static int call_with_copies(lua_State *L, lua_CFunction f) {
  int first = lua_gettop(L) - 3;
  lua_pushcfunction(L, f);
  for (int i = 0; i < 4; i++) lua_pushvalue(L, first + i);
  return lua_pcall(L, 4, 0, 0);
}

void gev_report_on(lua_State *L, struct gev_hub *h) {
  if (!lua_checkstack(L, 12)) { /* the hub goes on */
    fputs("gevent: an uncaught error could not be printed\n", stderr);
    lua_pop(L, 3);
    return;
  }
  gev_push_hub(L, h);
  lua_insert(L, -4);
  if (call_with_copies(L, report) != LUA_OK) {
    /* the handler itself failed: say so, then what it was to report */
    const char *why = lua_tostring(L, -1);
    fprintf(stderr, "gevent: hub.handle_error failed: %s\n",
            why ? why : "(error object is not a string)");
    lua_pop(L, 1);
    if (call_with_copies(L, default_report) != LUA_OK) {
      fputs("gevent: an uncaught error could not be printed\n", stderr);
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 4);
}

void gev_report(struct gev_hub *h) { gev_report_on(h->L, h); }
