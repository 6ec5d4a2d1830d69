/* core/lifecycle.c - layer: core. Birth and death of the hub, and the object
 * that Lua sees as hub. Owns what hub.h says; see gev_hub_close for the order
 * in which it is given back. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/except.h"
#include "core/alarm.h"
#include "core/copool.h"
#include "core/coroutine.h"
#include "core/interrupt.h"
#include "core/park.h"
#include "core/sleep.h"
#include "core/timeout.h"
#include "core/tree.h"

static const char hub_key = 0, sentinel_key = 0;
const struct gev_class gev_hub_class = {"Hub", NULL, NULL};

struct sentinel {
  struct gev_hub *hub;
};

void gev_push_hub(lua_State *L, struct gev_hub *h) {
  (void)h;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &hub_key);
}

/* --- death --------------------------------------------------------------- */

/* Its wait is over for good: nothing that it waited on knows it any more. */
static void let_go(struct gev_hub *h, struct gev_greenlet *g) {
  if (g->state == GEV_PARKED)
    gev_wait_end(h, g, GEV_CLOSED);
  else if (g->state == GEV_READY && g->op && g->on && g->op->cancel)
    g->op->cancel(h, g, g->on); /* woken, but will not run to do it */
  g->op = NULL;
  gev_unlink(&g->task.link);
  gev_timer_stop(h, &g->timer);
}

/* Pending <close> variables run, without a chance to block. The userdata is
 * on the top of the stack. */
static void unwind(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  gev_timeouts_forget(g);
  g->state = GEV_DEAD;
  g->flags |= GEV_NOVALUE;
  h->greenlets--;
  lua_resetthread(g->co);
  gev_copool_give(h, g);
  lua_pushnil(L); /* no outcome; the coroutine was in its place */
  lua_setiuservalue(L, -2, 1);
  int ref = g->ref;
  g->ref = 0;
  gev_unanchor(L, h, ref);
}

typedef void (*each_fn)(lua_State *L, struct gev_hub *h,
                        struct gev_greenlet *g);

static void release_wait(lua_State *L, struct gev_hub *h,
                         struct gev_greenlet *g) {
  (void)L;
  let_go(h, g);
}

static void each_greenlet(lua_State *L, struct gev_hub *h, each_fn fn) {
  for (int ref = 1; ref <= h->nref; ref++) {
    gev_push_anchored(L, h, ref);
    struct gev_greenlet *g = gev_test(L, -1, &gev_greenlet_class);
    if (g && g != h->main && g->state != GEV_DEAD) fn(L, h, g);
    lua_pop(L, 1);
  }
}

/* First every wait ends, while what is waited on is alive; then the
 * coroutines are unwound, the inner ones first. */
static void unwind_all(lua_State *L, struct gev_hub *h) {
  luaL_checkstack(L, 6, NULL);
  each_greenlet(L, h, release_wait);
  gev_coroutines_unwind(L);
  each_greenlet(L, h, unwind);
}

static void close_handle(uv_handle_t *handle, void *arg) {
  (void)arg;
  gev_handle_close(handle);
}

/* Each may leave the list. */
static void tell_closers(struct gev_hub *h, bool forked) {
  struct gev_link *next;
  for (struct gev_link *l = h->closers.next; l != &h->closers; l = next) {
    struct gev_closer *c = gev_container(l, struct gev_closer, link);
    void (*tell)(struct gev_closer *) = forked ? c->forked : c->close;
    next = l->next;
    if (tell) tell(c);
  }
}

static void close_loop(struct gev_hub *h) {
  uv_loop_t *loop = h->loop;
  if (!loop) return;
  gev_sigint_unwatch(h);
  for (struct gev_link *l = h->requests.next; l != &h->requests; l = l->next)
    uv_cancel(gev_container(l, struct gev_request, link)->req);
  tell_closers(h, false);
  uv_walk(loop, close_handle, NULL);
  while (uv_run(loop, UV_RUN_DEFAULT)) {
  }
  if (uv_loop_close(loop) != 0)
    gev_panic("the loop still has handles", "close", "");
  free(loop);
  h->loop = NULL;
  gev_alarms_close(h);
  h->sigint_watchers = 0;
}

void gev_hub_destroy(struct gev_hub *h) {
  bool closing = h->closing;
  h->closing = true; /* nothing may block while this goes on */
  unwind_all(h->L, h);
  close_loop(h);
  h->closing = closing;
}

void gev_hub_close(struct gev_hub *h) {
  if (h->closing) return;
  h->closing = true;
  h->current = NULL;
  h->running = NULL;
  if (h->main && h->main->state == GEV_PARKED) { /* os.exit in a greenlet */
    let_go(h, h->main);
    lua_settop(h->mailbox, 0);
  }
  gev_hub_destroy(h);
}

/* --- fork ---------------------------------------------------------------- */

/* The threads of the pool are the parent's. */
static void give_up(uv_req_t *req) {
  switch (req->type) {
    case UV_FS:
      ((uv_fs_t *)req)->result = UV_ECANCELED;
      ((uv_fs_t *)req)->cb((uv_fs_t *)req);
      break;
    case UV_GETADDRINFO:
      ((uv_getaddrinfo_t *)req)
          ->cb((uv_getaddrinfo_t *)req, UV_EAI_CANCELED, NULL);
      break;
    case UV_GETNAMEINFO:
      ((uv_getnameinfo_t *)req)
          ->getnameinfo_cb((uv_getnameinfo_t *)req, UV_EAI_CANCELED, NULL,
                           NULL);
      break;
    case UV_WORK:
      ((uv_work_t *)req)->after_work_cb((uv_work_t *)req, UV_ECANCELED);
      break;
    default:
      gev_panic("a request that fork does not know", "fork", "");
  }
}

/* Some are under way, some done and not yet called back: what libuv has
 * noted of either is wiped out, and they are called back from here. */
static void give_up_requests(struct gev_hub *h) {
  uv_loop_t *loop = h->loop;
  if (!loop) return;
  h->forking = true;
  loop->active_reqs.count = 0;
  loop->wq[0] = loop->wq[1] = &loop->wq;
  uv_mutex_init(&loop->wq_mutex); /* a thread may have held it */
  while (!gev_list_empty(&h->requests))
    give_up(gev_container(h->requests.next, struct gev_request, link)->req);
  h->forking = false;
}

/* What has come for the parent will not come here; libuv would not close the
 * handle before it does. */
static void forget_signals(uv_handle_t *handle, void *arg) {
  uv_signal_t *watcher = (uv_signal_t *)handle;
  (void)arg;
  if (handle->type == UV_SIGNAL)
    watcher->caught_signals = watcher->dispatched_signals = 0;
}

static const char frames_key = 0;

/* Nothing of it is on the C stack any more: it has yielded. */
static void forget_host(struct gev_hub *h, struct gev_task *t) {
  struct gev_greenlet *g = gev_task_greenlet(t);
  lua_State *L = h->L;
  int ref = g->ref;
  luaL_checkstack(L, 4, NULL);
  gev_push_greenlet(L, h, g);
  gev_push_extra(L, -1);
  lua_pushnil(L);
  lua_rawsetp(L, -2, &frames_key);
  g->ref = 0;
  gev_unanchor(L, h, ref);
  lua_pop(L, 2);
}

/* The frames of the host are on the C stack, so it and its coroutine must stay
 * until it yields, which its task makes it do: see run_guest. The userdata is
 * on the top of the stack. */
static void keep_host(lua_State *L, struct gev_hub *h, struct gev_greenlet *g) {
  gev_make_extra(L, -1);
  lua_pushthread(g->co);
  lua_xmove(g->co, L, 1);
  lua_rawsetp(L, -2, &frames_key);
  lua_pop(L, 1);
  g->task.run = forget_host;
  gev_ready(h, &g->task);
}

/* Neither killed nor unwound: it goes on in the parent. */
static void leave_behind(lua_State *L, struct gev_hub *h,
                         struct gev_greenlet *g) {
  if (g == h->current) return;
  if (g == h->host) keep_host(L, h, g);
  gev_timeouts_forget(g);
  g->state = GEV_DEAD;
  g->flags |= GEV_EXPOSED; /* its coroutine is not to be used again */
  h->greenlets--;
  gev_copool_give(h, g);
  gev_exc_push(L, GEV_EXC_GREENLETEXIT, "left in the parent by fork");
  lua_setiuservalue(L, -2, 1);
  gev_waitq_wake_all(h, &g->joiners, g);
  if (g != h->host) {
    int ref = g->ref;
    g->ref = 0;
    gev_unanchor(L, h, ref);
  }
}

static void release_others(lua_State *L, struct gev_hub *h,
                           struct gev_greenlet *g) {
  (void)L;
  if (g != h->current) let_go(h, g);
}

int gev_hub_forked(lua_State *L, struct gev_hub *h) {
  gev_flushers_forget(h);
  int err = h->loop ? uv_loop_fork(h->loop) : 0;
  if (err) return err;
  luaL_checkstack(L, 6, NULL);
  tell_closers(h, true);
  give_up_requests(h);
  each_greenlet(L, h, release_others);
  each_greenlet(L, h, leave_behind);
  gev_coroutines_forget(L);
  if (h->loop) uv_walk(h->loop, forget_signals, NULL);
  close_loop(h);
  h->forks++;
  gev_loop(L, h);
  return 0;
}

static int sentinel_gc(lua_State *L) {
  struct sentinel *s = lua_touserdata(L, 1);
  if (s->hub && s->hub->sentinel == s) gev_hub_close(s->hub);
  return 0;
}

/* lua_close calls finalizers from the newest object to the oldest. What the
 * blocked greenlets hold must still be whole when their <close> variables
 * run: so a new sentinel is made whenever the main chunk goes on. */
void gev_sentinel_renew(struct gev_hub *h) {
  lua_State *L = h->L;
  luaL_checkstack(L, 3, NULL);
  struct sentinel *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->hub = NULL;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sentinel_key);
  lua_setmetatable(L, -2);
  s->hub = h;
  h->sentinel = s;
  lua_rawsetp(L, LUA_REGISTRYINDEX, h->main); /* the old one is garbage */
}

/* --- Lua ----------------------------------------------------------------- */

static struct gev_hub *check(lua_State *L) {
  return gev_check(L, 1, &gev_hub_class);
}

static int m_gc(lua_State *L) {
  struct gev_hub *h = check(L);
  gev_hub_close(h);
  if (h->main) gev_timeouts_forget(h->main);
  gev_heap_free(&h->timers);
  free(h->freerefs);
  free(h->scratch);
  h->freerefs = NULL;
  h->scratch = NULL;
  return 0;
}

static int m_destroy(lua_State *L) {
  struct gev_hub *h = check(L);
  if (L != h->L || h->current != h->main)
    return luaL_error(L, "hub:destroy: only the main greenlet may do this");
  gev_hub_destroy(h);
  return 0;
}

static int turn(lua_State *L) {
  struct gev_hub *h = lua_touserdata(L, 1);
  gev_hub_turn(h, lua_toboolean(L, 2));
  return 0;
}

/* hub:run("nowait"|"once"): one turn, for a foreign main loop */
static int m_run(lua_State *L) {
  static const char *const modes[] = {"nowait", "once", NULL};
  struct gev_hub *h = check(L);
  int once = luaL_checkoption(L, 2, "once", modes);
  if (L != h->L || h->current != h->main)
    return luaL_error(L, "hub:run: only the main greenlet may run the hub");
  gev_loop(L, h);
  h->current = NULL;
  h->running = NULL;
  lua_pushcfunction(L, turn);
  lua_pushlightuserdata(L, h);
  lua_pushboolean(L, once);
  int status = lua_pcall(L, 2, 0, 0);
  gev_sigint_unwatch(h);
  h->current = h->main;
  h->running = L;
  if (status != LUA_OK) return lua_error(L);
  lua_pushboolean(L, gev_hub_alive(h) || !gev_list_empty(&h->ready));
  return 1;
}

static int m_backend_fd(lua_State *L) {
  struct gev_hub *h = check(L);
  lua_pushinteger(L, uv_backend_fd(gev_loop(L, h)));
  return 1;
}

/* hub:backend_timeout() -> seconds until hub:run has something to do, or nil */
static int m_backend_timeout(lua_State *L) {
  struct gev_hub *h = check(L);
  const struct gev_heapnode *first = gev_heap_top(&h->timers);
  gev_loop(L, h);
  if (!gev_list_empty(&h->ready) || !gev_list_empty(&h->idlers))
    lua_pushnumber(L, 0);
  else if (first)
    lua_pushnumber(L, gev_remaining(first->key));
  else
    lua_pushnil(L);
  return 1;
}

static void count_handle(uv_handle_t *handle, void *arg) {
  if (!uv_is_closing(handle)) ++*(lua_Integer *)arg;
}

static int count_ready(const struct gev_hub *h) {
  int n = 0;
  for (struct gev_link *l = h->ready.next; l != &h->ready; l = l->next) n++;
  return n;
}

static void set_count(lua_State *L, const char *name, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

/* Counts the blocked greenlets by what they wait in: a table, on the top. */
static void push_blocked(lua_State *L, struct gev_hub *h) {
  lua_newtable(L);
  for (int ref = 1; ref <= h->nref; ref++) {
    gev_push_anchored(L, h, ref);
    const struct gev_greenlet *g = gev_test(L, -1, &gev_greenlet_class);
    const struct gev_waitop *op = g && g->state == GEV_PARKED ? g->op : NULL;
    lua_pop(L, 1);
    if (!op) continue;
    lua_getfield(L, -1, op->name);
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_setfield(L, -3, op->name);
    lua_pop(L, 1);
  }
}

/* hub:stats() -> counts of what is alive, and of what has been done */
static int m_stats(lua_State *L) {
  struct gev_hub *h = check(L);
  lua_Integer handles = 0;
  if (h->loop) uv_walk(h->loop, count_handle, &handles);
  if (h->loop) handles -= 2 + (h->far != NULL); /* alarms and waker */
  lua_createtable(L, 0, 10);
  set_count(L, "greenlets", h->greenlets);
  set_count(L, "handles", handles);
  set_count(L, "timers", h->timers.n);
  set_count(L, "ready", count_ready(h));
  set_count(L, "refs", h->nref - h->nfree - 1); /* without main's */
  set_count(L, "external", h->external);
  set_count(L, "switches", (lua_Integer)gev_switches(h));
  set_count(L, "polls", (lua_Integer)h->polls);
  lua_pushnumber(L, (double)h->lag / 1e9);
  lua_setfield(L, -2, "lag"); /* seconds */
  push_blocked(L, h);
  lua_setfield(L, -2, "blocked");
  return 1;
}

static int m_index(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  if (lua_gettable(L, -2) != LUA_TNIL) return 1;
  lua_getmetatable(L, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int m_newindex(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 2);
  lua_rawset(L, 2);
  return 0;
}

static int m_tostring(lua_State *L) {
  struct gev_hub *h = check(L);
  lua_pushfstring(L, "<Hub at %p: %d greenlets, %d ready>", (void *)h,
                  (int)h->greenlets, count_ready(h));
  return 1;
}

static const luaL_Reg methods[] = {{"join", gev_hub_join},
                                   {"run", m_run},
                                   {"destroy", m_destroy},
                                   {"backend_fd", m_backend_fd},
                                   {"backend_timeout", m_backend_timeout},
                                   {"stats", m_stats},
                                   {"__gc", m_gc},
                                   {"__index", m_index},
                                   {"__newindex", m_newindex},
                                   {"__tostring", m_tostring},
                                   {NULL, NULL}};

/* --- birth --------------------------------------------------------------- */

static void init(struct gev_hub *h, lua_State *L) {
  memset(h, 0, sizeof *h);
  h->cls = &gev_hub_class;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  h->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  gev_list_init(&h->ready);
  gev_list_init(&h->idlers);
  gev_list_init(&h->requests);
  h->pid = getpid();
  gev_list_init(&h->closers);
  gev_list_init(&h->witnesses);
  gev_list_init(&h->flushers);
  h->switch_interval = 5000000;
  h->far_fd = -1;
}

struct gev_hub *gev_hub_new(lua_State *L) {
  struct gev_hub *h = lua_newuserdatauv(L, sizeof *h, 1);
  init(h, L);
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  lua_newtable(L);
  h->anchors = luaL_ref(L, LUA_REGISTRYINDEX);
  h->mailbox = lua_newthread(L);
  luaL_ref(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, -1);
  gev_newclass(L, "Hub", methods, 1);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &hub_key);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, sentinel_gc);
  lua_setfield(L, -2, "__gc");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sentinel_key);
  gev_open_tree(L, h);
  gev_fill_streams();
  gev_sigint_init();
  return h;
}
