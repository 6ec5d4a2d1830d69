/* net/fdpass.c - layer: net. See fdpass.h. Owns the descriptors that have
 * come, and copies of those that have to wait until they can go: who closes
 * the originals meanwhile does no harm. */
#include "net/fdpass.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/reader.h"
#include "io/writer.h"
#include "net/socket.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

enum { BAG = 5, MOST = 253 }; /* what the kernel takes at once: unix(7) */

struct bag {
  const struct gev_class *cls;
  bool owned; /* they are ours to close */
  int n;
  int fds[MOST];
};
static const struct gev_class bag_class = {"fds", NULL, NULL};

/* Room for the descriptors, and for credentials, which come unasked where
 * PASSCRED is set. */
union control {
  struct cmsghdr align;
  char space[CMSG_SPACE(MOST * sizeof(int)) + CMSG_SPACE(64)];
};

static int refuse(lua_State *L, int idx, int arg) {
  return luaL_argerror(L, arg, lua_pushfstring(
      L, "descriptor or file expected, got %s", luaL_typename(L, idx)));
}

int gev_checkfd(lua_State *L, int idx, int arg) {
  int type = lua_type(L, idx);
  if (lua_isinteger(L, idx)) {
    lua_Integer n = lua_tointeger(L, idx);
    return n >= 0 && n <= INT_MAX ? (int)n : -1;
  }
  luaL_Stream *stream = luaL_testudata(L, idx, LUA_FILEHANDLE);
  if (stream) {
    luaL_argcheck(L, stream->closef, arg, "a closed file");
    return fileno(stream->f);
  }
  if (type != LUA_TUSERDATA && type != LUA_TTABLE) return refuse(L, idx, arg);
  if (lua_getfield(L, idx, "fileno") == LUA_TNIL) return refuse(L, idx, arg);
  lua_pushvalue(L, idx);
  lua_call(L, 1, 1);
  int fd = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : -1;
  lua_pop(L, 1);
  return fd;
}

/* --- the bag ------------------------------------------------------------- */

static void empty(struct bag *bag) {
  for (int i = 0; bag->owned && i < bag->n; i++)
    if (bag->fds[i] >= 0) close(bag->fds[i]);
  bag->n = 0;
}

static int bag_gc(lua_State *L) {
  empty(gev_check(L, 1, &bag_class));
  return 0;
}

/* The stack at BAG gets it. */
static struct bag *new_bag(lua_State *L, bool owned) {
  lua_settop(L, BAG - 1);
  struct bag *bag = lua_newuserdatauv(L, sizeof *bag, 0);
  bag->cls = &bag_class;
  bag->owned = owned;
  bag->n = 0;
  luaL_getmetafield(L, 1, "__fds");
  lua_setmetatable(L, BAG);
  return bag;
}

/* Replaces the descriptors by copies; 0 or an errno. */
static int own(struct bag *bag) {
  int fds[MOST];
  for (int i = 0; i < bag->n; i++) {
    fds[i] = fcntl(bag->fds[i], F_DUPFD_CLOEXEC, 0);
    if (fds[i] >= 0) continue;
    int err = errno;
    while (i-- > 0) close(fds[i]);
    return err;
  }
  memcpy(bag->fds, fds, (size_t)bag->n * sizeof *fds);
  bag->owned = true;
  return 0;
}

static struct gev_socket *check(lua_State *L) {
  return gev_check(L, 1, &gev_socket_class);
}

/* --- sendfds ------------------------------------------------------------- */

static const struct gev_waitop send_op = {"sendfds", true, gev_fd_cancel,
                                          gev_fd_describe};

static ssize_t send_once(lua_State *L, struct gev_socket *sock,
                         const struct bag *bag) {
  union control control;
  struct iovec iov;
  size_t size = (size_t)bag->n * sizeof *bag->fds;
  ssize_t put = gev_stream_flush(&sock->s); /* that was written before */
  if (put) return put;
  iov.iov_base = (void *)(uintptr_t)lua_tolstring(L, 2, &iov.iov_len);
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
  if (size > 0) {
    memset(&control, 0, sizeof control);
    msg.msg_control = &control;
    msg.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(head), bag->fds, size);
  }
  do {
    put = sendmsg(sock->s.fd.fd, &msg, MSG_NOSIGNAL);
  } while (put < 0 && errno == EINTR);
  if (put >= 0) return put;
  return errno == EAGAIN || errno == EWOULDBLOCK ? GEV_WANT_WRITE : -errno;
}

static int send_k(lua_State *L, int status, lua_KContext ctx);

static int send_now(lua_State *L, struct gev_socket *sock, struct bag *bag,
                    bool once, int64_t deadline) {
  if (sock->s.fd.fd < 0) return empty(bag), gev_fail(L, EBADF);
  ssize_t put = send_once(L, sock, bag);
  if (put == GEV_WANT_WRITE && !once) {
    int err = bag->owned ? 0 : own(bag);
    if (err) return gev_fail(L, err);
    return gev_fd_wait(L, sock->s.hub, &sock->s.fd, GEV_WRITE, &send_op,
                       deadline, (lua_KContext)bag, send_k);
  }
  empty(bag);
  if (put == GEV_WANT_WRITE) return gev_failtimeout(L);
  if (put < 0) return gev_stream_fail(L, &sock->s, put);
  lua_pushinteger(L, put);
  return gev_fd_give(L, sock->s.hub, &send_op, 1);
}

static int send_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_socket *sock = check(L);
  struct bag *bag = (struct bag *)ctx; /* it is at BAG */
  (void)status;
  int64_t deadline = gev_fd_deadline(sock->s.hub);
  if (sock->s.hub->current->verdict == GEV_RAISED) empty(bag);
  enum gev_verdict v =
      gev_fd_resume(L, sock->s.hub, &sock->s.fd, GEV_WRITE);
  if (v == GEV_WOKEN) return send_now(L, sock, bag, false, deadline);
  empty(bag);
  return gev_stream_verdict(L, v);
}

/* s:sendfds(data, fds) -> bytes | nil, message, code. The descriptors go with
 * the first byte. */
static int m_sendfds(lua_State *L) {
  struct gev_socket *sock = check(L);
  size_t len;
  luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, len > 0, 2, "some bytes must go with descriptors");
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_Integer n = luaL_len(L, 3);
  luaL_argcheck(L, n <= MOST, 3, "too many descriptors");
  gev_fd_claim(L, sock->s.hub, &sock->s.fd, GEV_WRITE, &send_op);
  struct bag *bag = new_bag(L, false);
  for (int i = 1; i <= n; i++) {
    lua_geti(L, 3, i);
    bag->fds[i - 1] = gev_checkfd(L, lua_gettop(L), 3);
    lua_pop(L, 1);
  }
  bag->n = (int)n;
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (sock->family != AF_UNIX) return gev_fail(L, EOPNOTSUPP);
  return send_now(L, sock, bag, sock->s.timeout == 0,
                  gev_deadline(sock->s.timeout));
}

/* --- recvfds ------------------------------------------------------------- */

static const struct gev_waitop recv_op = {"recvfds", true, gev_fd_cancel,
                                          gev_fd_describe};

/* Takes what has come to the bag; closes what nobody has asked for. Returns
 * whether anything is lost. */
static bool collect(struct msghdr *msg, struct bag *bag, int most) {
  bool lost = (msg->msg_flags & MSG_CTRUNC) != 0;
  struct cmsghdr *head = CMSG_FIRSTHDR(msg);
  for (; head; head = CMSG_NXTHDR(msg, head)) {
    if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
      continue;
    size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < n; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      if (!MSG_CMSG_CLOEXEC) fcntl(fd, F_SETFD, FD_CLOEXEC);
      if (bag->n < most)
        bag->fds[bag->n++] = fd;
      else
        lost = true, close(fd);
    }
  }
  return lost;
}

/* As transport read. */
static ssize_t recv_once(struct gev_socket *sock, struct bag *bag, char *buf,
                         size_t n, int most, bool *lost) {
  union control control;
  struct iovec iov = {buf, n < GEV_SCRATCH ? n : GEV_SCRATCH};
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
  ssize_t got;
  do {
    got = recvmsg(sock->s.fd.fd, &msg, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0)
    return errno == EAGAIN || errno == EWOULDBLOCK ? GEV_WANT_READ : -errno;
  *lost = collect(&msg, bag, most);
  return got;
}

/* The data is on the top: data, {fd, ...} [, true]. */
static int give(lua_State *L, struct bag *bag, bool lost) {
  lua_createtable(L, bag->n, 0);
  for (int i = 0; i < bag->n; i++) {
    lua_pushinteger(L, bag->fds[i]);
    lua_rawseti(L, -2, i + 1);
  }
  bag->n = 0; /* they are the caller's from now on */
  if (lost) lua_pushboolean(L, true);
  return lost ? 3 : 2;
}

static int recv_k(lua_State *L, int status, lua_KContext ctx);

static int recv_now(lua_State *L, struct gev_socket *sock, bool once,
                    int64_t deadline) {
  struct bag *bag = lua_touserdata(L, BAG);
  size_t n = (size_t)lua_tointeger(L, 2);
  bool lost = false;
  char *buf = gev_scratch(sock->s.hub);
  if (!buf) return gev_fail(L, ENOMEM);
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  ssize_t got = recv_once(sock, bag, buf, n, (int)lua_tointeger(L, 3), &lost);
  if (got >= 0) {
    lua_pushlstring(L, buf, (size_t)got);
    int fds = bag->n, results = give(L, bag, lost);
    if (fds) return results; /* nobody would close them if the state ended */
    return gev_fd_give(L, sock->s.hub, &recv_op, results);
  }
  if (got != GEV_WANT_READ) return gev_stream_fail(L, &sock->s, got);
  if (once) return gev_failtimeout(L);
  return gev_fd_wait(L, sock->s.hub, &sock->s.fd, GEV_READ, &recv_op,
                     deadline, 0, recv_k);
}

static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_socket *sock = check(L);
  (void)status, (void)ctx;
  int64_t deadline = gev_fd_deadline(sock->s.hub);
  enum gev_verdict v =
      gev_fd_resume(L, sock->s.hub, &sock->s.fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return recv_now(L, sock, false, deadline);
}

/* s:recvfds(n [, most=1 [, timeout]]) -> data, {fd, ...} | "", {} at the end |
 * nil, message, code; a third value of true: some did not fit and are lost */
static int m_recvfds(lua_State *L) {
  struct gev_socket *sock = check(L);
  lua_Integer n = luaL_checkinteger(L, 2), most = luaL_optinteger(L, 3, 1);
  bool once;
  luaL_argcheck(L, n > 0, 2, "a number of bytes must be positive");
  luaL_argcheck(L, most >= 0 && most <= MOST, 3, "must be 0 to 253");
  int64_t deadline = gev_stream_deadline(L, &sock->s, 4, &once);
  gev_fd_claim(L, sock->s.hub, &sock->s.fd, GEV_READ, &recv_op);
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (sock->family != AF_UNIX) return gev_fail(L, EOPNOTSUPP);
  struct bag *bag = new_bag(L, true);
  lua_pushinteger(L, most);
  lua_replace(L, 3);
  size_t buffered = gev_stream_buffered(&sock->s);
  if (!buffered) return recv_now(L, sock, once, deadline);
  gev_stream_take(L, &sock->s, (size_t)n < buffered ? (size_t)n : buffered);
  return give(L, bag, false);
}

const luaL_Reg gev_fdpass_methods[] = {
    {"sendfds", m_sendfds}, {"recvfds", m_recvfds}, {NULL, NULL}};
const luaL_Reg gev_fdpass_bag[] = {{"__gc", bag_gc}, {NULL, NULL}};
