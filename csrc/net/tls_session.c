/* net/tls_session.c - layer: net. See tls.h. Sessions that a client may
 * resume. Owns a reference to OpenSSL's. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

const struct gev_class gev_tls_session_class = {"SSLSession", NULL, NULL};
static const char class_key = 0;

static struct gev_tls_session *check(lua_State *L) {
  return gev_check(L, 1, &gev_tls_session_class);
}

static int session_gc(lua_State *L) {
  struct gev_tls_session *s = check(L);
  SSL_SESSION_free(s->session);
  free(s->host);
  s->session = NULL;
  s->host = NULL;
  return 0;
}

static int session_tostring(lua_State *L) {
  struct gev_tls_session *s = check(L);
  lua_pushfstring(L, "<SSLSession at %p: %s>", (void *)s,
                  s->host ? s->host : "no host");
  return 1;
}

/* Tickets come after the handshake: reads what is there of them. */
static void read_tickets(struct gev_tls *t) {
  const char *data;
  if (t->server || t->failed || gev_stream_buffered(&t->s)) return;
  t->s.fd.drained = false;
  ssize_t got = gev_stream_input(t->s.hub, &t->s, &data);
  if (got > 0) gev_stream_used(&t->s, data, (size_t)got, 0);
}

/* s:session() -> session | nil: where there is none, or not yet */
static int m_session(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  lua_settop(L, 1);
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  if (!t->established) return lua_pushnil(L), 1;
  if (!t->s.fd.user[GEV_READ]) read_tickets(t);
  struct gev_tls_session *s = lua_newuserdatauv(L, sizeof *s, 1);
  *s = (struct gev_tls_session){.cls = &gev_tls_session_class};
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_setmetatable(L, 2);
  lua_getiuservalue(L, 1, GEV_TLS_UV_CONTEXT);
  lua_setiuservalue(L, 2, 1);
  s->session = SSL_get1_session(t->ssl);
  if (!s->session || !SSL_SESSION_is_resumable(s->session))
    return lua_pushnil(L), 1;
  s->host = t->host ? strdup(t->host) : NULL;
  s->verified = t->verifies;
  s->host_checked = t->checks_host;
  ERR_clear_error();
  return 1;
}

/* s:session_reused() -> boolean */
static int m_session_reused(lua_State *L) {
  struct gev_tls *t = gev_tls_check(L, 1);
  if (t->s.fd.fd < 0) return gev_fail(L, EBADF);
  lua_pushboolean(L, SSL_session_reused(t->ssl) == 1);
  return 1;
}

const luaL_Reg gev_tls_session_methods[] = {
    {"session", m_session},
    {"session_reused", m_session_reused},
    {NULL, NULL}};

void gev_open_tls_session(lua_State *L, int hub) {
  static const luaL_Reg methods[] = {{"__gc", session_gc},
                                     {"__tostring", session_tostring},
                                     {NULL, NULL}};
  lua_pushvalue(L, hub);
  gev_newclass(L, "SSLSession", methods, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
}
