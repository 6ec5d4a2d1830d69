/* io/fork.c - layer: io. See fork.h. Owns nothing.
 *
 * The child goes on from the call, in the greenlet that made it, with a new
 * loop. The parent's other greenlets go on in the parent, and only there;
 * nothing of theirs runs in the child, not even their <close> variables, for
 * what these would give back is the parent's. */
#include "io/fork.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/park.h"
#include "io/fdwait.h"
#include "io/process.h"
#include "io/signals.h"

/* Main may be parked, if another greenlet has forked. */
static void rearm_main(lua_State *L, struct gev_hub *h) {
  struct gev_greenlet *g = h->main;
  if (g->state == GEV_PARKED && g->op->cancel == gev_fd_cancel)
    gev_fd_rearm(L, h, g->on);
}

static void nothing(uv_work_t *work) { (void)work; }

static void done(uv_work_t *work, int status) {
  (void)status;
  free(work);
}

/* libuv joins the threads of its pool when the process exits: the parent's
 * ones, which are not here, unless it has started others meanwhile. */
static void restart_pool(struct gev_hub *h) {
  uv_work_t *work = malloc(sizeof *work);
  if (work && uv_queue_work(h->loop, work, nothing, done)) free(work);
}

/* Has this process more than one thread? In doubt it has. */
static bool has_threads(void) {
  struct stat st;
  return stat("/proc/self/task", &st) < 0 || st.st_nlink > 3;
}

static void take_over(lua_State *L, struct gev_hub *h, bool threads) {
  int err = gev_hub_forked(L, h);
  if (err)
    luaL_error(L, "fork: no event loop for the child: %s", uv_strerror(err));
  h->pid = getpid();
  if (threads) restart_pool(h);
  gev_children_forked(L);
  gev_signals_forked(L);
  rearm_main(L, h);
}

static int call_take_over(lua_State *L) {
  take_over(L, lua_touserdata(L, 1), lua_toboolean(L, 2));
  return 0;
}

/* No signal may find the child without a loop: libuv's handlers are still
 * there, and end the process where they cannot write to their pipe. */
static pid_t fork_quietly(lua_State *L, struct gev_hub *h) {
  sigset_t all, before;
  bool threads = has_threads();
  int status = LUA_OK;
  luaL_checkstack(L, 4, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = fork();
  if (pid == 0) {
    lua_pushcfunction(L, call_take_over);
    lua_pushlightuserdata(L, h);
    lua_pushboolean(L, threads);
    status = lua_pcall(L, 2, 0, 0);
  }
  int err = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (status != LUA_OK) lua_error(L);
  errno = err;
  return pid;
}

/* fork() -> 0 in the child, its number in the parent | nil, message, code */
static int lib_fork(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  if (!h->current || h->closing)
    return luaL_error(L, "fork: not in a callback of the hub, nor in a state "
                      "that is being closed");
  fflush(NULL); /* or both would write what io has collected */
  pid_t pid = fork_quietly(L, h);
  if (pid < 0) return gev_fail(L, errno);
  lua_pushinteger(L, pid);
  return 1;
}

/* reinit(): in a child that was made otherwise; elsewhere it does nothing.
 * -> was it one? */
static int lib_reinit(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  bool child = h->pid != getpid();
  if (child) take_over(L, h, true);
  lua_pushboolean(L, child);
  return 1;
}

static const luaL_Reg functions[] = {
    {"fork", lib_fork}, {"reinit", lib_reinit}, {NULL, NULL}};

void gev_open_fork(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
