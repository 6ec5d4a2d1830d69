/* io/fdwait.c - layer: io. See fdwait.h. Owns the uv_poll handles. */
#include "io/fdwait.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/except.h"
#include "io/file.h"

static const int event_of[] = {[GEV_READ] = UV_READABLE,
                               [GEV_WRITE] = UV_WRITABLE};

void gev_fd_init(struct gev_fd *f, int fd) {
  *f = (struct gev_fd){.fd = fd};
}

/* --- events -------------------------------------------------------------- */

void gev_fd_wake(struct gev_hub *h, struct gev_fd *f, enum gev_dir dir,
                 enum gev_verdict verdict) {
  if (f->user[dir]) gev_wake_waiting(h, f->user[dir], f, verdict);
}

static void poll_cb(uv_poll_t *poll, int status, int events);

/* Registers for `events`; 0 stops the handle. */
static int set_events(struct gev_fd *f, int events) {
  int err = uv_poll_start(f->poll, events, poll_cb);
  f->events = (uint8_t)(err ? 0 : events);
  return err;
}

/* Is somebody of the other role in an operation that waits for this? */
static bool notify_crossed(struct gev_hub *h, struct gev_fd *f,
                           enum gev_dir dir) {
  enum gev_dir other = dir == GEV_READ ? GEV_WRITE : GEV_READ;
  if (!f->user[other] || !(f->crossed & 1u << other)) return false;
  gev_wake_waiting(h, f->user[other], f, GEV_WOKEN);
  return true;
}

/* Wakes who waits for a direction; else returns its event: it is unwanted. */
static inline int notify(struct gev_hub *h, struct gev_fd *f,
                         enum gev_dir dir) {
  bool wanted = f->crossed && notify_crossed(h, f, dir);
  if (!f->user[dir] || f->crossed & 1u << dir)
    return wanted ? 0 : event_of[dir];
  gev_wake_waiting(h, f->user[dir], f, GEV_WOKEN);
  return 0;
}

static void poll_cb(uv_poll_t *poll, int status, int events) {
  struct gev_fd *f = gev_container(poll->data, struct gev_fd, poll);
  struct gev_hub *h = poll->loop->data;
  int unwanted = 0;
  if (status < 0) { /* libuv has stopped it: the next call says what it is */
    f->events = 0;
    events = UV_READABLE | UV_WRITABLE;
  }
  if (events & UV_READABLE) {
    f->drained = false;
    unwanted = notify(h, f, GEV_READ);
  }
  if (events & UV_WRITABLE) unwanted |= notify(h, f, GEV_WRITE);
  if (f->events & unwanted) set_events(f, f->events & ~unwanted);
}

/* --- waiting ------------------------------------------------------------- */

int gev_fd_prepare(lua_State *L, struct gev_hub *h, struct gev_fd *f) {
  uv_loop_t *loop = gev_loop(L, h);
  f->poll = malloc(sizeof *f->poll);
  if (!f->poll) return UV_ENOMEM;
  f->events = 0; /* those of a handle that went with its loop */
  int err = uv_poll_init(loop, f->poll, f->fd);
  if (err) {
    free(f->poll);
    f->poll = NULL;
    return err;
  }
  gev_handle_own(f->poll, &f->poll);
  return 0;
}

static int listen_for(lua_State *L, struct gev_hub *h, struct gev_fd *f,
                      int event) {
  int err = f->poll ? 0 : gev_fd_prepare(L, h, f);
  if (err || (f->events & event)) return err;
  return set_events(f, f->events | event);
}

void gev_fd_expect(struct gev_fd *f, enum gev_dir dir) {
  if (f->poll) set_events(f, f->events | event_of[dir]);
}

void gev_fd_refuse(lua_State *L, struct gev_hub *h, struct gev_fd *f,
                   enum gev_dir dir, const struct gev_waitop *op) {
  gev_push_greenlet(L, h, f->user[dir]);
  const char *first = luaL_tolstring(L, -1, NULL);
  gev_push_greenlet(L, h, h->current);
  const char *second = luaL_tolstring(L, -1, NULL);
  gev_exc_push(L, GEV_EXC_CONCURRENTUSE,
               "%s: fd %d is already used by another greenlet for %s: %s; "
               "%s may not", op->name, f->fd,
               dir == GEV_READ ? "reading" : "writing", first, second);
  lua_error(L);
}

int gev_fd_wait_as(lua_State *L, struct gev_hub *h, struct gev_fd *f,
                   enum gev_dir role, enum gev_dir dir,
                   const struct gev_waitop *op, int64_t deadline,
                   lua_KContext ctx, lua_KFunction k) {
  gev_fd_claim(L, h, f, role, op);
  struct gev_greenlet *g = gev_park_begin(L, h, op);
  int err = f->by_request ? 0 : listen_for(L, h, f, event_of[dir]);
  if (err) return gev_fail(L, -err);
  f->user[role] = g;
  f->crossed = (uint8_t)(f->crossed & ~(1u << role)) |
               (uint8_t)((role != dir) << role);
  return gev_park(L, h, g, op, f, deadline, ctx, k);
}

int gev_fd_wait(lua_State *L, struct gev_hub *h, struct gev_fd *f,
                enum gev_dir dir, const struct gev_waitop *op,
                int64_t deadline, lua_KContext ctx, lua_KFunction k) {
  return gev_fd_wait_as(L, h, f, dir, dir, op, deadline, ctx, k);
}

void gev_fd_rearm(lua_State *L, struct gev_hub *h, struct gev_fd *f) {
  if (f->by_request) return; /* its completion has called back */
  for (int role = GEV_READ; role <= GEV_WRITE; role++) {
    const struct gev_greenlet *g = f->user[role];
    if (!g || g->state != GEV_PARKED || g->on != f) continue;
    int dir = f->crossed & 1u << role ? GEV_WRITE - role : role;
    if (listen_for(L, h, f, event_of[dir])) /* then it shall see why not */
      gev_fd_wake(h, f, (enum gev_dir)role, GEV_WOKEN);
  }
}

void gev_fd_cancel(struct gev_hub *h, struct gev_greenlet *g, void *on) {
  struct gev_fd *f = on;
  (void)h;
  if (f->user[GEV_READ] == g) f->user[GEV_READ] = NULL;
  if (f->user[GEV_WRITE] == g) f->user[GEV_WRITE] = NULL;
}

void gev_fd_describe(lua_State *L, void *on) {
  lua_pushfstring(L, "fd %d", ((struct gev_fd *)on)->fd);
}

static int give_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  gev_unpark(L, (struct gev_hub *)ctx);
  int n = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

int gev_fd_give_turn(lua_State *L, struct gev_hub *h,
                     const struct gev_waitop *op, int n) {
  struct gev_greenlet *g = gev_park_begin(L, h, op);
  lua_pushinteger(L, n);
  return gev_park_ready(L, h, g, op, NULL, (lua_KContext)h, give_k);
}

/* --- closing ------------------------------------------------------------- */

static void tell_witnesses(struct gev_hub *h, int fd) {
  struct gev_link *list = &h->witnesses;
  for (struct gev_link *l = list->next; l != list; l = l->next) {
    struct gev_witness *w = gev_container(l, struct gev_witness, link);
    w->closing(h, w, fd);
  }
}

int gev_fd_release(struct gev_hub *h, struct gev_fd *f) {
  int fd = f->fd;
  if (fd >= 0) tell_witnesses(h, fd);
  f->fd = -1;
  f->events = 0;
  f->drained = false;
  for (int dir = GEV_READ; dir <= GEV_WRITE; dir++) {
    gev_fd_wake(h, f, (enum gev_dir)dir, GEV_CLOSED);
    f->user[dir] = NULL;
  }
  if (f->poll) {
    uv_poll_stop(f->poll);
    gev_handle_close((uv_handle_t *)f->poll);
  }
  return fd;
}

void gev_fd_close(struct gev_hub *h, struct gev_fd *f) {
  if (f->fd < 0) return;
  close(gev_fd_release(h, f));
}

/* --- wait_read, wait_write: for descriptors of others -------------------- */

static const struct gev_class waiter_class = {"fd waiter", NULL, NULL};
struct waiter {
  const struct gev_class *cls;
  struct gev_fd f;
  int flags; /* to be put back; -1: none */
  int original;
  struct gev_witness witness;
};

static const struct gev_waitop wait_ops[] = {
    [GEV_READ] = {"wait_read", true, gev_fd_cancel, gev_fd_describe},
    [GEV_WRITE] = {"wait_write", true, gev_fd_cancel, gev_fd_describe}};

/* The loop makes non-blocking what it polls. Whoever shares the descriptor,
 * the shell a terminal, say, shall find it as it was. */
static void give_up(struct gev_hub *h, struct waiter *w) {
  gev_unlink(&w->witness.link);
  if (w->f.fd >= 0 && w->flags >= 0) fcntl(w->f.fd, F_SETFL, w->flags);
  gev_fd_close(h, &w->f);
}

static int waiter_gc(lua_State *L) {
  give_up(gev_hub(L), gev_check(L, 1, &waiter_class));
  return 0;
}

/* The original is closed: the copy must not keep it open. */
static void original_closing(struct gev_hub *h, struct gev_witness *witness,
                             int fd) {
  struct waiter *w = gev_container(witness, struct waiter, witness);
  if (fd != w->original) return;
  gev_fd_wake(h, &w->f, GEV_READ, GEV_CLOSED);
  gev_fd_wake(h, &w->f, GEV_WRITE, GEV_CLOSED);
}

static int finish(lua_State *L, struct waiter *w, bool ready) {
  give_up(gev_hub(L), w);
  lua_pushboolean(L, ready);
  return 1;
}

static int wait_k(lua_State *L, int status, lua_KContext dir) {
  (void)status;
  struct gev_hub *h = gev_hub(L);
  struct waiter *w = lua_touserdata(L, 3);
  if (h->current->verdict == GEV_RAISED) give_up(h, w);
  enum gev_verdict v = gev_fd_resume(L, h, &w->f, (enum gev_dir)dir);
  if (v == GEV_CLOSED) {
    give_up(h, w);
    return gev_fail(L, EBADF);
  }
  return finish(L, w, v == GEV_WOKEN);
}

/* The descriptor is not ours: the wait is for a copy of it, which lives no
 * longer. The loop takes one handle for a number, and that of the original
 * may belong to a socket, or to another wait. */
static int wait_for(lua_State *L, enum gev_dir dir) {
  struct gev_hub *h = gev_hub(L);
  int fd = gev_check_fd(L, 1);
  double timeout = gev_opttimeout(L, 2);
  lua_settop(L, 2);
  struct waiter *w = lua_newuserdatauv(L, sizeof *w, 0);
  w->cls = &waiter_class;
  w->flags = -1;
  w->original = fd;
  w->witness.closing = original_closing;
  gev_list_init(&w->witness.link);
  gev_fd_init(&w->f, -1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, 3);
  w->f.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (w->f.fd < 0) return gev_fail(L, errno);
  int flags = fcntl(w->f.fd, F_GETFL);
  if (!(flags & O_NONBLOCK)) w->flags = flags;
  gev_list_append(&h->witnesses, &w->witness.link);
  int n = gev_fd_wait(L, h, &w->f, dir, &wait_ops[dir],
                      gev_deadline(timeout), dir, wait_k);
  give_up(h, w); /* it could not be polled, or main has waited */
  return n;
}

/* wait_read(fd [, timeout]) -> bool | nil, message, code. What has a
 * descriptor, a socket or a file, may be given for it. */
static int lib_wait_read(lua_State *L) { return wait_for(L, GEV_READ); }
static int lib_wait_write(lua_State *L) { return wait_for(L, GEV_WRITE); }

static const luaL_Reg waiter_methods[] = {
    {"__gc", waiter_gc}, {"__close", waiter_gc}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"wait_read", lib_wait_read},
                                     {"wait_write", lib_wait_write},
                                     {NULL, NULL}};

void gev_open_fdwait(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "fd waiter", waiter_methods, 1);
  luaL_setfuncs(L, functions, 2);
}
