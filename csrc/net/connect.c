/* net/connect.c - layer: net. See connect.h. Owns nothing but what it has
 * accepted, which belongs to the socket made for it beforehand. */
#include "net/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/addr.h"
#include "net/socket.h"

enum { BACKLOG = 1024, TRIES = 16 };

static struct gev_socket *check(lua_State *L, int idx) {
  return gev_check(L, idx, &gev_socket_class);
}

bool gev_socket_addr(lua_State *L, struct gev_socket *sock, int idx,
                     struct gev_addr *a) {
  size_t len;
  const char *host = luaL_checklstring(L, idx, &len);
  if (sock->family == AF_UNIX) return gev_addr_unix(a, host, len);
  lua_Integer port = luaL_checkinteger(L, idx + 1);
  luaL_argcheck(L, port >= 0 && port <= 65535, idx + 1,
                "a port is a number from 0 to 65535");
  return gev_addr_numeric(a, sock->family, host, (uint16_t)port);
}

int gev_socket_noaddr(lua_State *L, int idx) {
  struct gev_addr other;
  size_t len;
  const char *host = lua_tolstring(L, idx, &len);
  int family = check(L, 1)->family;
  if (family == AF_UNIX)
    return gev_fail(L, !len || memchr(host, '\0', len) ? EINVAL
                                                       : ENAMETOOLONG);
  if (gev_addr_numeric(&other, AF_UNSPEC, host, 0))
    return gev_failmsg(L, "address family not supported", "EAI_ADDRFAMILY");
  const char *msg = lua_pushfstring(L, "'%s' is not a numeric address", host);
  return gev_failmsg(L, msg, "EAI_NONAME");
}

/* s:bind(host, port) or s:bind(path) -> true */
static int m_bind(lua_State *L) {
  struct gev_socket *sock = check(L, 1);
  struct gev_addr a;
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (!gev_socket_addr(L, sock, 2, &a)) return gev_socket_noaddr(L, 2);
  if (bind(sock->s.fd.fd, &a.u.sa, a.len) < 0) return gev_fail(L, errno);
  lua_pushboolean(L, true);
  return 1;
}

/* s:listen([backlog]) -> true */
static int m_listen(lua_State *L) {
  struct gev_socket *sock = check(L, 1);
  int backlog = (int)luaL_optinteger(L, 2, BACKLOG);
  if (listen(sock->s.fd.fd, backlog) < 0) return gev_fail(L, errno);
  sock->listening = true;
  lua_pushboolean(L, true);
  return 1;
}

/* --- connect ------------------------------------------------------------- */

static const struct gev_waitop connect_op = {"connect", true, gev_fd_cancel,
                                             gev_fd_describe};

static int connect_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct gev_hub *h = gev_hub(L);
  struct gev_socket *sock = check(L, 1);
  int err = 0;
  socklen_t len = sizeof err;
  enum gev_verdict v = gev_fd_resume(L, h, &sock->s.fd, GEV_WRITE);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (getsockopt(sock->s.fd.fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
    err = errno;
  if (err) return gev_fail(L, err);
  lua_pushboolean(L, true);
  return 1;
}

/* 0 or an errno. One that a signal has interrupted may be under way. */
static int connect_fd(int fd, const struct gev_addr *a) {
  bool again = false;
  while (connect(fd, &a->u.sa, a->len) < 0) {
    if (errno == EISCONN && again) return 0;
    if (errno != EINTR) return errno;
    again = true;
  }
  return 0;
}

/* s:connect(host, port [, timeout]) or s:connect(path [, timeout]) -> true */
static int m_connect(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_socket *sock = check(L, 1);
  struct gev_addr a;
  bool once;
  int64_t deadline = gev_stream_deadline(
      L, &sock->s, sock->family == AF_UNIX ? 3 : 4, &once);
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (!gev_socket_addr(L, sock, 2, &a)) return gev_socket_noaddr(L, 2);
  gev_fd_claim(L, h, &sock->s.fd, GEV_WRITE, &connect_op);
  int err = connect_fd(sock->s.fd.fd, &a);
  if (err == 0) {
    lua_pushboolean(L, true);
    return 1;
  }
  if (err != EINPROGRESS && err != EALREADY) return gev_fail(L, err);
  if (once) return gev_failtimeout(L);
  return gev_fd_wait(L, h, &sock->s.fd, GEV_WRITE, &connect_op, deadline, 0,
                     connect_k);
}

/* --- accept -------------------------------------------------------------- */

static const struct gev_waitop accept_op = {"accept", true, gev_fd_cancel,
                                            gev_fd_describe};

static int accept_k(lua_State *L, int status, lua_KContext ctx);

static int accept_fd(int fd, struct gev_addr *a) {
  a->len = sizeof a->u;
#ifdef __linux__
  return accept4(fd, &a->u.sa, &a->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
#else
  int conn = accept(fd, &a->u.sa, &a->len);
  if (conn >= 0) {
    fcntl(conn, F_SETFD, FD_CLOEXEC);
    fcntl(conn, F_SETFL, fcntl(conn, F_GETFL) | O_NONBLOCK);
  }
  return conn;
#endif
}

/* Connections that died in the queue are no error of ours: accept(2) lists
 * what Linux says of them. */
static bool is_transient(int err) {
  switch (err) {
    case EINTR: case ECONNABORTED: case EPROTO: case ENETDOWN:
    case ENOPROTOOPT: case EHOSTDOWN: case EHOSTUNREACH: case EOPNOTSUPP:
    case ENETUNREACH:
#ifdef ENONET
    case ENONET:
#endif
      return true;
    default: return false;
  }
}

/* The new socket waits at index 3, without a descriptor. */
static int accept_now(lua_State *L, struct gev_hub *h,
                      struct gev_socket *sock, bool once, int64_t deadline) {
  struct gev_addr a;
  int fd, tries = 0;
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  do {
    fd = accept_fd(sock->s.fd.fd, &a);
  } while (fd < 0 && is_transient(errno) && ++tries < TRIES);
  if (fd >= 0) {
    struct gev_socket *conn = lua_touserdata(L, 3);
    conn->s.fd.fd = fd;
    lua_pushvalue(L, 3);
    return gev_fd_give(L, h, &accept_op, 1 + gev_addr_push(L, &a));
  }
  if (errno != EAGAIN && errno != EWOULDBLOCK) return gev_fail(L, errno);
  if (once) return gev_failtimeout(L);
  return gev_fd_wait(L, h, &sock->s.fd, GEV_READ, &accept_op, deadline, 0,
                     accept_k);
}

static int accept_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct gev_hub *h = gev_hub(L);
  struct gev_socket *sock = check(L, 1);
  int64_t deadline = gev_fd_deadline(h);
  enum gev_verdict v = gev_fd_resume(L, h, &sock->s.fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return accept_now(L, h, sock, false, deadline);
}

/* s:accept([timeout]) -> socket, host, port | nil, message, code */
static int m_accept(lua_State *L) {
  struct gev_hub *h = gev_hub(L);
  struct gev_socket *sock = check(L, 1);
  bool once;
  int64_t deadline = gev_stream_deadline(L, &sock->s, 2, &once);
  gev_fd_claim(L, h, &sock->s.fd, GEV_READ, &accept_op);
  lua_settop(L, 2);
  gev_socket_new(L, sock->family, sock->type);
  return accept_now(L, h, sock, once, deadline);
}

const luaL_Reg gev_connect_methods[] = {{"bind", m_bind},
                                        {"listen", m_listen},
                                        {"connect", m_connect},
                                        {"accept", m_accept},
                                        {NULL, NULL}};
