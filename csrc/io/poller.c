/* io/poller.c - layer: io. See poller.h. Owns the epoll descriptor; those that
 * it watches are others', and leave it when they are closed: also where a copy
 * of them lives on. */
#include "io/poller.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "io/stream.h"

enum { MOST = 4096 }; /* events of one call */

struct poller {
  const struct gev_class *cls;
  struct gev_fd f;
  int n; /* descriptors watched */
  bool lost; /* one was closed since the last call that has told so */
  struct gev_witness witness;
};
static const struct gev_class poller_class = {"poller", NULL, NULL};

static struct poller *check(lua_State *L) {
  return gev_check(L, 1, &poller_class);
}

/* --- what is watched ----------------------------------------------------- */

/* "r", "w", "rw", with "x" for urgent data. */
static uint32_t check_events(lua_State *L, int idx) {
  const char *events = luaL_checkstring(L, idx);
  uint32_t bits = 0;
  for (; *events; events++) {
    switch (*events) {
      case 'r': bits |= EPOLLIN; break;
      case 'w': bits |= EPOLLOUT; break;
      case 'x': bits |= EPOLLPRI; break;
      default: luaL_argerror(L, idx, "\"r\", \"w\" or \"rw\" expected");
    }
  }
  return bits;
}

static int control(lua_State *L, int operation) {
  struct poller *p = check(L);
  struct epoll_event event = {0};
  int fd = (int)luaL_checkinteger(L, 2);
  if (operation != EPOLL_CTL_DEL) event.events = check_events(L, 3);
  event.data.fd = fd;
  if (epoll_ctl(p->f.fd, operation, fd, &event) < 0)
    return gev_fail(L, errno);
  lua_pushboolean(L, true);
  return 1;
}

/* p:add(fd, events), p:modify(fd, events), p:remove(fd) -> true */
static int m_add(lua_State *L) {
  int results = control(L, EPOLL_CTL_ADD);
  if (results == 1) check(L)->n++;
  return results;
}
static int m_modify(lua_State *L) { return control(L, EPOLL_CTL_MOD); }
static int m_remove(lua_State *L) {
  int results = control(L, EPOLL_CTL_DEL);
  if (results == 1) check(L)->n--;
  return results;
}

static void closing(struct gev_hub *h, struct gev_witness *witness, int fd) {
  struct poller *p = gev_container(witness, struct poller, witness);
  if (epoll_ctl(p->f.fd, EPOLL_CTL_DEL, fd, NULL) < 0) return; /* not ours */
  p->n--;
  p->lost = true;
  gev_fd_wake(h, &p->f, GEV_READ, GEV_CLOSED);
}

/* --- waiting ------------------------------------------------------------- */

static const struct gev_waitop poll_op = {"poll", true, gev_fd_cancel,
                                          gev_fd_describe};

static void set_flag(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

/* Pushes {fd=, readable=, writable=, urgent=, hangup=, error=}. */
static void push_event(lua_State *L, const struct epoll_event *event) {
  uint32_t bits = event->events;
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, event->data.fd);
  lua_setfield(L, -2, "fd");
  set_flag(L, "readable", (bits & EPOLLIN) != 0);
  set_flag(L, "writable", (bits & EPOLLOUT) != 0);
  set_flag(L, "urgent", (bits & EPOLLPRI) != 0);
  set_flag(L, "hangup", (bits & EPOLLHUP) != 0);
  set_flag(L, "error", (bits & EPOLLERR) != 0);
}

static int poll_k(lua_State *L, int status, lua_KContext ctx);

/* The buffer for the events is at index 3. */
static int poll_now(lua_State *L, struct poller *p, bool once,
                    int64_t deadline) {
  struct epoll_event *events = lua_touserdata(L, 3);
  int n, room = (int)(lua_rawlen(L, 3) / sizeof *events);
  if (p->f.fd < 0 || p->lost) {
    p->lost = false;
    return gev_fail(L, EBADF);
  }
  do {
    n = epoll_wait(p->f.fd, events, room, 0);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return gev_fail(L, errno);
  if (n == 0 && !once)
    return gev_fd_wait(L, gev_hub(L), &p->f, GEV_READ, &poll_op, deadline, 0,
                       poll_k);
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    push_event(L, &events[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return gev_fd_give(L, gev_hub(L), &poll_op, 1);
}

static int poll_k(lua_State *L, int status, lua_KContext ctx) {
  struct poller *p = check(L);
  struct gev_hub *h = gev_hub(L);
  (void)status;
  (void)ctx;
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &p->f, GEV_READ);
  return poll_now(L, p, v == GEV_TIMEDOUT, deadline);
}

/* p:poll([timeout]) -> list of events, empty at expiry; EBADF where one that
 * it watched has been closed, once */
static int m_poll(lua_State *L) {
  struct poller *p = check(L);
  double timeout = gev_opttimeout(L, 2);
  int room = p->n < 1 ? 1 : p->n < MOST ? p->n : MOST;
  gev_fd_claim(L, gev_hub(L), &p->f, GEV_READ, &poll_op);
  lua_settop(L, 2);
  lua_newuserdatauv(L, (size_t)room * sizeof(struct epoll_event), 0);
  return poll_now(L, p, timeout == 0, gev_deadline(timeout));
}

/* --- making -------------------------------------------------------------- */

static int m_close(lua_State *L) {
  struct poller *p = check(L);
  gev_unlink(&p->witness.link);
  gev_fd_close(gev_hub(L), &p->f);
  return 0;
}

/* poller() -> poller | nil, message, code */
static int lib_poller(lua_State *L) {
  struct poller *p = lua_newuserdatauv(L, sizeof *p, 0);
  p->cls = &poller_class;
  p->n = 0;
  p->lost = false;
  p->witness.closing = closing;
  gev_list_init(&p->witness.link);
  gev_fd_init(&p->f, -1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  p->f.fd = epoll_create1(EPOLL_CLOEXEC);
  if (p->f.fd < 0) return gev_fail(L, errno);
  gev_list_append(&gev_hub(L)->witnesses, &p->witness.link);
  return 1;
}

/* buffered(socket) -> bytes that it has read and nobody has asked for */
static int lib_buffered(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, 1);
  size_t n = gev_stream_buffered(s);
  if (s->ops->pending) n += s->ops->pending(s);
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

static const luaL_Reg methods[] = {
    {"add", m_add},   {"modify", m_modify}, {"remove", m_remove},
    {"poll", m_poll}, {"close", m_close},   {"__close", m_close},
    {"__gc", m_close}, {NULL, NULL}};

void gev_open_poller(lua_State *L, int hub) {
  lua_pushcfunction(L, lib_buffered);
  lua_setfield(L, -2, "buffered");
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "poller", methods, 1);
  lua_pushcclosure(L, lib_poller, 2);
  lua_setfield(L, -2, "poller");
}
