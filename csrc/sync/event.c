/* sync/event.c - layer: sync. See event.h. Owns its wait queue; who waits
 * keeps the event alive from its stack. */
#include "sync/event.h"

#include <lauxlib.h>

#include "core/park.h"

struct event {
  const struct gev_class *cls;
  struct gev_hub *hub; /* cheaper to get at than a function's upvalue */
  struct gev_waitq waiters;
  uint32_t waking; /* woken by set, not run yet */
  bool is_set;
};

static bool event_is_ready(const void *self) {
  return ((const struct event *)self)->is_set;
}
static struct gev_waitq *event_waiters(void *self) {
  return &((struct event *)self)->waiters;
}
static const struct gev_class event_class = {"Event", event_is_ready,
                                             event_waiters};

static struct event *check(lua_State *L) {
  return gev_check(L, 1, &event_class);
}

static void describe(lua_State *L, void *on) {
  lua_pushfstring(L, "<Event at %p>", on);
}
/* By the public function that waits. */
static const char *const callers[] = {"Event:wait", "AsyncResult:get",
                                      "AsyncResult:wait", "Group:join",
                                      "Nursery:join", "ThreadPool:join",
                                      NULL};
static const struct gev_waitop wait_ops[] = {
    {"Event:wait", false, gev_waitq_cancel, describe},
    {"AsyncResult:get", false, gev_waitq_cancel, describe},
    {"AsyncResult:wait", false, gev_waitq_cancel, describe},
    {"Group:join", false, gev_waitq_cancel, describe},
    {"Nursery:join", false, gev_waitq_cancel, describe},
    {"ThreadPool:join", false, gev_waitq_cancel, describe},
};

static int lib_event(lua_State *L) {
  struct event *e = lua_newuserdatauv(L, sizeof *e, 0);
  e->cls = &event_class;
  e->hub = gev_hub(L);
  e->waking = 0;
  e->is_set = false;
  gev_waitq_init(&e->waiters);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return 1;
}

/* e:set(): wakes all that wait now, in the order of their coming */
static int m_set(lua_State *L) {
  struct event *e = check(L);
  struct gev_hub *h = e->hub;
  if (e->is_set) return 0;
  e->is_set = true;
  while (!gev_waitq_empty(&e->waiters)) {
    struct gev_task *t =
        gev_container(e->waiters.head.next, struct gev_task, link);
    e->waking += t->run == gev_greenlet_run;
    gev_waitq_wake_one(h, &e->waiters, e);
  }
  return 0;
}

static int m_clear(lua_State *L) {
  check(L)->is_set = false;
  return 0;
}

static int m_is_set(lua_State *L) {
  lua_pushboolean(L, check(L)->is_set);
  return 1;
}

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  struct event *e = (struct event *)ctx;
  (void)status;
  enum gev_verdict v = gev_unpark(L, e->hub);
  if (v == GEV_WOKEN && e->waking) e->waking--;
  lua_pushboolean(L, v == GEV_WOKEN);
  return 1;
}

/* Where those who waited before are still on their way, it is their turn
 * first. */
static int wait(lua_State *L, const struct gev_waitop *op) {
  struct event *e = check(L);
  struct gev_hub *h = e->hub;
  double timeout = gev_opttimeout(L, 2);
  if (timeout == 0 || (e->is_set && !e->waking)) {
    lua_pushboolean(L, e->is_set);
    return 1;
  }
  struct gev_greenlet *g = gev_park_begin(L, h, op);
  if (e->is_set) {
    e->waking++;
    return gev_park_ready(L, h, g, op, NULL, (lua_KContext)e, wait_k);
  }
  gev_waitq_add(&e->waiters, &g->task);
  return gev_park(L, h, g, op, e, gev_deadline(timeout), (lua_KContext)e,
                  wait_k);
}

/* e:wait([timeout]) -> bool: was it set at any time during the wait? */
static int m_wait(lua_State *L) { return wait(L, &wait_ops[0]); }

/* eventwait(event, timeout, caller): the same for another public function */
static int lib_eventwait(lua_State *L) {
  return wait(L, &wait_ops[luaL_checkoption(L, 3, NULL, callers)]);
}

static int m_tostring(lua_State *L) {
  struct event *e = check(L);
  lua_pushfstring(L, "<Event at %p %s waiters %d>", (void *)e,
                  e->is_set ? "set" : "clear", gev_waitq_count(&e->waiters));
  return 1;
}

static int m_gc(lua_State *L) {
  struct event *e = check(L);
  gev_waitq_abandon(e->hub, &e->waiters);
  return 0;
}

static const luaL_Reg methods[] = {
    {"set", m_set},       {"clear", m_clear},
    {"is_set", m_is_set}, {"ready", m_is_set},
    {"wait", m_wait},     {"__tostring", m_tostring},
    {"__gc", m_gc},       {NULL, NULL}};

void gev_open_event(lua_State *L, int hub) {
  gev_newwaitable(L, hub, "Event", methods, lib_event);
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, lib_eventwait, 1);
  lua_setfield(L, -2, "eventwait");
}
