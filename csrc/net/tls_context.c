/* net/tls_context.c - layer: net. See tls.h. SSLContext: what connections
 * have in common. Owns the SSL_CTX; connections hold on to the context, and
 * what is loaded again holds for those that are made after it. */
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

const struct gev_class gev_tls_context_class = {"SSLContext", NULL, NULL};

enum {
  SESSIONS = 2048,  /* kept for TLS 1.2 clients without tickets */
  CONTEXT_KIB = 10, /* that the collector cannot see */
};

struct gev_tls_context *gev_tls_checkcontext(lua_State *L, int idx) {
  struct gev_tls_context *c = gev_check(L, idx, &gev_tls_context_class);
  if (!c->ctx) luaL_argerror(L, idx, "this SSLContext was finalized");
  return c;
}

/* --- callbacks of OpenSSL ------------------------------------------------ */

/* The first name of the server_name extension (RFC 6066), NULL: none. */
static char *server_name(SSL *ssl) {
  const unsigned char *p;
  size_t len;
  if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len))
    return NULL;
  if (len < 5 || p[2] != TLSEXT_NAMETYPE_host_name) return NULL;
  size_t n = (size_t)p[3] << 8 | p[4];
  if (n == 0 || n > len - 5 || memchr(p + 5, 0, n)) return NULL;
  return strndup((const char *)p + 5, n);
}

/* Suspends the handshake until Lua has chosen a context. */
static int client_hello_cb(SSL *ssl, int *alert, void *arg) {
  struct gev_tls *t = SSL_get_app_data(ssl);
  (void)arg;
  switch (t->choice) {
    case GEV_CHOICE_NONE:
      t->sni = server_name(ssl);
      t->choice = GEV_CHOICE_ASKED;
      return SSL_CLIENT_HELLO_RETRY;
    case GEV_CHOICE_ASKED:
    case GEV_CHOICE_TOLD: return SSL_CLIENT_HELLO_RETRY;
    case GEV_CHOICE_MADE: return SSL_CLIENT_HELLO_SUCCESS;
    case GEV_CHOICE_REFUSED: *alert = SSL_AD_UNRECOGNIZED_NAME; break;
    default: *alert = SSL_AD_INTERNAL_ERROR; break;
  }
  return SSL_CLIENT_HELLO_ERROR;
}

/* Appends a line to the file that SSLKEYLOGFILE names. */
static void keylog_cb(const SSL *ssl, const char *line) {
  (void)ssl;
  const char *path = getenv("SSLKEYLOGFILE");
  FILE *f = path ? fopen(path, "ae") : NULL;
  if (!f) return;
  fprintf(f, "%s\n", line);
  fclose(f);
}

/* --- making -------------------------------------------------------------- */

void gev_tls_new_terms(struct gev_tls_context *c) {
  unsigned char id[16];
  if (RAND_bytes(id, sizeof id) == 1)
    SSL_CTX_set_session_id_context(c->ctx, id, sizeof id);
  else /* with none, OpenSSL resumes nothing where it verifies */
    SSL_CTX_set_session_id_context(c->ctx, id, 0);
}

static void set_defaults(SSL_CTX *ctx) {
  SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(ctx, SESSIONS);
  if (getenv("SSLKEYLOGFILE")) SSL_CTX_set_keylog_callback(ctx, keylog_cb);
}

/* tls_context(server) -> context */
static int lib_context(lua_State *L) {
  struct gev_tls_context *c = lua_newuserdatauv(L, sizeof *c, 1);
  *c = (struct gev_tls_context){.cls = &gev_tls_context_class};
  c->server = lua_toboolean(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  ERR_clear_error();
  c->ctx = SSL_CTX_new(TLS_method());
  if (!c->ctx) return gev_tls_fail(L, "out of memory");
  set_defaults(c->ctx);
  gev_tls_new_terms(c);
  lua_gc(L, LUA_GCSTEP, CONTEXT_KIB);
  return 1;
}

static int m_gc(lua_State *L) {
  struct gev_tls_context *c = gev_check(L, 1, &gev_tls_context_class);
  SSL_CTX_free(c->ctx);
  free(c->alpn);
  c->ctx = NULL;
  c->alpn = NULL;
  return 0;
}

static int m_tostring(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  lua_pushfstring(L, "<SSLContext at %p: %s>", (void *)c,
                  c->server ? "server" : "client");
  return 1;
}

/* ctx:set_servername_callback(function|nil) */
static int m_set_servername_callback(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  if (!lua_isnoneornil(L, 2)) gev_checkcallable(L, 2);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, GEV_TLS_UV_CALLBACK);
  lua_getiuservalue(L, 1, GEV_TLS_UV_CALLBACK);
  c->asks_lua = !lua_isnil(L, -1);
  SSL_CTX_set_client_hello_cb(c->ctx, c->asks_lua ? client_hello_cb : NULL,
                              NULL);
  lua_pushboolean(L, true);
  return 1;
}

/* ctx:_checks_host() -> does a client need a server_hostname? */
static int m_checks_host(lua_State *L) {
  lua_pushboolean(L, gev_tls_checks_host(gev_tls_checkcontext(L, 1)));
  return 1;
}

static const luaL_Reg methods[] = {
    {"_checks_host", m_checks_host},
    {"set_servername_callback", m_set_servername_callback},
    {"__gc", m_gc},
    {"__tostring", m_tostring},
    {"__newindex", gev_tls_context_newindex},
    {NULL, NULL}};

void gev_open_tls_context(lua_State *L, int hub) {
  lua_pushvalue(L, hub);
  lua_pushvalue(L, hub);
  gev_newclass(L, "SSLContext", methods, 1);
  const luaL_Reg *const more[] = {gev_tls_config_methods,
                                  gev_tls_trust_methods};
  for (int i = 0; i < 2; i++) {
    lua_pushvalue(L, hub);
    luaL_setfuncs(L, more[i], 1);
  }
  lua_newtable(L); /* the methods: what __index looks at first */
  lua_pushnil(L);
  while (lua_next(L, -3)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
  lua_pushvalue(L, -1);
  lua_setfield(L, -5, "tls_context_methods");
  lua_pushcclosure(L, gev_tls_context_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushcclosure(L, lib_context, 2);
  lua_setfield(L, -2, "tls_context");
}
