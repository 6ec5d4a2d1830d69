/* io/spawn.c - layer: io. Starting a child process, by uv_spawn, which resets
 * its signals. A child inherits the descriptors that it
 * is given, and no other: for the time of the call those are marked
 * close-on-exec that were not. Waiting is process.c's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/file.h"
#include "io/process.h"

/* Arguments of spawn_process. */
enum { FILE_ARG = 1, ARGS, ENV, CWD, STDIO, OPTIONS, LAST = OPTIONS };

/* --- who inherits what --------------------------------------------------- */

/* Descriptors whose close-on-exec flag was turned for the time of a spawn. */
struct turned {
  int *fds;
  size_t n, cap;
};

static void turn(int fd) {
  fcntl(fd, F_SETFD, fcntl(fd, F_GETFD) ^ FD_CLOEXEC);
}

/* Does the list at idx contain the number? */
static bool contains(lua_State *L, int idx, int fd) {
  bool found = false;
  if (lua_type(L, idx) != LUA_TTABLE) return false;
  for (int i = 1; !found && lua_rawgeti(L, idx, i) != LUA_TNIL; i++) {
    found = lua_tointeger(L, -1) == fd;
    lua_pop(L, 1);
  }
  if (!found) lua_pop(L, 1);
  return found;
}

static bool turn_if(struct turned *t, int fd, bool wanted) {
  int flags = fcntl(fd, F_GETFD);
  if (flags < 0 || !(flags & FD_CLOEXEC) == wanted) return true;
  if (t->n == t->cap) {
    size_t cap = t->cap ? t->cap * 2 : 16;
    int *fds = realloc(t->fds, cap * sizeof *fds);
    if (!fds) return false;
    t->fds = fds;
    t->cap = cap;
  }
  t->fds[t->n++] = fd;
  turn(fd);
  return true;
}

/* The list at idx has those to be inherited under their own numbers. 0 or an
 * errno. */
static int turn_all(lua_State *L, struct turned *t, int idx) {
  DIR *dir = opendir("/proc/self/fd");
  if (!dir) dir = opendir("/dev/fd");
  if (!dir) return errno;
  bool ok = true;
  for (struct dirent *d; ok && (d = readdir(dir));) {
    int fd = atoi(d->d_name);
    if (fd > 2) ok = turn_if(t, fd, contains(L, idx, fd));
  }
  closedir(dir);
  return ok ? 0 : ENOMEM;
}

static void turn_back(struct turned *t) {
  for (size_t i = 0; i < t->n; i++) turn(t->fds[i]);
  free(t->fds);
}

/* --- the options --------------------------------------------------------- */

/* The list of strings at idx, NULL at its end; left on the stack. */
static char **strings(lua_State *L, int idx) {
  size_t n = lua_rawlen(L, idx);
  char **list = lua_newuserdatauv(L, (n + 1) * sizeof *list, 0);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, idx, (lua_Integer)i + 1);
    list[i] = (char *)(uintptr_t)luaL_checkstring(L, -1);
    lua_pop(L, 1); /* the list keeps it */
  }
  list[n] = NULL;
  return list;
}

static uv_stdio_container_t *stdio(lua_State *L, uv_process_options_t *o) {
  size_t n = lua_rawlen(L, STDIO);
  uv_stdio_container_t *list = lua_newuserdatauv(L, n * sizeof *list, 0);
  for (size_t i = 0; i < n; i++) {
    list[i].flags = UV_IGNORE;
    if (lua_rawgeti(L, STDIO, (lua_Integer)i + 1) != LUA_TBOOLEAN) {
      list[i].flags = UV_INHERIT_FD;
      list[i].data.fd = (int)lua_tointeger(L, -1);
    }
    lua_pop(L, 1);
  }
  o->stdio_count = (int)n;
  return list;
}

static lua_Integer option(lua_State *L, const char *name, unsigned flag,
                          uv_process_options_t *o) {
  lua_Integer value = 0;
  int type = lua_getfield(L, OPTIONS, name);
  if (type == LUA_TNUMBER) value = lua_tointeger(L, -1);
  if (type == LUA_TNUMBER || lua_toboolean(L, -1)) o->flags |= flag;
  lua_pop(L, 1);
  return value;
}

static void read_options(lua_State *L, uv_process_options_t *o) {
  o->file = luaL_checkstring(L, FILE_ARG);
  o->args = strings(L, ARGS);
  if (!lua_isnil(L, ENV)) o->env = strings(L, ENV);
  o->cwd = lua_tostring(L, CWD);
  o->stdio = stdio(L, o);
  option(L, "detached", UV_PROCESS_DETACHED, o);
  o->uid = (uv_uid_t)option(L, "uid", UV_PROCESS_SETUID, o);
  o->gid = (uv_gid_t)option(L, "gid", UV_PROCESS_SETGID, o);
}

/* --- the call ------------------------------------------------------------ */

/* libuv's handle is only there to start it: the children's list waits. */
static int spawn(lua_State *L, struct gev_hub *h, uv_process_options_t *o,
                 int inherit, pid_t *pid) {
  uv_process_t *handle = malloc(sizeof *handle);
  struct turned turned = {0};
  if (!handle) return ENOMEM;
  int err = lua_isboolean(L, inherit) ? 0 : turn_all(L, &turned, inherit);
  handle->data = NULL;
  if (err) {
    free(handle);
  } else {
    err = -uv_spawn(h->loop, handle, o);
    handle->data = NULL;
    *pid = handle->pid;
    gev_handle_close((uv_handle_t *)handle);
  }
  turn_back(&turned);
  return err;
}

/* spawn_process(file, args, env|nil, cwd|nil, stdio, {inherit= list of
 * descriptors, or false for all, detached=, uid=, gid=}) -> process | nil,
 * message, code. stdio: descriptors, false for none. */
static int lib_spawn_process(lua_State *L) {
  uv_process_options_t options = {0};
  pid_t pid = 0;
  luaL_checktype(L, STDIO, LUA_TTABLE);
  lua_settop(L, LAST);
  struct gev_process *p = gev_process_new(L);
  int self = lua_gettop(L);
  lua_getfield(L, OPTIONS, "inherit");
  read_options(L, &options);
  luaL_checkstack(L, 4, NULL);
  gev_process_prepare(L, p);
  int err = spawn(L, gev_hub(L), &options, self + 1, &pid);
  if (err) {
    gev_process_release(p);
    return gev_fail(L, err);
  }
  gev_process_started(p, pid);
  lua_settop(L, self);
  return 1;
}

static const luaL_Reg functions[] = {{"spawn_process", lib_spawn_process},
                                     {NULL, NULL}};

void gev_open_spawn(lua_State *L, int first) {
  for (int i = 0; i < 3; i++) lua_pushvalue(L, first + i);
  luaL_setfuncs(L, functions, 3);
}
