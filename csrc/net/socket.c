/* net/socket.c - layer: net. See socket.h. Owns the descriptors. Making and
 * naming sockets; connect and accept are in connect.c. */
#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/connect.h"
#include "net/datagram.h"
#include "net/fdpass.h"
#include "net/sendfile.h"
#include "net/sockopt.h"

static const char classes_key = 0;

#ifndef MSG_NOSIGNAL /* macOS: SO_NOSIGPIPE is set instead */
#define MSG_NOSIGNAL 0
#endif

/* --- the transport ------------------------------------------------------- */

static ssize_t result(ssize_t n, int want) {
  if (n >= 0) return n;
  return errno == EAGAIN || errno == EWOULDBLOCK ? want : -errno;
}

/* A child that was given the socket may have made it blocking: it shares our
 * flags, so each call says for itself that it does not wait. */
enum { SEND_FLAGS = MSG_NOSIGNAL | MSG_DONTWAIT };

/* A short read means that nothing is left: the next one waits first. */
static ssize_t socket_read(struct gev_stream *s, void *buf, size_t n) {
  ssize_t got;
  do {
    got = recv(s->fd.fd, buf, n, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got > 0 && (size_t)got < n) gev_fd_drained(&s->fd);
  return result(got, GEV_WANT_READ);
}

static ssize_t send_many(struct gev_stream *s, const struct iovec *iov,
                         int n) {
  ssize_t put;
  struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                       .msg_iovlen = (size_t)n};
  do {
    put = sendmsg(s->fd.fd, &msg, SEND_FLAGS);
  } while (put < 0 && errno == EINTR);
  return result(put, GEV_WANT_WRITE);
}

static ssize_t socket_write(struct gev_stream *s, const struct iovec *iov,
                            int n) {
  ssize_t put;
  if (n != 1) return send_many(s, iov, n);
  do {
    put = send(s->fd.fd, iov->iov_base, iov->iov_len, SEND_FLAGS);
  } while (put < 0 && errno == EINTR);
  return result(put, GEV_WANT_WRITE);
}

static int socket_shutdown(struct gev_stream *s, int how) {
  return shutdown(s->fd.fd, how) == 0 ? 0 : -errno;
}

static void socket_close(struct gev_hub *h, struct gev_stream *s) {
  gev_fd_close(h, &s->fd);
}

static const struct gev_transport socket_transport = {
    .read = socket_read, .write = socket_write,
    .shutdown = socket_shutdown, .close = socket_close};

/* --- making -------------------------------------------------------------- */

static struct gev_socket *check(lua_State *L, int idx) {
  return gev_check(L, idx, &gev_socket_class);
}

/* Gives the userdata on the top its class: see make_classes. */
static void set_class(lua_State *L, int family, int type) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &classes_key);
  if (lua_rawgeti(L, -1, family * 16 + type) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 0); /* a family without a name */
  }
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
}

struct gev_socket *gev_socket_new(lua_State *L, int family, int type) {
  luaL_checkstack(L, 4, NULL);
  struct gev_socket *sock = lua_newuserdatauv(L, sizeof *sock, 0);
  memset(sock, 0, sizeof *sock);
  sock->cls = &gev_socket_class;
  gev_stream_init(&sock->s, gev_hub(L), &socket_transport, -1);
  sock->family = (int16_t)family;
  sock->type = (int16_t)type;
  sock->s.messages = type == SOCK_DGRAM;
  set_class(L, family, type);
  return sock;
}

static void nodelay(int fd, int family, int type) {
  int on = 1;
  if (type == SOCK_STREAM && (family == AF_INET || family == AF_INET6))
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef SO_NOSIGPIPE
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

/* socket() and the like, non-blocking and close-on-exec, where the system has
 * no flags for it. */
static int prepare(int fd) {
#ifndef SOCK_NONBLOCK
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
#endif
  return fd;
}
#ifdef SOCK_NONBLOCK
enum { FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC };
#else
enum { FLAGS = 0 };
#endif

static int check_type(lua_State *L, int idx) {
  static const char *const names[] = {"stream", "dgram", NULL};
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
  return types[luaL_checkoption(L, idx, "stream", names)];
}

/* socket([family="inet" [, type="stream"]]) -> socket | nil, message, code */
static int lib_socket(lua_State *L) {
  int family = gev_family(L, 1, AF_INET);
  int type = check_type(L, 2);
  struct gev_socket *sock = gev_socket_new(L, family, type);
  int fd = socket(family, type | FLAGS, 0);
  if (fd < 0) return gev_fail(L, errno);
  sock->s.fd.fd = prepare(fd);
  nodelay(fd, family, type);
  return 1;
}

/* socketpair([family="unix" [, type="stream"]]) -> socket, socket */
static int lib_socketpair(lua_State *L) {
  int fds[2];
  int family = gev_family(L, 1, AF_UNIX);
  int type = check_type(L, 2);
  struct gev_socket *one = gev_socket_new(L, family, type);
  struct gev_socket *two = gev_socket_new(L, family, type);
  if (socketpair(family, type | FLAGS, 0, fds) < 0)
    return gev_fail(L, errno);
  one->s.fd.fd = prepare(fds[0]);
  two->s.fd.fd = prepare(fds[1]);
  return 2;
}

static int int_option(int fd, int option, int fallback) {
  int value;
  socklen_t len = sizeof value;
  if (getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0) return fallback;
  return value;
}

static int family_of(int fd) {
  struct gev_addr a = {.len = sizeof a.u};
  if (getsockname(fd, &a.u.sa, &a.len) < 0) return AF_UNSPEC;
  return a.u.sa.sa_family;
}

/* fromfd(fd) -> socket that takes the descriptor over */
static int lib_fromfd(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= INT_MAX, 1, "not a descriptor");
  int fd = (int)n;
  int type = int_option(fd, SO_TYPE, -1);
  if (type < 0) return gev_fail(L, errno);
  struct gev_socket *sock = gev_socket_new(L, family_of(fd), type);
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
    return gev_fail(L, errno);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  sock->s.fd.fd = fd;
#ifdef SO_ACCEPTCONN
  sock->listening = int_option(fd, SO_ACCEPTCONN, 0) != 0;
#endif
  return 1;
}

/* s:dup() -> another socket on a copy of the descriptor */
static int m_dup(lua_State *L) {
  struct gev_socket *sock = check(L, 1);
  struct gev_socket *copy = gev_socket_new(L, sock->family, sock->type);
  int fd = fcntl(sock->s.fd.fd, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return gev_fail(L, errno);
  copy->s.fd.fd = fd;
  copy->listening = sock->listening;
  copy->s.timeout = sock->s.timeout;
  return 1;
}

/* s:detach() -> fd, which is the caller's from now on */
static int m_detach(lua_State *L) {
  struct gev_socket *sock = check(L, 1);
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  int fd = gev_fd_release(gev_hub(L), &sock->s.fd);
  gev_stream_closed(L, gev_hub(L), &sock->s);
  lua_pushinteger(L, fd);
  return 1;
}

/* --- names --------------------------------------------------------------- */

static int push_name(lua_State *L,
                     int (*get)(int, struct sockaddr *, socklen_t *)) {
  struct gev_addr a = {.len = sizeof a.u};
  int fd = gev_checkstream(L, 1)->fd.fd;
  if (get(fd, &a.u.sa, &a.len) < 0) return gev_fail(L, errno);
  return gev_addr_push(L, &a);
}

static int m_getsockname(lua_State *L) { return push_name(L, getsockname); }
static int m_getpeername(lua_State *L) { return push_name(L, getpeername); }

static int m_setsockopt(lua_State *L) {
  return gev_sockopt_set(L, gev_checkstream(L, 1)->fd.fd, 2);
}
static int m_getsockopt(lua_State *L) {
  return gev_sockopt_get(L, gev_checkstream(L, 1)->fd.fd, 2);
}

/* "<socket fd 7 127.0.0.1:80 connected>" */
static int m_tostring(lua_State *L) {
  struct gev_socket *sock = check(L, 1);
  struct gev_addr a = {.len = sizeof a.u}, peer = {.len = sizeof peer.u};
  int fd = sock->s.fd.fd;
  if (fd < 0) {
    lua_pushliteral(L, "<socket closed>");
    return 1;
  }
  bool connected = getpeername(fd, &peer.u.sa, &peer.len) == 0;
  const char *state = connected ? "connected"
                      : sock->listening ? "listening" : "open";
  lua_pushfstring(L, "<socket fd %d ", fd);
  int first = lua_gettop(L);
  if (connected || getsockname(fd, &a.u.sa, &a.len) == 0) {
    gev_addr_text(L, connected ? &peer : &a);
    lua_pushstring(L, lua_rawlen(L, -1) ? " " : "");
  }
  lua_pushstring(L, state);
  lua_pushliteral(L, ">");
  lua_concat(L, lua_gettop(L) - first + 1);
  return 1;
}

/* --- classes ------------------------------------------------------------- */

static const luaL_Reg methods[] = {{"dup", m_dup},
                                   {"detach", m_detach},
                                   {"__tostring", m_tostring},
                                   {NULL, NULL}};
const luaL_Reg gev_socket_name_methods[] = {{"getsockname", m_getsockname},
                                            {"getpeername", m_getpeername},
                                            {"setsockopt", m_setsockopt},
                                            {"getsockopt", m_getsockopt},
                                            {NULL, NULL}};

/* Pushes a class with all methods; its fields are constants. */
static void make_class(lua_State *L, int hub, const char *family,
                       const char *type, bool closed) {
  lua_pushvalue(L, hub);
  gev_newclass(L, "socket", methods, 1);
  gev_stream_methods(L, hub);
  const luaL_Reg *const more[] = {
      gev_socket_name_methods, gev_connect_methods, gev_datagram_methods,
      gev_sendfile_methods};
  for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
    lua_pushvalue(L, hub);
    luaL_setfuncs(L, more[i], 1);
  }
  gev_newclass(L, "sendfile", gev_sendfile_job, 0);
  lua_setfield(L, -2, "__sendfile");
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, gev_fdpass_methods, 1);
  gev_newclass(L, "fds", gev_fdpass_bag, 0);
  lua_setfield(L, -2, "__fds");
  if (type && !strcmp(type, "dgram"))
    gev_datagram_class(L, hub);
  lua_pushstring(L, family);
  lua_setfield(L, -2, "family");
  lua_pushstring(L, type);
  lua_setfield(L, -2, "type");
  lua_pushboolean(L, closed);
  lua_setfield(L, -2, "closed");
}

/* Fills the table of classes on the top: an open one, which knows its closed
 * one, for each family and type. */
static void make_classes(lua_State *L, int hub) {
  static const int families[] = {0, AF_INET, AF_INET6, AF_UNIX};
  static const int types[] = {0, SOCK_STREAM, SOCK_DGRAM};
  static const char *const type_names[] = {NULL, "stream", "dgram"};
  for (size_t f = 0; f < 4; f++)
    for (size_t t = 0; t < 3; t++) {
      const char *name = gev_family_name(families[f]);
      make_class(L, hub, name, type_names[t], f == 0);
      make_class(L, hub, name, type_names[t], true);
      lua_setfield(L, -2, "__closed");
      lua_rawseti(L, -2, families[f] * 16 + types[t]);
    }
}

static const luaL_Reg functions[] = {{"socket", lib_socket},
                                     {"socketpair", lib_socketpair},
                                     {"fromfd", lib_fromfd},
                                     {NULL, NULL}};

void gev_open_socket(lua_State *L, int hub) {
  lua_newtable(L);
  make_classes(L, hub);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &classes_key);
  lua_setfield(L, -2, "socket_classes");
  lua_pushvalue(L, hub);
  luaL_setfuncs(L, functions, 1);
}
