/* net/tls_config.c - layer: net. See tls.h. The fields of an SSLContext, and
 * what it offers: ciphers, protocols. Owns nothing. */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

/* --- verification -------------------------------------------------------- */

enum gev_tls_verify gev_tls_verify_as(const struct gev_tls_context *c,
                                      bool server) {
  if (c->verify_told) return c->verify;
  return server ? GEV_VERIFY_NONE : GEV_VERIFY_REQUIRED;
}

void gev_tls_apply_verify(struct gev_tls *t, struct gev_tls_context *c) {
  static const int flags[] = {
      SSL_VERIFY_NONE, SSL_VERIFY_PEER,
      SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
  enum gev_tls_verify verify = gev_tls_verify_as(c, t->server);
  t->verifies = verify != GEV_VERIFY_NONE;
  if (t->verifies) gev_tls_default_trust(c);
  SSL_set_verify(t->ssl, flags[verify], NULL);
}

bool gev_tls_checks_host(const struct gev_tls_context *c) {
  return (!c->host_told || c->check_host) &&
         gev_tls_verify_as(c, false) != GEV_VERIFY_NONE;
}

static const char *const verify_names[] = {"none", "optional", "required",
                                           NULL};

static void get_verify_mode(lua_State *L, struct gev_tls_context *c) {
  lua_pushstring(L, verify_names[gev_tls_verify_as(c, c->server)]);
}

static void set_verify_mode(lua_State *L, struct gev_tls_context *c) {
  c->verify = (uint8_t)luaL_checkoption(L, 3, NULL, verify_names);
  c->verify_told = true;
  gev_tls_new_terms(c);
}

static void get_check_hostname(lua_State *L, struct gev_tls_context *c) {
  bool checks = gev_tls_checks_host(c);
  lua_pushboolean(L, c->server && !c->host_told ? false : checks);
}

/* There is nothing to check in a peer that is not verified. */
static void set_check_hostname(lua_State *L, struct gev_tls_context *c) {
  luaL_checktype(L, 3, LUA_TBOOLEAN);
  c->check_host = lua_toboolean(L, 3);
  c->host_told = true;
  if (c->check_host && c->verify_told && c->verify == GEV_VERIFY_NONE)
    c->verify = GEV_VERIFY_REQUIRED;
  gev_tls_new_terms(c);
}

static const char *const crl_names[] = {"none", "leaf", "chain", NULL};

static unsigned long crl_flags(const struct gev_tls_context *c) {
  return X509_VERIFY_PARAM_get_flags(SSL_CTX_get0_param(c->ctx)) &
         (X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
}

static void get_crl_check(lua_State *L, struct gev_tls_context *c) {
  unsigned long flags = crl_flags(c);
  lua_pushstring(L, crl_names[!flags ? 0
                              : flags & X509_V_FLAG_CRL_CHECK_ALL ? 2 : 1]);
}

static void set_crl_check(lua_State *L, struct gev_tls_context *c) {
  static const unsigned long flags[] = {
      0, X509_V_FLAG_CRL_CHECK,
      X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL};
  int which = luaL_checkoption(L, 3, NULL, crl_names);
  X509_VERIFY_PARAM *param = SSL_CTX_get0_param(c->ctx);
  X509_VERIFY_PARAM_clear_flags(param, flags[2]);
  X509_VERIFY_PARAM_set_flags(param, flags[which]);
  gev_tls_new_terms(c);
}

static void get_verify_depth(lua_State *L, struct gev_tls_context *c) {
  int depth = SSL_CTX_get_verify_depth(c->ctx);
  lua_pushinteger(L, depth < 0 ? 100 : depth); /* OpenSSL's default */
}

static void set_verify_depth(lua_State *L, struct gev_tls_context *c) {
  lua_Integer depth = luaL_checkinteger(L, 3);
  luaL_argcheck(L, depth >= 0 && depth <= 1000, 3,
                "a depth is a number from 0 to 1000");
  SSL_CTX_set_verify_depth(c->ctx, (int)depth);
  gev_tls_new_terms(c);
}

/* --- versions ------------------------------------------------------------ */

static const char *const version_names[] = {"TLSv1.2", "TLSv1.3", NULL};
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static int check_version(lua_State *L) {
  return versions[luaL_checkoption(L, 3, NULL, version_names)];
}

static void get_minimum_version(lua_State *L, struct gev_tls_context *c) {
  long v = SSL_CTX_get_min_proto_version(c->ctx);
  lua_pushstring(L, version_names[v == TLS1_3_VERSION]);
}

static void get_maximum_version(lua_State *L, struct gev_tls_context *c) {
  long v = SSL_CTX_get_max_proto_version(c->ctx); /* 0: the newest */
  lua_pushstring(L, version_names[v != TLS1_2_VERSION]);
}

static void set_minimum_version(lua_State *L, struct gev_tls_context *c) {
  SSL_CTX_set_min_proto_version(c->ctx, check_version(L));
}

static void set_maximum_version(lua_State *L, struct gev_tls_context *c) {
  SSL_CTX_set_max_proto_version(c->ctx, check_version(L));
}

/* --- tickets ------------------------------------------------------------- */

static void get_session_tickets(lua_State *L, struct gev_tls_context *c) {
  lua_pushboolean(L, !(SSL_CTX_get_options(c->ctx) & SSL_OP_NO_TICKET));
}

static void set_session_tickets(lua_State *L, struct gev_tls_context *c) {
  luaL_checktype(L, 3, LUA_TBOOLEAN);
  if (lua_toboolean(L, 3))
    SSL_CTX_clear_options(c->ctx, SSL_OP_NO_TICKET);
  else
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_TICKET);
}

/* --- the kernel ---------------------------------------------------------- */

static void get_ktls(lua_State *L, struct gev_tls_context *c) {
  lua_pushboolean(L, c->ktls);
}

static void set_ktls(lua_State *L, struct gev_tls_context *c) {
  luaL_checktype(L, 3, LUA_TBOOLEAN);
  c->ktls = lua_toboolean(L, 3);
  if (c->ktls)
    SSL_CTX_set_options(c->ctx, SSL_OP_ENABLE_KTLS);
  else
    SSL_CTX_clear_options(c->ctx, SSL_OP_ENABLE_KTLS);
}

/* --- fields -------------------------------------------------------------- */

typedef void (*accessor)(lua_State *L, struct gev_tls_context *c);
static const struct {
  const char *name;
  accessor get, set;
} fields[] = {
    {"verify_mode", get_verify_mode, set_verify_mode},
    {"check_hostname", get_check_hostname, set_check_hostname},
    {"verify_depth", get_verify_depth, set_verify_depth},
    {"crl_check", get_crl_check, set_crl_check},
    {"session_tickets", get_session_tickets, set_session_tickets},
    {"ktls", get_ktls, set_ktls},
    {"minimum_version", get_minimum_version, set_minimum_version},
    {"maximum_version", get_maximum_version, set_maximum_version}};
enum { FIELDS = sizeof fields / sizeof *fields };

static int find_field(lua_State *L) {
  const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
  int i = 0;
  while (i < FIELDS && strcmp(fields[i].name, name) != 0) i++;
  return i;
}

/* upvalue 1: the methods */
int gev_tls_context_index(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
  int i = find_field(L);
  if (i < FIELDS)
    fields[i].get(L, c);
  else
    lua_pushnil(L);
  return 1;
}

int gev_tls_context_newindex(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  int i = find_field(L);
  if (i == FIELDS)
    return luaL_error(L, "an SSLContext has no field '%s'",
                      luaL_tolstring(L, 2, NULL));
  lua_remove(L, 2); /* for messages: the value is the first argument */
  lua_pushnil(L);
  lua_insert(L, 2);
  fields[i].set(L, c);
  return 0;
}

/* --- ciphers ------------------------------------------------------------- */

/* Adds the name at [p, end) to the list for its version of TLS. */
static void add_name(luaL_Buffer *b, const char *p, const char *end,
                     size_t *len) {
  if (*len) luaL_addchar(b, ':');
  luaL_addlstring(b, p, (size_t)(end - p));
  *len += (size_t)(end - p);
}

/* Pushes those names of the list at 2 that are suites of TLS 1.3, or those
 * that are not; returns how long that is. */
static size_t push_names(lua_State *L, bool suites) {
  luaL_Buffer b;
  size_t len = 0;
  const char *p = lua_tostring(L, 2);
  luaL_buffinit(L, &b);
  while (*p) {
    const char *end = p + strcspn(p, ":, ");
    if (end > p && (strncmp(p, "TLS_", 4) == 0) == suites)
      add_name(&b, p, end, &len);
    p = end + (*end != 0);
  }
  luaL_pushresult(&b);
  return len;
}

/* ctx:set_ciphers(list) -> true: OpenSSL's names for TLS 1.2, those that
 * begin with TLS_ for TLS 1.3 */
static int m_set_ciphers(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  luaL_checkstring(L, 2);
  lua_settop(L, 2);
  ERR_clear_error();
  if (push_names(L, false) &&
      SSL_CTX_set_cipher_list(c->ctx, lua_tostring(L, 3)) != 1)
    return gev_tls_fail(L, "no cipher match");
  if (push_names(L, true) &&
      SSL_CTX_set_ciphersuites(c->ctx, lua_tostring(L, 4)) != 1)
    return gev_tls_fail(L, "no cipher match");
  lua_pushboolean(L, true);
  return 1;
}

/* ctx:set_curves(list) -> true: groups for the exchange of keys, best first */
static int m_set_curves(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  ERR_clear_error();
  if (SSL_CTX_set1_groups_list(c->ctx, luaL_checkstring(L, 2)) != 1)
    return gev_tls_fail(L, "no such curve");
  lua_pushboolean(L, true);
  return 1;
}

/* --- ALPN ---------------------------------------------------------------- */

/* The server's choice, by its own order; else the alert. */
static int select_cb(SSL *ssl, const unsigned char **out,
                     unsigned char *outlen, const unsigned char *in,
                     unsigned inlen, void *arg) {
  const struct gev_tls_context *c = arg;
  unsigned char *chosen;
  (void)ssl;
  if (SSL_select_next_proto(&chosen, outlen, c->alpn, (unsigned)c->alpn_len,
                            in, inlen) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

/* Pushes the list at 2 as the wire has it: a length before each name. */
static void push_protocols(lua_State *L) {
  luaL_Buffer b;
  lua_Integer n = luaL_len(L, 2);
  luaL_buffinit(L, &b);
  for (lua_Integer i = 1; i <= n; i++) {
    size_t len;
    if (lua_geti(L, 2, i) != LUA_TSTRING)
      luaL_argerror(L, 2, "a list of strings expected");
    lua_tolstring(L, -1, &len);
    if (len == 0 || len > 255)
      luaL_argerror(L, 2, "a protocol has 1 to 255 bytes");
    lua_pop(L, 1);
    luaL_addchar(&b, (char)len);
    lua_geti(L, 2, i);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

/* ctx:set_alpn_protocols{name, ...} -> true */
static int m_set_alpn_protocols(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  size_t len;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  push_protocols(L);
  const char *wire = lua_tolstring(L, 3, &len);
  luaL_argcheck(L, len <= 65535, 2, "too many protocols");
  unsigned char *copy = malloc(len + 1);
  if (!copy) return luaL_error(L, "not enough memory");
  memcpy(copy, wire, len);
  free(c->alpn);
  c->alpn = copy;
  c->alpn_len = len;
  SSL_CTX_set_alpn_protos(c->ctx, copy, (unsigned)len);
  SSL_CTX_set_alpn_select_cb(c->ctx, len ? select_cb : NULL, c);
  ERR_clear_error();
  lua_pushboolean(L, true);
  return 1;
}

const luaL_Reg gev_tls_config_methods[] = {
    {"set_ciphers", m_set_ciphers},
    {"set_curves", m_set_curves},
    {"set_alpn_protocols", m_set_alpn_protocols},
    {NULL, NULL}};
