/* io/watcher.c - layer: io. Watchers: a libuv handle each, or a timer of the
 * hub's, that calls a Lua function in the hub when something happens.
 *
 * libuv's callback notes the event and queues the watcher's task, which calls
 * the function after the poll. A watcher that is active, or has an event that
 * its function has not heard of, is anchored. Closed or collected it gives
 * its handle up; so it does, and is not active any more, when the loop ends.
 * The function is user value 1, what a fed one was fed user value 2. */
#include "io/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/park.h"

enum kind { IO, TIMER, ASYNC, IDLE, PREPARE, CHECK, STAT, FED, KINDS };

struct watcher {
  const struct gev_class *cls;
  struct gev_hub *hub;
  struct gev_task task;   /* in the ready queue while an event is pending */
  struct gev_closer closer; /* in the hub while it is active */
  struct gev_alarm alarm; /* of a timer */
  uv_handle_t *handle;    /* of the others; NULL: none yet, or closed */
  enum kind kind;
  int anchor;           /* 0: none */
  bool active, unref, closed;
  int number;           /* descriptor: our own copy */
  int events, happened; /* UV_READABLE, UV_WRITABLE */
  double after, every;  /* seconds; every is 0 for once */
  uv_stat_t former, now;
  char *path;
};
static const struct gev_class watcher_class = {"watcher", NULL, NULL};

static const struct {
  const char *name;
  uv_handle_type type;
} kinds[KINDS] = {
    [IO] = {"io", UV_POLL},           [TIMER] = {"timer", UV_UNKNOWN_HANDLE},
    [ASYNC] = {"async", UV_ASYNC},    [IDLE] = {"idle", UV_IDLE},
    [PREPARE] = {"prepare", UV_PREPARE}, [CHECK] = {"check", UV_CHECK},
    [STAT] = {"stat", UV_FS_POLL},    [FED] = {"fed", UV_UNKNOWN_HANDLE}};

/* --- being alive --------------------------------------------------------- */

static bool is_pending(const struct watcher *w) {
  return !gev_list_empty(&w->task.link);
}

/* What is active keeps the loop alive, unless told not to. */
static void count(struct watcher *w, int by) {
  if (w->kind == TIMER)
    w->hub->unref_timers += (uint32_t)(w->unref ? by : 0);
  else if (!w->unref)
    w->hub->external += (uint32_t)by;
}

static void release(lua_State *L, struct watcher *w) {
  if (w->active || is_pending(w) || !w->anchor) return;
  gev_unanchor(L, w->hub, w->anchor);
  w->anchor = 0;
}

/* --- events -------------------------------------------------------------- */

static void happen(struct watcher *w) {
  if (w->active && !is_pending(w)) gev_ready(w->hub, &w->task);
}

static struct watcher *of(const void *handle) {
  uv_handle_t *const *owner = ((const uv_handle_t *)handle)->data;
  return gev_container(owner, struct watcher, handle);
}

static void poll_cb(uv_poll_t *poll, int status, int events) {
  struct watcher *w = of(poll);
  w->happened |= status < 0 ? w->events : events;
  happen(w);
}
static void async_cb(uv_async_t *handle) { happen(of(handle)); }
static void idle_cb(uv_idle_t *handle) { happen(of(handle)); }
static void prepare_cb(uv_prepare_t *handle) { happen(of(handle)); }
static void check_cb(uv_check_t *handle) { happen(of(handle)); }
static void stat_cb(uv_fs_poll_t *handle, int status, const uv_stat_t *former,
                    const uv_stat_t *now) {
  struct watcher *w = of(handle);
  static const uv_stat_t none;
  w->former = *former;
  w->now = status < 0 ? none : *now;
  if (w->former.st_nlink || w->now.st_nlink) happen(w);
}
static void timer_due(struct gev_hub *h, struct gev_alarm *alarm) {
  struct watcher *w = gev_container(alarm, struct watcher, alarm);
  if (w->every > 0) {
    int64_t next = w->alarm.timer.node.key + (int64_t)(w->every * 1e9);
    if (next <= gev_now()) next = gev_deadline(w->every);
    gev_timer_start(h, &w->alarm.timer, next); /* its place is still there */
  }
  happen(w);
}

/* --- starting and stopping ----------------------------------------------- */

static int init_handle(struct watcher *w, uv_loop_t *loop, void *handle) {
  switch (w->kind) {
    case IO: return uv_poll_init(loop, handle, w->number);
    case ASYNC: return uv_async_init(loop, handle, async_cb);
    case IDLE: return uv_idle_init(loop, handle);
    case PREPARE: return uv_prepare_init(loop, handle);
    case CHECK: return uv_check_init(loop, handle);
    default: return uv_fs_poll_init(loop, handle);
  }
}

static int start_handle(struct watcher *w) {
  void *handle = w->handle;
  switch (w->kind) {
    case IO: return uv_poll_start(handle, w->events, poll_cb);
    case ASYNC: return 0;
    case IDLE: return uv_idle_start(handle, idle_cb);
    case PREPARE: return uv_prepare_start(handle, prepare_cb);
    case CHECK: return uv_check_start(handle, check_cb);
    default: return uv_fs_poll_start(handle, stat_cb, w->path,
                                     (unsigned)(w->every * 1000));
  }
}

static void stop_handle(struct watcher *w) {
  void *handle = w->handle;
  if (!handle) return;
  switch (w->kind) {
    case IO: uv_poll_stop(handle); break;
    case IDLE: uv_idle_stop(handle); break;
    case PREPARE: uv_prepare_stop(handle); break;
    case CHECK: uv_check_stop(handle); break;
    case STAT: uv_fs_poll_stop(handle); break;
    default: break;
  }
}

/* Makes the handle where there is none, or its loop has gone. */
static int make_handle(lua_State *L, struct watcher *w) {
  uv_loop_t *loop = gev_loop(L, w->hub);
  if (w->handle) return 0;
  uv_handle_t *handle = malloc(uv_handle_size(kinds[w->kind].type));
  int err = handle ? init_handle(w, loop, handle) : UV_ENOMEM;
  if (err) {
    free(handle);
    return err;
  }
  w->handle = handle;
  gev_handle_own(handle, &w->handle);
  return 0;
}

static int start(lua_State *L, struct watcher *w) {
  int err = 0;
  if (w->kind == TIMER) {
    gev_loop(L, w->hub);
    gev_timer_reserve(L, w->hub);
    gev_timer_start(w->hub, &w->alarm.timer, gev_deadline(w->after));
  } else if (w->kind != FED) {
    err = make_handle(L, w);
    if (!err) err = start_handle(w);
  }
  return err;
}

static void stop(struct watcher *w) {
  if (!w->active) return;
  count(w, -1);
  w->active = false;
  gev_unlink(&w->closer.link);
  w->happened = 0;
  if (w->kind == TIMER)
    gev_timer_stop(w->hub, &w->alarm.timer);
  else
    stop_handle(w);
}

/* The loop ends: nothing will come of it. */
static void hub_closes(struct gev_closer *c) {
  struct watcher *w = gev_container(c, struct watcher, closer);
  stop(w);
  gev_handle_close(w->handle);
  release(w->hub->L, w);
}

/* --- the function -------------------------------------------------------- */

static void set_time(lua_State *L, const char *name, uv_timespec_t t) {
  lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
  lua_setfield(L, -2, name);
}

/* A table of what stat(2) says; nil for a file that is not there. */
static void push_stat(lua_State *L, const uv_stat_t *s) {
  if (s->st_nlink == 0) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, (lua_Integer)s->st_size);
  lua_setfield(L, -2, "size");
  lua_pushinteger(L, (lua_Integer)s->st_mode);
  lua_setfield(L, -2, "mode");
  lua_pushinteger(L, (lua_Integer)s->st_ino);
  lua_setfield(L, -2, "ino");
  set_time(L, "mtime", s->st_mtim);
  set_time(L, "ctime", s->st_ctim);
}

static int push_arguments(lua_State *L, struct watcher *w) {
  switch (w->kind) {
    case IO:
      lua_pushstring(L, w->happened == (UV_READABLE | UV_WRITABLE) ? "rw"
                        : w->happened & UV_READABLE                ? "r"
                                                                   : "w");
      w->happened = 0;
      return 1;
    case STAT:
      push_stat(L, &w->former);
      push_stat(L, &w->now);
      return 2;
    case FED: /* what feed has left in the place of what is watched */
      lua_getiuservalue(L, -2, 2);
      return 1;
    default: return 0;
  }
}

/* watcher -> calls its function */
static int call(lua_State *L) {
  struct watcher *w = lua_touserdata(L, 1);
  lua_getiuservalue(L, 1, 1);
  lua_call(L, push_arguments(L, w), 0);
  return 0;
}

static void run(struct gev_hub *h, struct gev_task *t) {
  struct watcher *w = gev_container(t, struct watcher, task);
  lua_State *L = h->L;
  luaL_checkstack(L, 8, NULL);
  gev_push_anchored(L, h, w->anchor);
  if (w->kind == TIMER && w->every == 0) stop(w);
  lua_pushcfunction(L, call);
  lua_pushvalue(L, -2);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_pushnil(L);
    gev_report(h);
  }
  lua_pop(L, 1);
  release(L, w);
}

/* --- methods ------------------------------------------------------------- */

static struct watcher *check(lua_State *L) {
  return gev_check(L, 1, &watcher_class);
}

/* w:start(fn) -> w; nil, message, code where it cannot be watched */
static int m_start(lua_State *L) {
  struct watcher *w = check(L);
  gev_checkcallable(L, 2);
  if (w->closed) return luaL_error(L, "start: the watcher is closed");
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  stop(w);
  if (!w->anchor) w->anchor = gev_anchor(L, w->hub, 1);
  int err = start(L, w);
  if (err) {
    release(L, w);
    return gev_fail(L, -err);
  }
  w->active = true;
  gev_list_append(&w->hub->closers, &w->closer.link);
  count(w, 1);
  lua_settop(L, 1);
  return 1;
}

/* w:stop(): an event that its function has not heard of is dropped */
static int m_stop(lua_State *L) {
  struct watcher *w = check(L);
  stop(w);
  gev_unlink(&w->task.link);
  release(L, w);
  return 0;
}

/* w:close(): idempotent */
static int m_close(lua_State *L) {
  struct watcher *w = check(L);
  m_stop(L);
  if (w->closed) return 0;
  w->closed = true;
  gev_handle_close(w->handle);
  if (w->kind == IO) close(w->number);
  free(w->path);
  w->path = NULL;
  return 0;
}

/* async:send() */
static int m_send(lua_State *L) {
  struct watcher *w = check(L);
  if (w->kind != ASYNC)
    return luaL_error(L, "send: not a watcher made by async()");
  if (w->active && w->handle) uv_async_send((uv_async_t *)w->handle);
  return 0;
}

/* w:feed(value): its event, with the function's argument */
static int m_feed(lua_State *L) {
  struct watcher *w = check(L);
  lua_settop(L, 2);
  if (!w->active) return 0;
  lua_setiuservalue(L, 1, 2);
  happen(w);
  return 0;
}

static int m_index(lua_State *L) {
  struct watcher *w = check(L);
  const char *key = luaL_tolstring(L, 2, NULL);
  if (!strcmp(key, "active"))
    lua_pushboolean(L, w->active);
  else if (!strcmp(key, "pending"))
    lua_pushboolean(L, is_pending(w));
  else if (!strcmp(key, "ref"))
    lua_pushboolean(L, !w->unref);
  else if (!strcmp(key, "closed"))
    lua_pushboolean(L, w->closed);
  else if (!strcmp(key, "kind"))
    lua_pushstring(L, kinds[w->kind].name);
  else
    return luaL_getmetafield(L, 1, key) != LUA_TNIL;
  return 1;
}

/* w.ref = boolean: does it keep the loop alive? */
static int m_newindex(lua_State *L) {
  struct watcher *w = check(L);
  const char *key = luaL_tolstring(L, 2, NULL);
  if (strcmp(key, "ref") != 0)
    return luaL_error(L, "field '%s' of a watcher cannot be set", key);
  luaL_checktype(L, 3, LUA_TBOOLEAN);
  if (w->active) count(w, -1);
  w->unref = !lua_toboolean(L, 3);
  if (w->active) count(w, 1);
  return 0;
}

static int m_tostring(lua_State *L) {
  struct watcher *w = check(L);
  lua_pushfstring(L, "<watcher %s at %p%s%s>", kinds[w->kind].name, (void *)w,
                  w->closed ? " closed" : w->active ? " active" : "",
                  is_pending(w) ? " pending" : "");
  return 1;
}

/* --- making -------------------------------------------------------------- */

/* newwatcher("io", fd, events), ("timer", after, every), ("stat", path,
 * interval), and the others by their names alone. Upvalue 2: the class. */
static int lib_new(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  int kind = 0;
  while (kind < KINDS && strcmp(kinds[kind].name, name) != 0) kind++;
  luaL_argcheck(L, kind < KINDS, 1, "no such kind of watcher");
  lua_settop(L, 3);
  struct watcher *w = lua_newuserdatauv(L, sizeof *w, 2);
  memset(w, 0, sizeof *w);
  w->cls = &watcher_class;
  w->hub = gev_hub(L);
  w->kind = (enum kind)kind;
  w->number = -1;
  w->closed = true; /* nothing to give back yet */
  w->task.run = run;
  w->closer.close = hub_closes;
  gev_list_init(&w->closer.link);
  gev_list_init(&w->task.link);
  gev_alarm_init(&w->alarm, timer_due);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  if (kind == TIMER || kind == STAT) w->every = lua_tonumber(L, 3);
  if (kind == TIMER) w->after = lua_tonumber(L, 2);
  if (kind == STAT && !(w->path = strdup(luaL_checkstring(L, 2))))
    return luaL_error(L, "not enough memory");
  if (kind == IO) {
    w->events = (int)luaL_checkinteger(L, 3);
    w->number = fcntl((int)luaL_checkinteger(L, 2), F_DUPFD_CLOEXEC, 0);
    if (w->number < 0) return gev_fail(L, errno);
  }
  w->closed = false;
  return 1;
}

static const luaL_Reg methods[] = {{"start", m_start},
                                   {"stop", m_stop},
                                   {"close", m_close},
                                   {"send", m_send},
                                   {"feed", m_feed},
                                   {"__index", m_index},
                                   {"__newindex", m_newindex},
                                   {"__tostring", m_tostring},
                                   {"__close", m_close},
                                   {"__gc", m_close},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"newwatcher", lib_new}, {NULL, NULL}};

void gev_open_watcher(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "watcher", methods, 1);
  luaL_setfuncs(L, functions, 2);
}
