/* io/monitor.c - layer: io. A thread that watches a hub: does one greenlet keep
 * the others waiting, does the process take too much memory?
 *
 * Two threads must not touch one Lua state. So the watching thread nudges the
 * hub's, which sets a hook, and the hook, called at the next instruction, says
 * where that is. What is to be said of memory goes by the loop. */
#include "io/monitor.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/park.h"
#include "io/nudge.h"
#include "io/thread.h"

enum { SHORTEST = 1000000 }; /* ns between two looks */

struct settings {
  int64_t blocking; /* ns without a switch: too long. 0: do not look */
  int64_t period;   /* ns between two looks at the memory */
  size_t memory;    /* bytes: too much. 0: do not look */
};

struct monitor {
  const struct gev_class *cls;
  struct gev_hub *hub;
  struct gev_closer closer;
  struct gev_task task; /* in the ready queue: to report on memory */
  uv_async_t *async;    /* NULL: does not run */
  struct gev_nudge nudge; /* of the hub's thread */
  pthread_t thread;
  pthread_mutex_t lock; /* for stop, and for the async's end */
  pthread_cond_t wake;
  bool stop;
  struct settings set;
  _Atomic size_t usage; /* bytes, of the last look that had something to say */
  _Atomic bool asked;   /* the hub's thread is to say where it is */
  _Atomic int64_t since; /* when what blocks has begun to */
  lua_Hook hook; /* the user's, while ours is set */
  int hook_mask, hook_count;
  lua_State *hooked;
};
static const struct gev_class monitor_class = {"monitor", NULL, NULL};

static const char report_key = 0, monitor_key = 0;

/* --- in the hub's thread: the report on who blocks ----------------------- */

/* kind, then arguments, at the top: calls the function that reports. */
static void call_report(lua_State *L, int nargs) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &report_key);
  lua_insert(L, -nargs - 1);
  if (lua_pcall(L, nargs, 0, 0) == LUA_OK) return;
  lua_pop(L, 1); /* a report that fails has nobody to tell */
}

static void blocked_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &monitor_key);
  struct monitor *m = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (!m || m->hooked != L) { /* the monitor is gone */
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  m->hooked = NULL;
  lua_sethook(L, m->hook, m->hook_mask, m->hook_count);
  if (!lua_checkstack(L, 8)) return;
  lua_pushliteral(L, "blocked");
  if (m->hub->current)
    gev_push_greenlet(L, m->hub, m->hub->current);
  else
    lua_pushnil(L);
  lua_pushnumber(L, (double)(gev_now() - atomic_load(&m->since)) / 1e9);
  luaL_traceback(L, L, NULL, 0);
  call_report(L, 4);
}

/* Nudges may come without cause: who asks is known by `asked`. */
static void look_up(struct gev_nudge *n) {
  struct monitor *m = gev_container(n, struct monitor, nudge);
  if (!atomic_exchange(&m->asked, false)) return;
  lua_State *L = m->hub->running ? m->hub->running : m->hub->L;
  if (m->hooked == L && lua_gethook(L) == blocked_hook) return;
  m->hook = lua_gethook(L);
  m->hook_mask = lua_gethookmask(L);
  m->hook_count = lua_gethookcount(L);
  m->hooked = L;
  lua_sethook(L, blocked_hook,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* --- in the hub's thread: the report on memory --------------------------- */

static void memory_run(struct gev_hub *h, struct gev_task *t) {
  struct monitor *m = gev_container(t, struct monitor, task);
  size_t usage = atomic_load(&m->usage);
  if (!lua_checkstack(h->L, 8)) return;
  lua_pushliteral(h->L, "memory");
  lua_pushinteger(h->L, (lua_Integer)usage);
  lua_pushboolean(h->L, usage > m->set.memory);
  call_report(h->L, 3);
}

static void async_cb(uv_async_t *async) {
  struct monitor *m = gev_container(async->data, struct monitor, async);
  if (gev_list_empty(&m->task.link)) gev_ready(m->hub, &m->task);
}

/* --- the thread ---------------------------------------------------------- */

struct watch {
  uint64_t switches; /* of the last look */
  int64_t since;     /* when they were other ones */
  int64_t next_memory;
  bool reported, over;
};

static void look_at_hub(struct monitor *m, struct watch *w, int64_t now) {
  uint64_t switches = gev_switches(m->hub);
  if (switches != w->switches || gev_is_polling(m->hub)) {
    w->switches = switches;
    w->since = now;
    w->reported = false;
  } else if (!w->reported && now - w->since >= m->set.blocking) {
    w->reported = true;
    atomic_store(&m->since, w->since);
    atomic_store(&m->asked, true);
    gev_nudge_send(&m->nudge);
  }
}

static void look_at_memory(struct monitor *m, struct watch *w) {
  size_t usage;
  if (uv_resident_set_memory(&usage) != 0) return;
  if ((usage > m->set.memory) == w->over) return;
  w->over = !w->over;
  atomic_store(&m->usage, usage);
  if (m->async) uv_async_send(m->async);
}

static void look(struct monitor *m, struct watch *w) {
  int64_t now = gev_now();
  if (m->set.blocking) look_at_hub(m, w, now);
  if (!m->set.memory || now < w->next_memory) return;
  w->next_memory = now + m->set.period;
  look_at_memory(m, w);
}

/* How long the thread sleeps, ns. */
static int64_t interval(const struct settings *s) {
  int64_t time = s->blocking ? s->blocking / 2 : s->period;
  if (s->memory && s->period < time) time = s->period;
  return time > SHORTEST ? time : SHORTEST;
}

static void sleep_with_lock(struct monitor *m) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  int64_t at = until.tv_nsec + interval(&m->set);
  until.tv_sec += (time_t)(at / 1000000000);
  until.tv_nsec = (long)(at % 1000000000);
  pthread_cond_timedwait(&m->wake, &m->lock, &until);
}

static void *thread_main(void *arg) {
  struct monitor *m = arg;
  struct watch w = {gev_switches(m->hub), gev_now(), 0, false, false};
  pthread_mutex_lock(&m->lock);
  while (!m->stop) {
    look(m, &w);
    sleep_with_lock(m);
  }
  pthread_mutex_unlock(&m->lock);
  return NULL;
}

/* --- starting and stopping ----------------------------------------------- */

static void close_async(struct monitor *m) {
  pthread_mutex_lock(&m->lock);
  gev_handle_close((uv_handle_t *)m->async);
  pthread_mutex_unlock(&m->lock);
}

static void hub_closes(struct gev_closer *c) {
  close_async(gev_container(c, struct monitor, closer));
}

static void init_wake(struct monitor *m) {
  gev_thread_cond(&m->wake);
  pthread_mutex_init(&m->lock, NULL);
}

static void unwatch(struct monitor *m) {
  lua_State *L = m->hub->L;
  gev_nudge_leave(&m->nudge);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &monitor_key);
}

/* The child of a fork has no monitor. */
static void hub_forked(struct gev_closer *c) {
  struct monitor *m = gev_container(c, struct monitor, closer);
  m->stop = true;
  unwatch(m);
  gev_unlink(&m->closer.link);
  gev_unlink(&m->task.link);
}

static int open_async(lua_State *L, struct monitor *m) {
  uv_loop_t *loop = gev_loop(L, m->hub);
  uv_async_t *async = malloc(sizeof *async);
  int err = async ? uv_async_init(loop, async, async_cb) : UV_ENOMEM;
  if (err) {
    free(async);
    return err;
  }
  gev_handle_own(async, &m->async);
  m->async = async;
  return 0;
}

static int start_thread(struct monitor *m) {
  gev_nudge_enter(&m->nudge, look_up);
  return gev_thread_start(&m->thread, thread_main, m);
}

static void end_thread(struct monitor *m) {
  pthread_mutex_lock(&m->lock);
  m->stop = true;
  pthread_cond_signal(&m->wake);
  pthread_mutex_unlock(&m->lock);
  pthread_join(m->thread, NULL);
}

static struct monitor *check(lua_State *L) {
  return gev_check(L, 1, &monitor_class);
}

/* monitor:close(): idempotent */
static int m_close(lua_State *L) {
  struct monitor *m = check(L);
  if (m->stop) return 0;
  end_thread(m);
  unwatch(m);
  close_async(m);
  gev_unlink(&m->task.link);
  gev_unlink(&m->closer.link);
  return 0;
}

static struct settings check_settings(lua_State *L) {
  struct settings s = {(int64_t)(gev_checkseconds(L, 2) * 1e9),
                       (int64_t)(gev_checkseconds(L, 3) * 1e9),
                       (size_t)luaL_checkinteger(L, 4)};
  return s;
}

/* newmonitor(report, seconds blocked, seconds between looks at the memory,
 * bytes): report("blocked", greenlet, seconds, traceback), in a hook, and
 * report("memory", bytes, too much?), in the hub. Upvalue 2: its class. */
static int lib_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  struct settings set = check_settings(L);
  struct monitor *m = lua_newuserdatauv(L, sizeof *m, 0);
  memset(m, 0, sizeof *m);
  m->cls = &monitor_class;
  m->hub = gev_hub(L);
  m->set = set;
  m->stop = true; /* nothing to give back yet */
  m->task.run = memory_run;
  m->closer.close = hub_closes;
  m->closer.forked = hub_forked;
  gev_list_init(&m->task.link);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  int err = open_async(L, m);
  if (err) return gev_fail(L, -err);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &report_key);
  init_wake(m);
  m->stop = false;
  gev_list_append(&m->hub->closers, &m->closer.link);
  lua_pushlightuserdata(L, m);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &monitor_key);
  err = start_thread(m);
  if (err) {
    m->stop = true;
    unwatch(m);
    gev_unlink(&m->closer.link);
    close_async(m);
    return gev_fail(L, err);
  }
  return 1;
}

static const luaL_Reg methods[] = {{"close", m_close},
                                   {"__gc", m_close},
                                   {"__close", m_close},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"newmonitor", lib_new}, {NULL, NULL}};

void gev_open_monitor(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "monitor", methods, 1);
  luaL_setfuncs(L, functions, 2);
}
