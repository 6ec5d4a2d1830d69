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

/* --- recvfrom, recv ------------------------------------------------------ */

enum { LARGEST = 1 << 20 }; /* bytes, where a length cannot be told */

/* The two differ in their results. */
struct receiver {
  struct gev_waitop op;
  bool address;
};

static int receive_k(lua_State *L, int status, lua_KContext ctx);

static ssize_t receive(int fd, void *buf, size_t n, struct gev_addr *a) {
  ssize_t got;
  do {
    a->len = sizeof a->u;
    got = recvfrom(fd, buf, n, 0, &a->u.sa, &a->len);
  } while (got < 0 && errno == EINTR);
  return got;
}

/* How long the next message is, and n where that cannot be told. */
static size_t next_length(int fd, size_t n) {
#ifdef __linux__
  char nothing;
  ssize_t len = recv(fd, &nothing, 0, MSG_PEEK | MSG_TRUNC);
  return len < 0 ? 0 : (size_t)len < n ? (size_t)len : n;
#else
  (void)fd;
  return n < LARGEST ? n : LARGEST;
#endif
}

/* Pushes a message of up to n bytes; on failure leaves the stack as it was. */
static ssize_t push_message(lua_State *L, struct gev_socket *sock, size_t n,
                            struct gev_addr *a) {
  char *buf = gev_scratch(sock->s.hub);
  if (!buf) return errno = ENOMEM, -1;
  int fd = sock->s.fd.fd;
  if (n > GEV_SCRATCH) n = next_length(fd, n);
  bool large = n > GEV_SCRATCH;
  if (large) buf = lua_newuserdatauv(L, n, 0);
  ssize_t got = receive(fd, buf, n, a);
  if (got >= 0) lua_pushlstring(L, buf, (size_t)got);
  if (large) lua_remove(L, got < 0 ? -1 : -2);
  return got;
}

static int receive_now(lua_State *L, struct gev_socket *sock,
                       const struct receiver *r, bool once,
                       int64_t deadline) {
  struct gev_addr a;
  if (sock->s.fd.fd < 0) return gev_fail(L, EBADF);
  ssize_t got = push_message(L, sock, (size_t)lua_tointeger(L, 2), &a);
  if (got >= 0) {
    int n = r->address ? 1 + gev_addr_push(L, &a) : 1;
    gev_count_bytes(sock->s.hub, (size_t)got);
    return gev_fd_give(L, sock->s.hub, &r->op, n);
  }
  if (!would_block()) return gev_fail(L, errno);
  if (once) return gev_failtimeout(L);
  return gev_fd_wait(L, sock->s.hub, &sock->s.fd, GEV_READ, &r->op, deadline,
                     (lua_KContext)r, receive_k);
}

static int receive_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_socket *sock = lua_touserdata(L, 1);
  (void)status;
  int64_t deadline = gev_fd_deadline(sock->s.hub);
  enum gev_verdict v =
      gev_fd_resume(L, sock->s.hub, &sock->s.fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return receive_now(L, sock, (const struct receiver *)ctx, false, deadline);
}

static int start(lua_State *L, const struct receiver *r) {
  struct gev_socket *sock = gev_check(L, 1, &gev_socket_class);
  bool once;
  luaL_argcheck(L, luaL_checkinteger(L, 2) >= 0, 2,
                "a number of bytes must not be negative");
  int64_t deadline = gev_stream_deadline(L, &sock->s, 3, &once);
  gev_fd_claim(L, sock->s.hub, &sock->s.fd, GEV_READ, &r->op);
  return receive_now(L, sock, r, once, deadline);
}

static const struct receiver from = {
    {"recvfrom", true, gev_fd_cancel, gev_fd_describe}, true};
static const struct receiver plain = {
    {"recv", true, gev_fd_cancel, gev_fd_describe}, false};

/* s:recvfrom(n [, timeout]) -> data, host, port | nil, message, code. What
 * does not fit in n bytes is lost, as is usual for datagrams. */
static int m_recvfrom(lua_State *L) { return start(L, &from); }

/* s:recv(n [, timeout]) -> data | nil, message, code */
static int m_recv(lua_State *L) { return start(L, &plain); }

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
    gev_count_bytes(sock->s.hub, (size_t)put);
    return gev_fd_give(L, sock->s.hub, &sendto_op, 1);
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

void gev_datagram_class(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, m_recv, 1);
  lua_setfield(L, -2, "recv");
}
