/* sync/queue.c - layer: sync. See queue.h. Owns its wait queues; its items
 * are in its user values (store.h).
 *
 * An item is handed over: a put gives it to the getter that came first, on
 * his stack, and a get takes it from the putter that came first, so nobody
 * can come in between, and a killed waiter's share goes to the next. What a
 * blocked putter brings waits in a table of the registry, by greenlet.
 * Getters wait only while there is nothing to get, putters only while there
 * is no room. Closing wakes all of them. */
#include "sync/queue.h"

#include <lauxlib.h>
#include <string.h>

#include "core/park.h"
#include "sync/store.h"

static const char pending_key = 0;

struct queue {
  const struct gev_class *cls;
  struct gev_hub *hub; /* cheaper to get at than a function's upvalue */
  struct gev_store store;
  lua_Integer maxsize; /* 0: none; a channel has no room at all */
  lua_Integer unfinished; /* JoinableQueue: puts without a task_done */
  struct gev_waitq getters, putters, joiners;
  struct gev_waitq watchers; /* multi-waits */
  bool channel, joinable, closed;
};

static bool queue_is_ready(const void *self) {
  const struct queue *q = self;
  return q->store.n > 0 || q->closed || !gev_waitq_empty(&q->putters);
}
static struct gev_waitq *queue_watchers(void *self) {
  return &((struct queue *)self)->watchers;
}
static const struct gev_class queue_class = {"Queue", queue_is_ready,
                                             queue_watchers};

static struct queue *check(lua_State *L) {
  return gev_check(L, 1, &queue_class);
}

static bool has_room(const struct queue *q) {
  if (q->channel) return false;
  return q->maxsize == 0 || q->store.n < q->maxsize;
}

/* --- waiting ------------------------------------------------------------- */

static void describe(lua_State *L, void *on) {
  lua_pushfstring(L, "<Queue at %p>", on);
}

static struct gev_greenlet *first(const struct gev_waitq *q) {
  if (gev_waitq_empty(q)) return NULL;
  return gev_task_greenlet(
      gev_container(q->head.next, struct gev_task, link));
}

static void wake(struct gev_hub *h, struct gev_greenlet *g, struct queue *q,
                 enum gev_verdict verdict) {
  gev_unlink(&g->task.link);
  gev_wake(h, g, q, verdict);
}

/* The item at idx waits with the putter g. */
static void set_pending(lua_State *L, const struct gev_greenlet *g, int idx) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &pending_key);
  lua_pushvalue(L, idx);
  lua_rawsetp(L, -2, g);
  lua_pop(L, 1);
}

/* Pushes the item of the putter g, which has it no longer. */
static void take_pending(lua_State *L, const struct gev_greenlet *g) {
  luaL_checkstack(L, 3, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &pending_key);
  lua_rawgetp(L, -1, g);
  lua_pushnil(L);
  lua_rawsetp(L, -3, g);
  lua_remove(L, -2);
}

static void put_cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  (void)on;
  gev_unlink(&g->task.link);
  if (!lua_checkstack(h->L, 3)) return; /* replaced by its next put */
  take_pending(h->L, g);
  lua_pop(h->L, 1);
}

static const struct gev_waitop put_op = {"put", false, put_cancel, describe};
static const struct gev_waitop get_op = {"get", false, gev_waitq_cancel,
                                         describe};
static const struct gev_waitop peek_op = {"peek", false, gev_waitq_cancel,
                                          describe};
static const struct gev_waitop join_op = {"join", false, gev_waitq_cancel,
                                          describe};

static int fail_closed(lua_State *L) {
  return gev_failmsg(L, "closed", "closed");
}

/* --- put ----------------------------------------------------------------- */

/* Gives a copy of the item at idx to a waiting getter. */
static void hand_over(lua_State *L, struct gev_hub *h, struct queue *q,
                      struct gev_greenlet *g, int idx) {
  lua_pushvalue(L, idx);
  gev_deliver(L, h, g);
  wake(h, g, q, GEV_WOKEN);
}

/* To the first getter; peekers before him get to see it. */
static bool give(lua_State *L, struct gev_hub *h, struct queue *q, int idx) {
  for (struct gev_greenlet *g; (g = first(&q->getters));) {
    bool taken = g->op == &get_op;
    hand_over(L, h, q, g, idx);
    if (taken) return true;
  }
  return false;
}

/* Puts the item at index 2 without waiting; false: there is no room. */
static bool put_now(lua_State *L, struct gev_hub *h, struct queue *q) {
  if (!give(L, h, q, 2)) {
    if (!has_room(q)) return false;
    lua_pushvalue(L, 2);
    gev_store_push(L, &q->store);
    gev_waitq_wake_all(h, &q->watchers, q);
  }
  q->unfinished++;
  return true;
}

static int put_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  switch (gev_unpark(L, (struct gev_hub *)ctx)) {
    case GEV_TIMEDOUT: return gev_failtimeout(L);
    case GEV_CLOSED: return fail_closed(L);
    default: lua_pushboolean(L, true); return 1;
  }
}

static struct queue *check_item(lua_State *L) {
  struct queue *q = check(L);
  luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil is no item");
  return q;
}

/* Can the caller park just to let others run? */
static bool can_yield(lua_State *L, const struct gev_hub *h) {
  return L == h->running && (L == h->L || lua_isyieldable(L));
}

/* q:put(item [, timeout]) -> true | nil, message, code */
static int m_put(lua_State *L) {
  struct queue *q = check_item(L);
  struct gev_hub *h = q->hub;
  double timeout = gev_opttimeout(L, 3);
  if (q->closed) return fail_closed(L);
  lua_settop(L, 3);
  if (put_now(L, h, q)) {
    lua_pushboolean(L, true);
    if (!q->channel || !can_yield(L, h) || gev_has_pending(h->current))
      return 1;
    struct gev_greenlet *g = gev_park_begin(L, h, &put_op);
    return gev_park_ready(L, h, g, &put_op, NULL, (lua_KContext)h,
                          put_k); /* getter 1st */
  }
  if (timeout == 0) return gev_failtimeout(L);
  struct gev_greenlet *g = gev_park_begin(L, h, &put_op);
  set_pending(L, g, 2);
  gev_waitq_add(&q->putters, &g->task);
  gev_waitq_wake_all(h, &q->watchers, q);
  return gev_park(L, h, g, &put_op, q, gev_deadline(timeout), (lua_KContext)h,
                  put_k);
}

/* q:put_nowait(item) -> true | nil, "full", "full" */
static int m_put_nowait(lua_State *L) {
  struct queue *q = check_item(L);
  if (q->closed) return fail_closed(L);
  lua_settop(L, 2);
  if (!put_now(L, q->hub, q)) return gev_failmsg(L, "full", "full");
  lua_pushboolean(L, true);
  return 1;
}

/* --- get ----------------------------------------------------------------- */

/* push_item(queue, item) */
static int push_item(lua_State *L) {
  gev_store_push(L, &check(L)->store);
  return 0;
}

/* Pops the item into the store. Only a PriorityQueue's comparison can fail:
 * then the error, instead of the item, is on the stack. */
static bool try_push(lua_State *L, struct queue *q) {
  if (q->store.order != GEV_PRIORITY) {
    gev_store_push(L, &q->store);
    return true;
  }
  luaL_checkstack(L, 2, NULL);
  lua_pushcfunction(L, push_item);
  lua_pushvalue(L, 1);
  lua_rotate(L, -3, 2);
  return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

/* Room was made: the first putter's item comes in. If it does not compare,
 * that is raised in its putter. */
static void admit(lua_State *L, struct gev_hub *h, struct queue *q) {
  while (has_room(q) && !gev_waitq_empty(&q->putters)) {
    struct gev_greenlet *g = first(&q->putters);
    if (!gev_can_deliver(h, g)) return; /* he waits for the next room */
    take_pending(L, g);
    bool in = try_push(L, q);
    q->unfinished += in;
    if (first(&q->putters) != g) { /* killed or closed by a comparison */
      lua_pop(L, !in);
      continue;
    }
    enum gev_verdict verdict = in ? GEV_WOKEN : GEV_RAISED;
    if (!in) gev_deliver(L, h, g);
    wake(h, g, q, verdict);
  }
}

/* Pushes the next item without waiting; false: there is none. */
static bool get_now(lua_State *L, struct gev_hub *h, struct queue *q) {
  if (q->store.n) {
    gev_store_pop(L, &q->store);
    if (!gev_waitq_empty(&q->putters)) admit(L, h, q);
    return true;
  }
  struct gev_greenlet *g = first(&q->putters);
  if (!g) return false;
  take_pending(L, g);
  q->unfinished++;
  wake(h, g, q, GEV_WOKEN);
  return true;
}

static bool peek_now(lua_State *L, struct gev_hub *h, struct queue *q) {
  (void)h;
  struct gev_greenlet *g = first(&q->putters);
  if (q->store.n) {
    gev_store_peek(L, &q->store);
    return true;
  }
  if (!g) return false;
  luaL_checkstack(L, 2, NULL);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &pending_key);
  lua_rawgetp(L, -1, g);
  return true;
}

static int get_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  switch (gev_unpark(L, (struct gev_hub *)ctx)) {
    case GEV_TIMEDOUT: return gev_failtimeout(L);
    case GEV_CLOSED: return fail_closed(L);
    default: return 1; /* the item is on the top */
  }
}

typedef bool (*now_fn)(lua_State *L, struct gev_hub *h, struct queue *q);

static int get_or_wait(lua_State *L, now_fn now,
                       const struct gev_waitop *op) {
  struct queue *q = check(L);
  struct gev_hub *h = q->hub;
  double timeout = gev_opttimeout(L, 2);
  if (now(L, h, q)) return 1;
  if (q->closed) return fail_closed(L);
  if (timeout == 0) return gev_failtimeout(L);
  struct gev_greenlet *g = gev_park_begin(L, h, op);
  gev_waitq_add(&q->getters, &g->task);
  return gev_park(L, h, g, op, q, gev_deadline(timeout), (lua_KContext)h,
                  get_k);
}

/* q:get([timeout]) -> item | nil, message, code */
static int m_get(lua_State *L) { return get_or_wait(L, get_now, &get_op); }
/* q:peek([timeout]) -> the item that get would give */
static int m_peek(lua_State *L) { return get_or_wait(L, peek_now, &peek_op); }

static int nowait(lua_State *L, now_fn now) {
  struct queue *q = check(L);
  if (now(L, q->hub, q)) return 1;
  return q->closed ? fail_closed(L) : gev_failmsg(L, "empty", "empty");
}
static int m_get_nowait(lua_State *L) { return nowait(L, get_now); }
static int m_peek_nowait(lua_State *L) { return nowait(L, peek_now); }

/* --- close, join --------------------------------------------------------- */

/* q:close(): idempotent */
static int m_close(lua_State *L) {
  struct queue *q = check(L);
  struct gev_hub *h = q->hub;
  struct gev_greenlet *g;
  if (q->closed) return 0;
  q->closed = true;
  while ((g = first(&q->getters))) wake(h, g, q, GEV_CLOSED);
  while ((g = first(&q->putters))) {
    take_pending(L, g);
    lua_pop(L, 1);
    wake(h, g, q, GEV_CLOSED);
  }
  gev_waitq_wake_all(h, &q->watchers, q);
  return 0;
}

static struct queue *check_joinable(lua_State *L) {
  struct queue *q = check(L);
  luaL_argcheck(L, q->joinable, 1, "JoinableQueue expected");
  return q;
}

/* q:task_done() */
static int m_task_done(lua_State *L) {
  struct queue *q = check_joinable(L);
  if (q->unfinished == 0)
    return luaL_error(L, "task_done() called too many times");
  if (--q->unfinished == 0)
    gev_waitq_wake_all(q->hub, &q->joiners, q);
  return 0;
}

static int join_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lua_pushboolean(L, gev_unpark(L, (struct gev_hub *)ctx) == GEV_WOKEN);
  return 1;
}

/* q:join([timeout]) -> bool: until all that was put is done */
static int m_join(lua_State *L) {
  struct queue *q = check_joinable(L);
  struct gev_hub *h = q->hub;
  double timeout = gev_opttimeout(L, 2);
  if (q->unfinished == 0 || timeout == 0) {
    lua_pushboolean(L, q->unfinished == 0);
    return 1;
  }
  struct gev_greenlet *g = gev_park_begin(L, h, &join_op);
  gev_waitq_add(&q->joiners, &g->task);
  return gev_park(L, h, g, &join_op, q, gev_deadline(timeout), (lua_KContext)h,
                  join_k);
}

/* --- looking ------------------------------------------------------------- */

static int m_qsize(lua_State *L) {
  lua_pushinteger(L, check(L)->store.n);
  return 1;
}
static int m_empty(lua_State *L) {
  lua_pushboolean(L, check(L)->store.n == 0);
  return 1;
}
static int m_full(lua_State *L) {
  lua_pushboolean(L, !has_room(check(L)));
  return 1;
}

static int m_tostring(lua_State *L) {
  struct queue *q = check(L);
  luaL_getmetafield(L, 1, "__name");
  lua_pushfstring(L, "<%s at %p size %d getters %d putters %d%s>",
                  lua_tostring(L, -1), (void *)q, (int)q->store.n,
                  gev_waitq_count(&q->getters), gev_waitq_count(&q->putters),
                  q->closed ? " closed" : "");
  return 1;
}

/* The iterator ends when the queue is closed and drained. */
static int next_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  lua_settop(L, 1);
  return 1;
}

static int iter_next(lua_State *L) {
  lua_settop(L, 0);
  lua_pushvalue(L, lua_upvalueindex(2)); /* get */
  lua_pushvalue(L, lua_upvalueindex(3)); /* the queue */
  lua_callk(L, 1, 1, 0, next_k);
  return next_k(L, LUA_OK, 0);
}

/* q:iter() -> iterator */
static int m_iter(lua_State *L) {
  check(L);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, m_get, 1);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, iter_next, 3);
  return 1;
}

static int m_gc(lua_State *L) {
  struct queue *q = check(L);
  gev_waitq_abandon(q->hub, &q->getters);
  gev_waitq_abandon(q->hub, &q->putters);
  gev_waitq_abandon(q->hub, &q->joiners);
  return 0;
}

static const luaL_Reg methods[] = {
    {"put", m_put},           {"put_nowait", m_put_nowait},
    {"get", m_get},           {"get_nowait", m_get_nowait},
    {"peek", m_peek},         {"peek_nowait", m_peek_nowait},
    {"qsize", m_qsize},       {"__len", m_qsize},
    {"empty", m_empty},       {"full", m_full},
    {"close", m_close},       {"__close", m_close},
    {"iter", m_iter},         {"__tostring", m_tostring},
    {"__gc", m_gc},           {NULL, NULL}};
static const luaL_Reg join_methods[] = {
    {"task_done", m_task_done}, {"join", m_join}, {NULL, NULL}};

/* --- making -------------------------------------------------------------- */

static void fill(lua_State *L, struct queue *q, int items) {
  lua_Integer n = (lua_Integer)lua_rawlen(L, items);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, items, i);
    gev_store_push(L, &q->store);
    q->unfinished++;
  }
}

/* maker(maxsize, items, less); upvalues: hub, class, order, joinable,
 * channel */
static int lib_queue(lua_State *L) {
  lua_Integer maxsize = luaL_optinteger(L, 1, 0);
  if (maxsize < 0) maxsize = 0; /* no limit, as in gevent */
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
  bool channel = lua_toboolean(L, lua_upvalueindex(5));
  luaL_argcheck(L, !channel || lua_isnoneornil(L, 2), 2,
                "a Channel holds no items");
  if (!lua_isnoneornil(L, 3)) gev_checkcallable(L, 3);
  lua_settop(L, 3);
  struct queue *q = lua_newuserdatauv(L, sizeof *q, 2);
  memset(q, 0, sizeof *q);
  q->cls = &queue_class;
  q->hub = gev_hub(L);
  q->maxsize = maxsize;
  q->joinable = lua_toboolean(L, lua_upvalueindex(4));
  q->channel = channel;
  gev_waitq_init(&q->getters);
  gev_waitq_init(&q->putters);
  gev_waitq_init(&q->joiners);
  gev_waitq_init(&q->watchers);
  lua_insert(L, 1); /* queue, maxsize, items, less */
  gev_store_init(L, &q->store,
                 (enum gev_order)lua_tointeger(L, lua_upvalueindex(3)));
  lua_setiuservalue(L, 1, 2); /* less */
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 1);
  if (lua_istable(L, 3)) fill(L, q, 3);
  lua_settop(L, 1);
  return 1;
}

static void add_class(lua_State *L, int hub, const char *name,
                      enum gev_order order, bool joinable, bool channel) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, name, methods, 1);
  if (joinable) {
    lua_pushvalue(L, hub);
    luaL_setfuncs(L, join_methods, 1);
  }
  lua_pushboolean(L, true);
  lua_setfield(L, -2, "__waitable");
  lua_pushinteger(L, order);
  lua_pushboolean(L, joinable);
  lua_pushboolean(L, channel);
  lua_pushcclosure(L, lib_queue, 5);
  lua_setfield(L, -2, name);
}

void gev_open_queue(lua_State *L, int hub) {
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &pending_key);
  add_class(L, hub, "Queue", GEV_FIFO, false, false);
  add_class(L, hub, "LifoQueue", GEV_LIFO, false, false);
  add_class(L, hub, "PriorityQueue", GEV_PRIORITY, false, false);
  add_class(L, hub, "JoinableQueue", GEV_FIFO, true, false);
  add_class(L, hub, "Channel", GEV_FIFO, false, true);
}
