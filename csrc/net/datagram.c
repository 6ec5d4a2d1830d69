/* net/datagram.c - layer: net. See datagram.h. Owns nothing. */
#include "net/datagram.h"

#include <errno.h>
#include <sys/socket.h>

#include "net/addr.h"
#include "net/connect.h"
#include "net/socket.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

static bool would_block(void) {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* --- recvfrom ------------------------------------------------------------ */

static const struct gev_waitop recvfrom_op = {"recvfrom", true, gev_fd_cancel,
                                              gev_fd_describe};

static int recvfrom_k(lua_State *L, int status, lua_KContext ctx);

static int recvfrom_now(lua_State *L, struct gev_socket *sock, bool once,
                        int64_t deadline) {
  struct gev_addr a;
  ssize_t got;
  size_t n = (size_t)lua_tointeger(L, 2);
  char *buf = gev_scratch(sock->s.hub);
  if (!buf) return gev_fail(L, ENOMEM);
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  do {
    a.len = sizeof a.u;
    got = recvfrom(sock->s.fd.fd, buf, n < GEV_SCRATCH ? n : GEV_SCRATCH, 0,
                   &a.u.sa, &a.len);
  } while (got < 0 && errno == EINTR);
  if (got >= 0) {
    lua_pushlstring(L, buf, (size_t)got);
    return 1 + gev_addr_push(L, &a);
  }
  if (!would_block()) return gev_fail(L, errno);
  if (once) return gev_failtimeout(L);
  return gev_fd_wait(L, sock->s.hub, &sock->s.fd, GEV_READ, &recvfrom_op,
                     deadline, (lua_KContext)sock, recvfrom_k);
}

static int recvfrom_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_socket *sock = (struct gev_socket *)ctx; /* it is at index 1 */
  (void)status;
  int64_t deadline = gev_fd_deadline(sock->s.hub);
  enum gev_verdict v =
      gev_fd_resume(L, sock->s.hub, &sock->s.fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return recvfrom_now(L, sock, false, deadline);
}

/* s:recvfrom(n [, timeout]) -> data, host, port | nil, message, code. What
 * does not fit in n bytes is lost, as is usual for datagrams. */
static int m_recvfrom(lua_State *L) {
  struct gev_socket *sock = gev_check(L, 1, &gev_socket_class);
  bool once;
  luaL_argcheck(L, luaL_checkinteger(L, 2) >= 0, 2,
                "a number of bytes must not be negative");
  int64_t deadline = gev_stream_deadline(L, &sock->s, 3, &once);
  gev_fd_claim(L, sock->s.hub, &sock->s.fd, GEV_READ, &recvfrom_op);
  return recvfrom_now(L, sock, once, deadline);
}

/* --- sendto -------------------------------------------------------------- */

static const struct gev_waitop sendto_op = {"sendto", true, gev_fd_cancel,
                                            gev_fd_describe};

static int sendto_k(lua_State *L, int status, lua_KContext ctx);

static int sendto_now(lua_State *L, struct gev_socket *sock, bool once,
                      int64_t deadline) {
  struct gev_addr a;
  size_t len;
  ssize_t put;
  const char *data = lua_tolstring(L, 2, &len);
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (!gev_socket_addr(L, sock, 3, &a)) return gev_socket_noaddr(L, 3);
  do {
    put = sendto(sock->s.fd.fd, data, len, MSG_NOSIGNAL, &a.u.sa, a.len);
  } while (put < 0 && errno == EINTR);
  if (put >= 0) {
    lua_pushinteger(L, put);
    return 1;
  }
  if (!would_block()) return gev_fail(L, errno);
  if (once) return gev_failtimeout(L);
  return gev_fd_wait(L, sock->s.hub, &sock->s.fd, GEV_WRITE, &sendto_op,
                     deadline, (lua_KContext)sock, sendto_k);
}

static int sendto_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_socket *sock = (struct gev_socket *)ctx;
  (void)status;
  int64_t deadline = gev_fd_deadline(sock->s.hub);
  enum gev_verdict v =
      gev_fd_resume(L, sock->s.hub, &sock->s.fd, GEV_WRITE);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return sendto_now(L, sock, false, deadline);
}

/* s:sendto(data, host, port) or s:sendto(data, path) -> bytes */
static int m_sendto(lua_State *L) {
  struct gev_socket *sock = gev_check(L, 1, &gev_socket_class);
  luaL_checkstring(L, 2);
  gev_fd_claim(L, sock->s.hub, &sock->s.fd, GEV_WRITE, &sendto_op);
  return sendto_now(L, sock, sock->s.timeout == 0,
                    gev_deadline(sock->s.timeout));
}

const luaL_Reg gev_datagram_methods[] = {{"recvfrom", m_recvfrom},
                                         {"sendto", m_sendto},
                                         {NULL, NULL}};
