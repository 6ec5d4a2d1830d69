/* net/tls_socket.c - layer: net. See tls.h. TLS sockets as Lua sees them: the
 * classes, the handshake, what was agreed on, unwrap. Owns the SSL and the
 * descriptor of each, which are given up by close, __close and __gc. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/addr.h"
#include "net/sendfile.h"
#include "net/socket.h"
#include "net/tls.h"

static const char classes_key = 0, shared_key = 0;

struct gev_tls *gev_tls_check(lua_State *L, int idx) {
  return gev_check(L, idx, &gev_tls_class);
}

/* --- making -------------------------------------------------------------- */

static void push_class(lua_State *L, int family) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &classes_key);
  if (lua_rawgeti(L, -1, family) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 0);
  }
  lua_remove(L, -2);
}

struct gev_tls *gev_tls_new(lua_State *L) {
  luaL_checkstack(L, 4, NULL);
  struct gev_tls *t = lua_newuserdatauv(L, sizeof *t, 4);
  memset(t, 0, sizeof *t);
  t->cls = &gev_tls_class;
  gev_stream_init(&t->s, gev_hub(L), &gev_tls_transport, -1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &shared_key);
  t->shared = lua_touserdata(L, -1);
  lua_pop(L, 1);
  push_class(L, 0);
  lua_getfield(L, -1, "__closed");
  lua_setmetatable(L, -3);
  lua_pop(L, 1);
  return t;
}

void gev_tls_open(lua_State *L, int idx, struct gev_tls *t, int fd,
                  int family) {
  t->s.fd.fd = fd;
  t->family = family;
  push_class(L, family);
  lua_setmetatable(L, idx);
}

/* --- the handshake ------------------------------------------------------- */

static const struct gev_waitop handshake_op = {
    "do_handshake", true, gev_fd_cancel, gev_fd_describe};
enum { HANDSHAKE_COST = 64 * 1024 }; /* counts as so many bytes */

static int handshake_k(lua_State *L, int status, lua_KContext ctx);

/* Waits as a reader, for whatever OpenSSL wants. */
static int handshake_run(lua_State *L, struct gev_tls *t, bool once,
                         int64_t deadline) {
  struct gev_hub *h = t->s.hub;
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  ssize_t r = gev_tls_handshake(t);
  gev_count_bytes(h, HANDSHAKE_COST);
  if (r == GEV_TLS_SERVERNAME && t->choice == GEV_CHOICE_ASKED) {
    t->choice = GEV_CHOICE_TOLD;
    lua_pushliteral(L, "servername");
    lua_pushstring(L, t->sni);
    return 2;
  }
  if (gev_stream_must_wait(r))
    return once ? gev_failtimeout(L)
                : gev_stream_wait(L, h, &t->s, GEV_READ, r, &handshake_op,
                                  deadline, 0, handshake_k);
  if (r < 0) return gev_stream_fail(L, &t->s, r);
  lua_pushboolean(L, true);
  return 1;
}

static int handshake_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_tls *t = gev_tls_check(L, 1);
  (void)status;
  (void)ctx;
  int64_t deadline = gev_fd_deadline(t->s.hub);
  enum gev_verdict v = gev_fd_resume(L, t->s.hub, &t->s.fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return handshake_run(L, t, false, deadline);
}

/* s:_handshake([timeout]) -> true | "servername", name: answer, and call it
 * again | nil, message, code */
static int m_handshake(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  bool once;
  int64_t deadline = gev_stream_deadline(L, &t->s, 2, &once);
  gev_fd_claim(L, t->s.hub, &t->s.fd, GEV_READ, &handshake_op);
  gev_fd_claim(L, t->s.hub, &t->s.fd, GEV_WRITE, &handshake_op);
  return handshake_run(L, t, once, deadline);
}

/* The chosen context's certificates, ciphers, protocols and terms. */
static bool switch_context(struct gev_tls *t, struct gev_tls_context *c) {
  if (!SSL_set_SSL_CTX(t->ssl, c->ctx)) return false;
  gev_tls_apply_verify(t, c);
  SSL_set_min_proto_version(t->ssl, (int)SSL_CTX_get_min_proto_version(c->ctx));
  SSL_set_max_proto_version(t->ssl, (int)SSL_CTX_get_max_proto_version(c->ctx));
  return SSL_set1_param(t->ssl, SSL_CTX_get0_param(c->ctx)) == 1;
}

/* s:_choose(context | nil | false | "error"): the answer for the name */
static int m_choose(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  lua_settop(L, 2);
  if (!t->ssl || t->choice != GEV_CHOICE_TOLD) return 0;
  if (lua_isboolean(L, 2)) {
    t->choice = GEV_CHOICE_REFUSED;
  } else if (lua_isstring(L, 2)) {
    t->choice = GEV_CHOICE_FAILED;
  } else if (lua_isnil(L, 2)) {
    t->choice = GEV_CHOICE_MADE;
  } else {
    struct gev_tls_context *c = gev_tls_checkcontext(L, 2);
    t->choice = switch_context(t, c) ? GEV_CHOICE_MADE : GEV_CHOICE_FAILED;
    lua_setiuservalue(L, 1, GEV_TLS_UV_CHOSEN);
  }
  ERR_clear_error();
  return 0;
}

/* s:_context() -> the context, its servername callback */
static int m_context(lua_State *L) {
  gev_tls_check(L, 1);
  lua_getiuservalue(L, 1, GEV_TLS_UV_CONTEXT);
  lua_getiuservalue(L, -1, GEV_TLS_UV_CALLBACK);
  return 2;
}

/* --- what was agreed on -------------------------------------------------- */

/* s:cipher() -> name, version of TLS, bits | nil */
static int m_cipher(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  const SSL_CIPHER *cipher = SSL_get_current_cipher(t->ssl);
  if (!cipher) return lua_pushnil(L), 1;
  lua_pushstring(L, SSL_CIPHER_get_name(cipher));
  lua_pushstring(L, SSL_CIPHER_get_version(cipher));
  lua_pushinteger(L, SSL_CIPHER_get_bits(cipher, NULL));
  return 3;
}

/* s:version() -> "TLSv1.3" | nil: no handshake yet */
static int m_version(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (t->established)
    lua_pushstring(L, SSL_get_version(t->ssl));
  else
    lua_pushnil(L);
  return 1;
}

/* s:selected_alpn_protocol() -> name | nil */
static int m_alpn(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  const unsigned char *name = NULL;
  unsigned len = 0;
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  SSL_get0_alpn_selected(t->ssl, &name, &len);
  if (len)
    lua_pushlstring(L, (const char *)name, len);
  else
    lua_pushnil(L);
  return 1;
}

/* --- unwrap -------------------------------------------------------------- */

static const struct gev_waitop unwrap_op = {"unwrap", true, gev_fd_cancel,
                                            gev_fd_describe};
static int unwrap_k(lua_State *L, int status, lua_KContext ctx);

/* Gives the stream below back, and what the peer has sent it already. */
static int hand_back(lua_State *L, struct gev_tls *t) {
  struct gev_hub *h = t->s.hub;
  struct gev_stream *below = t->lower;
  lua_settop(L, 1);
  if (below) {
    lua_getiuservalue(L, 1, GEV_TLS_UV_LOWER);
    lua_getiuservalue(L, 1, GEV_TLS_UV_LOWER_CLASS);
    lua_setmetatable(L, 2);
    t->lower = NULL;
    gev_tls_set_lent(below, false);
  } else {
    below = &gev_socket_new(L, t->family, SOCK_STREAM)->s;
  }
  below->fd.fd = gev_fd_release(h, &t->s.fd);
  below->timeout = t->s.timeout;
  below->in = t->raw;
  t->raw = (struct gev_bytes){0};
  gev_stream_closed(L, h, &t->s);
  return 1;
}

static int unwrap_run(lua_State *L, struct gev_tls *t, bool once,
                      int64_t deadline) {
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (!t->established)
    return gev_failmsg(L, "the handshake is not complete", "ESSL");
  if (gev_stream_buffered(&t->s))
    return gev_failmsg(L, "there is data that was not read", "ESSL");
  ssize_t r = gev_tls_unwrap(t);
  if (r == 0) return hand_back(L, t);
  if (r > 0) return unwrap_run(L, t, once, deadline); /* that is: refused */
  if (!gev_stream_must_wait(r)) return gev_stream_fail(L, &t->s, r);
  if (once) return gev_failtimeout(L);
  return gev_stream_wait(L, t->s.hub, &t->s, GEV_READ, r, &unwrap_op,
                         deadline, 0, unwrap_k);
}

static int unwrap_k(lua_State *L, int status, lua_KContext ctx) {
  struct gev_tls *t = gev_tls_check(L, 1);
  (void)status;
  (void)ctx;
  int64_t deadline = gev_fd_deadline(t->s.hub);
  enum gev_verdict v = gev_fd_resume(L, t->s.hub, &t->s.fd, GEV_READ);
  if (v != GEV_WOKEN) return gev_stream_verdict(L, v);
  return unwrap_run(L, t, false, deadline);
}

/* s:unwrap([timeout]) -> the stream below | nil, message, code */
static int m_unwrap(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  bool once;
  int64_t deadline = gev_stream_deadline(L, &t->s, 2, &once);
  gev_fd_claim(L, t->s.hub, &t->s.fd, GEV_READ, &unwrap_op);
  gev_fd_claim(L, t->s.hub, &t->s.fd, GEV_WRITE, &unwrap_op);
  if (t->s.out.data)
    return gev_failmsg(L, "what setvbuf has collected is not flushed",
                       "ESSL");
  return unwrap_run(L, t, once, deadline);
}

/* s:detach() -> fd, which is the caller's; nothing more is sent on it */
static int m_detach(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  int fd = gev_fd_release(t->s.hub, &t->s.fd);
  gev_stream_closed(L, t->s.hub, &t->s);
  lua_pushinteger(L, fd);
  return 1;
}

/* "<TLS socket fd 7 127.0.0.1:443 TLSv1.3>" */
static int m_tostring(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  struct gev_addr peer = {.len = sizeof peer.u};
  if (t->s.fd.fd < 0) return lua_pushliteral(L, "<TLS socket closed>"), 1;
  lua_pushfstring(L, "<TLS socket fd %d ", t->s.fd.fd);
  if (getpeername(t->s.fd.fd, &peer.u.sa, &peer.len) == 0) {
    gev_addr_text(L, &peer);
    lua_pushliteral(L, " ");
    lua_concat(L, 3);
  }
  lua_pushfstring(L, "%s>", t->failed ? "failed"
                            : t->established ? SSL_get_version(t->ssl)
                                             : "handshake");
  lua_concat(L, 2);
  return 1;
}

/* --- classes ------------------------------------------------------------- */

static const luaL_Reg methods[] = {{"_handshake", m_handshake},
                                   {"_choose", m_choose},
                                   {"_context", m_context},
                                   {"cipher", m_cipher},
                                   {"version", m_version},
                                   {"selected_alpn_protocol", m_alpn},
                                   {"unwrap", m_unwrap},
                                   {"detach", m_detach},
                                   {"__tostring", m_tostring},
                                   {NULL, NULL}};

/* Pushes a class with all methods. */
static void make_class(lua_State *L, int hub, int family, bool closed) {
  const luaL_Reg *const more[] = {gev_tls_cert_methods,
                                  gev_tls_session_methods,
                                  gev_socket_name_methods,
                                  gev_sendfile_methods};
  lua_pushvalue(L, hub);
  gev_newclass(L, "TLS socket", methods, 1);
  gev_stream_methods(L, hub);
  for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
    lua_pushvalue(L, hub);
    luaL_setfuncs(L, more[i], 1);
  }
  gev_newclass(L, "sendfile", gev_sendfile_job, 0);
  lua_setfield(L, -2, "__sendfile");
  lua_pushstring(L, gev_family_name(family));
  lua_setfield(L, -2, "family");
  lua_pushliteral(L, "stream");
  lua_setfield(L, -2, "type");
  lua_pushboolean(L, closed);
  lua_setfield(L, -2, "closed");
}

static void make_classes(lua_State *L, int hub) {
  static const int families[] = {0, AF_INET, AF_INET6, AF_UNIX};
  lua_newtable(L);
  for (size_t i = 0; i < 4; i++) {
    make_class(L, hub, families[i], false);
    make_class(L, hub, families[i], true);
    lua_setfield(L, -2, "__closed");
    lua_rawseti(L, -2, families[i]);
  }
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &classes_key);
  lua_setfield(L, -2, "tls_classes");
}

static int shared_gc(lua_State *L) {
  struct gev_tls_shared *shared = lua_touserdata(L, 1);
  BIO_meth_free(shared->method);
  free(shared->in);
  free(shared->out);
  shared->method = NULL;
  shared->in = shared->out = NULL;
  return 0;
}

/* Made before all that use it, so it is finalized after them. */
static void make_shared(lua_State *L) {
  static const luaL_Reg shared_methods[] = {{"__gc", shared_gc},
                                            {NULL, NULL}};
  struct gev_tls_shared *shared = lua_newuserdatauv(L, sizeof *shared, 0);
  memset(shared, 0, sizeof *shared);
  gev_newclass(L, "TLS", shared_methods, 0);
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &shared_key);
  shared->method = gev_tls_bio_method();
  if (!shared->method) luaL_error(L, "not enough memory");
}

void gev_open_tls(lua_State *L, int hub) {
  make_shared(L);
  gev_open_tls_context(L, hub);
  gev_open_tls_session(L, hub);
  make_classes(L, hub);
  lua_pushvalue(L, hub);
  lua_pushcclosure(L, gev_tls_wrap, 1);
  lua_setfield(L, -2, "tls_wrap");
  lua_pushstring(L, OpenSSL_version(OPENSSL_VERSION));
  lua_setfield(L, -2, "openssl_version");
}
