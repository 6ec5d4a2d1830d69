/* io/signals.c - layer: io. See signals.h. `signals` is a userdata, one of a
 * state: it owns what the dispositions were. A watcher owns its handle, and
 * is anchored until it is cancelled. */
#include "io/signals.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>

#include "core/interrupt.h"
#include "core/park.h"
#include "io/signames.h"

struct signals {
  const struct gev_class *cls;
  struct gev_link list; /* of watchers */
  uint32_t active[NSIG];           /* watchers */
  struct sigaction *before[NSIG];  /* malloc'ed, while there are any */
};

struct watcher {
  const struct gev_class *cls;
  struct gev_link link; /* in the list, until it is cancelled */
  struct gev_hub *hub;
  struct signals *signals;
  uv_signal_t *handle; /* NULL: the loop is gone, or it was cancelled */
  struct gev_task task;
  uint32_t pending; /* came, and the function was not called for it yet */
  int signum;
  int ref; /* anchor; 0: cancelled */
};

static const struct gev_class signals_class = {"signals", NULL, NULL};
static const struct gev_class watcher_class = {"signal watcher", NULL, NULL};

/* --- dispositions -------------------------------------------------------- */

/* Before the first watcher of a signal; false: out of memory. */
static bool save(struct signals *s, struct gev_hub *h, int signum) {
  if (s->active[signum]) return true;
  s->before[signum] = malloc(sizeof **s->before);
  if (!s->before[signum]) return false;
  if (signum == SIGINT) gev_sigint_unwatch(h);
  sigaction(signum, NULL, s->before[signum]);
  return true;
}

/* After the last one. If libuv has not given the signal up, somebody else in
 * this process watches it. */
static void restore(struct signals *s, int signum) {
  struct sigaction now;
  if (s->active[signum] || !s->before[signum]) return;
  sigaction(signum, NULL, &now);
  if (now.sa_handler == SIG_DFL) sigaction(signum, s->before[signum], NULL);
  free(s->before[signum]);
  s->before[signum] = NULL;
}

static int signals_gc(lua_State *L) {
  struct signals *s = gev_check(L, 1, &signals_class);
  for (int signum = 1; signum < NSIG; signum++) {
    s->active[signum] = 0;
    restore(s, signum);
  }
  return 0;
}

/* --- a signal comes ------------------------------------------------------ */

static void signal_cb(uv_signal_t *handle, int signum) {
  struct watcher *w = gev_container(handle->data, struct watcher, handle);
  (void)signum;
  w->pending++;
  if (gev_list_empty(&w->task.link)) gev_ready(w->hub, &w->task);
}

/* In the hub: calls the function, once for each. */
static void run(struct gev_hub *h, struct gev_task *t) {
  struct watcher *w = gev_container(t, struct watcher, task);
  lua_State *L = h->L;
  uint32_t n = w->pending;
  w->pending = 0;
  luaL_checkstack(L, 6, NULL);
  gev_push_anchored(L, h, w->ref);
  for (; n > 0 && w->ref; n--) {
    lua_getiuservalue(L, -1, 1);
    if (lua_pcall(L, 0, 0, 0) == LUA_OK) continue;
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_pushnil(L); /* context, error, traceback */
    gev_report(h);
  }
  lua_pop(L, 1);
}

/* --- watchers ------------------------------------------------------------ */

static void stop(lua_State *L, struct watcher *w) {
  if (!w->ref) return;
  int ref = w->ref;
  w->ref = 0;
  w->signals->active[w->signum]--;
  gev_unlink(&w->link);
  gev_unlink(&w->task.link);
  if (w->handle) {
    if (w->signum == SIGINT) w->hub->sigint_watchers--;
    uv_signal_stop(w->handle);
    gev_handle_close((uv_handle_t *)w->handle);
  }
  restore(w->signals, w->signum);
  gev_unanchor(L, w->hub, ref);
}

/* w:cancel(). Idempotent. */
static int m_cancel(lua_State *L) {
  stop(L, gev_check(L, 1, &watcher_class));
  return 0;
}

static int m_signum(lua_State *L) {
  struct watcher *w = gev_check(L, 1, &watcher_class);
  lua_pushinteger(L, w->signum);
  return 1;
}

static int m_active(lua_State *L) {
  struct watcher *w = gev_check(L, 1, &watcher_class);
  lua_pushboolean(L, w->ref != 0);
  return 1;
}

/* 0 or a negative errno. */
static int start(lua_State *L, struct watcher *w) {
  uv_loop_t *loop = gev_loop(L, w->hub);
  w->handle = malloc(sizeof *w->handle);
  if (!w->handle) return UV_ENOMEM;
  int err = uv_signal_init(loop, w->handle);
  if (err) {
    free(w->handle);
    w->handle = NULL;
    return err;
  }
  gev_handle_own(w->handle, &w->handle);
  if (!save(w->signals, w->hub, w->signum)) return UV_ENOMEM;
  return uv_signal_start(w->handle, signal_cb, w->signum);
}

/* signal_watcher(signal, fn) -> watcher; raises where it cannot be caught.
 * fn runs in the hub. */
static int lib_watcher(lua_State *L) {
  int signum = gev_check_signal(L, 1, 0);
  gev_checkcallable(L, 2);
  struct watcher *w = lua_newuserdatauv(L, sizeof *w, 1);
  *w = (struct watcher){.cls = &watcher_class, .hub = gev_hub(L)};
  w->signals = lua_touserdata(L, lua_upvalueindex(2));
  w->task.run = run;
  w->signum = signum;
  gev_list_init(&w->task.link);
  gev_list_init(&w->link);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, 1);
  int ref = gev_anchor(L, w->hub, -1);
  int err = start(L, w);
  if (err) {
    gev_handle_close((uv_handle_t *)w->handle);
    restore(w->signals, signum);
    gev_unanchor(L, w->hub, ref);
    if (err == UV_EINVAL) luaL_argerror(L, 1, "this signal cannot be caught");
    return luaL_error(L, "cannot watch a signal: %s", uv_strerror(err));
  }
  w->ref = ref;
  w->signals->active[signum]++;
  gev_list_append(&w->signals->list, &w->link);
  if (signum == SIGINT) w->hub->sigint_watchers++;
  return 1;
}

static const char signals_key = 0;

void gev_signals_forked(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &signals_key);
  struct signals *s = gev_check(L, -1, &signals_class);
  for (struct gev_link *l = s->list.next; l != &s->list; l = l->next) {
    struct watcher *w = gev_container(l, struct watcher, link);
    int err = start(L, w);
    if (err) luaL_error(L, "cannot watch a signal: %s", uv_strerror(err));
    if (w->signum == SIGINT) w->hub->sigint_watchers++;
  }
  lua_pop(L, 1);
}

/* --- without watchers ---------------------------------------------------- */

/* set_disposition(signal, "default"|"ignore"). Whoever still watches it, in
 * vain, is not told. */
static int lib_set_disposition(lua_State *L) {
  static const char *const names[] = {"default", "ignore", NULL};
  int signum = gev_check_signal(L, 1, 0);
  int ignore = luaL_checkoption(L, 2, NULL, names);
  struct sigaction action = {.sa_handler = ignore ? SIG_IGN : SIG_DFL};
  sigemptyset(&action.sa_mask);
  luaL_argcheck(L, signum != SIGCHLD || !ignore, 1,
                "SIGCHLD is needed to wait for child processes");
  if (signum == SIGINT) gev_sigint_unwatch(gev_hub(L));
  luaL_argcheck(L, sigaction(signum, &action, NULL) == 0, 1,
                "this signal cannot be caught");
  return 0;
}

/* get_disposition(signal) -> "default", "ignore", or nil: a C function */
static int lib_get_disposition(lua_State *L) {
  struct sigaction action;
  int signum = gev_check_signal(L, 1, 0);
  if (sigaction(signum, NULL, &action) < 0) return 0;
  if (action.sa_handler == SIG_DFL)
    lua_pushliteral(L, "default");
  else if (action.sa_handler == SIG_IGN)
    lua_pushliteral(L, "ignore");
  else
    lua_pushnil(L);
  return 1;
}

/* signum(signal) -> its number, or nil if it is none */
static int lib_signum(lua_State *L) {
  lua_Integer n = lua_type(L, 1) == LUA_TSTRING
                      ? gev_signal_number(lua_tostring(L, 1))
                      : lua_tointeger(L, 1);
  if (n <= 0 || n >= NSIG) return 0;
  lua_pushinteger(L, n);
  return 1;
}

/* send_signal(pid, signal) -> true | nil, message, code */
static int lib_send_signal(lua_State *L) {
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  if (kill(pid, gev_check_signal(L, 2, 1)) < 0) return gev_fail(L, errno);
  lua_pushboolean(L, true);
  return 1;
}

static const luaL_Reg methods[] = {{"cancel", m_cancel},
                                   {"signum", m_signum},
                                   {"active", m_active},
                                   {"__gc", m_cancel},
                                   {NULL, NULL}};
static const luaL_Reg functions[] = {{"signal_watcher", lib_watcher},
                                     {"set_disposition", lib_set_disposition},
                                     {"get_disposition", lib_get_disposition},
                                     {"signum", lib_signum},
                                     {"send_signal", lib_send_signal},
                                     {NULL, NULL}};

void gev_open_signals(lua_State *L, int hub) {
  static const luaL_Reg gc[] = {{"__gc", signals_gc}, {NULL, NULL}};
  lua_newtable(L);
  gev_push_signals(L);
  lua_setfield(L, -2, "signals");
  lua_pushvalue(L, hub);
  struct signals *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (struct signals){.cls = &signals_class};
  gev_list_init(&s->list);
  gev_newclass(L, "signals", gc, 0);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &signals_key);
  lua_pushvalue(L, hub);
  gev_newclass(L, "signal watcher", methods, 1);
  luaL_setfuncs(L, functions, 3);
}
