/* sync/semaphore.c - layer: sync. See semaphore.h. Owns its wait queues.
 *
 * A permit that is released while somebody waits is handed to him and never
 * counted: nobody can take it from under him. He has it when he runs, also if
 * he was killed in the meantime (the kill comes at his next wait). */
#include "sync/semaphore.h"

#include <lauxlib.h>
#include <string.h>

#include "core/park.h"

struct semaphore {
  const struct gev_class *cls;
  struct gev_hub *hub; /* cheaper to get at than a function's upvalue */
  struct gev_waitq waiters;  /* greenlets in acquire */
  struct gev_waitq watchers; /* multi-waits */
  lua_Integer counter;
  lua_Integer bound; /* -1: none */
};

static bool sem_is_ready(const void *self) {
  return ((const struct semaphore *)self)->counter > 0;
}
static struct gev_waitq *sem_watchers(void *self) {
  return &((struct semaphore *)self)->watchers;
}
static const struct gev_class sem_class = {"Semaphore", sem_is_ready,
                                           sem_watchers};

static struct semaphore *check(lua_State *L) {
  return gev_check(L, 1, &sem_class);
}

static void describe(lua_State *L, void *on) {
  lua_pushfstring(L, "<Semaphore at %p>", on);
}
/* By the public function that waits. */
static const char *const callers[] = {"acquire", "Pool:spawn", "Pool:start",
                                      "Pool:add", "Pool:wait_available",
                                      "WebSocket:send", "WebSocket:ping", NULL};
static const struct gev_waitop acquire_ops[] = {
    {"acquire", false, gev_waitq_cancel, describe},
    {"Pool:spawn", false, gev_waitq_cancel, describe},
    {"Pool:start", false, gev_waitq_cancel, describe},
    {"Pool:add", false, gev_waitq_cancel, describe},
    {"Pool:wait_available", false, gev_waitq_cancel, describe},
    {"WebSocket:send", false, gev_waitq_cancel, describe},
    {"WebSocket:ping", false, gev_waitq_cancel, describe},
};

/* Semaphore([n=1 [, bound]]) */
static int lib_semaphore(lua_State *L) {
  lua_Integer n = luaL_optinteger(L, 1, 1);
  lua_Integer bound = luaL_optinteger(L, 2, -1);
  luaL_argcheck(L, n >= 0, 1, "a counter must not be negative");
  struct semaphore *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->cls = &sem_class;
  s->hub = gev_hub(L);
  s->counter = n;
  s->bound = bound;
  gev_waitq_init(&s->waiters);
  gev_waitq_init(&s->watchers);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

static int acquire_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lua_pushboolean(L, gev_unpark(L, (struct gev_hub *)ctx) == GEV_WOKEN);
  return 1;
}

static int acquire(lua_State *L, const struct gev_waitop *op) {
  struct semaphore *s = check(L);
  struct gev_hub *h = s->hub;
  double timeout = gev_opttimeout(L, 2);
  if (s->counter > 0 || timeout == 0) {
    lua_pushboolean(L, s->counter > 0);
    s->counter -= s->counter > 0;
    return 1;
  }
  struct gev_greenlet *g = gev_park_begin(L, h, op);
  gev_waitq_add(&s->waiters, &g->task);
  return gev_park(L, h, g, op, s, gev_deadline(timeout), (lua_KContext)h,
                  acquire_k);
}

/* s:acquire([timeout]) -> bool */
static int m_acquire(lua_State *L) { return acquire(L, &acquire_ops[0]); }

/* semacquire(semaphore, timeout, caller): for another public function */
static int lib_semacquire(lua_State *L) {
  return acquire(L, &acquire_ops[luaL_checkoption(L, 3, NULL, callers)]);
}

/* s:release() */
static int m_release(lua_State *L) {
  struct semaphore *s = check(L);
  struct gev_hub *h = s->hub;
  lua_Integer most = s->bound >= 0 ? s->bound : LUA_MAXINTEGER;
  if (s->counter >= most)
    return luaL_error(L, "Semaphore released too many times");
  if (gev_waitq_wake_one(h, &s->waiters, s)) return 0;
  s->counter++;
  gev_waitq_wake_all(h, &s->watchers, s);
  return 0;
}

static int m_locked(lua_State *L) {
  lua_pushboolean(L, check(L)->counter == 0);
  return 1;
}

static int m_tostring(lua_State *L) {
  struct semaphore *s = check(L);
  lua_pushfstring(L, "<%s at %p counter %I waiters %d>",
                  s->bound < 0 ? "Semaphore" : "BoundedSemaphore", (void *)s,
                  (LUAI_UACINT)s->counter, gev_waitq_count(&s->waiters));
  return 1;
}

/* s.counter, or a method */
static int m_index(lua_State *L) {
  struct semaphore *s = check(L);
  lua_getmetatable(L, 1);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, -2) != LUA_TNIL) return 1;
  const char *key = lua_tostring(L, 2);
  if (!key || strcmp(key, "counter") != 0) return 0;
  lua_pushinteger(L, s->counter);
  return 1;
}

static int m_gc(lua_State *L) {
  struct semaphore *s = check(L);
  gev_waitq_abandon(s->hub, &s->waiters);
  return 0;
}

static const luaL_Reg methods[] = {
    {"acquire", m_acquire}, {"release", m_release},
    {"locked", m_locked},   {"__index", m_index},
    {"__gc", m_gc},         {"__tostring", m_tostring},
    {NULL, NULL}};

/* --- wait queue ---------------------------------------------------------- */

struct queue {
  const struct gev_class *cls;
  struct gev_waitq waiters;
};
static const struct gev_class queue_class = {"wait queue", NULL, NULL};
static const struct gev_waitop wait_op = {"Condition:wait", false,
                                          gev_waitq_cancel, NULL};

static int lib_waitqueue(lua_State *L) {
  struct queue *q = lua_newuserdatauv(L, sizeof *q, 0);
  q->cls = &queue_class;
  gev_waitq_init(&q->waiters);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

/* q:wait([timeout]) -> bool */
static int queue_wait(lua_State *L) {
  struct queue *q = gev_check(L, 1, &queue_class);
  struct gev_hub *h = gev_hub(L);
  double timeout = gev_opttimeout(L, 2);
  if (timeout == 0) {
    lua_pushboolean(L, false);
    return 1;
  }
  struct gev_greenlet *g = gev_park_begin(L, h, &wait_op);
  gev_waitq_add(&q->waiters, &g->task);
  return gev_park(L, h, g, &wait_op, q, gev_deadline(timeout), (lua_KContext)h,
                  acquire_k);
}

/* q:wake(n): the first n; returns how many there were */
static int queue_wake(lua_State *L) {
  struct queue *q = gev_check(L, 1, &queue_class);
  lua_Integer n = luaL_checkinteger(L, 2), woken = 0;
  while (woken < n && gev_waitq_wake_one(gev_hub(L), &q->waiters, q)) woken++;
  lua_pushinteger(L, woken);
  return 1;
}

static int queue_gc(lua_State *L) {
  struct queue *q = gev_check(L, 1, &queue_class);
  gev_waitq_abandon(gev_hub(L), &q->waiters);
  return 0;
}

static const luaL_Reg queue_methods[] = {
    {"wait", queue_wait}, {"wake", queue_wake}, {"__gc", queue_gc},
    {NULL, NULL}};

void gev_open_semaphore(lua_State *L, int hub) {
  gev_newwaitable(L, hub, "Semaphore", methods, lib_semaphore);
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, lib_semacquire, 1);
  lua_setfield(L, -2, "semacquire");
  gev_newwaitable(L, hub, "waitqueue", queue_methods, lib_waitqueue);
}
