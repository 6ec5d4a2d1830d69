/* core/coroutine.c - layer: core. See coroutine.h. Besides hub.c the only file
 * that resumes. Owns a weak table in the registry: blocked coroutines. */
#include "core/coroutine.h"

#include <lauxlib.h>

#include "core/park.h"

static const char blocked_key = 0;

static lua_State *check_co(lua_State *L, int idx) {
  lua_State *co = lua_tothread(L, idx);
  luaL_argexpected(L, co, idx, "coroutine");
  return co;
}

/* --- who is blocked ------------------------------------------------------ */

/* A coroutine inside a greenlet that waits, or a waiting greenlet's own, if
 * anybody has asked for it. */
static bool is_blocked(lua_State *L, lua_State *co) {
  struct gev_hub *h = gev_hub(L);
  if (lua_status(co) != LUA_YIELD) return false;
  if (h->blocked == 0) return false;
  luaL_checkstack(L, 3, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &blocked_key);
  lua_pushthread(co);
  lua_xmove(co, L, 1);
  lua_rawget(L, -2);
  bool blocked = lua_toboolean(L, -1);
  lua_pop(L, 2);
  return blocked;
}

static int mark(lua_State *L) { /* coroutine, boolean or nil */
  lua_rawgetp(L, LUA_REGISTRYINDEX, &blocked_key);
  lua_insert(L, 1);
  lua_rawset(L, 1);
  return 0;
}

/* Protected: out of memory must not break a park that is on its way. The
 * coroutine then merely calls itself "suspended". */
static void set_blocked(lua_State *L, struct gev_hub *h, int idx,
                        bool blocked) {
  h->blocked += blocked ? 1u : -1u;
  lua_pushcfunction(L, mark);
  lua_pushvalue(L, idx);
  if (blocked)
    lua_pushboolean(L, true);
  else
    lua_pushnil(L);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) lua_pop(L, 1);
}

void gev_coroutines_unwind(lua_State *L) {
  luaL_checkstack(L, 4, NULL);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &blocked_key) != LUA_TTABLE) {
    lua_pop(L, 1); /* the library was not opened whole */
    return;
  }
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
    lua_resetthread(lua_tothread(L, -2));
  lua_pop(L, 1);
}

void gev_coroutines_forget(lua_State *L) {
  gev_weaktable(L, "k");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &blocked_key);
}

/* --- resume -------------------------------------------------------------- */

/* Resumes co with n arguments, and as often as it parks, parks with it. The
 * function `done` turns the outcome, on co's stack, into results. The thread
 * is at index 1 of L's frame, or for wrap its upvalue 2. */
typedef int (*done_fn)(lua_State *L, lua_State *co, int status, int n);

struct step {
  int thread;   /* index of co in L's frame */
  done_fn done;
  lua_KFunction k;
};

/* The greenlet was woken: what goes to the coroutine inside? */
static int woken(lua_State *L, struct gev_hub *h, const struct step *s,
                 lua_State *co) {
  set_blocked(L, h, s->thread, false);
  return h->current && h->current->L == co ? h->current->nargs : 0;
}

/* A loop, for where the greenlet stays the stack would grow by each park. */
static int step(lua_State *L, struct gev_hub *h, const struct step *s,
                lua_State *co, int nargs) {
  lua_State *outer = h->running;
  bool may_park = outer == L && (L == h->L || lua_isyieldable(L));
  for (;;) {
    int n;
    h->running = may_park ? co : NULL;
    int status = lua_resume(co, L, nargs, &n);
    h->running = outer;
    if (status != LUA_YIELD || !h->parking) return s->done(L, co, status, n);
    set_blocked(L, h, s->thread, true);
    if (!gev_park_stay(L, h))
      return gev_park_leave(L, h, (lua_KContext)s, s->k);
    nargs = woken(L, h, s, co);
  }
}

/* On with the coroutine inside. */
static int step_k(lua_State *L, int status, lua_KContext ctx) {
  const struct step *s = (const struct step *)ctx;
  struct gev_hub *h = gev_hub(L);
  (void)status;
  lua_State *co = lua_tothread(L, s->thread);
  return step(L, h, s, co, woken(L, h, s, co));
}

/* Moves the arguments over; false with a message on the top of L where the
 * coroutine cannot be resumed. */
static bool begin(lua_State *L, lua_State *co, int nargs) {
  if (is_blocked(L, co)) {
    lua_pushliteral(L, "cannot resume non-suspended coroutine");
    return false;
  }
  if (!lua_checkstack(co, nargs)) {
    lua_pushliteral(L, "too many arguments to resume");
    return false;
  }
  lua_xmove(L, co, nargs);
  return true;
}

static int resume_failed(lua_State *L) { /* message on the top */
  lua_pushboolean(L, false);
  lua_insert(L, -2);
  return 2;
}

static int resume_done(lua_State *L, lua_State *co, int status, int n) {
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(co, L, 1);
    return resume_failed(L);
  }
  if (!lua_checkstack(L, n + 1)) {
    lua_pop(co, n);
    lua_pushliteral(L, "too many results to resume");
    return resume_failed(L);
  }
  lua_pushboolean(L, true);
  lua_xmove(co, L, n);
  return n + 1;
}

static const struct step resume_step = {1, resume_done, step_k};

/* resume(co, ...) -> true, values | false, error */
static int co_resume(lua_State *L) {
  lua_State *co = check_co(L, 1);
  int nargs = lua_gettop(L) - 1;
  if (!begin(L, co, nargs)) return resume_failed(L);
  return step(L, gev_hub(L), &resume_step, co, nargs);
}

/* --- wrap ---------------------------------------------------------------- */

static int wrap_done(lua_State *L, lua_State *co, int status, int n) {
  if (status == LUA_OK || status == LUA_YIELD) {
    luaL_checkstack(L, n, "too many results to wrap");
    lua_xmove(co, L, n);
    return n;
  }
  int state = lua_status(co);
  if (state != LUA_OK && state != LUA_YIELD)
    lua_resetthread(co); /* dead of an error: its <close> variables run */
  lua_xmove(co, L, 1);
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static const struct step wrap_step = {lua_upvalueindex(2), wrap_done, step_k};

static int wrap_call(lua_State *L) {
  lua_State *co = lua_tothread(L, lua_upvalueindex(2));
  int nargs = lua_gettop(L);
  if (!begin(L, co, nargs)) return lua_error(L);
  return step(L, gev_hub(L), &wrap_step, co, nargs);
}

static void create(lua_State *L) { /* function at 1 */
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
}

/* wrap(fn) -> function */
static int co_wrap(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  create(L);
  lua_pushcclosure(L, wrap_call, 2);
  return 1;
}

/* --- status, close ------------------------------------------------------- */

static const char *status_name(lua_State *L, lua_State *co) {
  lua_Debug ar;
  if (L == co) return "running";
  if (is_blocked(L, co)) return "normal";
  switch (lua_status(co)) {
    case LUA_YIELD: return "suspended";
    case LUA_OK:
      if (lua_getstack(co, 0, &ar)) return "normal";
      return lua_gettop(co) ? "suspended" : "dead";
    default: return "dead";
  }
}

static int co_status(lua_State *L) {
  lua_pushstring(L, status_name(L, check_co(L, 1)));
  return 1;
}

/* close(co) -> true | false, error */
static int co_close(lua_State *L) {
  lua_State *co = check_co(L, 1);
  const char *status = status_name(L, co);
  if (*status != 's' && *status != 'd') /* neither suspended nor dead */
    return luaL_error(L, "cannot close a %s coroutine", status);
  if (lua_resetthread(co) == LUA_OK) {
    lua_pushboolean(L, true);
    return 1;
  }
  lua_pushboolean(L, false);
  lua_xmove(co, L, 1);
  return 2;
}

/* running() -> coroutine, is it the main one. Whoever holds a greenlet's own
 * coroutine must find it protected like any that is blocked. */
static int co_running(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  bool is_main = lua_pushthread(L);
  if (h->current && h->current->co == L && !is_main) {
    h->current->flags |= GEV_EXPOSED;
    set_blocked(L, h, lua_gettop(L), true);
  }
  lua_pushboolean(L, is_main);
  return 2;
}

static const luaL_Reg functions[] = {{"resume", co_resume},
                                     {"running", co_running},
                                     {"wrap", co_wrap},
                                     {"status", co_status},
                                     {"close", co_close},
                                     {NULL, NULL}};

void gev_open_coroutine(lua_State *L, int hub) {
  gev_weaktable(L, "k");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &blocked_key);
  lua_newtable(L);
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
  lua_setfield(L, -2, "coroutine");
}
