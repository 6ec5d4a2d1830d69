/* io/threadpool.c - layer: io. Lua functions in OS threads: the mechanism of
 * gevent.threadpool. Each thread has a Lua state of its own, and values are
 * copied (base/frozen.h).
 *
 * The userdata owns its tasks until they are taken by `next`. A task that is
 * under way keeps the hub alive. Collected or closed, the pool forgets its
 * tasks; a thread in Lua code is nudged and ends, one in a C function (or in a
 * coroutine) when that returns: nobody waits for it. */
#include "io/threadpool.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/frozen.h"
#include "core/park.h"
#include "io/nudge.h"
#include "io/workers.h"

enum { IDLE = 5 };       /* seconds that a thread waits for more work */
enum { FUNCTIONS = 256 }; /* that a thread keeps loaded */

struct pool {
  const struct gev_class *cls;
  struct gev_hub *hub;
  struct gev_workers *workers; /* NULL: closed */
  struct gev_link tasks;       /* in the threads */
  struct gev_link done;        /* waiting to be taken */
  struct gev_greenlet *waiter; /* in next */
  uint32_t running;            /* length of `tasks` */
  struct gev_closer closer;    /* in the hub */
};
static const struct gev_class pool_class = {"thread pool", NULL, NULL};

struct task {
  struct gev_work work; /* first */
  struct pool *pool;    /* for the hub's side only */
  struct gev_link link; /* in the pool */
  lua_Integer id;
  bool ok;
  char *result; /* frozen; NULL: there was no memory for it */
  size_t nresult, ninput;
  char input[];
};

static struct task *task_of(struct gev_link *l) {
  return gev_container(l, struct task, link);
}

/* --- in the thread ------------------------------------------------------- */

/* What the states find their modules with, of the state that made the pool. */
struct paths {
  size_t npath, ncpath;
  char text[]; /* path, cpath */
};

static const char functions_key = 0;
#define TRACEBACK "gevent.traceback" /* of the last error; registry */

/* What a thread has. */
struct worker {
  struct gev_nudge nudge; /* first */
  lua_State *L;
  _Atomic bool stopped;
};

/* Stays: no pcall gets round it. */
static void stop_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  luaL_error(L, "the thread pool was closed");
}

static void nudged(struct gev_nudge *n) {
  struct worker *w = (struct worker *)n;
  if (!atomic_load(&w->stopped)) return;
  lua_sethook(w->L, stop_hook,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static void stop(void *local) {
  struct worker *w = local;
  atomic_store(&w->stopped, true);
  gev_nudge_send(&w->nudge);
}

static void set_path(lua_State *L, const char *name, const char *text,
                     size_t n) {
  lua_getglobal(L, "package");
  lua_pushlstring(L, text, n);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

static int setup(lua_State *L) {
  struct gev_workers *p = lua_touserdata(L, 1);
  const struct paths *paths = gev_workers_shared(p);
  luaL_openlibs(L);
  set_path(L, "path", paths->text, paths->npath);
  set_path(L, "cpath", paths->text + paths->npath, paths->ncpath);
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &functions_key);
  return 0;
}

static lua_State *new_state(struct gev_workers *p) {
  lua_State *L = luaL_newstate();
  if (!L) return NULL;
  lua_pushcfunction(L, setup);
  lua_pushlightuserdata(L, p);
  if (lua_pcall(L, 1, 0, 0) == LUA_OK) return L;
  lua_close(L);
  return NULL;
}

static void *begin(struct gev_workers *p) {
  struct worker *w = calloc(1, sizeof *w);
  if (!w || !(w->L = new_state(p))) {
    free(w);
    return NULL;
  }
  gev_nudge_enter(&w->nudge, nudged);
  return w;
}

static void end(void *local) {
  struct worker *w = local;
  gev_nudge_leave(&w->nudge);
  lua_sethook(w->L, NULL, 0, 0);
  lua_close(w->L);
  free(w);
}

/* Replaces the module and the name on the top by the function. */
static void find_named(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 1);
  lua_pushvalue(L, -2);
  lua_gettable(L, -2);
  if (lua_isnil(L, -1))
    luaL_error(L, "module '%s' has no function '%s'", lua_tostring(L, -4),
               lua_tostring(L, -3));
  lua_replace(L, -4);
  lua_pop(L, 2);
}

/* The functions loaded so far, none of them if they have become too many. */
static void push_functions(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
  lua_Integer n = lua_rawgeti(L, -1, 0) ? lua_tointeger(L, -1) : 0;
  lua_pop(L, 1);
  if (n == FUNCTIONS) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &functions_key);
    n = 0;
  }
  lua_pushinteger(L, n + 1);
  lua_rawseti(L, -2, 0);
}

/* Replaces the bytecode and the nil on the top by the function. */
static void find_code(lua_State *L) {
  size_t len;
  const char *code = lua_tolstring(L, -2, &len);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key);
  lua_pushvalue(L, -3);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pop(L, 2);
    if (luaL_loadbufferx(L, code, len, "=thread", "b") != LUA_OK)
      lua_error(L);
    push_functions(L);
    lua_pushvalue(L, -4);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_insert(L, -2);
  }
  lua_replace(L, -4);
  lua_pop(L, 2);
}

static int add_traceback(lua_State *L) {
  luaL_traceback(L, L, NULL, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, TRACEBACK);
  lua_settop(L, 1);
  return 1;
}

/* Keeps the frozen bytes on the top as the task's result. */
static void keep_result(lua_State *L, struct task *t, bool ok) {
  size_t len;
  const char *bytes = lua_tolstring(L, -1, &len);
  t->ok = ok;
  t->result = malloc(len);
  t->nresult = len;
  if (t->result) memcpy(t->result, bytes, len);
}

static int make_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* Pushes the text of the error at idx, which may have no say in it. */
static void push_text(lua_State *L, int idx) {
  lua_pushvalue(L, idx);
  lua_pushcfunction(L, make_text);
  lua_insert(L, -2);
  if (lua_pcall(L, 1, 1, 0) == LUA_OK) return;
  lua_pop(L, 1);
  lua_pushfstring(L, "an error that is a %s", luaL_typename(L, idx));
}

/* The error on the top is the result, with its traceback; an error that
 * cannot be copied as a text. */
static void keep_error(lua_State *L, struct task *t) {
  lua_getfield(L, LUA_REGISTRYINDEX, TRACEBACK);
  if (gev_freeze(L, -2, 2, 0, "error") == 2) {
    lua_pop(L, 2);
    push_text(L, lua_absindex(L, -2));
    lua_insert(L, -2);
    gev_freeze(L, -2, 2, 0, "error");
  }
  keep_result(L, t, false);
}

/* task -> the results of its function */
static int call_function(lua_State *L) {
  const struct task *t = lua_touserdata(L, 1);
  lua_settop(L, 0);
  int nargs = gev_thaw(L, t->input, t->ninput) - 2;
  lua_pushvalue(L, 1); /* bytecode or module */
  lua_pushvalue(L, 2); /* nil or name */
  if (lua_isstring(L, 2))
    find_named(L);
  else
    find_code(L);
  lua_replace(L, 2);
  lua_call(L, nargs, LUA_MULTRET);
  return lua_gettop(L) - 1;
}

static int run_protected(lua_State *L) {
  struct task *t = lua_touserdata(L, 1);
  lua_pushnil(L);
  lua_setfield(L, LUA_REGISTRYINDEX, TRACEBACK);
  lua_pushcfunction(L, add_traceback);
  lua_pushcfunction(L, call_function);
  lua_pushlightuserdata(L, t);
  if (lua_pcall(L, 1, LUA_MULTRET, 2) != LUA_OK) {
    keep_error(L, t);
  } else if (gev_freeze(L, 3, lua_gettop(L) - 2, 0, "result") == 1) {
    keep_result(L, t, true);
  } else {
    lua_pushfstring(L, "%s, which cannot be copied from a thread",
                    lua_tostring(L, -1));
    keep_error(L, t);
  }
  return 0;
}

/* A failure here is that there is no memory for the result: it has none. */
static void run(struct gev_work *w, void *local) {
  if (!local) return;
  lua_State *L = ((struct worker *)local)->L;
  lua_pushcfunction(L, run_protected);
  lua_pushlightuserdata(L, w);
  lua_pcall(L, 1, 0, 0);
  lua_settop(L, 0);
}

/* --- the hub's side ------------------------------------------------------ */

static void free_task(struct gev_work *w) {
  struct task *t = (struct task *)w;
  free(t->result);
  free(t);
}

static void wake(struct pool *p) {
  struct gev_greenlet *g = p->waiter;
  p->waiter = NULL;
  if (g) gev_wake(p->hub, g, p, GEV_WOKEN);
}

/* The task is not in the threads any more. */
static void leave(struct task *t) {
  gev_unlink(&t->link);
  t->pool->running--;
  t->pool->hub->external--;
}

static void answered(struct gev_hub *h, struct gev_work *w) {
  struct task *t = (struct task *)w;
  (void)h;
  leave(t);
  gev_list_append(&t->pool->done, &t->link);
  wake(t->pool);
}

static const struct gev_workers_ops worker_ops = {run, answered, free_task,
                                                  begin, end, stop};

static struct paths *copy_paths(lua_State *L) {
  struct paths *paths;
  size_t npath, ncpath;
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "path");
  lua_getfield(L, -2, "cpath");
  const char *path = luaL_optlstring(L, -2, "", &npath);
  const char *cpath = luaL_optlstring(L, -1, "", &ncpath);
  paths = malloc(sizeof *paths + npath + ncpath);
  if (!paths) luaL_error(L, "not enough memory");
  paths->npath = npath;
  paths->ncpath = ncpath;
  memcpy(paths->text, path, npath);
  memcpy(paths->text + npath, cpath, ncpath);
  lua_pop(L, 3);
  return paths;
}

static void forget_tasks(struct pool *p) {
  while (!gev_list_empty(&p->tasks)) {
    struct task *t = task_of(p->tasks.next);
    leave(t);
    gev_workers_forget(&t->work);
  }
}

/* In the child of a fork: what the parent's threads have is not for us. */
static void hub_forked(struct gev_closer *c) {
  forget_tasks(gev_container(c, struct pool, closer));
}

static struct pool *check(lua_State *L) {
  return gev_check(L, 1, &pool_class);
}

static struct task *new_task(lua_State *L, struct pool *p) {
  size_t len;
  const char *input = lua_tolstring(L, -1, &len);
  struct task *t = calloc(1, sizeof *t + len);
  if (!t) luaL_error(L, "not enough memory");
  t->pool = p;
  t->ninput = len;
  memcpy(t->input, input, len);
  return t;
}

/* pool:submit(id, bytecode|module, nil|name, ...) -> true; nil and what cannot
 * be copied; nil, message, code where there is no thread to be had */
static int m_submit(lua_State *L) {
  struct pool *p = check(L);
  lua_Integer id = luaL_checkinteger(L, 2);
  if (!p->workers) return luaL_error(L, "the thread pool is closed");
  if (gev_freeze(L, 3, lua_gettop(L) - 2, 2, "argument") == 2) return 2;
  gev_loop(L, p->hub);
  struct task *t = new_task(L, p);
  t->id = id;
  int err = -gev_workers_prepare(L, p->workers);
  if (err == 0) err = gev_workers_submit(p->workers, &t->work);
  if (err) {
    free_task(&t->work);
    return gev_fail(L, err);
  }
  gev_list_append(&p->tasks, &t->link);
  p->running++;
  p->hub->external++;
  lua_pushboolean(L, true);
  return 1;
}

static void cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  (void)h;
  (void)g;
  ((struct pool *)on)->waiter = NULL;
}
static const struct gev_waitop next_op = {"ThreadPool", false, cancel, NULL};

/* The first task that is done: id, ok, and its results, or error and
 * traceback. */
static int push_done(lua_State *L, struct pool *p) {
  struct task *t = task_of(p->done.next);
  lua_pushinteger(L, t->id);
  lua_pushboolean(L, t->ok);
  if (t->result) {
    lua_pushlstring(L, t->result, t->nresult);
  } else {
    lua_pushnil(L);
  }
  gev_unlink(&t->link);
  free_task(&t->work);
  return 3;
}

static int next_k(lua_State *L, int status, lua_KContext ctx) {
  struct pool *p = (struct pool *)ctx;
  (void)status;
  gev_unpark(L, p->hub);
  return gev_list_empty(&p->done) ? 0 : push_done(L, p);
}

/* pool:next() -> id, ok, frozen results; waits. Nothing where no task is. */
static int m_next(lua_State *L) {
  struct pool *p = check(L);
  if (!gev_list_empty(&p->done)) return push_done(L, p);
  if (p->running == 0) return 0;
  struct gev_greenlet *g = gev_park_begin(L, p->hub, &next_op);
  p->waiter = g;
  return gev_park(L, p->hub, g, &next_op, p, GEV_NEVER, (lua_KContext)p,
                  next_k);
}

/* pool:resize(n) */
static int m_resize(lua_State *L) {
  struct pool *p = check(L);
  unsigned size = (unsigned)luaL_checkinteger(L, 2);
  if (p->workers) gev_workers_resize(p->workers, size);
  return 0;
}

/* pool:threads() -> how many there are now */
static int m_threads(lua_State *L) {
  struct pool *p = check(L);
  lua_pushinteger(L, p->workers ? gev_workers_threads(p->workers) : 0);
  return 1;
}

/* pool:forget(): what is under way will not be heard of */
static int m_forget(lua_State *L) {
  forget_tasks(check(L));
  return 0;
}

/* pool:close(): idempotent. What is under way is forgotten. */
static int m_close(lua_State *L) {
  struct pool *p = check(L);
  if (!p->workers) return 0;
  forget_tasks(p);
  while (!gev_list_empty(&p->done)) {
    struct task *t = task_of(p->done.next);
    gev_unlink(&t->link);
    free_task(&t->work);
  }
  gev_unlink(&p->closer.link);
  gev_workers_close(p->workers);
  p->workers = NULL;
  wake(p);
  return 0;
}

/* newthreadpool(size) -> pool; upvalue 2 is the metatable of pools. */
static int lib_new(lua_State *L) {
  lua_Integer size = luaL_checkinteger(L, 1);
  struct pool *p = lua_newuserdatauv(L, sizeof *p, 0);
  memset(p, 0, sizeof *p);
  p->cls = &pool_class;
  p->hub = gev_hub(L);
  p->closer.forked = hub_forked;
  gev_list_init(&p->closer.link);
  gev_list_init(&p->tasks);
  gev_list_init(&p->done);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  struct paths *paths = copy_paths(L);
  p->workers = gev_workers_new(p->hub, (unsigned)size, IDLE, &worker_ops,
                               paths);
  if (!p->workers) {
    free(paths);
    return luaL_error(L, "not enough memory");
  }
  gev_list_append(&p->hub->closers, &p->closer.link);
  return 1;
}

static const luaL_Reg methods[] = {{"submit", m_submit},
                                   {"next", m_next},
                                   {"resize", m_resize},
                                   {"threads", m_threads},
                                   {"forget", m_forget},
                                   {"close", m_close},
                                   {"__gc", m_close},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"newthreadpool", lib_new},
                                     {NULL, NULL}};

void gev_open_threadpool(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "thread pool", methods, 1);
  luaL_setfuncs(L, functions, 2);
}
