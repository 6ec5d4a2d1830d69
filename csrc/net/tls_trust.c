/* net/tls_trust.c - layer: net. See tls.h. What a context proves itself with
 * and whom it trusts: certificates, keys, CRLs. Owns what it reads until
 * OpenSSL has it. All is read and checked before anything is changed.
 *
 * Reading files blocks the thread; a password is never asked for. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "net/tls.h"

/* A BIO for PEM text, or for the file of that name; NULL: see errno. */
static BIO *open_source(lua_State *L, int idx) {
  size_t len;
  const char *s = luaL_checklstring(L, idx, &len);
  if (strstr(s, "-----BEGIN ")) return BIO_new_mem_buf(s, (int)len);
  errno = 0;
  return BIO_new_file(s, "re");
}

/* nil, "NAME: message", code */
static int fail_source(lua_State *L, int idx) {
  int err = errno;
  char buf[128];
  ERR_clear_error();
  if (!err) err = ENOENT;
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", lua_tostring(L, idx),
                  gev_errmsg(err, buf, sizeof buf));
  lua_pushstring(L, gev_errname(err));
  return 3;
}

/* --- a chain and its key ------------------------------------------------- */

struct identity {
  X509 *cert;
  EVP_PKEY *key;
  STACK_OF(X509) *chain;
};

static void drop(struct identity *id) {
  X509_free(id->cert);
  EVP_PKEY_free(id->key);
  sk_X509_pop_free(id->chain, X509_free);
}

/* The end of the file is the end of the chain. */
static bool is_end_of_pem(void) {
  unsigned long err = ERR_peek_last_error();
  return ERR_GET_LIB(err) == ERR_LIB_PEM &&
         ERR_GET_REASON(err) == PEM_R_NO_START_LINE;
}

static bool read_chain(BIO *in, struct identity *id) {
  id->cert = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL);
  id->chain = sk_X509_new_null();
  if (!id->cert || !id->chain) return false;
  for (;;) {
    X509 *next = PEM_read_bio_X509(in, NULL, NULL, NULL);
    if (!next) break;
    if (!sk_X509_push(id->chain, next)) {
      X509_free(next);
      return false;
    }
  }
  if (!is_end_of_pem()) return false;
  ERR_clear_error();
  return true;
}

/* The password that was given, or none: never asks the terminal. */
static int password_cb(char *buf, int size, int writing, void *password) {
  (void)writing;
  size_t len = password ? strlen(password) : 0;
  if (len == 0 || len > (size_t)size) return -1;
  memcpy(buf, password, len);
  return (int)len;
}

static bool read_key(BIO *in, const char *password, struct identity *id) {
  id->key = PEM_read_bio_PrivateKey(in, NULL, password_cb,
                                    (void *)(uintptr_t)password);
  return id->key != NULL;
}

/* Stack: 1 context, 2 certificates, 3 key, 4 password. */
static int load_identity(lua_State *L, struct gev_tls_context *c,
                         struct identity *id) {
  BIO *in = open_source(L, 2);
  if (!in) return fail_source(L, 2);
  bool ok = read_chain(in, id);
  BIO_free(in);
  if (!ok) return gev_tls_fail(L, "no certificate");
  int from = lua_isnil(L, 3) ? 2 : 3;
  in = open_source(L, from);
  if (!in) return fail_source(L, from);
  ok = read_key(in, luaL_optstring(L, 4, NULL), id);
  BIO_free(in);
  if (!ok) return gev_tls_fail(L, "no private key");
  if (X509_check_private_key(id->cert, id->key) != 1)
    return gev_tls_fail(L, "the key does not belong to the certificate");
  if (SSL_CTX_use_cert_and_key(c->ctx, id->cert, id->key, id->chain, 1) != 1)
    return gev_tls_fail(L, "the certificate cannot be used");
  lua_pushboolean(L, true);
  return 1;
}

/* ctx:load_cert_chain(cert [, key [, password]]) -> true: files, or PEM */
static int m_load_cert_chain(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  struct identity id = {0};
  luaL_checkstring(L, 2);
  lua_settop(L, 4);
  luaL_optstring(L, 3, NULL);
  luaL_optstring(L, 4, NULL);
  ERR_clear_error();
  int n = load_identity(L, c, &id);
  drop(&id);
  return n;
}

/* --- trust --------------------------------------------------------------- */

/* Adds what is one piece of PEM. */
static bool add_one(struct gev_tls_context *c, const X509_INFO *info) {
  X509_STORE *store = SSL_CTX_get_cert_store(c->ctx);
  if (info->x509) {
    if (X509_STORE_add_cert(store, info->x509) != 1) return false;
    c->trust_told = true;
  }
  return !info->crl || X509_STORE_add_crl(store, info->crl) == 1;
}

/* Adds the certificates and CRLs of a file or PEM text. */
static int load_pem(lua_State *L, struct gev_tls_context *c) {
  bool ok = true;
  BIO *in = open_source(L, 2);
  if (!in) return fail_source(L, 2);
  STACK_OF(X509_INFO) *all = PEM_X509_INFO_read_bio(in, NULL, password_cb,
                                                    NULL);
  BIO_free(in);
  if (!all) return gev_tls_fail(L, "not PEM");
  int n = sk_X509_INFO_num(all);
  for (int i = 0; i < n && ok; i++)
    ok = add_one(c, sk_X509_INFO_value(all, i));
  sk_X509_INFO_pop_free(all, X509_INFO_free);
  if (!ok || n == 0) return gev_tls_fail(L, "no certificate or CRL found");
  ERR_clear_error();
  lua_pushboolean(L, true);
  return 1;
}

static bool is_directory(const char *path) {
  struct stat st;
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ctx:load_verify_locations(file|directory|PEM) -> true */
static int m_load_verify_locations(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  const char *where = luaL_checkstring(L, 2);
  lua_settop(L, 2);
  ERR_clear_error();
  gev_tls_new_terms(c);
  if (!is_directory(where)) return load_pem(L, c);
  if (SSL_CTX_load_verify_dir(c->ctx, where) != 1)
    return gev_tls_fail(L, "the directory cannot be used");
  c->trust_told = true;
  lua_pushboolean(L, true);
  return 1;
}

void gev_tls_default_trust(struct gev_tls_context *c) {
  if (c->trust_told || c->trust_loaded) return;
  ERR_clear_error();
  SSL_CTX_set_default_verify_paths(c->ctx);
  ERR_clear_error();
  c->trust_loaded = true;
}

/* ctx:load_default_certs() -> true: the system's, besides what was loaded */
static int m_load_default_certs(lua_State *L) {
  struct gev_tls_context *c = gev_tls_checkcontext(L, 1);
  ERR_clear_error();
  if (SSL_CTX_set_default_verify_paths(c->ctx) != 1)
    return gev_tls_fail(L, "there is no trust store");
  ERR_clear_error();
  c->trust_told = c->trust_loaded = true;
  lua_pushboolean(L, true);
  return 1;
}

const luaL_Reg gev_tls_trust_methods[] = {
    {"load_cert_chain", m_load_cert_chain},
    {"load_verify_locations", m_load_verify_locations},
    {"load_default_certs", m_load_default_certs},
    {NULL, NULL}};
