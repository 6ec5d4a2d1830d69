/* net/tls_wrap.c - layer: net. See tls.h. How a stream becomes TLS: the SSL
 * is made and set up first, the descriptor changes hands last, where nothing
 * can fail any more.
 *
 * A plain socket gives its descriptor up, and what it has read and nobody has
 * asked for: those bytes are TLS's, never plaintext of the connection. Any
 * other stream stays below and lends its descriptor: it has none, and is
 * closed to its user, but for the time of each operation that the one above
 * asks of it (tls_bio.c). unwrap gives it back. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/socket.h"
#include "net/tls.h"

enum { STREAM = 1, CONTEXT, SERVER_SIDE, HOST, SESSION, TLS };
enum { STORE_KIB = 700 }; /* of the system's trust, unseen by the collector */

static const struct gev_waitop wrap_op = {"wrap_socket", true, gev_fd_cancel,
                                          gev_fd_describe};

/* --- the peer's name ----------------------------------------------------- */

static bool is_address(const char *host) {
  unsigned char buf[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, host, buf) == 1 ||
         inet_pton(AF_INET6, host, buf) == 1;
}

/* The name as certificates have it: without the dot of the root, without the
 * zone of an IPv6 address. */
static char *canonical(const char *host) {
  char *copy = strdup(host);
  if (!copy) return NULL;
  char *zone = strchr(copy, '%');
  size_t len = strlen(copy);
  if (zone && strchr(copy, ':')) *zone = 0;
  else if (len > 1 && copy[len - 1] == '.') copy[len - 1] = 0;
  return copy;
}

/* Whom we ask for, and whose certificate it has to be. */
static bool set_host(struct gev_tls *t) {
  X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
  bool address = is_address(t->host);
  if (!address && SSL_set_tlsext_host_name(t->ssl, t->host) != 1)
    return false;
  if (!t->checks_host) return true;
  return address ? X509_VERIFY_PARAM_set1_ip_asc(param, t->host) == 1
                 : X509_VERIFY_PARAM_set1_host(param, t->host, 0) == 1;
}

/* --- the SSL ------------------------------------------------------------- */

static bool set_up(struct gev_tls *t, struct gev_tls_context *c) {
  BIO *bio = BIO_new(t->shared->method);
  if (!bio) return false;
  BIO_set_data(bio, t);
  SSL_set_bio(t->ssl, bio, bio);
  if (SSL_set_app_data(t->ssl, t) != 1) return false;
  gev_tls_apply_verify(t, c);
  if (t->server)
    SSL_set_accept_state(t->ssl);
  else
    SSL_set_connect_state(t->ssl);
  return true;
}

/* A session goes back to whom it was made with, and on no lesser terms. */
static void check_session(lua_State *L, struct gev_tls *t,
                          struct gev_tls_session *session) {
  lua_getiuservalue(L, SESSION, 1);
  if (!lua_rawequal(L, -1, CONTEXT))
    gev_argerror(L, 2, "wrap_socket", "the session is of another context");
  lua_pop(L, 1);
  if ((t->host && session->host) ? strcasecmp(t->host, session->host) != 0
                                 : t->host != session->host)
    gev_argerror(L, 2, "wrap_socket", "the session is of another host");
  if ((t->verifies && !session->verified) ||
      (t->checks_host && !session->host_checked))
    gev_argerror(L, 2, "wrap_socket",
                 "the session was made without verifying the peer");
}

static bool make_ssl(lua_State *L, struct gev_tls *t,
                     struct gev_tls_context *c) {
  struct gev_tls_session *session = NULL;
  if (!lua_isnil(L, SESSION))
    session = gev_check(L, SESSION, &gev_tls_session_class);
  bool had_store = c->trust_loaded;
  t->ssl = SSL_new(c->ctx);
  if (!t->ssl || !set_up(t, c)) return false;
  if (c->trust_loaded && !had_store) lua_gc(L, LUA_GCSTEP, STORE_KIB);
  t->checks_host = !t->server && gev_tls_checks_host(c);
  if (!t->server && t->host && !set_host(t)) return false;
  if (!session) return true;
  check_session(L, t, session);
  return SSL_set_session(t->ssl, session->session) == 1;
}

/* --- taking over --------------------------------------------------------- */

/* Bytes that were read too early are for TLS. */
static void take_input(struct gev_tls *t, struct gev_stream *s) {
  t->raw = s->in;
  s->in = (struct gev_bytes){0};
}

static void take_descriptor(lua_State *L, struct gev_tls *t,
                            struct gev_socket *sock, bool ktls) {
  struct gev_hub *h = gev_hub(L);
  take_input(t, &sock->s);
  t->s.timeout = sock->s.timeout;
  int family = sock->family, fd = gev_fd_release(h, &sock->s.fd);
  gev_tls_open(L, TLS, t, fd, family);
  if (ktls && family != AF_UNIX) gev_tls_kernel_new(t);
  gev_stream_closed(L, h, &sock->s); /* it is at 1 */
}

static sa_family_t family_of(int fd) {
  struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
  socklen_t len = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &len) < 0) return AF_UNSPEC;
  return a.ss_family;
}

static void stand_upon(lua_State *L, struct gev_tls *t,
                       struct gev_stream *lower) {
  lua_pushvalue(L, STREAM);
  lua_setiuservalue(L, TLS, GEV_TLS_UV_LOWER);
  lua_getmetatable(L, STREAM);
  lua_setiuservalue(L, TLS, GEV_TLS_UV_LOWER_CLASS);
  if (luaL_getmetafield(L, STREAM, "__closed") != LUA_TNIL)
    lua_setmetatable(L, STREAM);
  t->lower = lower;
  take_input(t, lower);
  t->s.timeout = lower->timeout;
  gev_tls_set_lent(lower, true);
  int family = family_of(lower->fd.fd);
  gev_tls_open(L, TLS, t, gev_fd_release(gev_hub(L), &lower->fd), family);
}

static bool is_connected(int fd) {
  struct sockaddr_storage a;
  socklen_t len = sizeof a;
  return getpeername(fd, (struct sockaddr *)&a, &len) == 0;
}

/* What stands against it: 0, or the results to return. */
static int refuse(lua_State *L, struct gev_stream *s) {
  struct gev_hub *h = gev_hub(L);
  struct gev_socket *sock = gev_test(L, STREAM, &gev_socket_class);
  if (sock && sock->type == SOCK_DGRAM)
    return gev_argerror(L, 1, "wrap_socket", "a datagram socket");
  gev_fd_claim(L, h, &s->fd, GEV_READ, &wrap_op);
  gev_fd_claim(L, h, &s->fd, GEV_WRITE, &wrap_op);
  if (s->fd.fd < 0) return gev_fail(L, EBADF);
  if (sock && !is_connected(s->fd.fd)) return gev_fail(L, errno);
  if (s->out.data)
    return gev_failmsg(L, "what setvbuf has collected is not flushed",
                       "ESSL");
  return 0;
}

/* tls_wrap(stream, context, server_side, host|nil, session|nil) -> TLS
 * stream | nil, message, code */
int gev_tls_wrap(lua_State *L) {
  struct gev_stream *s = gev_checkstream(L, STREAM);
  struct gev_tls_context *c = gev_tls_checkcontext(L, CONTEXT);
  const char *host = luaL_optstring(L, HOST, NULL);
  lua_settop(L, SESSION);
  int n = refuse(L, s);
  if (n) return n;
  ERR_clear_error();
  struct gev_tls *t = gev_tls_new(L);
  t->server = lua_toboolean(L, SERVER_SIDE);
  lua_pushvalue(L, CONTEXT);
  lua_setiuservalue(L, TLS, GEV_TLS_UV_CONTEXT);
  if (host && !(t->host = canonical(host)))
    return luaL_error(L, "not enough memory");
  if (!make_ssl(L, t, c)) return gev_tls_fail(L, "TLS cannot be set up");
  ERR_clear_error();
  struct gev_socket *sock = gev_test(L, STREAM, &gev_socket_class);
  if (sock)
    take_descriptor(L, t, sock, c->ktls);
  else
    stand_upon(L, t, s);
  lua_settop(L, TLS);
  return 1;
}
