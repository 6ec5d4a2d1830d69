/* io/process.c - layer: io. See process.h.
 *
 * `children` is a userdata, one of a state. It owns a list with an entry for
 * each child that was not reaped, and, while there is any, a watcher of
 * SIGCHLD. An entry outlives the object that Lua holds. */
#include "io/process.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "core/park.h"
#include "io/signames.h"

struct gev_children {
  const struct gev_class *cls;
  struct gev_hub *hub;
  struct gev_closer closer;
  uv_signal_t *watcher; /* NULL: no child, or the loop is gone */
  struct gev_link list; /* of entries */
};

struct entry {
  struct gev_link link;
  pid_t pid;
  struct gev_process *owner; /* NULL: collected */
};

struct gev_process {
  const struct gev_class *cls;
  struct gev_children *children;
  struct entry *entry; /* NULL: it was reaped */
  struct gev_waitq waiters;
  pid_t pid;      /* 0: not started */
  bool lost;      /* somebody else has reaped it */
  bool unref;     /* does not keep the loop alive by itself */
  int returncode; /* -signal if it was killed */
};

static const struct gev_class children_class = {"children", NULL, NULL};

static bool is_ready(const void *self) {
  return ((const struct gev_process *)self)->entry == NULL;
}
static struct gev_waitq *waiters_of(void *self) {
  return &((struct gev_process *)self)->waiters;
}
static const struct gev_class process_class = {"process", is_ready,
                                               waiters_of};

static struct gev_process *check(lua_State *L) {
  return gev_check(L, 1, &process_class);
}

/* --- the list ------------------------------------------------------------ */

/* The hub counts those with an owner, while there is a watcher. */
static void count(struct gev_children *c, const struct entry *e, int change) {
  if (c->watcher && e->owner && !e->owner->unref)
    c->hub->external += (uint32_t)change;
}

static void remove_entry(struct gev_children *c, struct entry *e) {
  count(c, e, -1);
  gev_unlink(&e->link);
  free(e);
  if (gev_list_empty(&c->list))
    gev_handle_close((uv_handle_t *)c->watcher);
}

/* The child has ended, or is not ours to wait for: status < 0. */
static void ended(struct gev_children *c, struct entry *e, int status) {
  struct gev_process *p = e->owner;
  if (p) {
    p->lost = status < 0;
    p->returncode =
        WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    p->entry = NULL;
    gev_waitq_wake_all(c->hub, &p->waiters, p);
  }
  remove_entry(c, e);
}

/* Reaps it if it has ended. */
static void try_reap(struct gev_children *c, struct entry *e) {
  int status;
  pid_t pid;
  do {
    pid = waitpid(e->pid, &status, WNOHANG);
  } while (pid < 0 && errno == EINTR);
  if (pid != 0) ended(c, e, pid < 0 ? -1 : status);
}

static void reap_all(struct gev_children *c) {
  struct gev_link *next;
  for (struct gev_link *l = c->list.next; l != &c->list; l = next) {
    next = l->next;
    try_reap(c, gev_container(l, struct entry, link));
  }
}

static void sigchld_cb(uv_signal_t *watcher, int signum) {
  (void)signum;
  reap_all(gev_container(watcher->data, struct gev_children, watcher));
}

static void watch(lua_State *L, struct gev_children *c) {
  if (c->watcher) return;
  uv_loop_t *loop = gev_loop(L, c->hub);
  c->watcher = malloc(sizeof *c->watcher);
  if (!c->watcher) luaL_error(L, "not enough memory");
  int err = uv_signal_init(loop, c->watcher);
  if (err) {
    free(c->watcher);
    c->watcher = NULL;
    luaL_error(L, "cannot watch child processes: %s", uv_strerror(err));
  }
  gev_handle_own(c->watcher, &c->watcher);
  uv_signal_start(c->watcher, sigchld_cb, SIGCHLD);
  for (struct gev_link *l = c->list.next; l != &c->list; l = l->next)
    count(c, gev_container(l, struct entry, link), 1);
}

static const char children_key = 0;

void gev_children_forked(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &children_key);
  struct gev_children *c = gev_check(L, -1, &children_class);
  while (!gev_list_empty(&c->list))
    ended(c, gev_container(c->list.next, struct entry, link), -1);
  lua_pop(L, 1);
}

/* The loop is about to go: nothing will come of it. */
static void hub_closes(struct gev_closer *closer) {
  struct gev_children *c = gev_container(closer, struct gev_children, closer);
  for (struct gev_link *l = c->list.next; l != &c->list; l = l->next)
    count(c, gev_container(l, struct entry, link), -1);
  gev_handle_close((uv_handle_t *)c->watcher);
}

static int children_gc(lua_State *L) {
  struct gev_children *c = gev_check(L, 1, &children_class);
  gev_unlink(&c->closer.link);
  gev_handle_close((uv_handle_t *)c->watcher);
  while (!gev_list_empty(&c->list))
    remove_entry(c, gev_container(c->list.next, struct entry, link));
  return 0;
}

/* --- making -------------------------------------------------------------- */

struct gev_process *gev_process_new(lua_State *L) {
  struct gev_process *p = lua_newuserdatauv(L, sizeof *p, 0);
  *p = (struct gev_process){.cls = &process_class};
  p->children = lua_touserdata(L, lua_upvalueindex(2));
  gev_waitq_init(&p->waiters);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  return p;
}

void gev_process_prepare(lua_State *L, struct gev_process *p) {
  watch(L, p->children);
  p->entry = calloc(1, sizeof *p->entry);
  if (!p->entry) luaL_error(L, "not enough memory");
  gev_list_init(&p->entry->link);
}

void gev_process_started(struct gev_process *p, pid_t pid) {
  struct entry *e = p->entry;
  p->pid = e->pid = pid;
  e->owner = p;
  gev_list_append(&p->children->list, &e->link);
  count(p->children, e, 1);
}

void gev_process_release(struct gev_process *p) {
  struct gev_children *c = p->children;
  struct entry *e = p->entry;
  p->entry = NULL;
  if (e && p->pid) {
    count(c, e, -1);
    e->owner = NULL;
    return;
  }
  free(e); /* it was never started */
  if (gev_list_empty(&c->list)) gev_handle_close((uv_handle_t *)c->watcher);
}

static int process_gc(lua_State *L) {
  struct gev_process *p = check(L);
  gev_waitq_abandon(p->children->hub, &p->waiters);
  gev_process_release(p);
  return 0;
}

/* An error that libuv has no name for. */
static int no_child(lua_State *L) {
  return gev_failmsg(L, "no child process", "ECHILD");
}

/* process_of(pid) -> process | nil, message, code: a child that was made by
 * fork. It does not keep the loop alive. */
static int lib_process_of(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  luaL_argcheck(L, pid > 0 && pid <= INT32_MAX, 1, "not a process");
  struct gev_process *p = gev_process_new(L);
  p->unref = true;
  gev_process_prepare(L, p);
  gev_process_started(p, (pid_t)pid);
  try_reap(p->children, p->entry);
  return p->lost ? no_child(L) : 1;
}

/* --- methods ------------------------------------------------------------- */

static const struct gev_waitop wait_op = {"wait", false, gev_waitq_cancel,
                                          NULL};
static const struct gev_waitop waitpid_op = {"waitpid", true,
                                             gev_waitq_cancel, NULL};

static int push_outcome(lua_State *L, const struct gev_process *p) {
  if (p->lost) return no_child(L);
  lua_pushinteger(L, p->returncode);
  return 1;
}

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (gev_unpark(L, gev_hub(L)) != GEV_WOKEN) return gev_failtimeout(L);
  return push_outcome(L, check(L));
}

/* p:wait([timeout]) -> returncode | nil, message, code */
static int m_wait(lua_State *L) {
  struct gev_process *p = check(L);
  double timeout = gev_opttimeout(L, 2);
  if (p->entry) try_reap(p->children, p->entry);
  if (!p->entry) return push_outcome(L, p);
  if (timeout == 0) return gev_failtimeout(L);
  struct gev_hub *h = gev_hub(L);
  const struct gev_waitop *op = p->unref ? &waitpid_op : &wait_op;
  struct gev_greenlet *g = gev_park_begin(L, h, op);
  watch(L, p->children);
  gev_waitq_add(&p->waiters, &g->task);
  return gev_park(L, h, g, op, p, gev_deadline(timeout), 0, wait_k);
}

/* p:poll() -> returncode, or nil while it runs */
static int m_poll(lua_State *L) {
  struct gev_process *p = check(L);
  if (p->entry) try_reap(p->children, p->entry);
  if (!p->entry) return push_outcome(L, p);
  lua_pushnil(L);
  return 1;
}

/* p:returncode() -> what is known of it already */
static int m_returncode(lua_State *L) {
  struct gev_process *p = check(L);
  if (p->entry || p->lost)
    lua_pushnil(L);
  else
    lua_pushinteger(L, p->returncode);
  return 1;
}

/* p:signal(signal) -> true | nil, message, code. One that has ended is left
 * alone: its number may be another's by now. */
static int m_signal(lua_State *L) {
  struct gev_process *p = check(L);
  int signum = gev_check_signal(L, 2, 1);
  if (p->entry) try_reap(p->children, p->entry);
  if (p->entry && kill(p->pid, signum) < 0) return gev_fail(L, errno);
  lua_pushboolean(L, true);
  return 1;
}

/* p:ref(boolean): does it keep the loop alive while it runs? */
static int m_ref(lua_State *L) {
  struct gev_process *p = check(L);
  bool unref = !lua_toboolean(L, 2);
  if (p->entry) count(p->children, p->entry, -1);
  p->unref = unref;
  if (p->entry) count(p->children, p->entry, 1);
  return 0;
}

static int m_pid(lua_State *L) {
  lua_pushinteger(L, check(L)->pid);
  return 1;
}

static const luaL_Reg methods[] = {
    {"wait", m_wait},     {"poll", m_poll}, {"returncode", m_returncode},
    {"signal", m_signal}, {"pid", m_pid},   {"ref", m_ref},
    {"__gc", process_gc}, {NULL, NULL}};

/* Pushes the children of the state. */
static void make_children(lua_State *L, int hub) {
  static const luaL_Reg gc[] = {{"__gc", children_gc}, {NULL, NULL}};
  struct gev_children *c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = (struct gev_children){.cls = &children_class};
  c->hub = lua_touserdata(L, hub);
  c->closer.close = hub_closes;
  gev_list_init(&c->list);
  gev_list_append(&c->hub->closers, &c->closer.link);
  gev_newclass(L, "children", gc, 0);
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &children_key);
}

void gev_open_process(lua_State *L, int hub) {
  int core = lua_gettop(L);
  lua_pushvalue(L, hub);
  make_children(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "process", methods, 1);
  lua_pushboolean(L, true);
  lua_setfield(L, -2, "__waitable");
  for (int i = 1; i <= 3; i++) lua_pushvalue(L, core + i);
  lua_pushcclosure(L, lib_process_of, 3);
  lua_setfield(L, core, "process_of");
  lua_pushvalue(L, core);
  gev_open_spawn(L, core + 1);
  lua_settop(L, core);
}
