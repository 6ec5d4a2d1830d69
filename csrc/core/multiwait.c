/* core/multiwait.c - layer: core. See multiwait.h.
 *
 * The userdata owns its nodes and, through user value 1, keeps the objects
 * alive. Closed or collected, it takes every node out of its queue. A node
 * that is woken goes through the ready queue of the hub; whoever takes from
 * the userdata, or will, keeps it alive. */
#include "core/multiwait.h"

#include <lauxlib.h>
#include <string.h>

#include "base/except.h"
#include "core/park.h"

enum { LINKED, QUEUED, TAKEN };

struct node {
  struct gev_task task;      /* object's wait queue, or hub's ready queue */
  struct gev_multiwait *owner;
  struct node *next_ready;
  int index;                 /* of the object in the list, 1-based */
  int state;
};

struct gev_multiwait {
  const struct gev_class *cls;
  struct gev_hub *hub;
  struct gev_greenlet *waiter; /* parked in take or collect, or NULL */
  struct node *ready, **ready_end; /* became ready, not handed out yet */
  const struct gev_waitop *op;
  int n;
  int nready; /* length of `ready` */
  int needed; /* how many the waiter waits for */
  struct node nodes[];
};

static const struct gev_class multiwait_class = {"multiwait", NULL, NULL};

static struct gev_multiwait *check(lua_State *L) {
  return gev_check(L, 1, &multiwait_class);
}

static void add_ready(struct gev_multiwait *m, struct node *n) {
  n->state = TAKEN;
  n->next_ready = NULL;
  *m->ready_end = n;
  m->ready_end = &n->next_ready;
  m->nready++;
}

/* Runs in the hub: the object of this node has become ready. */
static void node_run(struct gev_hub *h, struct gev_task *t) {
  struct node *n = gev_container(t, struct node, task);
  struct gev_multiwait *m = n->owner;
  add_ready(m, n);
  if (m->waiter && m->nready >= m->needed) {
    struct gev_greenlet *g = m->waiter;
    m->waiter = NULL;
    gev_wake(h, g, m, GEV_WOKEN);
  }
}

static void cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  (void)h;
  (void)g;
  ((struct gev_multiwait *)on)->waiter = NULL;
}
/* By the public function that waits. */
static const char *const callers[] = {"wait", "iwait", "joinall", "killall",
                                      NULL};
static const struct gev_waitop take_ops[] = {
    {"wait", false, cancel, NULL},
    {"iwait", false, cancel, NULL},
    {"joinall", false, cancel, NULL},
    {"killall", false, cancel, NULL},
};

/* Links the node to the object at the top of the stack (popped). The table of
 * objects, at index 3, also keeps what it links to in the end. */
static void link_node(lua_State *L, struct gev_multiwait *m, int i, int n_all) {
  struct node *n = &m->nodes[i - 1];
  struct gev_object *o = gev_test(L, -1, &gev_greenlet_class);
  if (!o) { /* as it is for greenlets, which are nearly all */
    const char *type = luaL_typename(L, -1);
    o = gev_towaitable(L);
    if (!o)
      luaL_error(L, "bad argument #1 to '%s' (object %d of the list cannot be "
                 "waited for: %s)", m->op->name, i, type);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 3, n_all + i);
  }
  n->task.run = node_run;
  n->owner = m;
  n->index = i;
  n->state = LINKED;
  gev_list_init(&n->task.link);
  if (o->cls->is_ready(o))
    add_ready(m, n);
  else
    gev_waitq_add(o->cls->waiters(o), &n->task);
  m->n = i;
  lua_pop(L, 1);
}

/* multiwait(list [, caller]) -> object */
static int lib_multiwait(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  int caller = luaL_checkoption(L, 2, "wait", callers);
  lua_settop(L, 1);
  size_t n = lua_rawlen(L, 1);
  size_t size = sizeof(struct gev_multiwait) + n * sizeof(struct node);
  struct gev_multiwait *m = lua_newuserdatauv(L, size, 1);
  memset(m, 0, sizeof *m);
  m->cls = &multiwait_class;
  m->hub = gev_hub(L);
  m->op = &take_ops[caller];
  m->ready_end = &m->ready;
  lua_createtable(L, (int)n, 0); /* its own: the user may change his list */
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, 2, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 2);
  for (int i = 1; i <= (int)n; i++) {
    lua_rawgeti(L, 1, i);
    lua_pushvalue(L, -1);
    lua_rawseti(L, 3, i);
    link_node(L, m, i, (int)n);
  }
  lua_settop(L, 2);
  return 1;
}

static int push_ready(lua_State *L, struct gev_multiwait *m) {
  struct node *n = m->ready;
  m->ready = n->next_ready;
  m->nready--;
  if (!m->ready) m->ready_end = &m->ready;
  lua_getiuservalue(L, 1, 1);
  lua_rawgeti(L, -1, n->index);
  return 1;
}

static int take_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct gev_multiwait *m = (struct gev_multiwait *)ctx;
  if (gev_unpark(L, gev_hub(L)) != GEV_WOKEN || !m->ready) return 0;
  return push_ready(L, m);
}

/* Parks until so many are ready. */
static int await(lua_State *L, struct gev_multiwait *m, int needed,
                 double timeout, lua_KFunction k) {
  struct gev_hub *h = m->hub;
  struct gev_greenlet *g = gev_park_begin(L, h, m->op);
  if (m->waiter) {
    gev_exc_push(L, GEV_EXC_CONCURRENTUSE,
                 "%s: another greenlet takes from the same iterator",
                 m->op->name);
    return lua_error(L);
  }
  m->waiter = g;
  m->needed = needed;
  return gev_park(L, h, g, m->op, m, gev_deadline(timeout),
                  (lua_KContext)m, k);
}

/* m:take([timeout]) -> the next ready object, or nothing at expiry */
static int m_take(lua_State *L) {
  struct gev_multiwait *m = check(L);
  double timeout = gev_opttimeout(L, 2);
  if (m->ready) return push_ready(L, m);
  if (timeout == 0) return 0;
  return await(L, m, 1, timeout, take_k);
}

/* The list of those that are ready, up to `count`. */
static int push_all_ready(lua_State *L, struct gev_multiwait *m, int count) {
  if (count > m->nready) count = m->nready;
  lua_createtable(L, count, 0);
  lua_getiuservalue(L, 1, 1);
  for (int i = 1; i <= count; i++) {
    struct node *n = m->ready;
    m->ready = n->next_ready;
    m->nready--;
    lua_rawgeti(L, -1, n->index);
    lua_rawseti(L, -3, i);
  }
  if (!m->ready) m->ready_end = &m->ready;
  lua_pop(L, 1);
  return 1;
}

static int collect_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct gev_multiwait *m = (struct gev_multiwait *)ctx;
  gev_unpark(L, m->hub);
  return push_all_ready(L, m, (int)lua_tointeger(L, 2));
}

/* m:collect(count [, timeout]) -> list of the first `count` that are ready, or
 * of those that are at expiry */
static int m_collect(lua_State *L) {
  struct gev_multiwait *m = check(L);
  int count = (int)luaL_checkinteger(L, 2);
  double timeout = gev_opttimeout(L, 3);
  if (m->nready >= count || timeout == 0) return push_all_ready(L, m, count);
  return await(L, m, count, timeout, collect_k);
}

/* notgreenlet(list) -> the index of the first item that is no greenlet and its
 * type, or nothing */
static int lib_notgreenlet(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  int n = (int)lua_rawlen(L, 1);
  for (int i = 1; i <= n; i++, lua_pop(L, 1)) {
    lua_rawgeti(L, 1, i);
    const struct gev_greenlet *g = gev_test(L, -1, &gev_greenlet_class);
    if (g && !(g->flags & GEV_MAIN)) continue;
    lua_pushinteger(L, i);
    lua_pushstring(L, luaL_typename(L, -2));
    return 2;
  }
  return 0;
}

/* Out of every queue. */
static int m_gc(lua_State *L) {
  struct gev_multiwait *m = check(L);
  for (int i = 0; i < m->n; i++) {
    struct node *n = &m->nodes[i];
    if (n->state != TAKEN && !gev_list_empty(&n->task.link))
      gev_unlink(&n->task.link);
    n->state = TAKEN;
  }
  return 0;
}

/* m:close(): who takes from it gets nothing */
static int m_close(lua_State *L) {
  struct gev_multiwait *m = check(L);
  struct gev_greenlet *g = m->waiter;
  m->waiter = NULL;
  m_gc(L);
  if (g && g->state == GEV_PARKED) gev_wake(m->hub, g, m, GEV_CLOSED);
  return 0;
}

static const luaL_Reg methods[] = {{"take", m_take},
                                   {"collect", m_collect},
                                   {"close", m_close},
                                   {"__close", m_close},
                                   {"__gc", m_gc},
                                   {NULL, NULL}};

void gev_open_multiwait(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "multiwait", methods, 1);
  lua_pushcclosure(L, lib_multiwait, 2);
  lua_setfield(L, -2, "multiwait");
  lua_pushcfunction(L, lib_notgreenlet);
  lua_setfield(L, -2, "notgreenlet");
}
